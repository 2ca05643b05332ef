/** Times as people type and read them. All of it is UTC; instants are ms since 1970. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const UNITS: Record<string, number> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY };

const DATE =
  /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T\s]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?$/i;
const RELATIVE = /^([+-])\s*(\d+)\s*([smhdw])$/;

/**
 * parseTime reads a typed or pasted time: `2026-11-23 12:00:05`, `2026/11/23`, ISO 8601 with a zone or without (then UTC),
 * epoch seconds, milliseconds, microseconds or nanoseconds, `now`, `-6h`. It gives null for what is none of these.
 */
export function parseTime(input: string, now: number): number | null {
  const s = input.trim();
  if (s.toLowerCase() === 'now') return now;
  const relative = RELATIVE.exec(s);
  if (relative) {
    const span = Number(relative[2]) * (UNITS[relative[3] ?? ''] ?? NaN);
    return relative[1] === '-' ? now - span : now + span;
  }
  if (/^\d{9,}(\.\d+)?$/.test(s)) return parseEpoch(s);
  const date = DATE.exec(s);
  return date ? parseDate(date) : null;
}

/** The count of digits tells the unit: seconds have ten until the year 2286. */
function parseEpoch(s: string): number | null {
  const digits = s.split('.')[0]?.length ?? 0;
  const n = Number(s);
  if (digits <= 11) return n * 1000;
  if (digits <= 14) return n;
  if (digits <= 17) return n / 1e3;
  // A double holds nanoseconds since 1970 to some 200 ns: what is below a microsecond is noise.
  return digits <= 20 ? Number((n / 1e6).toFixed(3)) : null;
}

function parseDate(m: RegExpExecArray): number | null {
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map((i) => Number(m[i] ?? 0)) as [
    number, number, number, number, number, number,
  ];
  const ms = Number((m[7] ?? '').padEnd(3, '0').slice(0, 3));
  const t = Date.UTC(year, month - 1, day, hour, minute, second, ms);
  const d = new Date(t);
  // Date.UTC rolls 31 February over to March; a person who typed it meant something else.
  const same = d.getUTCMonth() === month - 1 && d.getUTCDate() === day && d.getUTCHours() === hour;
  if (!same || d.getUTCMinutes() !== minute || d.getUTCSeconds() !== second) return null;
  return t - zoneOffset(m[8]);
}

function zoneOffset(zone: string | undefined): number {
  const m = /^([+-])(\d{2}):?(\d{2})$/.exec(zone ?? '');
  if (!m) return 0;
  const offset = Number(m[2]) * HOUR + Number(m[3]) * MINUTE;
  return m[1] === '-' ? -offset : offset;
}

/** `2026-11-23` */
export const formatDate = (ms: number): string => iso(ms).slice(0, 10);

/** `12:00:05`, or `12:00:05.123` */
export const formatClock = (ms: number, withMillis = false): string => iso(ms).slice(11, withMillis ? 23 : 19);

/** `2026-11-23 12:00:05`, or with milliseconds. */
export const formatTime = (ms: number, withMillis = false): string => {
  const clock = formatClock(ms, withMillis);
  return clock === '' ? '' : `${formatDate(ms)} ${clock}`;
};

function iso(ms: number): string {
  const d = new Date(ms);
  return Number.isNaN(d.getTime()) ? '' : d.toISOString();
}

/** `5 ms`, `1.24 s`, `3 min 20 s`, `2 h 5 min`, `12 d 4 h`: two units at most. */
export function formatDuration(ms: number): string {
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) return `${Number((ms / SECOND).toPrecision(3))} s`;
  const two = (big: number, bigName: string, small: number, smallName: string): string => {
    const rounded = Math.round(ms / small) * small;
    const whole = Math.floor(rounded / big);
    const rest = Math.round((rounded - whole * big) / small);
    return rest === 0 ? `${whole} ${bigName}` : `${whole} ${bigName} ${rest} ${smallName}`;
  };
  // Half of the smaller unit before the limit, rounding would give "60 min".
  if (ms < HOUR - SECOND / 2) return two(MINUTE, 'min', SECOND, 's');
  if (ms < DAY - MINUTE / 2) return two(HOUR, 'h', MINUTE, 'min');
  return two(DAY, 'd', HOUR, 'h');
}
