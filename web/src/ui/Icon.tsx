/** Line icons on a grid of 16, drawn for this product. They inherit colour, and are decoration: the control has the label. */

const PATHS = {
  search: 'M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9ZM10.4 10.4 14 14',
  close: 'M4 4l8 8M12 4l-8 8',
  left: 'M10 3 5 8l5 5',
  right: 'M6 3l5 5-5 5',
  down: 'M4 6l4 4 4-4',
  first: 'M11.5 3l-5 5 5 5M4 3v10',
  sun: 'M8 5.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6ZM8 1.2v1.3M8 13.5v1.3M1.2 8h1.3M13.5 8h1.3M3.2 3.2l.9.9M11.9 11.9l.9.9M12.8 3.2l-.9.9M4.1 11.9l-.9.9',
  moon: 'M13.3 9.6A5.6 5.6 0 0 1 6.4 2.7a5.6 5.6 0 1 0 6.9 6.9Z',
  system: 'M2 3h12v8H2zM5.5 14h5M8 11v3',
  download: 'M8 2v7.5M4.8 6.6 8 9.8l3.2-3.2M2.5 13.5h11',
  columns: 'M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10',
  help: 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM6.2 6.3a1.8 1.8 0 1 1 2.6 1.6c-.5.3-.8.6-.8 1.2M8 11.2v.1',
  link: 'M6.7 9.3 9.3 6.7M7.5 4.6l1.3-1.3a2.75 2.75 0 0 1 3.9 3.9l-1.3 1.3M8.5 11.4l-1.3 1.3a2.75 2.75 0 0 1-3.9-3.9l1.3-1.3',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  external: 'M9 2.5h4.5V7M13.5 2.5 7.5 8.5M6.5 3.5h-4v10h10v-4',
  bars: 'M3 13.5V9M6.4 13.5v-9M9.7 13.5V7M13 13.5V3',
  lines: 'M2 11.5 5.5 6l3 3.5L14 3.5',
  zoomOut: 'M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9ZM10.4 10.4 14 14M5 7h4',
  warning: 'M8 2.2 14.3 13H1.7zM8 6.4v3.2M8 11.3v.1',
  clock: 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM8 4.6V8l2.4 1.6',
  calendar: 'M2.5 3.5h11v10h-11zM2.5 6.8h11M5.3 2v2.6M10.7 2v2.6',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  or: 'M2.5 4h2.2c4.2 0 3.4 4 8.8 4M2.5 12h2.2c4.2 0 3.4-4 8.8-4M11 5.5 13.5 8 11 10.5',
  check: 'M3 8.5 6.5 12 13 4.5',
  up: 'M4 10l4-4 4 4',
  stop: 'M4.5 4.5h7v7h-7z',
  exists: 'M8 5.6a2.4 2.4 0 1 1 0 4.8 2.4 2.4 0 0 1 0-4.8ZM1.5 8C3 5.2 5.3 3.6 8 3.6S13 5.2 14.5 8C13 10.8 10.7 12.4 8 12.4S3 10.8 1.5 8Z',
  table: 'M2 3h12v10H2zM2 6.3h12M2 9.7h12M6 6.3V13',
  sensor: 'M8 6.6a1.4 1.4 0 1 1 0 2.8 1.4 1.4 0 0 1 0-2.8ZM5 11a4.2 4.2 0 0 1 0-6M11 5a4.2 4.2 0 0 1 0 6M2.8 13.2a7.4 7.4 0 0 1 0-10.4M13.2 2.8a7.4 7.4 0 0 1 0 10.4',
  cards: 'M2.5 2.5h11v4.6h-11zM2.5 9h11v4.6h-11z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}

/** A signal on a wire, and its reflection in the water below. */
export function Logo({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <defs>
        <linearGradient id="logo-depth" x1="0" y1="0" x2="0" y2="1">
          <stop offset="0" stopColor="#10879a" />
          <stop offset="1" stopColor="#084b58" />
        </linearGradient>
      </defs>
      <rect width="32" height="32" rx="7.5" fill="url(#logo-depth)" />
      <g fill="none" strokeLinecap="round" strokeLinejoin="round">
        <path d="M4.5 15.5H10l2.6-8.5 4.4 8.5 2.4-4.2 2 4.2h6.1" stroke="#fff" strokeWidth="2.3" />
        <path d="M6.8 20.3h18.4" stroke="#8fdbe6" strokeWidth="2.1" />
        <path d="M10.2 24.3h11.6" stroke="#8fdbe6" strokeWidth="2.1" opacity=".6" />
      </g>
    </svg>
  );
}
