import { memo, useEffect, useMemo, useState } from 'react';
import { ApiError, getSession, sessionPath } from '../api/client';
import { numberAt, textAt, values } from '../api/document';
import type { Doc, Field } from '../api/types';
import { countOf, formatBytes } from '../format';
import { DEFAULT_SEARCH, pagePath } from '../search/search';
import { formatDuration, formatTime } from '../search/time';
import { download } from '../ui/download';
import { Icon } from '../ui/Icon';
import { copyText, useToast } from '../ui/toast';
import { ValueButton } from '../ui/ValueMenu';
import { missing } from './completeness';
import { display, flagName, flagsOf, type Entry, type Group, groupFields, groupTitle, protocolName } from './groups';
import { Packets } from './Packets';
import './session.css';

/** One session, opened in place: who talked to whom, everything known of it, its packets. */
export const SessionDetail = memo(function SessionDetail({ doc: row, fields, onClose }: { doc: Doc; fields: readonly Field[]; onClose: () => void }) {
  const [doc, setDoc] = useState<Doc>();
  const [error, setError] = useState<ApiError>();
  const { id, node } = row;
  useEffect(() => {
    const abort = new AbortController();
    getSession({ id, node }, abort.signal).then(setDoc, (err: unknown) => {
      if (!abort.signal.aborted) setError(err instanceof ApiError ? err : new ApiError(String(err), 0));
    });
    return () => abort.abort();
  }, [id, node]);
  return (
    <section
      className="session-detail"
      aria-label={`Session ${id}`}
      onKeyDown={(e) => {
        if (e.key === 'Escape' && !e.defaultPrevented) onClose();
      }}
    >
      <Flow doc={doc ?? row} onClose={onClose} />
      {error && <p className="detail-error" role="alert">{error.message}</p>}
      {!doc && !error && <p className="detail-wait">Reading the session…</p>}
      {missing(doc ?? row).map((text) => (
        <p key={text} className="detail-missing"><Icon name="warning" size={14} />{text}</p>
      ))}
      {doc && <Fields doc={doc} fields={fields} />}
      <Packets id={id} node={node} />
    </section>
  );
});

/** The line that names the session, and what can be done with it. */
function Flow({ doc, onClose }: { doc: Doc; onClose: () => void }) {
  const { say } = useToast();
  const [first, last] = [numberAt(doc, 'firstPacket'), numberAt(doc, 'lastPacket')];
  const link = permalink(doc);
  const count = (path: string, unit: (n: number) => string): string => {
    const n = numberAt(doc, path);
    return n === undefined ? '' : unit(n);
  };
  const facts = [
    first === undefined || last === undefined ? '' : formatDuration(last - first),
    count('network.packets', (n) => countOf(n, 'packet')),
    count('network.bytes', formatBytes),
  ].filter((s) => s !== '');
  const failed = (message: string): void => say(message, true);
  return (
    <header className="flow">
      <div className="flow-line">
        <span className="flow-protocol">{protocolName(values(doc, 'ipProtocol')[0]) || textAt(doc, 'protocol').toUpperCase()}</span>
        <End doc={doc} side="source" />
        <span className="flow-arrow" aria-label="to">→</span>
        <End doc={doc} side="destination" />
        <span className="flow-facts num">{facts.join(' · ')}</span>
      </div>
      <div className="flow-actions">
        <a className="button small" href={`${sessionPath(doc)}.pcap`} onClick={(e) => { e.preventDefault(); download(`${sessionPath(doc)}.pcap`, failed); }}>
          <Icon name="download" size={14} />PCAP
        </a>
        <a className="button small" href={link} title="A link to this session alone" onClick={(e) => {
          if (e.ctrlKey || e.metaKey || e.shiftKey) return;
          e.preventDefault();
          void copyText(new URL(link, location.href).href).then((ok) => say(ok ? 'Link copied' : 'The browser does not allow copying', !ok));
        }}>
          <Icon name="link" size={14} />Copy link
        </a>
        <a className="button small" href={sessionPath(doc)} target="_blank" rel="noopener" title="The document as JSON">JSON</a>
        <button type="button" className="button small square" aria-label="Close the session" title="Close (Esc)" onClick={onClose}>
          <Icon name="close" size={14} />
        </button>
      </div>
    </header>
  );
}

