import { expect, it } from 'vitest';
import { missing } from './completeness';

const doc = (capture?: object) => ({ id: '1', node: 'edge1', ...(capture && { capture }) });

it('tells of packets lost and bytes cut, and of nothing else', () => {
  expect(missing(doc())).toEqual([]);
  expect(missing(doc({ loss: 0, cut: 0 }))).toEqual([]);
  expect(missing(doc({ loss: 1 }))).toEqual(['The sensor lost 1 packet while this session ran: some may have been of it.']);
  const both = missing(doc({ loss: 12345, cut: 2_500_000 }));
  expect(both[0]).toContain('12,345 packets');
  expect(both[1]).toContain('2.5\u00a0MB (2,500,000 B)');
});
