/** The fields of one session, in the groups of the registry. */

import { paths, type Value, values } from '../api/document';
import type { Doc, Field } from '../api/types';
import { formatBytes, formatCount } from '../format';
import { formatDuration, formatTime } from '../search/time';

export interface Entry {
  path: string;
  label: string;
  help: string;
  exp: string;
  type: string;
  values: Value[];
}

export interface Group {
  name: string;
  entries: Entry[];
}

/** Where a session's packets are, and counters that other values show: not of the session's meaning. */
const INTERNAL = /^(_id|chunk|packetPos|packetLen|packetRange|fileId|segmentCnt|@timestamp)(\.|$)|(?<!ISN)Cnt$|-cnt$/;

const end = (side: string, data: string): string[] => [
  ...['ip', 'port', 'geo.country_iso_code', 'as.full', 'mac', 'packets', 'bytes'].map((name) => `${side}.${name}`),
  `${data}.bytes`,
];

/** The reading order of what nearly every session has: when, what, from whom, to whom, how much; the rest follows in the registry's order. */
const ORDER = [
  'firstPacket', 'lastPacket', 'length', 'protocol', 'ipProtocol', 'tags', 'user',
  ...end('source', 'client'), ...end('destination', 'server'),
  'network.packets', 'network.bytes', 'totDataBytes', 'network.community_id',
  'http.method', 'http.statuscode', 'http.uri', 'http.host', 'http.useragent',
  'dns.query.host', 'dns.queryHost', 'dns.host', 'dns.qt', 'dns.status', 'dns.ip',
  'tls.client.server_name', 'tls.version', 'tls.cipher', 'cert.subjectCN', 'cert.alt', 'cert.issuerCN', 'cert.notBefore', 'cert.notAfter',
  'initRTT', 'tcpflags.syn', 'tcpflags.syn-ack', 'tcpflags.ack', 'tcpflags.psh', 'tcpflags.fin', 'tcpflags.rst', 'tcpflags.urg',
];
const LAST = ['srcPayload8', 'dstPayload8', 'ethertype', 'file.path', 'node', 'lane', 'rootId', 'id'];
const FLAGS = 'tcpflags.';

const FIRST = ['general', 'layer2', 'tcp', 'http', 'dns', 'tls', 'cert'];
const OTHER = 'other';

/**
 * All values of the document, none left out: what the registry does not name is in the group "other" under its path.
 */
export function groupFields(doc: Doc, fields: readonly Field[]): Group[] {
  const byPath = new Map<string, Field>();
  const rank = new Map<string, number>();
  fields.forEach((f, i) => {
    // Several expression fields may share a path; the first one, declared with it, names it.
    if (byPath.has(f.dbField2)) return;
    byPath.set(f.dbField2, f);
    rank.set(f.dbField2, i);
  });
  const groups = new Map<string, Entry[]>();
  for (const path of paths(doc)) {
    if (INTERNAL.test(path)) continue;
    const field = byPath.get(path);
    const name = field?.group ?? OTHER;
    const entry: Entry = {
      path,
      label: field?.friendlyName ?? path,
      help: field?.help ?? '',
      exp: field?.exp ?? '',
      type: field?.type ?? '',
      values: unique(values(doc, path)),
    };
    groups.set(name, [...(groups.get(name) ?? []), entry]);
  }
  const rankOf = (path: string): number => {
    const first = ORDER.indexOf(path);
    if (first >= 0) return first - ORDER.length;
    const last = LAST.indexOf(path);
    return last >= 0 ? 2e6 + last : (rank.get(path) ?? 1e6);
  };
  const place = (name: string): number => (name === OTHER ? 1e6 : FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return [...groups]
    .map(([name, entries]) => ({ name, entries: entries.sort((a, b) => rankOf(a.path) - rankOf(b.path)) }))
    .sort((a, b) => place(a.name) - place(b.name) || a.name.localeCompare(b.name));
}

const WORDS: Record<string, string> = {
  layer2: 'Layer 2', cert: 'Certificates', mysql: 'MySQL', postgresql: 'PostgreSQL', suricata: 'Suricata', email: 'Email', user: 'User', file: 'File',
  other: 'Other', modbus: 'Modbus', krb5: 'Kerberos',
};

/** Most groups are protocols, whose names are capitals. */
export const groupTitle = (name: string): string =>
  WORDS[name] ?? (name.length <= 5 ? name.toUpperCase() : name.charAt(0).toUpperCase() + name.slice(1));

const unique = (all: Value[]): Value[] => [...new Set(all)];

const PROTOCOLS: Record<string, string> = {
  1: 'ICMP', 2: 'IGMP', 6: 'TCP', 17: 'UDP', 47: 'GRE', 50: 'ESP', 51: 'AH', 58: 'ICMPv6', 89: 'OSPF', 103: 'PIM', 132: 'SCTP',
};

/** Empty for what is not IP: such sessions have the number 0, or none. */
export const protocolName = (n: Value | undefined): string => (n === undefined || n === 0 ? '' : (PROTOCOLS[String(n)] ?? `IP protocol ${n}`));

/** A dozen counters of one kind are one line: [the line's place, the counters]; undefined when the group has none. */
export function flagsOf(group: Group): { at: number; flags: Entry[] } | undefined {
  const at = group.entries.findIndex((e) => e.path.startsWith(FLAGS));
  return at < 0 ? undefined : { at, flags: group.entries.filter((e) => e.path.startsWith(FLAGS)) };
}

const FLAG_WORDS: Record<string, string> = { srcZero: 'zero window src', dstZero: 'zero window dst' };

/** `SYN-ACK` of `tcpflags.syn-ack`. */
export const flagName = (path: string): string => {
  const name = path.slice(FLAGS.length);
  return FLAG_WORDS[name] ?? name.toUpperCase();
};

/** The value as it is read; the menu and the search keep the raw one. */
export function display(entry: Pick<Entry, 'path' | 'type'>, value: Value): string {
  if (typeof value !== 'number') return String(value);
  if (entry.type === 'date') return formatTime(value, true);
  if (entry.path === 'ipProtocol' && value in PROTOCOLS) return `${value} (${protocolName(value)})`;
  if (entry.path === 'length' || entry.path === 'initRTT') return formatDuration(value);
  if (/bytes$/i.test(entry.path)) return value < 1000 ? `${value} B` : `${formatCount(value)} (${formatBytes(value)})`;
  if (entry.path.endsWith("packets")) return formatCount(value);
  return String(value);
}
