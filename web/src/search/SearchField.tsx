import { type KeyboardEvent, type RefObject, useId, useMemo, useRef, useState } from 'react';
import type { ApiError } from '../api/client';
import type { Field } from '../api/types';
import { type Completion, complete, type Samples } from '../expression/complete';
import { errorRange, tokenize } from '../expression/tokens';
import { useLeave } from '../ui/hooks';
import { Icon } from '../ui/Icon';
import './search-field.css';

/**
 * The expression: coloured and underlined by a mirror behind the text, which has the same font and therefore the same lines.
 * Enter runs it. A completion is taken by Tab, by a click, or by Enter once an arrow key has chosen it, never by surprise.
 */
export function SearchField(props: {
  input: RefObject<HTMLTextAreaElement | null>;
  text: string;
  onText: (text: string) => void;
  onRun: (text: string) => void;
  fields: readonly Field[];
  samples: Samples;
  recent: readonly string[];
  onForget: () => void;
  /** The server's answer to the text that was run last. */
  error: ApiError | undefined;
  /** What was run when the error came; the underline holds while the text is still that. */
  ranText: string;
}) {
  const { input, text, fields, recent } = props;
  const [open, setOpen] = useState(false);
  const [caret, setCaret] = useState(0);
  const [chosen, setChosen] = useState(-1);
  const frame = useRef<HTMLDivElement>(null);
  const list = useId();
  useLeave(frame, open, () => setOpen(false));

  const showRecent = text.trim() === '' && recent.length > 0;
  const completions = useMemo(
    () => (open && !showRecent ? complete(text, caret, fields, props.samples) : { from: 0, to: 0, items: [] }),
    [open, showRecent, text, caret, fields, props.samples],
  );
  const count = showRecent ? recent.length : completions.items.length;
  const shown = open && count > 0;
  const error = props.error && text === props.ranText ? props.error : undefined;

  const edit = (value: string, at: number): void => {
    props.onText(value);
    setCaret(at);
    setChosen(-1);
  };
  const accept = (item: Completion): void => {
    const rest = text.slice(completions.to).replace(/^\s+/, '');
    const value = text.slice(0, completions.from) + item.insert + rest;
    const at = completions.from + item.insert.length;
    edit(value, at);
    input.current?.focus();
    // After React has put the text in: setting it moves the caret to the end.
    requestAnimationFrame(() => input.current?.setSelectionRange(at, at));
  };
  const run = (value: string): void => {
    setOpen(false);
    setChosen(-1);
    props.onRun(value);
  };
  const take = (index: number): void => {
    const item = completions.items[index];
    const old = recent[index];
    if (showRecent && old !== undefined) {
      edit(old, old.length);
      run(old);
    } else if (item) {
      accept(item);
    }
  };

  const keyDown = (e: KeyboardEvent<HTMLTextAreaElement>): void => {
    if (e.nativeEvent.isComposing) return;
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      if (!open) setOpen(true);
      if (count === 0) return;
      e.preventDefault();
      const step = e.key === 'ArrowDown' ? 1 : -1;
      setChosen((c) => (c + step + (c === -1 && step === -1 ? 1 : 0) + count) % count);
    } else if (e.key === 'Enter') {
      e.preventDefault();
      if (shown && chosen >= 0 && !e.shiftKey) take(chosen);
      else run(text);
    } else if (e.key === 'Tab' && !e.shiftKey && shown && !showRecent) {
      e.preventDefault();
      take(Math.max(chosen, 0));
    } else if (e.key === ' ' && e.ctrlKey) {
      e.preventDefault();
      setOpen(true);
    } else if (e.key === 'Escape') {
      if (open) setOpen(false);
      else input.current?.blur();
    }
  };

  return (
    <div className="search-field" ref={frame}>
      <div className={`expression ${error ? 'bad' : ''}`} onClick={() => input.current?.focus()}>
        <Icon name="search" />
        <div className="expression-text mono">
          <Mirror text={text} error={error} />
          <textarea
            ref={input}
            rows={1}
            value={text}
            placeholder="Search sessions:  ip.src == 10.0.0.0/8 && port.dst == 443"
            spellCheck={false}
            autoCapitalize="off"
            autoCorrect="off"
            role="combobox"
            aria-label="Search expression"
            aria-autocomplete="list"
            aria-haspopup="listbox"
            aria-expanded={shown}
            aria-controls={list}
            aria-activedescendant={shown && chosen >= 0 ? `${list}-${chosen}` : undefined}
            aria-invalid={error !== undefined}
            aria-describedby={error ? `${list}-error` : undefined}
            onChange={(e) => {
              // A line break pasted from a mail is a blank here; the expression has one line.
              edit(e.target.value.replace(/[\r\n]+/g, ' '), e.target.selectionStart);
              setOpen(true);
            }}
            onSelect={(e) => setCaret(e.currentTarget.selectionStart)}
            onClick={() => setOpen(true)}
            onBlur={(e) => !frame.current?.contains(e.relatedTarget) && setOpen(false)}
            onKeyDown={keyDown}
          />
        </div>
        {text !== '' && (
          <button type="button" className="expression-clear" aria-label="Clear the expression" title="Clear" onClick={() => { edit('', 0); input.current?.focus(); }}>
            <Icon name="close" size={14} />
          </button>
        )}
      </div>
      {error && <ErrorLine id={`${list}-error`} error={error} text={text} onFix={(fixed) => { edit(fixed, fixed.length); run(fixed); }} />}
      {shown && (
        <div className="completions">
          {showRecent && (
            <div className="completions-head">
              <span>Recent searches</span>
              <button type="button" className="text-button" onMouseDown={(e) => e.preventDefault()} onClick={() => { props.onForget(); setOpen(false); }}>Forget them</button>
            </div>
          )}
          <ul role="listbox" id={list} aria-label={showRecent ? 'Recent searches' : 'Completions'}>
            {showRecent
              ? recent.map((r, i) => (
                  <Option key={r} id={`${list}-${i}`} chosen={i === chosen} onTake={() => take(i)}>
                    <Icon name="clock" size={14} />
                    <span className="option-label mono">{r}</span>
                  </Option>
                ))
              : completions.items.map((item, i) => (
                  <Option key={item.label} id={`${list}-${i}`} chosen={i === chosen} onTake={() => take(i)}>
                    <span className={`option-label mono option-${item.kind}`}>{item.label}</span>
                    <span className="option-help">{item.help}</span>
                    <span className="option-type">{item.detail}</span>
                  </Option>
                ))}
          </ul>
          {!showRecent && (
            <div className="completions-foot" aria-hidden="true">
              <span className="key">Tab</span> takes the first
              <span className="key">↑</span>
              <span className="key">↓</span> choose
              <span className="key">Enter</span> searches
            </div>
          )}
        </div>
      )}
    </div>
  );
}

