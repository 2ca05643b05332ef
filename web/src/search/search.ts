/** The search: what the page's URL says, in Arkime's parameters. */

import { parseTime } from './time';

export const BOUNDINGS = ['last', 'first', 'both', 'either', 'database'] as const;
export type Bounding = (typeof BOUNDINGS)[number];

export const INTERVALS = ['auto', 'second', 'minute', 'hour', 'day', 'week'] as const;
export type Interval = (typeof INTERVALS)[number];

export const GRAPH_TYPES = ['sessionsHisto', 'network.packetsHisto', 'network.bytesHisto', 'totDataBytesHisto'] as const;
export type GraphType = (typeof GRAPH_TYPES)[number];

export type SeriesType = 'bars' | 'lines';

/** hours -1 is all of the archive; an absolute range is in whole or fractional epoch seconds. */
export type TimeRange =
  | { kind: 'relative'; hours: number }
  | { kind: 'absolute'; start: number; stop: number };

export interface Order {
  field: string;
  desc: boolean;
}

export interface Search {
  expression: string;
  time: TimeRange;
  bounding: Bounding;
  interval: Interval;
  /** Columns by their path in the document, "info" among them; null is the default set. */
  fields: string[] | null;
  order: Order[];
  start: number;
  length: number;
  graphType: GraphType;
  seriesType: SeriesType;
  openAll: boolean;
  /** Parameters this page does not know, kept as they came. */
  rest: [string, string][];
  /** What of the URL could not be understood, in words for the reader. */
  problems: string[];
}

export const DEFAULT_LENGTH = 50;
export const MAX_LENGTH = 1000;

export const DEFAULT_SEARCH: Search = {
  expression: '',
  time: { kind: 'relative', hours: 1 },
  bounding: 'last',
  interval: 'auto',
  fields: null,
  order: [{ field: 'firstPacket', desc: true }],
  start: 0,
  length: DEFAULT_LENGTH,
  graphType: 'sessionsHisto',
  seriesType: 'bars',
  openAll: false,
  rest: [],
  problems: [],
};

/** Names that older links use. */
const OLD_GRAPH_TYPES: Record<string, GraphType> = {
  lpHisto: 'sessionsHisto',
  fpHisto: 'sessionsHisto',
  paHisto: 'network.packetsHisto',
  byHisto: 'network.bytesHisto',
  dbHisto: 'totDataBytesHisto',
};

const KNOWN = new Set([
  'expression', 'date', 'startTime', 'stopTime', 'bounding', 'interval', 'fields', 'order', 'sort', 'start', 'length',
  'graphType', 'seriesType', 'openAll', 'strictly',
]);

export function parseSearch(params: URLSearchParams, now: number): Search {
  const problems: string[] = [];
  const oneOf = <T extends string>(name: string, allowed: readonly T[], otherwise: T): T => {
    const v = params.get(name);
    if (v === null || v === '') return otherwise;
    const found = allowed.find((a) => a === v);
    if (found === undefined) problems.push(`${name}: “${v}” is none of ${allowed.join(', ')}; using ${otherwise}`);
    return found ?? otherwise;
  };
  const count = (name: string, least: number, most: number, otherwise: number): number => {
    const n = Number.parseInt(params.get(name) ?? '', 10);
    return Number.isNaN(n) ? otherwise : Math.min(Math.max(n, least), most);
  };
  const graphType = params.get('graphType') ?? '';
  const order = parseOrder(params.get('order') ?? params.get('sort') ?? '');
  const fields = (params.get('fields') ?? '').split(',').map((f) => f.trim()).filter((f) => f !== '');
  return {
    expression: params.get('expression') ?? '',
    time: parseRange(params, now, problems),
    bounding: params.get('strictly') === 'true' ? 'both' : oneOf('bounding', BOUNDINGS, 'last'),
    interval: oneOf('interval', INTERVALS, 'auto'),
    fields: fields.length > 0 ? fields : null,
    order: order.length > 0 ? order : DEFAULT_SEARCH.order,
    start: count('start', 0, Number.MAX_SAFE_INTEGER, 0),
    length: count('length', 1, MAX_LENGTH, DEFAULT_LENGTH),
    graphType: OLD_GRAPH_TYPES[graphType] ?? GRAPH_TYPES.find((g) => g === graphType) ?? 'sessionsHisto',
    seriesType: params.get('seriesType') === 'lines' ? 'lines' : 'bars',
    openAll: params.get('openAll') === '1' || params.get('openAll') === 'true',
    rest: [...params].filter(([k]) => !KNOWN.has(k)),
    problems,
  };
}

