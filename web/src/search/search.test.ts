import { describe, expect, it } from 'vitest';
import { DEFAULT_SEARCH, pagePath, parseSearch, toPageParams, toSessionsParams } from './search';

const now = Date.UTC(2026, 10, 23, 12, 0, 0);
const parse = (query: string) => parseSearch(new URLSearchParams(query), now);

describe('the time range of a link', () => {
  it.each([
    ['', { kind: 'relative', hours: 1 }],
    ['date=24', { kind: 'relative', hours: 24 }],
    ['date=0.5', { kind: 'relative', hours: 0.5 }],
    ['date=-1', { kind: 'relative', hours: -1 }],
    ['date=all', { kind: 'relative', hours: -1 }],
    ['startTime=1385391300&stopTime=1385391400', { kind: 'absolute', start: 1385391300, stop: 1385391400 }],
    ['startTime=100&stopTime=200', { kind: 'absolute', start: 100, stop: 200 }],
    ['startTime=2013/11/25 14:55:00&stopTime=2013-11-25T15:55:00Z', { kind: 'absolute', start: 1385391300, stop: 1385394900 }],
    ['date=6&startTime=1385391300&stopTime=1385391400', { kind: 'absolute', start: 1385391300, stop: 1385391400 }],
    ['date=-1&startTime=1385391300&stopTime=1385391400', { kind: 'relative', hours: -1 }],
    ['startTime=1385391300', { kind: 'relative', hours: 1 }],
  ])('%s', (query, want) => expect(parse(query).time).toEqual(want));

  it('says which time it could not read', () => {
    const s = parse('startTime=noon&stopTime=1385391400');
    expect(s.problems).toEqual(['startTime: “noon” is not a time; using the last hour']);
    expect(s.time).toEqual({ kind: 'relative', hours: 1 });
  });
  it('says that the range is empty', () => expect(parse('startTime=2000000000&stopTime=1000000000').problems).toHaveLength(1));
});

describe('parseSearch', () => {
  it('takes a link of another product', () => {
    const s = parse('graphType=lpHisto&seriesType=bars&expression=ip%3D%3D10.0.0.1%26%26ip%3D%3D10.0.0.2&stopTime=1385391400&startTime=1385391300');
    expect(s.expression).toBe('ip==10.0.0.1&&ip==10.0.0.2');
    expect(s.graphType).toBe('sessionsHisto');
    expect(s.problems).toEqual([]);
  });
  it('keeps what it does not know', () => {
    const s = parse('view=mine&cluster=b&date=2');
    expect(s.rest).toEqual([['view', 'mine'], ['cluster', 'b']]);
    expect(toPageParams(s).get('view')).toBe('mine');
    expect(toSessionsParams(s, [], false).get('cluster')).toBe('b');
  });
  it('bounds the page', () => expect(parse('start=-5&length=99999')).toMatchObject({ start: 0, length: 1000 }));
  it('names a bad choice', () => expect(parse('bounding=sideways').problems[0]).toContain('bounding'));
  it('reads several orders', () =>
    expect(parse('order=network.bytes:desc,firstPacket').order).toEqual([
      { field: 'network.bytes', desc: true },
      { field: 'firstPacket', desc: false },
    ]));
});

describe('the URL of a search', () => {
  it('always says the time', () => expect(pagePath(DEFAULT_SEARCH)).toBe('/sessions?date=1'));
  it('comes back as it went', () => {
    const query =
      'startTime=1385391300.5&stopTime=1385391400&expression=http.uri+%3D%3D+%22*a%26b*%22&bounding=either&interval=minute' +
      '&fields=firstPacket%2Cinfo&order=network.bytes%3Aasc&start=100&length=200&graphType=network.bytesHisto&seriesType=lines&openAll=1&view=x';
    expect(toPageParams(parse(query)).toString()).toBe(query);
  });
});
