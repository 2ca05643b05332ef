import { countOf, formatBitRate } from '../format';
import type { Sample } from './sensors';

const WIDTH = 240;
const HEIGHT = 36;
/** The first samples do not stretch over all of it. */
const FEWEST = 24;

/** Traffic as an area, and a red bar wherever packets were lost, newest at the right. */
export function Sparkline({ samples }: { samples: readonly Sample[] }) {
  const step = WIDTH / (Math.max(FEWEST, samples.length) - 1);
  const most = Math.max(1, ...samples.map((s) => s.bitsPerSecond));
  const mostLost = Math.max(1, ...samples.map((s) => s.lost));
  const lost = samples.reduce((n, s) => n + s.lost, 0);
  const x = (i: number): number => WIDTH - (samples.length - 1 - i) * step;
  const y = (v: number): number => HEIGHT - 1 - (v / most) * (HEIGHT - 6);
  const line = samples.map((s, i) => `${x(i).toFixed(1)},${y(s.bitsPerSecond).toFixed(1)}`).join(' ');
  const label = `Since this page was opened: at most ${formatBitRate(Math.max(0, ...samples.map((s) => s.bitsPerSecond)))}, ${lost === 0 ? 'no packets lost' : `${countOf(lost, 'packet')} lost`}`;
  return (
    <svg className="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <title>{label}</title>
      <line className="sparkline-base" x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
      {samples.length > 1 && <polygon className="sparkline-area" points={`${x(0).toFixed(1)},${HEIGHT} ${line} ${WIDTH},${HEIGHT}`} />}
      {samples.length > 1 && <polyline className="sparkline-line" points={line} />}
      {samples.map((s, i) =>
        s.lost === 0 ? null : (
          <line key={s.at} className="sparkline-lost" x1={x(i)} x2={x(i)} y1={HEIGHT} y2={HEIGHT - Math.max(6, (s.lost / mostLost) * HEIGHT)} />
        ),
      )}
    </svg>
  );
}
