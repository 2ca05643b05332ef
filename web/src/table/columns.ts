import type { Field } from '../api/types';
import { INFO_PATHS } from './info';

export interface Column {
  /** The field's path in the document; "info" for the column of facts. It is what the URL's `fields` holds. */
  id: string;
  title: string;
  help: string;
  kind: 'time' | 'ip' | 'number' | 'bytes' | 'text' | 'info';
  /** px; the info column takes what is left, and at least this. */
  width: number;
  sortable: boolean;
  /** Name in the expression language, empty when it cannot be searched. */
  exp: string;
}

export const INFO = 'info';

export const DEFAULT_COLUMNS: readonly string[] = [
  'firstPacket', 'lastPacket', 'source.ip', 'source.port', 'destination.ip', 'destination.port', 'network.packets', 'network.bytes', 'protocol', INFO,
];

/** Short titles and widths for what is nearly always on the screen; the registry's names serve the rest. */
const KNOWN: Record<string, Partial<Column>> = {
  firstPacket: { title: 'Start', width: 196, kind: 'time' },
  lastPacket: { title: 'Stop', width: 108, kind: 'time' },
  'source.ip': { title: 'Source', width: 168, kind: 'ip' },
  'source.port': { title: 'Port', width: 66 },
  'destination.ip': { title: 'Destination', width: 168, kind: 'ip' },
  'destination.port': { title: 'Port', width: 66 },
  'network.packets': { title: 'Packets', width: 78, kind: 'number' },
  'network.bytes': { title: 'Bytes', width: 92, kind: 'bytes' },
  totDataBytes: { title: 'Data bytes', width: 92, kind: 'bytes' },
  protocol: { title: 'Protocols', width: 118 },
  [INFO]: { title: 'Info', width: 290, kind: 'info', help: 'URLs, hosts, names, tags', sortable: false },
};

/** Expression names of the columns above, should the registry not be there yet. */
const NAMES: Record<string, string> = {
  firstPacket: 'starttime', lastPacket: 'stoptime', 'source.ip': 'ip.src', 'destination.ip': 'ip.dst', 'source.port': 'port.src',
  'destination.port': 'port.dst', 'network.packets': 'packets', 'network.bytes': 'bytes', totDataBytes: 'databytes', protocol: 'protocols',
  'source.geo.country_iso_code': 'country.src', 'destination.geo.country_iso_code': 'country.dst',
};

export const expOf = (fields: ReadonlyMap<string, Field>, path: string): string => fields.get(path)?.exp ?? NAMES[path] ?? '';

export function toColumn(id: string, fields: ReadonlyMap<string, Field>): Column {
  const field = fields.get(id);
  const column: Column = {
    id,
    title: field?.friendlyName ?? id,
    help: field?.help ?? '',
    kind: kindOf(field, id),
    width: 130,
    sortable: true,
    exp: expOf(fields, id),
  };
  return { ...column, ...KNOWN[id] };
}

function kindOf(field: Field | undefined, id: string): Column['kind'] {
  if (field?.type === 'date') return 'time';
  if (field?.type !== 'integer' && field?.type !== 'float' && field?.type !== 'seconds') return 'text';
  if (/port$|code$|id$/i.test(id)) return 'text'; // numbers by which nobody adds up
  return 'number';
}

/** The columns that a URL names, by path or by expression name; unknown ones stay, so that a link never loses its columns. */
export function resolveColumns(ids: readonly string[] | null, fields: readonly Field[]): Column[] {
  const byPath = new Map(fields.map((f) => [f.dbField2, f]));
  const byExp = new Map(fields.filter((f) => f.exp !== '').map((f) => [f.exp, f.dbField2]));
  const seen = new Set<string>();
  return (ids ?? DEFAULT_COLUMNS)
    .map((id) => (id === INFO || byPath.has(id) || KNOWN[id] !== undefined ? id : (byExp.get(id) ?? id)))
    .filter((id) => !seen.has(id) && seen.add(id))
    .map((id) => toColumn(id, byPath));
}

/** What a row needs beside its columns: its opening line, the split of its bytes. */
const ALWAYS = ['firstPacket', 'lastPacket', 'ipProtocol'];
const BESIDE: Record<string, readonly string[]> = {
  'source.ip': ['source.geo.country_iso_code', 'source.mac'],
  'destination.ip': ['destination.geo.country_iso_code', 'destination.mac'],
  'network.bytes': ['source.bytes', 'destination.bytes'],
  totDataBytes: ['client.bytes', 'server.bytes'],
};

/** The paths to ask for. Where the registry is known, nothing is asked that it does not have. */
export function pathsOf(columns: readonly Column[], fields: readonly Field[]): string[] {
  const known = new Set(fields.map((f) => f.dbField2));
  const wanted = new Set(ALWAYS);
  for (const c of columns) {
    if (c.id !== INFO) wanted.add(c.id);
    const beside = c.id === INFO ? INFO_PATHS.filter((p) => known.size === 0 || known.has(p)) : (BESIDE[c.id] ?? []);
    for (const p of beside) wanted.add(p);
  }
  return [...wanted];
}