function Option(props: { id: string; chosen: boolean; onTake: () => void; children: React.ReactNode }) {
  return (
    <li
      id={props.id}
      role="option"
      aria-selected={props.chosen}
      ref={(li) => {
        if (props.chosen) li?.scrollIntoView({ block: 'nearest' });
      }}
      // Keeps the focus, and with it the caret, in the text.
      onMouseDown={(e) => e.preventDefault()}
      onClick={props.onTake}
    >
      {props.children}
    </li>
  );
}

/** The coloured text behind the transparent one; hidden from screen readers, which read the text area. */
function Mirror({ text, error }: { text: string; error: ApiError | undefined }) {
  const pieces: React.ReactNode[] = [];
  const bad = error?.column === undefined ? undefined : errorRange(text, error.column, error.length);
  let at = 0;
  for (const token of tokenize(text)) {
    if (token.start > at) pieces.push(text.slice(at, token.start));
    const isBad = bad !== undefined && token.start < bad[1] && bad[0] < token.end;
    pieces.push(
      <span key={token.start} className={`t-${token.role} t-${token.kind} ${isBad ? 't-bad' : ''}`}>
        {token.text}
      </span>,
    );
    at = token.end;
  }
  pieces.push(text.slice(at));
  // The error is at the end, where something is missing: there is nothing to underline but the place.
  if (bad && bad[0] >= text.trimEnd().length) pieces.push(<span key="end" className="t-bad t-missing">{'\u00a0\u00a0'}</span>);
  return (
    <div className="mirror" aria-hidden="true">
      {pieces}
      {'\u200b'}
    </div>
  );
}

function ErrorLine({ id, error, text, onFix }: { id: string; error: ApiError; text: string; onFix: (text: string) => void }) {
  const { column, suggestion } = error;
  const range = column === undefined ? undefined : errorRange(text, column, error.length);
  return (
    <div className="expression-error" id={id} role="alert">
      <Icon name="warning" size={14} />
      <span>
        {error.message}
        {column !== undefined && <span className="error-column"> (column {column})</span>}
      </span>
      {suggestion !== undefined && range && (
        <button type="button" className="text-button" onClick={() => onFix(text.slice(0, range[0]) + suggestion + text.slice(range[1]))}>
          Use <span className="mono">{suggestion}</span>
        </button>
      )}
    </div>
  );
}
