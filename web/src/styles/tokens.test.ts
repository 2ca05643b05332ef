import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** WCAG 2.2, 1.4.3: text needs 4.5:1 on what it stands on, in both themes. */
const AA = 4.5;

const css = readFileSync(new URL('tokens.css', import.meta.url), 'utf8');
const tokens = new Map([...css.matchAll(/(--[\w-]+): light-dark\((#\w+), (#\w+)\);/g)].map((m) => [m[1] ?? '', [m[2] ?? '', m[3] ?? '']]));

function luminance(hex: string): number {
  const digits = hex.length === 4 ? hex.slice(1).replace(/./g, '$&$&') : hex.slice(1);
  const [r = 0, g = 0, b = 0] = [0, 2, 4].map((i) => {
    const c = Number.parseInt(digits.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

const PAIRS: [text: string, ...grounds: string[]][] = [
  ['--ink', '--bg', '--surface', '--raised', '--sunken', '--hover', '--accent-soft'],
  ['--ink-2', '--bg', '--surface', '--raised', '--sunken', '--hover', '--accent-soft', '--src-soft', '--dst-soft'],
  ['--ink-3', '--bg', '--surface', '--raised', '--hover', '--accent-soft', '--src-soft', '--dst-soft'],
  ['--accent', '--bg', '--surface', '--raised'],
  ['--accent-strong', '--accent-soft'],
  ['--on-accent', '--accent'],
  ['--src', '--src-soft', '--bg'],
  ['--dst', '--dst-soft', '--bg'],
  ['--error', '--surface', '--bg', '--error-soft'],
  ['--warn', '--warn-soft', '--bg'],
  ['--string', '--surface', '--raised'],
];

describe.each([
  ['light', 0],
  ['dark', 1],
])('contrast in %s', (_, theme) => {
  it.each(PAIRS.flatMap(([text, ...grounds]) => grounds.map((ground) => [text, ground] as const)))('%s on %s', (text, ground) => {
    const [a, b] = [tokens.get(text)?.[theme], tokens.get(ground)?.[theme]];
    expect(a).toBeDefined();
    expect(b).toBeDefined();
    expect(contrast(a ?? '', b ?? '')).toBeGreaterThanOrEqual(AA);
  });
});
