/** The status of sensors, as `/api/v1/sensors` tells it, and what of it the page shows. */

export const CONDITIONS = ['ok', 'trouble', 'losing', 'stale', 'stopped'] as const;
export type Condition = (typeof CONDITIONS)[number];

export interface Source {
  name: string;
  kind: string;
  up: boolean;
  error: string;
  packets: number;
  bytes: number;
  drops: number;
  /** What came in and was no packet: no loss. */
  malformed: number;
  packetsPerSecond: number;
  bitsPerSecond: number;
  dropsPerSecond: number;
}

export interface Sensor {
  name: string;
  condition: Condition;
  ageSeconds: number;
  /** Packets, of all causes, since it started. */
  lost: number;
  program: string;
  host: string;
  /** ms since 1970, 0 when unknown; also of the times below. */
  started: number;
  written: number;
  /** Its clock less the store's, in seconds. */
  clockOffset: number | undefined;
  problems: string[];
  lastError: { time: number; text: string } | undefined;
  sources: Source[];
  /** [what lost them, packets], those that lost some. */
  losses: (readonly [string, number])[];
  duplicates: number;
  spool: { backlogBytes: number; quotaBytes: number; freeBytes: number; oldestUnsent: number; policy: string; full: boolean };
  uploads: { chunks: number; bytes: number; failures: number; failingSince: number };
  sealed: { packets: number; rawBytes: number; bytes: number; cutPackets: number; cutBytes: number };
}

export interface SensorsAnswer {
  now: number;
  sensors: Sensor[];
  warnings: string[];
}

type Json = Record<string, unknown>;

const object = (v: unknown): Json => (typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Json) : {});
const list = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);
const text = (v: unknown): string => (typeof v === 'string' ? v : '');
const number = (v: unknown): number => (typeof v === 'number' && Number.isFinite(v) ? v : 0);
const strings = (v: unknown): string[] => list(v).filter((x): x is string => typeof x === 'string');

const time = (v: unknown): number => {
  const ms = Date.parse(text(v));
  return Number.isNaN(ms) || ms < 0 ? 0 : ms; // Go's zero time is of the year 1
};

const LOSSES: readonly (readonly [string, string])[] = [
  ['kernel', 'capture ring full'],
  ['quota_oldest', 'spool full, oldest dropped'],
  ['quota_new', 'spool full, new ones refused'],
  ['disk', 'disk full or failing'],
  ['damaged', 'damaged in the spool'],
  ['malformed', 'larger than a chunk holds'],
];

/** Gives nothing for what has no name; a state that is not known counts as trouble, so that it is looked at. */
export function toSensor(v: unknown): Sensor | undefined {
  const s = object(v);
  const name = text(s.sensor);
  if (name === '') return undefined;
  const [drops, spool, uploads, sealed, error] = [s.drops, s.spool, s.uploads, s.sealed, s.error].map(object) as [Json, Json, Json, Json, Json];
  return {
    name,
    condition: CONDITIONS.find((c) => c === s.state) ?? 'trouble',
    ageSeconds: number(s.age_seconds),
    lost: number(s.lost),
    program: text(s.program),
    host: text(s.host),
    started: time(s.started),
    written: time(s.written),
    clockOffset: typeof s.clock_offset === 'number' ? s.clock_offset : undefined,
    problems: strings(s.problems),
    lastError: text(error.text) === '' ? undefined : { time: time(error.time), text: text(error.text) },
    sources: list(s.interfaces).map(object).map(toSource),
    losses: LOSSES.map(([key, label]) => [label, number(drops[key])] as const).filter(([, n]) => n > 0),
    duplicates: number(drops.duplicates),
    spool: {
      backlogBytes: number(spool.backlog_bytes),
      quotaBytes: number(spool.quota_bytes),
      freeBytes: number(spool.free_bytes),
      oldestUnsent: time(spool.oldest_unsent),
      policy: text(spool.policy),
      full: spool.full === true,
    },
    uploads: { chunks: number(uploads.chunks), bytes: number(uploads.bytes), failures: number(uploads.failures), failingSince: time(uploads.failing_since) },
    sealed: {
      packets: number(sealed.packets),
      rawBytes: number(sealed.raw_bytes),
      bytes: number(sealed.bytes),
      cutPackets: number(sealed.cut_packets),
      cutBytes: number(sealed.cut_bytes),
    },
  };
}

const toSource = (i: Json): Source => ({
  name: text(i.name),
  kind: text(i.kind),
  up: i.up === true,
  error: text(i.error),
  packets: number(i.packets),
  bytes: number(i.bytes),
  drops: number(i.kernel_drops),
  malformed: number(i.malformed),
  packetsPerSecond: number(i.packets_per_second),
  bitsPerSecond: number(i.bits_per_second),
  dropsPerSecond: number(i.drops_per_second),
});

export function toAnswer(v: unknown): SensorsAnswer {
  const a = object(v);
  return { now: time(a.now), sensors: list(a.sensors).map(toSensor).filter((s) => s !== undefined), warnings: strings(a.warnings) };
}

/** What was heard of a sensor at one time. */
export interface Sample {
  at: number;
  bitsPerSecond: number;
  /** Packets lost since the sample before. */
  lost: number;
}

export const MOST_SAMPLES = 120;

interface Told {
  samples: readonly Sample[];
  started: number;
  written: number;
  lost: number;
}

/** What was heard of each sensor since the page was opened, by name: the server keeps no past. */
export type History = ReadonlyMap<string, Told>;

/** Adds what is new in an answer. A sensor that started anew counts from zero again; one that is gone is forgotten. */
export function extend(history: History, sensors: readonly Sensor[]): History {
  const next = new Map<string, Told>();
  for (const s of sensors) {
    const before = history.get(s.name);
    if (before?.written === s.written) {
      next.set(s.name, before);
      continue;
    }
    const base = before ? (before.started === s.started ? before.lost : 0) : s.lost;
    const sample = { at: s.written, bitsPerSecond: sum(s, 'bitsPerSecond'), lost: Math.max(0, s.lost - base) };
    next.set(s.name, { samples: [...(before?.samples ?? []), sample].slice(-MOST_SAMPLES), started: s.started, written: s.written, lost: s.lost });
  }
  return next;
}

export const sum = (s: Sensor, what: 'packetsPerSecond' | 'bitsPerSecond' | 'dropsPerSecond' | 'packets' | 'bytes' | 'malformed'): number =>
  s.sources.reduce((n, i) => n + i[what], 0);

const RANK: Record<Condition, number> = { losing: 0, stale: 1, trouble: 2, ok: 3, stopped: 4 };

/** What needs a look first, then by name. */
export const inOrder = (sensors: readonly Sensor[]): Sensor[] =>
  [...sensors].sort((a, b) => RANK[a.condition] - RANK[b.condition] || a.name.localeCompare(b.name));

/** `4 s`, `3 min`, `5 h`, `12 days` */
export function formatAge(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
