import { expect, it } from 'vitest';
import { values } from './api/document';
import { formatBytes, formatShort } from './format';

it.each([[0, '0 B'], [999, '999 B'], [1000, '1 kB'], [1234, '1.2 kB'], [9_960, '10 kB'], [999_600, '1 MB'], [34e6, '34 MB'], [5e18, '5000 PB']])(
  '%d bytes are %s',
  (n, want) => expect(formatBytes(n).replace('\u00a0', ' ')).toBe(want),
);
it('is short', () => expect([950, 1200, 34e6].map(formatShort)).toEqual(['950', '1.2k', '34M']));

it('values goes through lists and dotted keys', () => {
  const doc = { dns: [{ host: ['a', 'b'] }, { host: 'c' }, {}], 'source.ip': '10.0.0.1', n: null };
  expect(values(doc, 'dns.host')).toEqual(['a', 'b', 'c']);
  expect(values(doc, 'source.ip')).toEqual(['10.0.0.1']);
  expect(values(doc, 'n.x')).toEqual([]);
});
