import { memo, useEffect, useMemo, useState } from 'react';
import { ApiError, getPackets } from '../api/client';
import type { Packet, PacketsAnswer } from '../api/types';
import { formatBytes, formatCount } from '../format';
import { formatTime } from '../search/time';
import { useMedia } from '../ui/hooks';
import { Icon } from '../ui/Icon';
import { Select } from '../ui/Select';
import { isBoolean, isOneOf, useStored } from '../ui/storage';
import { asciiText, type Base, BASES, hexLines, naturalText, utf8Text } from './payload';

const LIMITS = [50, 100, 200, 500, 1000, 2000] as const;
const BASE_NAMES: Record<Base, string> = { hex: 'Hex', ascii: 'ASCII', utf8: 'UTF-8', natural: 'Natural' };

const isBase = isOneOf(BASES);
const isLimit = isOneOf(LIMITS);

/** The session's packets in time order, each direction in its colour. */
export const Packets = memo(function Packets({ id, node }: { id: string; node: string }) {
  const [base, setBase] = useStored<Base>('packets.base', 'hex', isBase);
  const [limit, setLimit] = useStored<number>('packets.limit', 200, isLimit);
  const [headers, setHeaders] = useStored('packets.frames', false, isBoolean);
  const [times, setTimes] = useStored('packets.times', true, isBoolean);
  const [empty, setEmpty] = useStored('packets.empty', true, isBoolean);
  const [hidden, setHidden] = useState<'src' | 'dst'>();
  const [answer, error] = usePackets(id, node, limit);
  // Where no packet has a payload (ARP, a port scan), the headers are what there is to see.
  const bare = answer?.packets.every((p) => p.payloadLength === 0) ?? false;
  const frames = headers || bare;
  const shown = answer?.packets.filter((p) => (hidden === undefined || p.src === (hidden === 'dst')) && (empty || frames || p.payloadLength > 0)) ?? [];
  const first = answer?.packets[0]?.time ?? 0;
  const sides = useMemo(() => countSides(answer), [answer]);
  const toggleSide = (side: 'src' | 'dst'): void => setHidden(hidden === side ? undefined : side);
  return (
    <section className="packets" aria-label="Packets">
      <div className="packets-bar" role="toolbar" aria-label="How packets are shown">
        <h3>Packets</h3>
        <div className="group" role="group" aria-label="Bytes as">
          {BASES.map((b) => (
            <button key={b} type="button" className="button small" aria-pressed={b === base} onClick={() => setBase(b)}>
              {BASE_NAMES[b]}
            </button>
          ))}
        </div>
        <div className="group" role="group" aria-label="Directions">
          <button type="button" className="button small side src" aria-pressed={hidden !== 'src'} onClick={() => toggleSide('src')} title="Show what the source sent">
            <i className="swatch src" />Source <span className="num side-count">{formatBytes(sides.src)}</span>
          </button>
          <button type="button" className="button small side dst" aria-pressed={hidden !== 'dst'} onClick={() => toggleSide('dst')} title="Show what the destination sent">
            <i className="swatch dst" />Destination <span className="num side-count">{formatBytes(sides.dst)}</span>
          </button>
        </div>
        <Check label="Headers" title="Show the whole frame, link layer and all" checked={frames} disabled={bare} onChange={setHeaders} />
        <Check label="Empty packets" title="Show packets without payload" checked={empty} onChange={setEmpty} />
        <Check label="Timestamps" title="Show when, and what, each packet was" checked={times} onChange={setTimes} />
        <Select small label="Packets at most" value={limit} options={LIMITS.map((n) => [n, `${formatCount(n)} packets`] as const)} onChange={setLimit} />
      </div>
      {answer?.warnings.map((w) => (
        <p key={w} className="packets-warning"><Icon name="warning" size={14} />{w}</p>
      ))}
      {error && <p className="detail-error" role="alert">{error.message}</p>}
      {!answer && !error && <p className="detail-wait">Fetching packets…</p>}
      {answer?.packets.length === 0 && <p className="detail-wait">This session has no packets.</p>}
      {answer && answer.packets.length > 0 && shown.length === 0 && <p className="detail-wait">All {answer.packets.length} packets are hidden by the switches above.</p>}
      {shown.length > 0 && (
        <div className="packet-list" role="list">
          {shown.map((p) => (
            <PacketBlock key={p.n} packet={p} base={base} frames={frames} times={times} first={first} />
          ))}
        </div>
      )}
      {answer && (answer.truncated || answer.total > answer.packets.length) && (
        <p className="packets-more">
          The first {formatCount(answer.packets.length)} of {formatCount(answer.total)} packets.
          {answer.packets.length < (LIMITS.at(-1) ?? 0) ? ' Raise the limit above, or take them all as PCAP.' : ' Take them all as PCAP.'}
        </p>
      )}
    </section>
  );
});

