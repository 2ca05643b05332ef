import { type PointerEvent, useMemo, useState } from 'react';
import type { Graph } from '../api/types';
import { formatBytes, formatCount, formatShort } from '../format';
import type { GraphType, SeriesType } from '../search/search';
import { formatDuration, formatTime } from '../search/time';
import { useWidth } from '../ui/hooks';
import { type Bin, buildChart, type Chart, timeLabel, timeTicks, valueTicks } from './buckets';
import './timeline.css';

const HEIGHT = 112;
const TOP = 8;
const BOTTOM = 20;
const LEFT = 46;
const RIGHT = 10;
const PLOT = HEIGHT - TOP - BOTTOM;
const LEAST_DRAG = 4; // px

/** The histogram of the sessions found. A drag across it selects a time range. */
export function Timeline(props: {
  graph: Graph;
  type: GraphType;
  seriesType: SeriesType;
  onZoom: (start: number, stop: number) => void;
}) {
  const [frame, width] = useWidth();
  const inner = Math.max(0, width - LEFT - RIGHT);
  const chart = useMemo(() => (inner > 0 ? buildChart(props.graph, props.type, inner) : undefined), [props.graph, props.type, inner]);
  return (
    <div className="timeline-frame" ref={frame}>
      {chart && <Plot chart={chart} width={inner} {...props} />}
    </div>
  );
}

const isBytes = (type: GraphType): boolean => type === 'network.bytesHisto' || type === 'totDataBytesHisto';

function Plot({ chart, width, type, seriesType, onZoom }: {
  chart: Chart;
  width: number;
  type: GraphType;
  seriesType: SeriesType;
  onZoom: (start: number, stop: number) => void;
}) {
  const [pointer, setPointer] = useState<number>();
  const [dragFrom, setDragFrom] = useState<number>();
  const span = chart.stop - chart.start;
  const x = (t: number): number => ((t - chart.start) / span) * width;
  const time = (px: number): number => chart.start + (px / width) * span;
  // Lines lie over each other, bars stand on each other.
  const top = seriesType === 'lines' ? Math.max(...chart.bins.flatMap((b) => b.values)) : chart.max;
  const max = Math.max(top, 1);
  const y = (v: number): number => TOP + PLOT - (v / max) * PLOT;
  const short = isBytes(type) ? formatBytes : formatShort;
  const ticks = timeTicks(chart.start, chart.stop, Math.max(2, width / 110));

  const place = (e: PointerEvent<SVGElement>): number => {
    const box = e.currentTarget.getBoundingClientRect();
    return Math.min(Math.max(e.clientX - box.left - LEFT, 0), width);
  };
  const drop = (e: PointerEvent<SVGElement>): void => {
    const to = place(e);
    if (dragFrom !== undefined && Math.abs(to - dragFrom) >= LEAST_DRAG) {
      onZoom(time(Math.min(dragFrom, to)), time(Math.max(dragFrom, to)));
      setPointer(undefined);
    }
    setDragFrom(undefined);
  };
  const bin = pointer === undefined ? undefined : chart.bins.find((b) => time(pointer) < b.start + chart.step);
  return (
    <>
      <svg
        className="timeline"
        width={width + LEFT + RIGHT}
        height={HEIGHT}
        role="img"
        aria-label={`${chart.bins.length} buckets from ${formatTime(chart.start)} to ${formatTime(chart.stop)} UTC, at most ${short(chart.max)} in one`}
        onPointerDown={(e) => {
          if (e.button !== 0) return;
          e.currentTarget.setPointerCapture(e.pointerId);
          setDragFrom(place(e));
          setPointer(place(e));
        }}
        onPointerMove={(e) => setPointer(place(e))}
        onPointerUp={drop}
        onPointerCancel={() => setDragFrom(undefined)}
        onPointerLeave={() => setPointer(undefined)}
      >
        <g transform={`translate(${LEFT} 0)`}>
          {valueTicks(top, 3).map((v) => (
            <g key={v}>
              <line className="grid" x1={0} x2={width} y1={y(v)} y2={y(v)} />
              <text className="tick" x={-8} y={y(v) + 3.5} textAnchor="end">{short(v)}</text>
            </g>
          ))}
          {bin && dragFrom === undefined && (
            <rect className="hovered" x={Math.max(0, x(bin.start))} width={Math.max(1, Math.min(x(bin.start + chart.step), width) - Math.max(0, x(bin.start)))} y={TOP} height={PLOT} />
          )}
          {seriesType === 'bars' ? <Bars chart={chart} x={x} y={y} width={width} /> : <Lines chart={chart} x={x} y={y} width={width} />}
          <line className="axis" x1={0} x2={width} y1={TOP + PLOT + 0.5} y2={TOP + PLOT + 0.5} />
          {ticks.at.map((t) => (
            <g key={t} transform={`translate(${x(t)} ${TOP + PLOT})`}>
              <line className="axis" y1={0} y2={4} />
              <text className="tick" y={15} textAnchor={x(t) < 24 ? 'start' : x(t) > width - 24 ? 'end' : 'middle'}>{timeLabel(t, ticks.step)}</text>
            </g>
          ))}
          {dragFrom !== undefined && pointer !== undefined && (
            <rect className="selection" x={Math.min(dragFrom, pointer)} width={Math.abs(pointer - dragFrom)} y={TOP} height={PLOT} />
          )}
        </g>
      </svg>
      {pointer !== undefined && (
        <Tooltip
          left={LEFT + pointer}
          flip={pointer > width / 2}
          lines={dragFrom !== undefined && Math.abs(pointer - dragFrom) >= LEAST_DRAG ? dragLines(time(dragFrom), time(pointer)) : bin ? binLines(bin, chart, type) : []}
        />
      )}
    </>
  );
}

