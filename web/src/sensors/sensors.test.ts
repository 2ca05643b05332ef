import { describe, expect, it } from 'vitest';
import { extend, formatAge, inOrder, MOST_SAMPLES, toAnswer, toSensor, type History } from './sensors';

const status = (more: object = {}): unknown => ({
  sensor: 'edge1', state: 'ok', age_seconds: 3, lost: 7, written: '2026-03-03T10:00:00Z', started: '2026-03-01T10:00:00Z',
  interfaces: [{ name: 'eth0', kind: 'afpacket', up: true, packets: 10, bits_per_second: 100, drops_per_second: 0 }, { name: 'eth1', bits_per_second: 50 }],
  drops: { kernel: 5, disk: 2, duplicates: 3 }, spool: { backlog_bytes: 4096, oldest_unsent: '0001-01-01T00:00:00Z' }, ...more,
});
const sensor = (more: object = {}) => {
  const s = toSensor(status(more));
  if (!s) throw new Error('no sensor');
  return s;
};

describe('a status', () => {
  it('is read', () => {
    const s = sensor();
    expect(s).toMatchObject({ name: 'edge1', condition: 'ok', lost: 7, losses: [['capture ring full', 5], ['disk full or failing', 2]], duplicates: 3, clockOffset: undefined });
    expect(s.sources).toHaveLength(2);
    expect(s.sources[1]).toMatchObject({ name: 'eth1', up: false, packets: 0 });
    expect(s.spool.oldestUnsent).toBe(0);
    expect(s.written).toBe(Date.UTC(2026, 2, 3, 10));
  });
  it('of any shape is no crash, and what is not known is trouble', () => {
    expect(toAnswer({ now: '2026-03-03T10:00:00Z', sensors: [null, 5, {}, status({ state: 'melting', interfaces: null, drops: 'x' })] }).sensors).toMatchObject([{ condition: 'trouble', sources: [] }]);
    expect(toAnswer(null)).toEqual({ now: 0, sensors: [], warnings: [] });
  });
});

describe('the past', () => {
  const at = (second: number, lost: number, more: object = {}) => sensor({ written: new Date(Date.UTC(2026, 2, 3, 10, 0, second)).toISOString(), lost, ...more });
  it('counts losses between statuses, and not those before the page was opened', () => {
    let h: History = new Map();
    for (const s of [at(0, 7), at(0, 7), at(10, 7), at(20, 12)]) h = extend(h, [s]);
    expect(h.get('edge1')?.samples.map((x) => x.lost)).toEqual([0, 0, 5]);
    expect(h.get('edge1')?.samples[0]?.bitsPerSecond).toBe(150);
  });
  it('goes on over a restart of the sensor', () => {
    let h: History = new Map();
    for (const s of [at(0, 100), at(10, 3, { started: '2026-03-03T10:00:05Z' })]) h = extend(h, [s]);
    expect(h.get('edge1')?.samples.map((x) => x.lost)).toEqual([0, 3]);
  });
  it('is bounded, and forgets sensors that are gone', () => {
    let h: History = new Map();
    for (let i = 0; i < MOST_SAMPLES + 50; i++) h = extend(h, [at(i, 7 + i)]);
    expect(h.get('edge1')?.samples).toHaveLength(MOST_SAMPLES);
    expect(extend(h, []).size).toBe(0);
  });
});

it('what needs a look comes first', () => {
  const names = inOrder(['ok', 'stopped', 'stale', 'losing', 'trouble', 'ok'].map((state, i) => sensor({ sensor: `s${9 - i}`, state }))).map((s) => `${s.condition} ${s.name}`);
  expect(names).toEqual(['losing s6', 'stale s7', 'trouble s5', 'ok s4', 'ok s9', 'stopped s8']);
});

it('ages are short', () => {
  expect([4, 119, 200, 7300, 200000].map(formatAge)).toEqual(['4 s', '119 s', '3 min', '2 h', '2 days']);
});
