import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { ApiError, getFields } from '../api/client';
import { values } from '../api/document';
import type { Doc, Field } from '../api/types';
import { append } from '../expression/clause';
import { countOf, formatCount } from '../format';
import { SessionDetail } from '../session/SessionDetail';
import { Cards } from '../table/Cards';
import { ColumnPicker } from '../table/ColumnPicker';
import { expOf, pathsOf, resolveColumns } from '../table/columns';
import { Pager } from '../table/Pager';
import { SessionTable } from '../table/SessionTable';
import { Help } from '../ui/Help';
import { useMedia } from '../ui/hooks';
import { Icon, Logo } from '../ui/Icon';
import { Notices } from '../ui/Notices';
import { isOneOf, isStrings, useStored } from '../ui/storage';
import { ThemeToggle } from '../ui/ThemeToggle';
import { ValueMenuProvider } from '../ui/ValueMenu';
import { ExportMenu } from './ExportMenu';
import { ResultHead } from './ResultHead';
import { DEFAULT_SEARCH, pagePath, type Search } from './search';
import { SearchField } from './SearchField';
import { TimeBar } from './TimeBar';
import { useLocation } from './useLocation';
import { type Sessions, useSessions } from './useSessions';
import './page.css';

const RECENT = 20;
const MOST_OPENED = 50;
const NONE: ReadonlySet<string> = new Set();
const LAYOUTS = ['cards', 'table'] as const;
const isLayout = isOneOf(LAYOUTS);

export function SessionsPage() {
  const [search, go] = useLocation();
  const [text, setText] = useState(search.expression);
  const [run, setRun] = useState(0);
  const [fields, fieldsError] = useFields();
  const [recent, setRecent] = useStored('recent', [], isStrings);
  const [help, setHelp] = useState(false);
  const input = useRef<HTMLTextAreaElement>(null);
  const range = useRef<HTMLSelectElement>(null);

  // Back and forward change the expression below the text; what was typed and not run gives way.
  const [textOf, setTextOf] = useState(search.expression);
  if (textOf !== search.expression) {
    setTextOf(search.expression);
    setText(search.expression);
  }

  const columns = useMemo(() => resolveColumns(search.fields, fields), [search.fields, fields]);
  // The registry only adds names; asking waits for it, so that one search is one request.
  const ready = fields.length > 0 || fieldsError !== undefined;
  const paths = useMemo(() => pathsOf(columns, fields), [columns, fields]);
  const [sessions, cancel] = useSessions(search, paths, run, ready);
  const { answer, graph } = sessions;

  useEffect(() => {
    document.title = search.expression.trim() === '' ? 'Sessions · wirelake' : `${search.expression} · wirelake`;
  }, [search.expression]);

  const submit = useCallback(
    (expression: string) => {
      const said = expression.trim();
      if (said !== '') setRecent([said, ...recent.filter((r) => r !== said)].slice(0, RECENT));
      // The same search again is still a question: a relative range has moved on.
      setRun((n) => n + 1);
      go({ expression: said === '' ? '' : expression, start: 0 });
    },
    [go, recent, setRecent],
  );
  const narrow = useCallback(
    (join: '&&' | '||', clause: string) => {
      const next = append(search.expression, join, clause);
      setText(next);
      submit(next);
    },
    [search.expression, submit],
  );
  const linkTo = useCallback((clause: string) => pagePath({ ...search, expression: clause, start: 0, openAll: false }), [search]);
  const samples = useCallback((field: Field) => sample(answer?.data ?? [], field), [answer]);
  useKeys({ query: input, time: range, search: () => submit(text), help: () => setHelp(true), home: () => go({ ...DEFAULT_SEARCH, time: search.time }) });

  return (
    <ValueMenuProvider narrow={narrow} linkTo={linkTo}>
      <div className="page">
        <header className="top">
          <div className="top-row">
            <a className="brand" href="/sessions" aria-label="wirelake, Sessions">
              <Logo size={26} />
              <span className="wordmark">wirelake</span>
            </a>
            <SearchField
              input={input}
              text={text}
              onText={setText}
              onRun={submit}
              fields={fields}
              samples={samples}
              recent={recent}
              onForget={() => setRecent([])}
              error={sessions.error?.status === 400 ? sessions.error : undefined}
              ranText={search.expression}
            />
            <div className="top-actions">
              {sessions.running ? (
                <button type="button" className="button run" onClick={cancel}><Icon name="stop" size={14} />Cancel</button>
              ) : (
                <button type="button" className="button primary run" onClick={() => submit(text)}>Search</button>
              )}
              <ExportMenu search={search} graph={graph} found={answer?.recordsFiltered} columns={columns} />
              <a className="button bare square" href="/sensors" aria-label="Sensors" title="Sensors"><Icon name="sensor" /></a>
              <button type="button" className="button bare square" aria-label="Help" title="Help (?)" onClick={() => setHelp(true)}><Icon name="help" /></button>
              <ThemeToggle />
            </div>
          </div>
          <TimeBar search={search} window={windowOf(sessions)} selectRef={range} onChange={go} />
          <div className={`progress ${sessions.running ? 'running' : ''}`} role="progressbar" aria-label="Searching" hidden={!sessions.running} />
        </header>
        <Notices texts={[...search.problems, ...(fieldsError ? [`Field names could not be read: ${fieldsError.message}`] : []), ...(answer?.warnings ?? [])]} />
        <Results key={search.openAll ? 'all' : 'some'} sessions={sessions} search={search} fields={fields} columns={columns} go={go} retry={() => setRun((n) => n + 1)} help={() => setHelp(true)} />
        {help && <Help fields={fields} onClose={() => setHelp(false)} onUse={(e) => { setText(e); input.current?.focus(); }} />}
      </div>
    </ValueMenuProvider>
  );
}

