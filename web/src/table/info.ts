/** What the Info column says of a session: the facts an analyst reads first. */

import { values } from '../api/document';
import type { Doc } from '../api/types';

export interface Fact {
  /** Groups facts of one kind; shown once before them. Empty for what speaks for itself. */
  label: string;
  text: string;
  /** The path of the field in the document, for the value's menu. */
  path: string;
  kind: 'tag' | 'text' | 'code';
}

/** [label, path, kind] in reading order. A later path of one group is left out when an earlier one has said the same. */
const SOURCES: readonly (readonly [label: string, path: string, kind: Fact['kind']])[] = [
  ['', 'tags', 'tag'],
  ['', 'http.uri', 'text'],
  ['sni', 'tls.client.server_name', 'text'],
  ['sni', 'quic.host', 'text'],
  ['host', 'http.host', 'text'],
  ['dns', 'dns.host', 'text'],
  ['dns', 'dns.query.host', 'text'],
  ['cert', 'cert.subjectCN', 'text'],
  ['cert', 'cert.alt', 'text'],
  ['from', 'email.src', 'text'],
  ['to', 'email.dst', 'text'],
  ['subject', 'email.subject', 'text'],
  ['file', 'email.filename', 'text'],
  ['ssh', 'ssh.version', 'text'],
  ['dhcp', 'dhcp.host', 'text'],
  ['irc', 'irc.channel', 'text'],
  ['user', 'user', 'text'],
];

/** Shown before the URL: what was asked and what came of it. */
const METHOD = 'http.method';
const STATUS = 'http.statuscode';

export const INFO_PATHS: readonly string[] = [...SOURCES.map(([, path]) => path), METHOD, STATUS];

export function facts(doc: Doc): Fact[] {
  const found: Fact[] = [];
  const hosts = new Set<string>();
  const said = new Set<string>();
  for (const [label, path, kind] of SOURCES) {
    if (path === 'http.uri') found.push(...codes(doc));
    for (const value of values(doc, path)) {
      const text = String(value);
      if (path === 'http.uri') hosts.add(hostOf(text));
      // The host of a URL that is already there, or a name under a second label, says nothing new.
      if ((path === 'http.host' && hosts.has(text)) || said.has(text)) continue;
      if (kind === 'text') said.add(text);
      found.push({ label, text, path, kind });
    }
  }
  return found;
}

function codes(doc: Doc): Fact[] {
  const code = (path: string) => (value: unknown): Fact => ({ label: '', text: String(value), path, kind: 'code' });
  const unique = (path: string) => [...new Set(values(doc, path))].slice(0, 3).map(code(path));
  return [...unique(METHOD), ...unique(STATUS)];
}

/** The host of `host/path` or `//host:port/path`. */
const hostOf = (uri: string): string => uri.replace(/^(\w+:)?\/\//, '').split(/[/:?#]/)[0] ?? '';