/** The time is in the link, so that the server needs to look at one day only. */
function permalink(doc: Doc): string {
  const [first, last] = [numberAt(doc, 'firstPacket'), numberAt(doc, 'lastPacket')];
  return pagePath({
    ...DEFAULT_SEARCH,
    expression: `id == "${doc.id}"`,
    bounding: 'either',
    openAll: true,
    time:
      first === undefined || last === undefined
        ? { kind: 'relative', hours: -1 }
        : { kind: 'absolute', start: Math.floor(first / 1000), stop: Math.ceil(last / 1000) },
  });
}

function End({ doc, side }: { doc: Doc; side: 'source' | 'destination' }) {
  const ip = textAt(doc, `${side}.ip`) || textAt(doc, `${side}.mac`);
  const port = textAt(doc, `${side}.port`);
  const country = textAt(doc, `${side}.geo.country_iso_code`);
  return (
    <span className={`flow-end num ${side === 'source' ? 'src' : 'dst'}`}>
      {ip.includes(':') && port !== '' ? `[${ip}]` : ip}
      {port !== '' && port !== '0' && <span className="flow-port">:{port}</span>}
      {country !== '' && <span className="country">{country}</span>}
    </span>
  );
}

function Fields({ doc, fields }: { doc: Doc; fields: readonly Field[] }) {
  const groups = useMemo(() => groupFields(doc, fields), [doc, fields]);
  return (
    <div className="field-groups">
      {groups.map((g) => (
        <FieldGroup key={g.name} group={g} />
      ))}
    </div>
  );
}

function FieldGroup({ group }: { group: Group }) {
  const flags = flagsOf(group);
  return (
    <section className="field-group">
      <h3>{groupTitle(group.name)}</h3>
      <dl>
        {group.entries.map((e, i) =>
          flags?.at === i ? (
            <Flags key="flags" flags={flags.flags} />
          ) : flags?.flags.includes(e) ? null : (
            <div key={e.path} className="field">
              <dt title={[e.exp, e.help].filter((s) => s !== '').join(': ')}>{e.label}</dt>
              <dd>
                <FieldValues entry={e} />
              </dd>
            </div>
          ),
        )}
      </dl>
    </section>
  );
}

function Flags({ flags }: { flags: Entry[] }) {
  return (
    <div className="field">
      <dt title="packets with each TCP flag">Flags</dt>
      <dd>
        {flags.map((e) => (
          <ValueButton key={e.path} exp={e.exp} value={e.values[0] ?? 0} className={`flag num ${e.values[0] === 0 ? 'zero' : ''}`} title={e.help}>
            {flagName(e.path)} <b>{e.values.join(' ')}</b>
          </ValueButton>
        ))}
      </dd>
    </div>
  );
}

const SHOWN = 12;

function FieldValues({ entry }: { entry: Entry }) {
  const [all, setAll] = useState(false);
  const shown = all ? entry.values : entry.values.slice(0, SHOWN);
  const hidden = entry.values.length - shown.length;
  return (
    <>
      {shown.map((v, i) => (
        <ValueButton key={i} exp={entry.exp} value={entry.type === 'date' && typeof v === 'number' ? formatTime(v, true) : v} className={isCode(entry, v) ? 'mono' : 'num'}>
          {display(entry, v)}
        </ValueButton>
      ))}
      {hidden > 0 && (
        <button type="button" className="text-button" onClick={() => setAll(true)}>
          {hidden} more
        </button>
      )}
    </>
  );
}

/** Hashes, payload bytes and ids are compared letter by letter. */
const isCode = (entry: Entry, v: unknown): boolean =>
  typeof v === 'string' && (/payload8|ja3|ja4|md5|sha|hassh|hash|serial|community|sessionid|\.mac$|id$/i.test(entry.path) || /^[0-9a-f]{16,}$/i.test(v));
