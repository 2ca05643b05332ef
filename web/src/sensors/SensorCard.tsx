import type { ReactNode } from 'react';
import { formatBitRate, formatBytes, formatCount, formatShort } from '../format';
import { formatTime } from '../search/time';
import { Icon } from '../ui/Icon';
import { formatAge, type Sample, type Sensor, type Source, sum } from './sensors';
import { Sparkline } from './Sparkline';

/** One sensor: its state and measures, what it takes packets from, and the rest on demand. */
export function SensorCard({ sensor: s, samples, now }: { sensor: Sensor; samples: readonly Sample[]; now: number }) {
  const past = s.condition === 'stale' || s.condition === 'stopped'; // its rates are of then
  const drops = sum(s, 'dropsPerSecond');
  const id = `sensor-${s.name}`;
  return (
    <section className={`sensor ${s.condition}`} aria-labelledby={id}>
      <header className="sensor-head">
        <h2 id={id}>{s.name}</h2>
        <span className={`state ${s.condition}`}>{s.condition}</span>
        <span className="sensor-age num" title={`Status of ${formatTime(s.written, true)}`}>
          {past ? `last heard of ${formatAge(s.ageSeconds)} ago` : `${formatAge(s.ageSeconds)} ago`}
        </span>
      </header>
      {s.problems.length > 0 && (
        <ul className="sensor-problems">
          {s.problems.map((p) => (
            <li key={p}><Icon name="warning" size={14} />{p}</li>
          ))}
        </ul>
      )}
      <div className="sensor-now">
        <dl className="sensor-measures">
          {!past && (
            <>
              <Measure label="Traffic" value={formatBitRate(sum(s, 'bitsPerSecond'))} />
              <Measure label="Packets" value={`${formatShort(sum(s, 'packetsPerSecond'))}/s`} />
              <Measure label="Drops" value={`${rate(drops)}/s`} bad={drops > 0} />
            </>
          )}
          <Measure label="Lost" value={formatCount(s.lost)} bad={s.lost > 0} title="Packets since the sensor started, of all causes" />
          <Measure label="Not sent yet" value={formatBytes(s.spool.backlogBytes)} bad={s.spool.full} title={backlogTitle(s)} />
          <Measure label="Oldest unsent" value={s.spool.oldestUnsent === 0 ? '–' : formatAge(Math.max(0, now - s.spool.oldestUnsent) / 1000)} title={s.spool.oldestUnsent === 0 ? '' : `Packet of ${formatTime(s.spool.oldestUnsent, true)}`} />
        </dl>
        {!past && <Sparkline samples={samples} />}
      </div>
      <Sources sources={s.sources} past={past} />
      <Details sensor={s} now={now} />
    </section>
  );
}

function Measure({ label, value, bad = false, title = '' }: { label: string; value: string; bad?: boolean; title?: string }) {
  return (
    <div className={`sensor-measure ${bad ? 'bad' : ''}`} title={title || undefined}>
      <dt>{label}</dt>
      <dd className="num">{value}</dd>
    </div>
  );
}

/** Few drops a second are still drops. */
const rate = (n: number): string => (n > 0 && n < 9.95 ? n.toFixed(1) : formatShort(n));

const backlogTitle = (s: Sensor): string =>
  [
    s.spool.quotaBytes > 0 ? `of ${formatBytes(s.spool.quotaBytes)} allowed` : '',
    s.spool.freeBytes > 0 ? `${formatBytes(s.spool.freeBytes)} free on the disk` : '',
    s.spool.policy === '' ? '' : `when full: ${s.spool.policy}`,
  ]
    .filter((t) => t !== '')
    .join(', ');

function Sources({ sources, past }: { sources: readonly Source[]; past: boolean }) {
  if (sources.length === 0) return <p className="sensor-none">No source of packets</p>;
  return (
    <table className="sensor-sources">
      <thead>
        <tr>
          <th scope="col">Interface</th>
          <th scope="col" className="right">Traffic</th>
          <th scope="col" className="right">Packets/s</th>
          <th scope="col" className="right">Drops/s</th>
          <th scope="col" className="right">Dropped</th>
        </tr>
      </thead>
      <tbody>
        {sources.map((i) => (
          <SourceRows key={i.name} source={i} past={past} />
        ))}
      </tbody>
    </table>
  );
}

function SourceRows({ source: i, past }: { source: Source; past: boolean }) {
  const bad = (n: number): string => `right num ${n > 0 ? 'bad' : ''}`;
  return (
    <>
      <tr>
        <th scope="row">
          <span className={`dot ${past ? '' : i.up ? 'up' : 'down'}`} />
          <span className="source-name">{i.name}</span>
          <span className="source-kind">{past ? i.kind : i.up ? i.kind : 'down'}</span>
        </th>
        <td className="right num">{past ? '–' : formatBitRate(i.bitsPerSecond)}</td>
        <td className="right num">{past ? '–' : formatShort(i.packetsPerSecond)}</td>
        <td className={past ? 'right num' : bad(i.dropsPerSecond)}>{past ? '–' : rate(i.dropsPerSecond)}</td>
        <td className={bad(i.drops)}>{formatCount(i.drops)}</td>
      </tr>
      {i.error !== '' && (
        <tr className="source-error">
          <td colSpan={5}>{i.error}</td>
        </tr>
      )}
    </>
  );
}

function Details({ sensor: s, now }: { sensor: Sensor; now: number }) {
  const facts: [string, ReactNode][] = [];
  const add = (label: string, value: ReactNode): void => {
    if (value !== '') facts.push([label, value]);
  };
  for (const [cause, n] of s.losses) add(`Lost: ${cause}`, <span className="bad">{formatCount(n)}</span>);
  add('Duplicates left out', s.duplicates > 0 ? formatCount(s.duplicates) : '');
  const malformed = sum(s, 'malformed');
  add('Malformed, left out', malformed > 0 ? formatCount(malformed) : '');
  add('Packets', formatCount(sum(s, 'packets')));
  add('Sealed', s.sealed.rawBytes > 0 ? `${formatBytes(s.sealed.rawBytes)} into ${formatBytes(s.sealed.bytes)}` : '');
  add('Cut by rule', s.sealed.cutPackets > 0 ? `${formatBytes(s.sealed.cutBytes)} of ${formatCount(s.sealed.cutPackets)} packets` : '');
  add('Uploaded', `${formatBytes(s.uploads.bytes)} in ${formatCount(s.uploads.chunks)} chunks`);
  add('Uploads tried again', s.uploads.failures > 0 ? formatCount(s.uploads.failures) : '');
  add('Clock', s.clockOffset === undefined ? '' : `${s.clockOffset >= 0 ? '+' : '−'}${Math.abs(s.clockOffset).toFixed(1)} s to the store's`);
  add('Running for', s.started === 0 || s.condition === 'stopped' ? '' : formatAge(Math.max(0, now - s.started) / 1000));
  add('Host', s.host);
  add('Program', s.program);
  if (s.lastError) add('Last error', `${formatAge(Math.max(0, now - s.lastError.time) / 1000)} ago: ${s.lastError.text}`);
  return (
    <details className="sensor-more">
      <summary>More of {s.name}</summary>
      <dl>
        {facts.map(([label, value]) => (
          <div key={label} className="field">
            <dt>{label}</dt>
            <dd className="num">{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
