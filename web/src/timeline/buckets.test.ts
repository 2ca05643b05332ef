import { describe, expect, it } from 'vitest';
import { buildChart, stepName, timeLabel, timeTicks, total, valueTicks } from './buckets';

const t = 1385391300_000; // on a whole minute

describe('buildChart', () => {
  const graph = {
    xmin: t, xmax: t + 600_000, interval: 60,
    sessionsHisto: [[t, 3], [t + 120_000, 5]] as const,
    'source.bytesHisto': [[t, 100]] as const,
    'destination.bytesHisto': [[t, 900], [t + 60_000, 1]] as const,
  };
  it('fills what the answer left out', () => {
    const chart = buildChart(graph, 'sessionsHisto', 1000);
    expect(chart).toMatchObject({ step: 60_000, series: 1, max: 5 });
    expect(chart?.bins.map((b) => b.total)).toEqual([3, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
  });
  it('splits by direction where it can', () => {
    const chart = buildChart(graph, 'network.bytesHisto', 1000);
    expect(chart?.bins[0]).toEqual({ start: t, values: [100, 900], total: 1000 });
  });
  it('joins buckets that would be too narrow, losing nothing', () => {
    const many = Array.from({ length: 3600 }, (_, i) => [t + i * 1000, 1] as const);
    const chart = buildChart({ xmin: t, xmax: t + 3600_000, interval: 1, sessionsHisto: many }, 'sessionsHisto', 500);
    expect(chart?.bins.length).toBeLessThanOrEqual(121);
    expect(chart?.bins.reduce((sum, b) => sum + b.total, 0)).toBe(3600);
  });
  it('draws one instant', () =>
    expect(buildChart({ interval: 1, sessionsHisto: [[t, 1]] }, 'sessionsHisto', 500)).toMatchObject({ start: t, stop: t + 1000, max: 1 }));
  it('draws nothing without a range', () => expect(buildChart({}, 'sessionsHisto', 500)).toBeUndefined());
});

it('total takes the stated sum, else adds up', () => {
  expect(total({ sessionsTotal: 7, sessionsHisto: [[t, 1]] }, 'sessionsHisto')).toBe(7);
  expect(total({ 'source.packetsHisto': [[t, 1]], 'destination.packetsHisto': [[t, 2]] }, 'network.packetsHisto')).toBe(3);
  expect(total({}, 'network.packetsHisto')).toBeUndefined();
});

it('ticks are round', () => {
  expect(timeTicks(t + 1, t + 3600_000, 8)).toMatchObject({ step: 600_000 });
  expect(timeLabel(Date.UTC(2026, 10, 23), 3600_000)).toBe('Nov 23');
  expect(timeLabel(Date.UTC(2026, 10, 23, 14, 5), 300_000)).toBe('14:05');
  expect(valueTicks(23, 3)).toEqual([10, 20]);
  expect(valueTicks(1, 3)).toEqual([1]);
  expect(stepName(60_000)).toBe('minute');
  expect(stepName(900_000)).toBe('15 minutes');
});
