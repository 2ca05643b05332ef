import type { Doc } from './types';

export type Value = string | number | boolean;

/**
 * values lists what a document holds at a dotted path, in order. It goes through lists on the way (`dns.host` is all hosts
 * of all objects of `dns`), and finds keys that are dotted themselves (`flatten=1`).
 */
export function values(doc: unknown, path: string): Value[] {
  const found: Value[] = [];
  collect(doc, path === '' ? [] : path.split('.'), found);
  return found;
}

function collect(at: unknown, path: string[], found: Value[]): void {
  if (at === null || at === undefined) return;
  if (Array.isArray(at)) {
    for (const item of at) collect(item, path, found);
    return;
  }
  if (path.length === 0) {
    if (typeof at === 'string' || typeof at === 'number' || typeof at === 'boolean') found.push(at);
    return;
  }
  if (typeof at !== 'object') return;
  const object = at as Record<string, unknown>;
  for (let n = 1; n <= path.length; n++) {
    const key = path.slice(0, n).join('.');
    if (Object.hasOwn(object, key)) {
      collect(object[key], path.slice(n), found);
      return;
    }
  }
}

export const textAt = (doc: Doc, path: string): string => {
  const v = values(doc, path)[0];
  return v === undefined ? '' : String(v);
};

/** The number at path, or undefined; -1, which the API gives for a counter that is absent, is absent. */
export function numberAt(doc: Doc, path: string): number | undefined {
  const v = values(doc, path)[0];
  return typeof v === 'number' && v !== -1 ? v : undefined;
}

/** Every dotted path of the document that holds a scalar, in the document's order, without duplicates. */
export function paths(doc: Doc): string[] {
  const seen = new Set<string>();
  const walk = (at: unknown, prefix: string): void => {
    if (at === null || at === undefined) return;
    if (Array.isArray(at)) {
      for (const item of at) walk(item, prefix);
    } else if (typeof at === 'object') {
      for (const [key, value] of Object.entries(at)) walk(value, prefix === '' ? key : `${prefix}.${key}`);
    } else {
      seen.add(prefix);
    }
  };
  walk(doc, '');
  return [...seen];
}
