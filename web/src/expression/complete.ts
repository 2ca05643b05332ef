import type { Field } from '../api/types';
import { literal } from './clause';
import { contextAt } from './tokens';

export interface Completion {
  /** What is put in the place of [from, to). */
  insert: string;
  label: string;
  detail: string;
  help: string;
  kind: 'field' | 'operator' | 'value' | 'logic';
}

export interface Completions {
  from: number;
  to: number;
  items: Completion[];
}

/** Values seen in the sessions at hand, for a field; strings as the document has them. */
export type Samples = (field: Field) => string[];

const LIMIT = 60;
const VALUE_LIMIT = 12;

const OPERATORS: Record<string, [string, string]> = {
  '==': ['equals', 'A value, a list [a,b], "wild*card" or /regex/'],
  '!=': ['does not equal', 'No value of the field matches'],
  '<': ['below', ''],
  '<=': ['at most', ''],
  '>': ['above', ''],
  '>=': ['at least', ''],
};

const ORDERED = new Set(['integer', 'float', 'seconds', 'date', 'viewand', 'ip']);

export function findField(fields: readonly Field[], name: string): Field | undefined {
  const wanted = name.toLowerCase();
  return (
    fields.find((f) => f.exp.toLowerCase() === wanted) ??
    fields.find((f) => f.aliases?.some((a) => a.toLowerCase() === wanted)) ??
    fields.find((f) => `db:${f.dbField2}`.toLowerCase() === wanted)
  );
}

export function complete(expression: string, caret: number, fields: readonly Field[], samples: Samples): Completions {
  const context = contextAt(expression, caret);
  const from = context.current?.start ?? caret;
  const to = context.current?.end ?? caret;
  const typed = expression.slice(from, caret);
  const found = (items: Completion[]): Completions => ({ from, to, items });
  switch (context.expected) {
    case 'field':
      return found(completeField(typed, fields));
    case 'operator':
      return found(completeOperator(typed, findField(fields, context.field)));
    case 'value':
      return found(completeValue(typed, findField(fields, context.field), samples));
    case 'logic':
      return found(completeLogic(typed));
  }
}

function completeField(typed: string, fields: readonly Field[]): Completion[] {
  const wanted = typed.toLowerCase();
  const ranked: [number, Field, string][] = [];
  for (const f of fields) {
    if (f.exp === '') continue;
    const alias = f.aliases?.find((a) => wanted !== '' && a.toLowerCase().startsWith(wanted));
    const rank = rankField(f, wanted, alias !== undefined);
    if (rank > 0) ranked.push([rank, f, alias ?? '']);
  }
  ranked.sort(([a, f], [b, g]) => b - a || f.exp.length - g.exp.length);
  return ranked.slice(0, LIMIT).map(([, f, alias]) => ({
    insert: `${f.exp} `,
    label: f.exp,
    detail: f.type,
    help: alias !== '' && !f.exp.startsWith(typed) ? `${f.friendlyName} (also ${alias})` : describe(f),
    kind: 'field',
  }));
}

/** How well a field answers what was typed; 0 is not at all. */
function rankField(f: Field, wanted: string, byAlias: boolean): number {
  const exp = f.exp.toLowerCase();
  if (wanted === '') return COMMON.has(exp) ? 2 : 1;
  if (exp === wanted) return 100;
  if (exp.startsWith(wanted)) return COMMON.has(exp) ? 90 : 80;
  if (byAlias) return 70;
  if (exp.includes(`.${wanted}`)) return 60;
  if (exp.includes(wanted)) return 50;
  const words = `${f.friendlyName} ${f.dbField2}`.toLowerCase();
  if (words.includes(wanted)) return 40;
  return wanted.length > 2 && f.help.toLowerCase().includes(wanted) ? 20 : 0;
}

/** What most searches begin with; first in a list that nothing narrows yet. */
const COMMON = new Set([
  'ip', 'ip.src', 'ip.dst', 'port', 'port.src', 'port.dst', 'protocols', 'host', 'http.uri', 'host.http', 'host.dns', 'tags', 'bytes',
  'packets', 'country', 'country.src', 'country.dst',
]);

const describe = (f: Field): string =>
  f.help === '' || f.help.toLowerCase() === f.friendlyName.toLowerCase() ? f.friendlyName : `${f.friendlyName}: ${f.help}`;

function completeOperator(typed: string, field: Field | undefined): Completion[] {
  const ordered = field === undefined || ORDERED.has(field.type);
  return Object.entries(OPERATORS)
    .filter(([op]) => op.startsWith(typed) && (ordered || op === '==' || op === '!='))
    .map(([op, [detail, help]]) => ({ insert: `${op} `, label: op, detail, help, kind: 'operator' }));
}

function completeValue(typed: string, field: Field | undefined, samples: Samples): Completion[] {
  const wanted = typed.replace(/^"/, '').toLowerCase();
  const seen = (field === undefined ? [] : samples(field)).filter((v) => v.toLowerCase().includes(wanted));
  const begins = seen.filter((v) => v.toLowerCase().startsWith(wanted));
  const contains = seen.filter((v) => !v.toLowerCase().startsWith(wanted));
  const offer = (value: string): Completion => ({ insert: `${literal(value)} `, label: value, detail: 'seen', help: 'In the sessions shown', kind: 'value' });
  const items = begins.slice(0, VALUE_LIMIT).map(offer);
  if ('exists!'.startsWith(wanted) && !typed.startsWith('"')) {
    items.push({ insert: 'EXISTS! ', label: 'EXISTS!', detail: 'any value', help: 'The session has the field', kind: 'value' });
  }
  return [...items, ...contains.slice(0, Math.max(0, VALUE_LIMIT - begins.length)).map(offer)];
}

function completeLogic(typed: string): Completion[] {
  const items: [string, string][] = [
    ['&&', 'and'],
    ['||', 'or'],
  ];
  return items
    .filter(([op]) => op.startsWith(typed))
    .map(([op, detail]) => ({ insert: `${op} `, label: op, detail, help: op === '&&' ? 'Binds tighter than ||' : '', kind: 'logic' }));
}
