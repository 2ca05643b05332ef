import { expect, it } from 'vitest';
import type { Field } from '../api/types';
import { display, groupFields } from './groups';

const field = (dbField2: string, group: string, exp = dbField2): Field => ({ dbField2, group, exp, friendlyName: exp, help: '', type: 'termfield' });
const fields = [field('dns.host', 'dns', 'host.dns'), field('source.ip', 'general', 'ip.src'), field('source.ip', 'general', 'again'), field('protocol', 'general')];

it('puts every value into a group, the unknown ones into the last', () => {
  const doc = { id: '1', node: 'n', extra: { x: 1 }, dns: [{ host: ['a', 'b'] }, { host: ['a'] }], dnsCnt: 2, protocol: ['tcp'], source: { ip: '10.0.0.1' }, chunk: [{ key: 'k' }] };
  const groups = groupFields(doc, fields);
  expect(groups.map((g) => [g.name, g.entries.map((e) => [e.label, e.values])])).toEqual([
    ['general', [['protocol', ['tcp']], ['ip.src', ['10.0.0.1']]]],
    ['dns', [['host.dns', ['a', 'b']]]],
    ['other', [['extra.x', [1]], ['node', ['n']], ['id', ['1']]]],
  ]);
});

it('shows values as they are read', () => {
  expect(display({ path: 'firstPacket', type: 'date' }, 1385391358382)).toBe('2013-11-25 14:55:58.382');
  expect(display({ path: 'ipProtocol', type: 'integer' }, 6)).toBe('6 (TCP)');
  expect(display({ path: 'source.bytes', type: 'integer' }, 692)).toBe('692 B');
  expect(display({ path: 'source.port', type: 'integer' }, 61450)).toBe('61450');
});
