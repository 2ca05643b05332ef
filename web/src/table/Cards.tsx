import { memo, type ReactNode } from 'react';
import { numberAt, values } from '../api/document';
import type { Doc } from '../api/types';
import { countOf, formatBytes } from '../format';
import { formatDuration } from '../search/time';
import { Icon } from '../ui/Icon';
import { Address, type ExpOf, Info, Time } from './Cell';
import type { RowsProps } from './SessionTable';

/** What the table shows, for a narrow screen: a session is a card, the two ends below each other. */
export function Cards({ docs, expOf, opened, onToggle, detail }: RowsProps) {
  return (
    <ul className="cards">
      {docs.map((doc) => (
        <Card key={doc.id} doc={doc} expOf={expOf} open={opened.has(doc.id)} onToggle={onToggle} detail={detail} />
      ))}
    </ul>
  );
}

const Card = memo(function Card({ doc, expOf, open, onToggle, detail }: {
  doc: Doc;
  expOf: ExpOf;
  open: boolean;
  onToggle: (id: string) => void;
  detail: (doc: Doc) => ReactNode;
}) {
  const first = numberAt(doc, 'firstPacket');
  const last = numberAt(doc, 'lastPacket');
  const packets = numberAt(doc, 'network.packets');
  const bytes = numberAt(doc, 'network.bytes');
  return (
    <li className={`card ${open ? 'open' : ''}`} data-session={doc.id}>
      <button type="button" className="card-head" aria-expanded={open} onClick={() => onToggle(doc.id)}>
        <Time ms={first} />
        {first !== undefined && last !== undefined && <span className="card-span num">{formatDuration(last - first)}</span>}
        <span className="card-protocols">{values(doc, 'protocol').join(' ')}</span>
        <Icon name="down" size={14} />
      </button>
      <div className="card-body">
        <End doc={doc} side="source" expOf={expOf} />
        <End doc={doc} side="destination" expOf={expOf} />
        <div className="card-counts num">
          {packets !== undefined && <span>{countOf(packets, 'packet')}</span>}
          {bytes !== undefined && <span>{formatBytes(bytes)}</span>}
        </div>
        <Info doc={doc} expOf={expOf} />
      </div>
      {open && <div className="detail-frame">{detail(doc)}</div>}
    </li>
  );
});

function End({ doc, side, expOf }: { doc: Doc; side: 'source' | 'destination'; expOf: ExpOf }) {
  return (
    <div className={`card-end ${side === 'source' ? 'src' : 'dst'}`}>
      <Address doc={doc} side={side} exp={expOf(`${side}.ip`)} expOf={expOf} />
      <span className="card-port num">{(numberAt(doc, `${side}.port`) ?? 0) || ''}</span>
    </div>
  );
}
