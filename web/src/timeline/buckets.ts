/** From the answer's histograms to what can be drawn in a given width. Instants are ms since 1970. */

import type { Bucket, Graph } from '../api/types';
import type { GraphType } from '../search/search';
import { DAY, HOUR, MINUTE, SECOND } from '../search/time';

export interface Bin {
  start: number;
  /** One value a series: [all], or [source, destination]. */
  values: number[];
  total: number;
}

export interface Chart {
  start: number;
  stop: number;
  step: number;
  bins: Bin[];
  /** Two when the measure has a source's and a destination's part. */
  series: 1 | 2;
  max: number;
}

const PARTS: Record<GraphType, [whole: string, ...parts: string[]]> = {
  sessionsHisto: ['sessionsHisto'],
  'network.packetsHisto': ['network.packetsHisto', 'source.packetsHisto', 'destination.packetsHisto'],
  'network.bytesHisto': ['network.bytesHisto', 'source.bytesHisto', 'destination.bytesHisto'],
  totDataBytesHisto: ['totDataBytesHisto', 'client.bytesHisto', 'server.bytesHisto'],
};

/** Steps that people count in. */
const STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2419200,
].map((s) => s * SECOND);

const LEAST_BAR = 5; // px: narrower bars cannot be told apart, nor hit

const histogram = (graph: Graph, key: string): readonly Bucket[] | undefined => {
  const h = graph[key];
  return Array.isArray(h) ? h : undefined;
};

/** The sum of a measure over all buckets, or undefined when the answer does not have it. */
export function total(graph: Graph, type: GraphType): number | undefined {
  const [whole, ...parts] = PARTS[type];
  const stated = graph[whole.replace('Histo', 'Total')];
  if (typeof stated === 'number') return stated;
  const found = histogram(graph, whole) ? [whole] : parts;
  let sum: number | undefined;
  for (const key of found) for (const [, v] of histogram(graph, key) ?? []) sum = (sum ?? 0) + v;
  return sum;
}

export function buildChart(graph: Graph, type: GraphType, width: number): Chart | undefined {
  const [whole, ...parts] = PARTS[type];
  const split = parts.length === 2 && parts.every((p) => histogram(graph, p) !== undefined);
  const keys = split ? parts : [whole];
  const histograms = keys.map((k) => histogram(graph, k) ?? []);
  const range = extent(graph, histograms);
  if (!range) return undefined;
  const interval = Math.max(graph.interval ?? 1, 1) * SECOND;
  const step = chooseStep(range[1] - range[0], interval, width);
  const start = Math.floor(range[0] / step) * step;
  const count = Math.max(1, Math.ceil((range[1] - start) / step));
  const bins: Bin[] = Array.from({ length: count }, (_, i) => ({ start: start + i * step, values: keys.map(() => 0), total: 0 }));
  histograms.forEach((h, series) => {
    for (const [at, value] of h) {
      const bin = bins[Math.min(Math.max(Math.floor((at - start) / step), 0), count - 1)];
      if (!bin) continue;
      bin.values[series] = (bin.values[series] ?? 0) + value;
      bin.total += value;
    }
  });
  return { start: range[0], stop: range[1], step, bins, series: split ? 2 : 1, max: Math.max(...bins.map((b) => b.total)) };
}

/** The window asked for, or that of the buckets where the answer does not say it. */
function extent(graph: Graph, histograms: (readonly Bucket[])[]): [number, number] | undefined {
  const times = histograms.flatMap((h) => h.map(([t]) => t));
  const interval = (graph.interval ?? 1) * SECOND;
  const first = times.length > 0 ? times.reduce((a, b) => Math.min(a, b)) : undefined;
  const last = times.length > 0 ? times.reduce((a, b) => Math.max(a, b)) + interval : undefined;
  const start = positive(graph.xmin) ?? first;
  const stop = positive(graph.xmax) ?? last;
  if (start === undefined || stop === undefined) return undefined;
  // A single instant still needs a width to be drawn.
  return [start, Math.max(stop, start + interval)];
}

const positive = (n: number | undefined): number | undefined => (n !== undefined && n > 0 ? n : undefined);

function chooseStep(span: number, interval: number, width: number): number {
  const most = Math.max(1, width / LEAST_BAR);
  const wanted = Math.max(span / most, interval);
  const step = STEPS.find((s) => s >= wanted && s % interval === 0);
  return step ?? Math.ceil(wanted / interval) * interval;
}

/** Where time labels go, and how fine they must be. */
export function timeTicks(start: number, stop: number, most: number): { at: number[]; step: number } {
  const span = stop - start;
  const step = STEPS.find((s) => span / s <= most) ?? Math.ceil(span / most / DAY) * DAY;
  const at: number[] = [];
  for (let t = Math.ceil(start / step) * step; t <= stop; t += step) at.push(t);
  return { at, step };
}

/** `14:05:30`, `14:05`, or `Nov 23`: as fine as the step asks, with the date at each midnight. */
export function timeLabel(at: number, step: number): string {
  const d = new Date(at);
  const day = d.toLocaleDateString('en-US', { month: 'short', day: 'numeric', timeZone: 'UTC' });
  if (step >= DAY) return d.getUTCMonth() === 0 && d.getUTCDate() === 1 ? `${day}, ${d.getUTCFullYear()}` : day;
  if (at % DAY === 0) return day;
  return d.toISOString().slice(11, step < MINUTE ? 19 : 16);
}

/** Round values up to max for the vertical axis, without zero. */
export function valueTicks(max: number, most: number): number[] {
  if (max <= 0) return [];
  const raw = max / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) ?? power * 10);
  const ticks: number[] = [];
  for (let v = step; v <= max; v += step) ticks.push(v);
  return ticks;
}

export const stepName = (step: number): string => {
  const [n, unit] =
    step < MINUTE ? [step / SECOND, 'second'] : step < HOUR ? [step / MINUTE, 'minute'] : step < DAY ? [step / HOUR, 'hour'] : [step / DAY, 'day'];
  return n === 1 ? unit : `${n} ${unit}s`;
};
