/** Numbers as people read them: grouped exactly where they are compared, short where space is scarce. */

const grouped = new Intl.NumberFormat('en-US');

export const formatCount = (n: number): string => grouped.format(n);

export const countOf = (n: number, thing: string): string => `${formatCount(n)} ${thing}${n === 1 ? '' : 's'}`;

/** `950`, `1.2k`, `34M` */
export function formatShort(n: number): string {
  return scaled(n, ['', 'k', 'M', 'G', 'T', 'P'], '');
}

/** `950 B`, `1.2 kB`, `34 MB`: powers of ten, as on a link's data sheet. */
export function formatBytes(n: number): string {
  return scaled(n, ['B', 'kB', 'MB', 'GB', 'TB', 'PB'], '\u00a0');
}

/** `950 bit/s`, `412 Mbit/s` */
export function formatBitRate(n: number): string {
  return scaled(n, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'], '\u00a0');
}

function scaled(n: number, units: readonly string[], gap: string): string {
  let value = n;
  let unit = 0;
  // 999.5 would round to 1000 of this unit, which is 1 of the next.
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 ? 0 : value < 9.95 ? 1 : 0;
  return `${Number(value.toFixed(digits))}${gap}${units[unit] ?? ''}`.trim();
}