function Results({ sessions, search, fields, columns, go, retry, help }: {
  sessions: Sessions;
  search: Search;
  fields: readonly Field[];
  columns: ReturnType<typeof resolveColumns>;
  go: (change: Partial<Search>) => void;
  retry: () => void;
  help: () => void;
}) {
  const { answer, graph, error } = sessions;
  const narrowScreen = useMedia('(max-width: 719px)');
  const [layout, setLayout] = useStored('layout', 'cards', isLayout);
  const [chosen, setChosen] = useState<ReadonlySet<string>>();
  const byPath = useMemo(() => new Map(fields.map((f) => [f.dbField2, f])), [fields]);
  const docs = useMemo(() => answer?.data ?? [], [answer]);
  const all = useMemo(() => new Set(docs.slice(0, MOST_OPENED).map((d) => d.id)), [docs]);
  const opened = chosen ?? (search.openAll ? all : NONE);

  const latest = useRef(opened);
  useEffect(() => {
    latest.current = opened;
  });
  // Another page or order begins at its top.
  const scroller = useRef<HTMLElement>(null);
  useEffect(() => {
    scroller.current?.scrollTo({ top: 0 });
  }, [sessions.key]);
  const toggle = useCallback((id: string) => {
    const next = new Set(latest.current);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  }, []);
  const detail = useCallback(
    (doc: Doc) => (
      <SessionDetail
        doc={doc}
        fields={fields}
        onClose={() => {
          toggle(doc.id);
          document.querySelector<HTMLElement>(`[data-session="${CSS.escape(doc.id)}"]:is(tr), [data-session="${CSS.escape(doc.id)}"] > button`)?.focus();
        }}
      />
    ),
    [fields, toggle],
  );
  const names = useCallback((path: string) => expOf(byPath, path), [byPath]);
  const rows = { docs, columns, expOf: names, opened, onToggle: toggle, detail };

  if (error && error.status !== 400) return <Failure error={error} retry={retry} />;
  if (error) return <NotRun error={error} help={help} />;
  if (!answer) return sessions.cancelled ? <Cancelled retry={retry} /> : <Waiting />;
  return (
    <main ref={scroller} className={`results ${sessions.running ? 'stale' : ''}`}>
      <ResultHead graph={graph} found={answer.recordsFiltered} search={search} onChange={go} />
      <div className="table-bar">
        <Pager start={search.start} length={search.length} total={answer.recordsFiltered} onChange={go} />
        <span className="table-note num">
          {sessions.cancelled ? 'Cancelled: these are the sessions of the search before' : sessions.took === undefined ? '' : `${(sessions.took / 1000).toFixed(2)} s`}
        </span>
        <div className="table-tools">
          {opened.size > 0 && <button type="button" className="button small" onClick={() => setChosen(NONE)}>Close {opened.size} open</button>}
          {narrowScreen && (
            <button type="button" className="button small square" aria-label={layout === 'cards' ? 'Show a table' : 'Show cards'} title={layout === 'cards' ? 'Table' : 'Cards'} onClick={() => setLayout(layout === 'cards' ? 'table' : 'cards')}>
              <Icon name={layout === 'cards' ? 'table' : 'cards'} size={14} />
            </button>
          )}
          <ColumnPicker columns={columns} fields={fields} onChange={(ids) => go({ fields: ids })} />
        </div>
      </div>
      {docs.length === 0 ? (
        <Empty search={search} total={answer.recordsTotal} found={answer.recordsFiltered} go={go} />
      ) : narrowScreen && layout === 'cards' ? (
        <Cards {...rows} />
      ) : (
        <SessionTable {...rows} order={search.order} onOrder={(order) => go({ order, start: 0 })} />
      )}
    </main>
  );
}

