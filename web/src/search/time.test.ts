import { describe, expect, it } from 'vitest';
import { formatDuration, formatTime, parseTime } from './time';

const now = Date.UTC(2026, 10, 23, 12, 0, 0);

describe('parseTime', () => {
  it.each([
    ['2013-11-25 14:55:58', Date.UTC(2013, 10, 25, 14, 55, 58)],
    ['2013/11/25 14:55:58', Date.UTC(2013, 10, 25, 14, 55, 58)],
    [' 2013/11/25 ', Date.UTC(2013, 10, 25)],
    ['2013-11-25T14:55:58.382Z', Date.UTC(2013, 10, 25, 14, 55, 58, 382)],
    ['2013-11-25T14:55:58.3829999+01:00', Date.UTC(2013, 10, 25, 13, 55, 58, 382)],
    ['2013-11-25 14:55 -0530', Date.UTC(2013, 10, 25, 20, 25)],
    ['2013-11-25 14:55:58 UTC', Date.UTC(2013, 10, 25, 14, 55, 58)],
    ['1385391358', 1385391358000],
    ['1385391358.382', 1385391358382],
    ['1385391358382', 1385391358382],
    ['1385391358382000', 1385391358382],
    ['1385391358382000000', 1385391358382],
    ['now', now],
    ['-6h', now - 6 * 3600e3],
    ['+2d', now + 2 * 86400e3],
  ])('%s', (text, want) => expect(parseTime(text, now)).toBe(want));

  it.each(['', 'yesterday', '2013-02-31', '2013-11-25 25:00', '2013-13-01', '12', '-6x'])('refuses %j', (text) =>
    expect(parseTime(text, now)).toBeNull());
});

describe('formatting', () => {
  it('writes UTC', () => expect(formatTime(1385391358382, true)).toBe('2013-11-25 14:55:58.382'));
  it('is empty for what is no time', () => expect(formatTime(NaN)).toBe(''));
  it.each([
    [5, '5 ms'],
    [1240, '1.24 s'],
    [200_000, '3 min 20 s'],
    [7_500_000, '2 h 5 min'],
    [3_599_600, '1 h'],
    [86_400_000, '1 d'],
  ])('%d ms lasts %s', (ms, want) => expect(formatDuration(ms)).toBe(want));
});
