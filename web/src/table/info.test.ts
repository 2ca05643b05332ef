import { expect, it } from 'vitest';
import { facts } from './info';

const doc = (fields: object) => ({ id: '1', node: 'n', ...fields });
const said = (fields: object) => facts(doc(fields)).map((f) => `${f.label}:${f.text}`);

it('says the whole URL, and its host once', () =>
  expect(said({ http: { method: ['GET'], statuscode: [403], host: ['a.example'], uri: ['a.example/x?y=1'] } })).toEqual([
    ':GET', ':403', ':a.example/x?y=1',
  ]));
it('says the host when there is no URL', () => expect(said({ http: { host: ['a.example'] } })).toEqual(['host:a.example']));
it('reads lists of objects', () => expect(said({ dns: [{ host: ['b.example', 'c.example'] }] })).toEqual(['dns:b.example', 'dns:c.example']));
it('says a name once', () => expect(said({ tls: { client: { server_name: ['a.example'] } }, http: { host: ['a.example'] }, cert: [{ alt: ['a.example', 'b.example'] }] })).toEqual(['sni:a.example', 'cert:b.example']));
it('puts tags first', () => expect(said({ user: ['root'], tags: ['dropped-packets'] })).toEqual([':dropped-packets', 'user:root']));