/** Both times beat `date`, save `date=-1`, which beats them; one alone does not count. That is Arkime's rule. */
function parseRange(params: URLSearchParams, now: number, problems: string[]): TimeRange {
  const date = params.get('date');
  const hours = Number(date ?? '1');
  if (date !== null && (hours === -1 || Number.isNaN(hours) || date.trim() === '')) return { kind: 'relative', hours: -1 };
  const [startText, stopText] = [params.get('startTime'), params.get('stopTime')];
  if (startText !== null && stopText !== null) {
    const start = parseTime(startText, now) ?? shortEpoch(startText);
    const stop = parseTime(stopText, now) ?? shortEpoch(stopText);
    if (start === null) problems.push(`startTime: “${startText}” is not a time; using the last hour`);
    if (stop === null) problems.push(`stopTime: “${stopText}” is not a time; using the last hour`);
    if (start !== null && stop !== null) {
      if (start > stop) problems.push('startTime is after stopTime: nothing can match');
      return { kind: 'absolute', start: start / 1000, stop: stop / 1000 };
    }
  }
  return { kind: 'relative', hours: hours > 0 ? hours : 1 };
}

/** Digits in a URL are always seconds, also those of the first years after 1970, which no person types. */
const shortEpoch = (s: string): number | null => (/^\d{1,8}$/.test(s.trim()) ? Number(s) * 1000 : null);

export function parseOrder(text: string): Order[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const [, field = part, direction = 'asc'] = /^(.*?)(?::(asc|desc))?$/i.exec(part) ?? [];
      return { field, desc: direction.toLowerCase() === 'desc' };
    });
}

export const formatOrder = (order: Order[]): string =>
  order.map((o) => `${o.field}:${o.desc ? 'desc' : 'asc'}`).join(',');

function putRange(params: URLSearchParams, time: TimeRange): void {
  if (time.kind === 'relative') {
    params.set('date', String(time.hours));
  } else {
    params.set('startTime', seconds(time.start));
    params.set('stopTime', seconds(time.stop));
  }
}

/** At most milliseconds: a float's noise does not belong into a link. */
const seconds = (s: number): string => String(Number(s.toFixed(3)));

/** The URL of the page: what differs from the default, and always the time, so that a link says what it shows. */
export function toPageParams(s: Search): URLSearchParams {
  const p = new URLSearchParams();
  putRange(p, s.time);
  if (s.expression.trim() !== '') p.set('expression', s.expression);
  if (s.bounding !== DEFAULT_SEARCH.bounding) p.set('bounding', s.bounding);
  if (s.interval !== DEFAULT_SEARCH.interval) p.set('interval', s.interval);
  if (s.fields) p.set('fields', s.fields.join(','));
  if (formatOrder(s.order) !== formatOrder(DEFAULT_SEARCH.order)) p.set('order', formatOrder(s.order));
  if (s.start > 0) p.set('start', String(s.start));
  if (s.length !== DEFAULT_LENGTH) p.set('length', String(s.length));
  if (s.graphType !== DEFAULT_SEARCH.graphType) p.set('graphType', s.graphType);
  if (s.seriesType !== DEFAULT_SEARCH.seriesType) p.set('seriesType', s.seriesType);
  if (s.openAll) p.set('openAll', '1');
  for (const [k, v] of s.rest) p.append(k, v);
  return p;
}

/** What selects sessions, for any request; parameters of others that link here (view, cluster …) go along. */
export function toQueryParams(s: Search): URLSearchParams {
  const p = new URLSearchParams();
  putRange(p, s.time);
  if (s.expression.trim() !== '') p.set('expression', s.expression);
  p.set('bounding', s.bounding);
  for (const [k, v] of s.rest) p.append(k, v);
  return p;
}

export function toSessionsParams(s: Search, fields: string[], withGraph: boolean): URLSearchParams {
  const p = toQueryParams(s);
  p.set('fields', fields.join(','));
  p.set('order', formatOrder(s.order));
  p.set('start', String(s.start));
  p.set('length', String(s.length));
  if (withGraph) {
    p.set('facets', '1');
    p.set('interval', s.interval);
  }
  return p;
}

export const pagePath = (s: Search): string => `/sessions?${toPageParams(s)}`;
