import type { Graph } from '../api/types';
import { formatBytes, formatCount } from '../format';
import { Timeline } from '../timeline/Timeline';
import { total } from '../timeline/buckets';
import { Icon } from '../ui/Icon';
import { type GraphType, type Search, type SeriesType } from './search';

const MEASURES: readonly (readonly [GraphType, string, (n: number) => string])[] = [
  ['sessionsHisto', 'Sessions', formatCount],
  ['network.packetsHisto', 'Packets', formatCount],
  ['network.bytesHisto', 'Bytes', formatBytes],
  ['totDataBytesHisto', 'Data bytes', formatBytes],
];

/** What was found, in four sums; each is the handle of its timeline. */
export function ResultHead(props: {
  graph: Graph;
  found: number;
  search: Search;
  onChange: (change: Partial<Search>) => void;
}) {
  const { graph, search, onChange } = props;
  const split = search.graphType !== 'sessionsHisto';
  const series: readonly (readonly [SeriesType, string])[] = [['bars', 'Bars'], ['lines', 'Lines']];
  return (
    <section className="result-head" aria-label="Timeline">
      <div className="result-bar">
        <div className="measures" role="radiogroup" aria-label="What the timeline shows">
          {MEASURES.map(([type, name, format]) => {
            const sum = type === 'sessionsHisto' || props.found === 0 ? props.found : total(graph, type);
            return (
              <button
                key={type}
                type="button"
                role="radio"
                aria-checked={search.graphType === type}
                className="measure"
                title={sum === undefined ? undefined : formatCount(sum)}
                onClick={() => onChange({ graphType: type })}
              >
                <span className="measure-sum num">{sum === undefined ? '–' : format(sum)}</span>
                <span className="measure-name">{sum === 1 ? name.replace(/s$/, '') : name}</span>
              </button>
            );
          })}
        </div>
        <div className="result-tools">
          {split && (
            <span className="legend">
              <i className="swatch src" />from source
              <i className="swatch dst" />from destination
            </span>
          )}
          <div className="group" role="group" aria-label="Form of the timeline">
            {series.map(([type, name]) => (
              <button key={type} type="button" className="button small square" aria-label={name} title={name} aria-pressed={search.seriesType === type} onClick={() => onChange({ seriesType: type })}>
                <Icon name={type} size={14} />
              </button>
            ))}
          </div>
          <button type="button" className="button small" title="A range three times as wide" disabled={graph.xmin === undefined} onClick={() => zoomOut(graph, onChange)}>
            <Icon name="zoomOut" size={14} /><span className="label">Zoom out</span>
          </button>
        </div>
      </div>
      <Timeline
        graph={graph}
        type={search.graphType}
        seriesType={search.seriesType}
        onZoom={(start, stop) => onChange({ time: range(start, stop), start: 0 })}
      />
    </section>
  );
}

/** Whole seconds, that take in what was asked for. */
const range = (start: number, stop: number) => ({ kind: 'absolute' as const, start: Math.floor(start / 1000), stop: Math.ceil(stop / 1000) });

function zoomOut(graph: Graph, onChange: (change: Partial<Search>) => void): void {
  if (graph.xmin === undefined || graph.xmax === undefined) return;
  const span = graph.xmax - graph.xmin;
  onChange({ time: range(Math.max(0, graph.xmin - span), graph.xmax + span), start: 0 });
}