function usePackets(id: string, node: string, limit: number): [PacketsAnswer | undefined, ApiError | undefined] {
  const [state, setState] = useState<{ answer?: PacketsAnswer; error?: ApiError }>({});
  useEffect(() => {
    const abort = new AbortController();
    getPackets({ id, node }, limit, abort.signal).then(
      (answer) => setState({ answer }),
      (err: unknown) => {
        if (!abort.signal.aborted) setState({ error: err instanceof ApiError ? err : new ApiError(String(err), 0) });
      },
    );
    return () => abort.abort();
  }, [id, node, limit]);
  return [state.answer, state.error];
}

function countSides(answer: PacketsAnswer | undefined): { src: number; dst: number } {
  const sum = { src: 0, dst: 0 };
  for (const p of answer?.packets ?? []) sum[p.src ? 'src' : 'dst'] += p.payloadLength;
  return sum;
}

function Check(props: { label: string; title: string; checked: boolean; disabled?: boolean; onChange: (on: boolean) => void }) {
  return (
    <label className="check" title={props.title}>
      <input type="checkbox" checked={props.checked} disabled={props.disabled} onChange={(e) => props.onChange(e.target.checked)} />
      {props.label}
    </label>
  );
}

const PacketBlock = memo(function PacketBlock({ packet, base, frames, times, first }: {
  packet: Packet;
  base: Base;
  frames: boolean;
  times: boolean;
  first: number;
}) {
  const payload = packet.bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
  const bytes = frames ? packet.bytes : payload;
  const cut = packet.captured < packet.length;
  return (
    <article className={`packet ${packet.src ? 'src' : 'dst'}`} role="listitem" data-packet={packet.n}>
      {times && (
        <header className="num">
          <span className="packet-n">{packet.n}</span>
          <span className="packet-direction" title={packet.src ? 'from the source' : 'from the destination'}>{packet.src ? '→' : '←'}</span>
          <span className="packet-time">{formatTime(packet.time).slice(0, 19)}<span className="packet-fraction">{fraction(packet.time)}</span></span>
          <span className="packet-delta">{delta(packet.time - first)}</span>
          <span className="packet-summary mono">{packet.summary}</span>
          <span className="packet-length">
            {formatCount(packet.payloadLength)} of {formatCount(packet.length)} B{cut ? ` (${formatCount(packet.captured)} captured)` : ''}
          </span>
        </header>
      )}
      {bytes.length > 0 && (base === 'hex' ? <Hex bytes={bytes} headers={frames ? packet.payloadOffset : 0} /> : <pre className="payload">{asText(bytes, base)}</pre>)}
    </article>
  );
});

/** Microseconds: what the time holds beyond the second. A double of ms since 1970 has no more than that. */
const fraction = (ms: number): string => `.${String(Math.round((((ms % 1000) + 1000) % 1000) * 1000)).padStart(6, '0')}`;

const delta = (ms: number): string => `${ms < 0 ? '−' : '+'}${(Math.abs(ms) / 1000).toFixed(6)} s`;

function asText(bytes: Uint8Array, base: Exclude<Base, 'hex'>): string {
  switch (base) {
    case 'ascii':
      return asciiText(bytes);
    case 'utf8':
      return utf8Text(bytes);
    case 'natural':
      return naturalText(bytes);
  }
}

/** Three columns of text, so that each can be selected and copied alone; headers step back behind the payload. */
function Hex({ bytes, headers }: { bytes: Uint8Array; headers: number }) {
  const wide = useMedia('(min-width: 720px)');
  const width = wide ? 16 : 8;
  const lines = hexLines(bytes, width);
  const whole = Math.floor(headers / width);
  const split = (text: (l: (typeof lines)[number]) => string, at: number) => {
    const all = lines.map(text);
    if (headers === 0) return all.join('\n');
    const before = [...all.slice(0, whole), all[whole]?.slice(0, at) ?? ''].join('\n');
    const after = [all[whole]?.slice(at) ?? '', ...all.slice(whole + 1)].join('\n');
    return (
      <>
        <span className="hex-header">{before}</span>
        {after}
      </>
    );
  };
  const rest = headers % width;
  const hexAt = rest * 3 + (rest > 8 ? 1 : 0);
  return (
    <div className="hex mono">
      <pre className="hex-offset" aria-hidden="true">{lines.map((l) => l.offset).join('\n')}</pre>
      <pre className="hex-bytes">{split((l) => l.hex, hexAt)}</pre>
      <pre className="hex-ascii">{split((l) => l.ascii, rest)}</pre>
    </div>
  );
}
