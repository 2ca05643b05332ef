/** What the browser remembers for its user. Storage may be blocked or hold rubbish: then the default holds. */

import { useCallback, useState } from 'react';

const key = (name: string): string => `wirelake.${name}`;

export function load<T>(name: string, otherwise: T, valid: (v: unknown) => v is T): T {
  try {
    const v: unknown = JSON.parse(localStorage.getItem(key(name)) ?? 'null');
    return valid(v) ? v : otherwise;
  } catch {
    return otherwise;
  }
}

export function save(name: string, value: unknown): void {
  try {
    localStorage.setItem(key(name), JSON.stringify(value));
  } catch {
    // Full or blocked: what is not remembered is lost with the page, nothing else.
  }
}

/** State that outlives the page. `valid` must be stable. */
export function useStored<T>(name: string, otherwise: T, valid: (v: unknown) => v is T): [T, (v: T) => void] {
  const [value, setValue] = useState(() => load(name, otherwise, valid));
  const put = useCallback(
    (v: T) => {
      setValue(v);
      save(name, v);
    },
    [name],
  );
  return [value, put];
}

export const isBoolean = (v: unknown): v is boolean => typeof v === 'boolean';
export const isStrings = (v: unknown): v is string[] => Array.isArray(v) && v.every((s) => typeof s === 'string');
export const isWidths = (v: unknown): v is Record<string, number> =>
  typeof v === 'object' && v !== null && !Array.isArray(v) && Object.values(v).every((n) => typeof n === 'number');
export const isOneOf =
  <T extends string | number>(allowed: readonly T[]) =>
  (v: unknown): v is T =>
    allowed.some((a) => a === v);
