import { useState } from 'react';
import type { Field } from '../api/types';
import { Icon } from '../ui/Icon';
import { PopoverButton } from '../ui/Popover';
import { type Column, DEFAULT_COLUMNS, INFO, toColumn } from './columns';

/** Which columns, in which order: those shown on top, every field of the registry below. */
export function ColumnPicker(props: { columns: readonly Column[]; fields: readonly Field[]; onChange: (ids: string[] | null) => void }) {
  return (
    <PopoverButton
      label="Columns"
      title="Choose columns"
      role="dialog"
      className="button small"
      panelClassName="column-picker"
      button={<><Icon name="columns" size={14} /><span className="label">Columns</span></>}
    >
      {() => <Picker {...props} />}
    </PopoverButton>
  );
}

const SHOWN = 120;

function Picker({ columns, fields, onChange }: { columns: readonly Column[]; fields: readonly Field[]; onChange: (ids: string[] | null) => void }) {
  const [wanted, setWanted] = useState('');
  const ids = columns.map((c) => c.id);
  const put = (next: string[]): void => {
    // A table without columns shows nothing, and has no way back.
    if (next.length > 0) onChange(next.join() === DEFAULT_COLUMNS.join() ? null : next);
  };
  const move = (from: number, by: number): void => {
    const next = [...ids];
    const [moved] = next.splice(from, 1);
    if (moved !== undefined) next.splice(from + by, 0, moved);
    put(next);
  };
  const needle = wanted.trim().toLowerCase();
  const seen = new Set(ids);
  const byPath = new Map(fields.map((f) => [f.dbField2, f]));
  const offered = [toColumn(INFO, byPath), ...fields.filter((f) => isColumn(f)).map((f) => toColumn(f.dbField2, byPath))].filter((c) => {
    const words = `${c.title} ${c.exp} ${c.id} ${c.help}`.toLowerCase();
    return !seen.has(c.id) && words.includes(needle) && seen.add(c.id);
  });
  return (
    <>
      <input className="picker-search" type="search" placeholder="Find a field" aria-label="Find a field" value={wanted} onChange={(e) => setWanted(e.target.value)} />
      {needle === '' && (
        <>
          <div className="picker-head">
            Shown
            <button type="button" className="text-button" onClick={() => onChange(null)}>Reset</button>
          </div>
          <ul>
            {columns.map((c, i) => (
              <li key={c.id}>
                <Named column={c} />
                <span className="picker-actions">
                  <button type="button" aria-label={`Move ${c.title} left`} title="Further left" disabled={i === 0} onClick={() => move(i, -1)}><Icon name="up" size={13} /></button>
                  <button type="button" aria-label={`Move ${c.title} right`} title="Further right" disabled={i === columns.length - 1} onClick={() => move(i, 1)}><Icon name="down" size={13} /></button>
                  <button type="button" aria-label={`Hide ${c.title}`} title="Hide" disabled={columns.length === 1} onClick={() => put(ids.filter((id) => id !== c.id))}><Icon name="close" size={13} /></button>
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
      <div className="picker-head">{needle === '' ? 'All fields' : `${offered.length} fields`}</div>
      <ul>
        {offered.slice(0, SHOWN).map((c) => (
          <li key={c.id}>
            <button type="button" className="picker-add" title={c.help} onClick={() => put([...ids.filter((id) => id !== INFO), c.id, ...ids.filter((id) => id === INFO)])}>
              <Icon name="plus" size={13} />
              <Named column={c} />
            </button>
          </li>
        ))}
      </ul>
      {offered.length > SHOWN && <div className="picker-head">{offered.length - SHOWN} more: narrow by name</div>}
    </>
  );
}

/** Fields that stand for many others (`ip`, `host`) have no value of their own. */
const isColumn = (f: Field): boolean => f.dbField2 !== '';

function Named({ column }: { column: Column }) {
  return (
    <span className="picker-name">
      {column.title}
      <span className="mono">{column.exp || column.id}</span>
    </span>
  );
}
