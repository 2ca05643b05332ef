import { type KeyboardEvent, type RefObject, useRef, useState } from 'react';
import { Icon } from '../ui/Icon';
import { Select } from '../ui/Select';
import { type Bounding, INTERVALS, type Search, type TimeRange } from './search';
import { formatDuration, formatTime, parseTime } from './time';
import './time-bar.css';

const RANGES: readonly (readonly [number, string])[] = [
  [1, 'Last hour'], [6, 'Last 6 hours'], [24, 'Last 24 hours'], [48, 'Last 2 days'], [72, 'Last 3 days'], [168, 'Last week'],
  [336, 'Last 2 weeks'], [720, 'Last month'], [1440, 'Last 2 months'], [4380, 'Last 6 months'], [8760, 'Last year'], [-1, 'All time'],
];
const CUSTOM = 0;

const BOUNDING_NAMES: readonly (readonly [Bounding, string])[] = [
  ['last', 'Last packet'], ['first', 'First packet'], ['both', 'Both'], ['either', 'Overlap'], ['database', 'Stored'],
];
const BOUNDING_HELP =
  'Which time of a session must lie in the range: that of its last packet, its first, both; or any of it (Overlap); or when it was stored';

/** The range, and how sessions are held against it. `window` is what the last answer covered, for what is relative. */
export function TimeBar(props: {
  search: Search;
  window: readonly [number, number] | undefined;
  selectRef: RefObject<HTMLSelectElement | null>;
  onChange: (change: Partial<Search>) => void;
}) {
  const { search, window, selectRef, onChange } = props;
  const { time } = search;
  const [start, stop] = time.kind === 'absolute' ? [time.start * 1000, time.stop * 1000] : (window ?? [undefined, undefined]);
  const setRange = (time: TimeRange): void => onChange({ time, start: 0 });
  const setTimes = (a: number, b: number): void => setRange({ kind: 'absolute', start: a / 1000, stop: b / 1000 });
  const step = (direction: -1 | 1): void => {
    if (start === undefined) return;
    const span = (stop - start) * direction;
    setTimes(start + span, stop + span);
  };
  const hours = time.kind === 'relative' ? time.hours : CUSTOM;
  const options: (readonly [number, string])[] =
    RANGES.some(([h]) => h === hours) ? [...RANGES] : [[hours, hours === CUSTOM ? 'Custom range' : `Last ${formatDuration(hours * 3600_000)}`], ...RANGES];
  return (
    <div className="time-bar" role="group" aria-label="Time range, UTC">
      <label className="select range-select" title="Time range (T)">
        <Icon name="clock" size={14} />
        <select
          ref={selectRef}
          aria-label="Time range"
          value={hours}
          onChange={(e) => Number(e.target.value) !== CUSTOM && setRange({ kind: 'relative', hours: Number(e.target.value) })}
        >
          {options.map(([h, name]) => (
            <option key={h} value={h}>{name}</option>
          ))}
        </select>
        <Icon name="down" size={12} />
      </label>
      <div className="range">
        <TimeInput key={`a${start ?? 0}`} label="Start time" placeholder={hours === -1 ? 'beginning' : `-${hours}h`} value={start} onChange={(t) => setTimes(t, Math.max(stop ?? t + 3600_000, t))} />
        <span className="range-arrow" aria-hidden="true">–</span>
        <TimeInput key={`b${stop ?? 0}`} label="Stop time" placeholder="now" value={stop} onChange={(t) => setTimes(Math.min(start ?? t - 3600_000, t), t)} />
        <span className="zone" title="All times are UTC">UTC</span>
      </div>
      <div className="group">
        <button type="button" className="button square" aria-label="One step back" title="One step back" disabled={start === undefined} onClick={() => step(-1)}>
          <Icon name="left" size={14} />
        </button>
        <button type="button" className="button square" aria-label="One step forward" title="One step forward" disabled={start === undefined} onClick={() => step(1)}>
          <Icon name="right" size={14} />
        </button>
      </div>
      {start !== undefined && stop > start && <span className="span num">{formatDuration(stop - start)}</span>}
      <Select label="Bounding" prefix="Bounding" title={BOUNDING_HELP} value={search.bounding} options={BOUNDING_NAMES} onChange={(bounding) => onChange({ bounding, start: 0 })} />
      <Select label="Interval of the timeline" prefix="Interval" value={search.interval} options={INTERVALS.map((i) => [i, i.charAt(0).toUpperCase() + i.slice(1)] as const)} onChange={(interval) => onChange({ interval })} />
    </div>
  );
}

/** A time as typed or pasted in any usual form; the calendar beside it is the browser's. */
function TimeInput(props: { label: string; placeholder: string; value: number | undefined; onChange: (t: number) => void }) {
  const shown = props.value === undefined ? '' : formatTime(props.value);
  const [text, setText] = useState(shown);
  const [bad, setBad] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const commit = (): void => {
    if (text === shown) {
      setBad(false);
      return;
    }
    const t = parseTime(text, Date.now());
    setBad(t === null);
    if (t !== null) props.onChange(t);
  };
  const keyDown = (e: KeyboardEvent): void => {
    if (e.key === 'Enter') commit();
    else if (e.key === 'Escape') {
      setText(shown);
      setBad(false);
    }
  };
  return (
    <span className={`time-input ${bad ? 'bad' : ''}`}>
      <input
        type="text"
        className="num"
        aria-label={props.label}
        aria-invalid={bad}
        title={bad ? 'Not a time. Try 2026-11-23 14:05:00, 1700000000, -6h or now' : `${props.label}, UTC: 2026-11-23 14:05:00, 1700000000, -6h, now`}
        placeholder={props.placeholder}
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={(e) => setText(e.target.value)}
        onFocus={(e) => e.target.select()}
        onBlur={commit}
        onKeyDown={keyDown}
      />
      <button type="button" className="calendar" aria-label={`Pick the ${props.label.toLowerCase()}`} title="Calendar" onClick={() => picker.current?.showPicker()}>
        <Icon name="calendar" size={14} />
      </button>
      <input
        ref={picker}
        className="calendar-anchor"
        type="datetime-local"
        step={1}
        tabIndex={-1}
        aria-hidden="true"
        value={props.value === undefined ? '' : new Date(props.value).toISOString().slice(0, 19)}
        onChange={(e) => {
          const t = parseTime(e.target.value, Date.now());
          if (t !== null) props.onChange(t);
        }}
      />
    </span>
  );
}
