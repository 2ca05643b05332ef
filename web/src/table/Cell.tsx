import { Fragment } from 'react';
import { numberAt, textAt, values } from '../api/document';
import type { Doc } from '../api/types';
import { formatBytes, formatCount } from '../format';
import { formatClock, formatDate } from '../search/time';
import { ValueButton } from '../ui/ValueMenu';
import type { Column } from './columns';
import { type Fact, facts } from './info';

/** Names expressions by path; the registry behind it. */
export type ExpOf = (path: string) => string;

const SHOWN_VALUES = 3;

export function Cell({ doc, column, expOf }: { doc: Doc; column: Column; expOf: ExpOf }) {
  switch (column.kind) {
    case 'time':
      return <Time ms={numberAt(doc, column.id)} beside={column.id === 'lastPacket' ? numberAt(doc, 'firstPacket') : undefined} />;
    case 'ip':
      return <Address doc={doc} side={column.id.startsWith('source') ? 'source' : 'destination'} exp={column.exp} expOf={expOf} />;
    case 'bytes':
      return <Bytes doc={doc} path={column.id} />;
    case 'number': {
      const n = numberAt(doc, column.id);
      return <span className="num">{n === undefined ? <Absent /> : formatCount(n)}</span>;
    }
    case 'info':
      return <Info doc={doc} expOf={expOf} />;
    case 'text':
      return <Values doc={doc} column={column} />;
  }
}

const Absent = () => <span className="absent" aria-label="none">–</span>;

/** The date is the same in most rows: it steps back behind the time of day, and is left out when `beside` already says it. */
export function Time({ ms, beside }: { ms: number | undefined; beside?: number | undefined }) {
  if (ms === undefined) return <Absent />;
  const date = formatDate(ms);
  const said = beside !== undefined && formatDate(beside) === date;
  return (
    <span className="num" title={`${date} ${formatClock(ms, true)} UTC`}>
      {!said && <span className="time-date">{date} </span>}
      {formatClock(ms, true)}
    </span>
  );
}

export function Address({ doc, side, exp, expOf }: { doc: Doc; side: 'source' | 'destination'; exp: string; expOf: ExpOf }) {
  const ip = textAt(doc, `${side}.ip`);
  // What has no IP (ARP, IS-IS) still has two ends.
  const mac = textAt(doc, `${side}.mac`);
  const countryPath = `${side}.geo.country_iso_code`;
  const country = textAt(doc, countryPath);
  return (
    <span className="address">
      {ip !== '' && <ValueButton quiet exp={exp} value={ip} className="num" title={ip} />}
      {ip === '' && (mac === '' ? <Absent /> : <ValueButton quiet exp={expOf(`${side}.mac`)} value={mac} className="num mac" title={mac} />)}
      {country !== '' && (
        <ValueButton quiet exp={expOf(countryPath)} value={country} className="country" title={countryName(country)}>
          {country}
        </ValueButton>
      )}
    </span>
  );
}

const REGIONS = new Intl.DisplayNames('en', { type: 'region' });

function countryName(code: string): string {
  try {
    return REGIONS.of(code) ?? code;
  } catch {
    return code; // not a region's code: private addresses may have one of the operator's own
  }
}

const SIDES: Record<string, readonly [string, string]> = {
  'network.bytes': ['source.bytes', 'destination.bytes'],
  totDataBytes: ['client.bytes', 'server.bytes'],
};

/** The count, over a line that shows which side sent it. */
function Bytes({ doc, path }: { doc: Doc; path: string }) {
  const n = numberAt(doc, path);
  const [from, to] = SIDES[path] ?? ['', ''];
  const [src, dst] = [numberAt(doc, from) ?? 0, numberAt(doc, to) ?? 0];
  if (n === undefined) return <Absent />;
  const share = src + dst > 0 ? (src / (src + dst)) * 100 : undefined;
  return (
    <span className="bytes num" title={`${formatBytes(n)}: ${formatCount(src)} from the source, ${formatCount(dst)} from the destination`}>
      {formatCount(n)}
      {share !== undefined && <span className="share" style={{ '--share': `${share.toFixed(1)}%` } as React.CSSProperties} />}
    </span>
  );
}

function Values({ doc, column }: { doc: Doc; column: Column }) {
  const all = values(doc, column.id);
  // Port 0 says that the protocol has none.
  if (all.length === 0 || (column.id.endsWith('.port') && all[0] === 0)) return <Absent />;
  const shown = all.slice(0, SHOWN_VALUES);
  return (
    <span className="values" title={all.length > SHOWN_VALUES ? all.join(', ') : undefined}>
      {shown.map((v, i) => (
        <ValueButton key={i} quiet exp={column.exp} value={v} />
      ))}
      {all.length > shown.length && <span className="more">+{all.length - shown.length}</span>}
    </span>
  );
}

const SHOWN_FACTS = 6;
/** More of one kind (a page's hundred names) are counted, so that every kind can be seen. */
const SHOWN_OF_A_KIND = 3;

export function Info({ doc, expOf, all = false }: { doc: Doc; expOf: ExpOf; all?: boolean }) {
  const found = facts(doc);
  if (found.length === 0) return null;
  const groups: { label: string; path: string; facts: Fact[] }[] = [];
  for (const fact of found) {
    const last = groups.at(-1);
    if (last?.label === fact.label && last.path === fact.path) last.facts.push(fact);
    else groups.push({ label: fact.label, path: fact.path, facts: [fact] });
  }
  let left = all ? Infinity : SHOWN_FACTS;
  return (
    <span className="info">
      {groups.map((group, g) => {
        const shown = group.facts.slice(0, Math.min(left, all ? Infinity : SHOWN_OF_A_KIND));
        left -= shown.length;
        const hidden = group.facts.length - shown.length;
        if (shown.length === 0) return null;
        return (
          // The blanks are where a line may break.
          <Fragment key={g}>
            <span className="fact-group">
              {group.label !== '' && <span className="fact-label">{group.label} </span>}
              {shown.map((fact, i) => (
                <Fragment key={i}>
                  <ValueButton quiet exp={expOf(fact.path)} value={fact.text} className={`fact ${fact.kind} ${statusClass(fact)}`} title={fact.text} />{' '}
                </Fragment>
              ))}
              {hidden > 0 && <span className="more" title={group.facts.map((f) => f.text).join('\n')}>+{hidden}</span>}
            </span>{' '}
          </Fragment>
        );
      })}
    </span>
  );
}

const statusClass = (fact: Fact): string =>
  fact.path === 'http.statuscode' && /^[45]/.test(fact.text) ? 'failed' : '';