function useFields(): [readonly Field[], ApiError | undefined] {
  const [fields, setFields] = useState<readonly Field[]>([]);
  const [error, setError] = useState<ApiError>();
  useEffect(() => {
    const abort = new AbortController();
    getFields(abort.signal).then(
      (list) => (list.length > 0 ? setFields(list) : setError(new ApiError('the list is empty', 200))),
      (err: unknown) => {
        if (!abort.signal.aborted) setError(err instanceof ApiError ? err : new ApiError(String(err), 0));
      },
    );
    return () => abort.abort();
  }, []);
  return [fields, error];
}

/** What the last answer covered: what was asked for, or the archive's extent. */
function windowOf({ graph }: Sessions): readonly [number, number] | undefined {
  const { xmin, xmax } = graph;
  return xmin !== undefined && xmax !== undefined && xmin > 0 && xmax > xmin ? [xmin, xmax] : undefined;
}

/** Values of the sessions at hand, most frequent first. */
function sample(docs: readonly Doc[], field: Field): string[] {
  const counts = new Map<string, number>();
  for (const doc of docs) for (const v of values(doc, field.dbField2)) counts.set(String(v), (counts.get(String(v)) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([v]) => v);
}

function useKeys(act: {
  query: React.RefObject<HTMLTextAreaElement | null>;
  time: React.RefObject<HTMLSelectElement | null>;
  search: () => void;
  help: () => void;
  home: () => void;
}): void {
  const latest = useRef(act);
  useEffect(() => {
    latest.current = act;
  });
  useEffect(() => {
    const typed = (e: KeyboardEvent): void => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
      const inText = e.target instanceof Element && e.target.closest('input, textarea, select, dialog') !== null;
      const now = latest.current;
      if (e.key === 'Enter' && e.shiftKey && !inText) now.search();
      else if (inText) return;
      else if (e.key === 'q' || e.key === 'Q') now.query.current?.focus();
      else if (e.key === 't' || e.key === 'T') now.time.current?.focus();
      else if (e.key === 's' || e.key === 'S') now.home();
      else if (e.key === '?') now.help();
      else return;
      e.preventDefault();
    };
    document.addEventListener('keydown', typed);
    return () => document.removeEventListener('keydown', typed);
  }, []);
}

function Waiting() {
  return (
    <main className="results waiting" aria-busy="true" aria-label="Searching">
      <div className="skeleton head" />
      {Array.from({ length: 14 }, (_, i) => (
        <div key={i} className="skeleton row" style={{ opacity: 1 - i / 15 }} />
      ))}
    </main>
  );
}

/** The error itself stands under the expression, where it is mended. */
function NotRun({ error, help }: { error: ApiError; help: () => void }) {
  return (
    <div className="empty">
      <h2>The search was not run</h2>
      <p>{error.column === undefined ? error.message : `The expression has an error in column ${error.column}.`}</p>
      <button type="button" className="button" onClick={help}><Icon name="help" size={14} />Examples and fields</button>
    </div>
  );
}

function Cancelled({ retry }: { retry: () => void }) {
  return (
    <div className="empty">
      <h2>The search was cancelled</h2>
      <button type="button" className="button" onClick={retry}>Search again</button>
    </div>
  );
}

function Failure({ error, retry }: { error: ApiError; retry: () => void }) {
  return (
    <div className="empty" role="alert">
      <h2>{error.status === 503 ? 'The archive cannot be reached' : 'The search failed'}</h2>
      <p className="failure">{error.message}</p>
      <button type="button" className="button" onClick={retry}>Try again</button>
    </div>
  );
}

/** Nothing found is an answer; the way on is the range, the expression, or the page before. */
function Empty({ search, total, found, go }: { search: Search; total: number; found: number; go: (change: Partial<Search>) => void }) {
  if (found > 0) {
    return (
      <div className="empty">
        <h2>This page is past the last of {formatCount(found)} sessions</h2>
        <button type="button" className="button" onClick={() => go({ start: 0 })}>To the first page</button>
      </div>
    );
  }
  const allTime = search.time.kind === 'relative' && search.time.hours === -1;
  const filtered = search.expression.trim() !== '';
  if (allTime && !filtered) {
    return (
      <div className="empty">
        <h2>The archive is empty</h2>
        <p>Import a capture to fill it: <code>wirelake import --store … capture.pcap</code></p>
      </div>
    );
  }
  return (
    <div className="empty">
      <h2>No sessions match</h2>
      {total > 0 && <p>{allTime ? 'The archive' : 'Nothing in this time range; the archive'} holds {countOf(total, 'session')} in all.</p>}
      <div className="empty-actions">
        {!allTime && <button type="button" className="button" onClick={() => go({ time: { kind: 'relative', hours: -1 }, start: 0 })}>Search all time</button>}
        {filtered && <button type="button" className="button" onClick={() => go({ expression: '', start: 0 })}>Clear the expression</button>}
      </div>
    </div>
  );
}
