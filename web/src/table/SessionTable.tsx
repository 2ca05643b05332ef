import { type KeyboardEvent, memo, type PointerEvent, type ReactNode, useCallback, useMemo, useRef, useState } from 'react';
import { textAt } from '../api/document';
import type { Doc } from '../api/types';
import type { Order } from '../search/search';
import { useWidth } from '../ui/hooks';
import { isWidths, useStored } from '../ui/storage';
import { Icon } from '../ui/Icon';
import { Cell, type ExpOf } from './Cell';
import { type Column, INFO } from './columns';
import './table.css';

const LEAST_WIDTH = 44;
const TOGGLE_WIDTH = 30;

export interface RowsProps {
  docs: readonly Doc[];
  columns: readonly Column[];
  expOf: ExpOf;
  opened: ReadonlySet<string>;
  onToggle: (id: string) => void;
  detail: (doc: Doc) => ReactNode;
}

/**
 * The dense table. One row is in the tab order; arrows move between rows, Enter opens one in place. Column widths are kept
 * between visits; what is left of the width belongs to Info.
 */
export function SessionTable(props: RowsProps & { order: readonly Order[]; onOrder: (order: Order[]) => void }) {
  const { docs, columns, opened, onToggle, detail, expOf } = props;
  const [widths, setWidths] = useStored('widths', {}, isWidths);
  const [active, setActive] = useState(0);
  const [frame, frameWidth] = useWidth();
  const natural = useMemo(() => naturalWidths(columns, docs, frameWidth), [columns, docs, frameWidth]);
  const widthOf = (c: Column): number => widths[c.id] ?? natural.get(c.id) ?? c.width;
  const total = columns.reduce((sum, c) => sum + widthOf(c), TOGGLE_WIDTH);
  const activate = useCallback((index: number) => setActive(index), []);
  const sort = (column: Column, add: boolean): void => {
    const now = props.order.find((o) => o.field === column.id);
    // Newest and largest first is what a first click wants, of names the first letter.
    const next: Order = { field: column.id, desc: now ? !now.desc : column.kind !== 'text' && column.kind !== 'ip' };
    props.onOrder(add ? [...props.order.filter((o) => o.field !== column.id), next] : [next]);
  };
  return (
    <>
      <div ref={frame} className="table-frame" />
      <table className="sessions" style={{ minWidth: total }} aria-rowcount={docs.length}>
        <colgroup>
          <col style={{ width: TOGGLE_WIDTH }} />
          {columns.map((c) => (
            <col key={c.id} style={c.id === INFO && widths[c.id] === undefined ? undefined : { width: widthOf(c) }} />
          ))}
        </colgroup>
        <thead>
          <tr>
            <th scope="col"><span className="visually-hidden">Open</span></th>
            {columns.map((c) => (
              <Head
                key={c.id}
                column={c}
                place={props.order.findIndex((o) => o.field === c.id)}
                order={props.order}
                onSort={(add) => sort(c, add)}
                onWidth={(w) => setWidths({ ...widths, [c.id]: Math.max(LEAST_WIDTH, Math.round(w)) })}
                onReset={() => setWidths(Object.fromEntries(Object.entries(widths).filter(([id]) => id !== c.id)))}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {docs.map((doc, i) => (
            <Row
              key={doc.id}
              doc={doc}
              index={i}
              columns={columns}
              expOf={expOf}
              open={opened.has(doc.id)}
              reachable={i === Math.min(active, docs.length - 1)}
              onToggle={onToggle}
              onActive={activate}
              detail={detail}
            />
          ))}
        </tbody>
      </table>
    </>
  );
}

const ADDRESS_CHAR = 7.3; // px of a digit at the table's size
const PADDING = 20;
const COUNTRY = 32;
const ENDS = /^(source|destination)\.ip$/;

/** The columns' own widths: addresses are as wide as the longest on the page, as far as all columns fit into the frame. */
function naturalWidths(columns: readonly Column[], docs: readonly Doc[], frame: number): ReadonlyMap<string, number> {
  const ends = columns.filter((c) => ENDS.test(c.id));
  const rest = columns.reduce((sum, c) => sum + (ENDS.test(c.id) ? 0 : c.width), TOGGLE_WIDTH);
  const longest = ends.map((c) => Math.max(c.width, longestAddress(c, docs)));
  const most = (frame - rest) / Math.max(ends.length, 1);
  // What one end does not need, the other may have.
  const spare = longest.reduce((sum, px) => sum + Math.max(0, most - px), 0);
  const widths = new Map(columns.map((c) => [c.id, c.width]));
  ends.forEach((c, i) => widths.set(c.id, Math.floor(Math.max(c.width, Math.min(longest[i] ?? 0, most + spare)))));
  return widths;
}

function longestAddress(column: Column, docs: readonly Doc[]): number {
  const side = column.id.slice(0, -'.ip'.length);
  return docs.reduce((px, doc) => {
    const country = textAt(doc, `${side}.geo.country_iso_code`) === '' ? 0 : COUNTRY;
    return Math.max(px, Math.ceil(textAt(doc, column.id).length * ADDRESS_CHAR) + PADDING + country);
  }, 0);
}

const NUMERIC = new Set<Column['kind']>(['number', 'bytes']);

const alignment = (c: Column): string => (NUMERIC.has(c.kind) || c.id.endsWith('.port') ? 'right' : '');

function Head(props: {
  column: Column;
  /** Position in the order, -1 when it does not sort. */
  place: number;
  order: readonly Order[];
  onSort: (add: boolean) => void;
  onWidth: (width: number) => void;
  onReset: () => void;
}) {
  const { column, place } = props;
  const drag = useRef<{ x: number; width: number }>(undefined);
  const sorted = props.order[place];
  const start = (e: PointerEvent<HTMLSpanElement>): void => {
    const width = e.currentTarget.parentElement?.getBoundingClientRect().width ?? column.width;
    drag.current = { x: e.clientX, width };
    e.currentTarget.setPointerCapture(e.pointerId);
  };
  const title = [column.exp, column.help].filter((s) => s !== '').join(': ');
  const label = (
    <>
      <span className="head-title">{column.title}</span>
      {sorted && (
        <span className="head-order">
          <Icon name={sorted.desc ? 'down' : 'up'} size={12} />
          {props.order.length > 1 && <sup>{place + 1}</sup>}
        </span>
      )}
    </>
  );
  return (
    <th scope="col" className={alignment(column)} aria-sort={sorted ? (sorted.desc ? 'descending' : 'ascending') : undefined}>
      {column.sortable ? (
        <button type="button" className="head" title={`${title}${title ? '\n' : ''}Click to sort; with Shift, as a further order`} onClick={(e) => props.onSort(e.shiftKey)}>
          {label}
        </button>
      ) : (
        <span className="head" title={title}>{label}</span>
      )}
      <span
        className="grip"
        role="presentation"
        title="Drag to resize, double-click to reset"
        onPointerDown={start}
        onPointerMove={(e) => drag.current && props.onWidth(drag.current.width + e.clientX - drag.current.x)}
        onPointerUp={() => (drag.current = undefined)}
        onPointerCancel={() => (drag.current = undefined)}
        onDoubleClick={props.onReset}
      />
    </th>
  );
}

interface RowProps {
  doc: Doc;
  index: number;
  columns: readonly Column[];
  expOf: ExpOf;
  open: boolean;
  reachable: boolean;
  onToggle: (id: string) => void;
  onActive: (index: number) => void;
  detail: (doc: Doc) => ReactNode;
}

const Row = memo(function Row({ doc, index, columns, expOf, open, reachable, onToggle, onActive, detail }: RowProps) {
  const keyDown = (e: KeyboardEvent<HTMLTableRowElement>): void => {
    if (e.target !== e.currentTarget) return;
    if (e.key === 'Enter' || e.key === ' ') onToggle(doc.id);
    else if (e.key === 'ArrowRight' && !open) onToggle(doc.id);
    else if (e.key === 'ArrowLeft' && open) onToggle(doc.id);
    else if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      const rows = [...(e.currentTarget.parentElement?.querySelectorAll<HTMLElement>('tr.session') ?? [])];
      rows[rows.indexOf(e.currentTarget) + (e.key === 'ArrowDown' ? 1 : -1)]?.focus();
    } else return;
    e.preventDefault();
  };
  return (
    <>
      <tr
        className={`session ${open ? 'open' : ''}`}
        data-session={doc.id}
        tabIndex={reachable ? 0 : -1}
        onFocus={() => onActive(index)}
        onKeyDown={keyDown}
        onClick={() => {
          // A press that ended a selection of text was meant for the text.
          if (getSelection()?.isCollapsed !== false) onToggle(doc.id);
        }}
      >
        <td className="toggle">
          <button type="button" tabIndex={-1} aria-expanded={open} aria-label={open ? 'Close the session' : 'Open the session'} onClick={(e) => { e.stopPropagation(); onToggle(doc.id); }}>
            <Icon name="right" size={12} />
          </button>
        </td>
        {columns.map((c) => (
          <td key={c.id} className={`${alignment(c)} cell-${c.kind}`}>
            <Cell doc={doc} column={c} expOf={expOf} />
          </td>
        ))}
      </tr>
      {open && (
        <tr className="detail">
          <td colSpan={columns.length + 1}>
            <div className="detail-frame">{detail(doc)}</div>
          </td>
        </tr>
      )}
    </>
  );
});
