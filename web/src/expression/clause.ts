import type { Value } from '../api/document';
import { tokenize } from './tokens';

/** Words that need no quotes, and mean nothing else. A leading slash begins a regular expression, a dollar a shortcut. */
const PLAIN = /^[-+a-zA-Z0-9_.@:][-+a-zA-Z0-9_.@:?]*$/;

/** The value as the expression language writes it. */
export function literal(value: Value): string {
  const text = String(value);
  if (PLAIN.test(text)) return text;
  return `"${text.replaceAll('"', '\\"')}"`;
}

export const equals = (exp: string, value: Value): string => `${exp} == ${literal(value)}`;
export const differs = (exp: string, value: Value): string => `${exp} != ${literal(value)}`;
export const exists = (exp: string): string => `${exp} == EXISTS!`;

/** Adds a clause to what is searched for already, keeping the meaning of both: && binds tighter than ||. */
export function append(expression: string, join: '&&' | '||', clause: string): string {
  const before = expression.trim();
  if (before === '') return clause;
  return join === '&&' && hasTopLevelOr(before) ? `(${before}) && ${clause}` : `${before} ${join} ${clause}`;
}

function hasTopLevelOr(expression: string): boolean {
  let depth = 0;
  for (const t of tokenize(expression)) {
    if (t.kind === 'open') depth++;
    else if (t.kind === 'close') depth--;
    else if (t.kind === 'logic' && depth === 0 && t.text.startsWith('|')) return true;
  }
  return false;
}
