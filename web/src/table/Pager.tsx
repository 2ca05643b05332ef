import { formatCount } from '../format';
import { MAX_LENGTH } from '../search/search';
import { Icon } from '../ui/Icon';
import { Select } from '../ui/Select';

const SIZES = [10, 50, 100, 200, 500, MAX_LENGTH];

export function Pager(props: { start: number; length: number; total: number; onChange: (change: { start: number; length?: number }) => void }) {
  const { start, length, total, onChange } = props;
  const last = Math.min(start + length, total);
  const sizes = [...new Set([...SIZES, length])].sort((a, b) => a - b);
  return (
    <nav className="pager" aria-label="Pages">
      <div className="group">
        <button type="button" className="button small square" aria-label="First page" title="First page" disabled={start === 0} onClick={() => onChange({ start: 0 })}><Icon name="first" size={13} /></button>
        <button type="button" className="button small square" aria-label="Previous page" title="Previous page" disabled={start === 0} onClick={() => onChange({ start: Math.max(0, start - length) })}><Icon name="left" size={13} /></button>
        <button type="button" className="button small square" aria-label="Next page" title="Next page" disabled={last >= total} onClick={() => onChange({ start: start + length })}><Icon name="right" size={13} /></button>
      </div>
      <span className="pager-range num">
        {total === 0 ? '0' : `${formatCount(Math.min(start + 1, total))}–${formatCount(last)}`} <span>of {formatCount(total)}</span>
      </span>
      <Select small label="Sessions a page" value={length} options={sizes.map((n) => [n, `${n} a page`] as const)} onChange={(n) => onChange({ start: 0, length: n })} />
    </nav>
  );
}