interface Line {
  text: string;
  value?: string;
  swatch?: string;
}

function dragLines(a: number, b: number): Line[] {
  const [start, stop] = a < b ? [a, b] : [b, a];
  return [{ text: formatTime(start) }, { text: formatTime(stop) }, { text: formatDuration(stop - start) }];
}

function binLines(bin: Bin, chart: Chart, type: GraphType): Line[] {
  const name = { sessionsHisto: 'sessions', 'network.packetsHisto': 'packets', 'network.bytesHisto': 'bytes', totDataBytesHisto: 'data bytes' }[type];
  const show = (n: number): string => (isBytes(type) && n >= 1000 ? `${formatCount(n)} (${formatBytes(n)})` : formatCount(n));
  const head = { text: `${formatTime(bin.start)} – ${formatTime(bin.start + chart.step).slice(11)}` };
  if (chart.series === 1) return [head, { text: name, value: show(bin.total), swatch: 'single' }];
  return [
    head,
    { text: 'source', value: show(bin.values[0] ?? 0), swatch: 'src' },
    { text: 'destination', value: show(bin.values[1] ?? 0), swatch: 'dst' },
    { text: name, value: show(bin.total) },
  ];
}

function Tooltip({ left, flip, lines }: { left: number; flip: boolean; lines: Line[] }) {
  if (lines.length === 0) return null;
  return (
    <div className="timeline-tip num" style={flip ? { right: `calc(100% - ${left - 12}px)` } : { left: left + 12 }}>
      {lines.map((l, i) => (
        <div key={i} className={i === 0 ? 'tip-head' : 'tip-line'}>
          {l.swatch !== undefined && <i className={`swatch ${l.swatch}`} />}
          <span>{l.text}</span>
          {l.value !== undefined && <b>{l.value}</b>}
        </div>
      ))}
    </div>
  );
}

interface Scales {
  chart: Chart;
  width: number;
  x: (t: number) => number;
  y: (v: number) => number;
}

const CLASSES: Record<Chart['series'], readonly string[]> = { 1: ['single'], 2: ['src', 'dst'] };

/** One path a series, however many buckets: the browser draws thousands of bars as one shape. */
function Bars({ chart, x, y, width }: Scales) {
  const paths = CLASSES[chart.series].map((name, series) => {
    let d = '';
    for (const bin of chart.bins) {
      const value = bin.values[series] ?? 0;
      if (value === 0) continue;
      const below = bin.values.slice(0, series).reduce((a, b) => a + b, 0);
      const left = Math.max(x(bin.start), 0);
      const right = Math.min(x(bin.start + chart.step), width);
      const gap = right - left > 4 ? 1 : 0;
      const bottom = y(below);
      // What is there must be seen: a bar is never under 1.5 px.
      const height = Math.max(bottom - y(below + value), below === 0 ? 1.5 : 0.5);
      d += `M${left.toFixed(1)} ${bottom.toFixed(1)}v${(-height).toFixed(1)}h${Math.max(right - left - gap, 1).toFixed(1)}v${height.toFixed(1)}z`;
    }
    return <path key={name} className={`bar ${name}`} d={d} />;
  });
  return <>{paths}</>;
}

function Lines({ chart, x, y, width }: Scales) {
  const middle = (bin: Bin): number => Math.min(Math.max(x(bin.start + chart.step / 2), 0), width);
  const line = (series: number): string =>
    chart.bins.map((b, i) => `${i === 0 ? 'M' : 'L'}${middle(b).toFixed(1)} ${y(b.values[series] ?? 0).toFixed(1)}`).join('');
  const [first, last] = [chart.bins[0], chart.bins.at(-1)];
  if (!first || !last) return null;
  const closing = `L${middle(last).toFixed(1)} ${y(0).toFixed(1)}L${middle(first).toFixed(1)} ${y(0).toFixed(1)}z`;
  return (
    <>
      {CLASSES[chart.series].map((name, series) => (
        <g key={name}>
          <path className={`area ${name}`} d={line(series) + closing} />
          <path className={`line ${name}`} d={line(series)} />
        </g>
      ))}
    </>
  );
}
