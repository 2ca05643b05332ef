import type { Graph } from '../api/types';
import { formatCount } from '../format';
import { type Column, INFO, pathsOf } from '../table/columns';
import { download } from '../ui/download';
import { Icon } from '../ui/Icon';
import { PopoverButton } from '../ui/Popover';
import { useToast } from '../ui/toast';
import { formatOrder, type Search, toQueryParams } from './search';

const FORMATS: readonly (readonly [string, string, string])[] = [
  ['pcap', 'Packets as PCAP', '.pcap'],
  ['pcapng', 'Packets as PCAPNG', '.pcapng'],
  ['csv', 'Sessions as CSV', '.csv'],
];

/** All sessions that match, not the page: the files are streamed by the server and by the browser. */
export function ExportMenu(props: { search: Search; graph: Graph; found: number | undefined; columns: readonly Column[] }) {
  const { say } = useToast();
  const { found } = props;
  return (
    <PopoverButton
      label="Export"
      title="Export the sessions that match"
      role="menu"
      className="button"
      disabled={found === undefined || found === 0}
      button={<><Icon name="download" size={14} /><span className="label">Export</span></>}
    >
      {(close) => (
        <>
          <div className="menu-head">{found === 1 ? 'The session found' : `All ${formatCount(found ?? 0)} sessions found`}</div>
          {FORMATS.map(([format, name, ending]) => {
            const url = exportUrl(format, props);
            return (
              <a
                key={format}
                className="menu-item"
                role="menuitem"
                href={url}
                onClick={(e) => {
                  e.preventDefault();
                  close();
                  download(url, (message) => say(message, true));
                }}
              >
                <Icon name="download" />
                {name}
                <span className="menu-note mono">{ending}</span>
              </a>
            );
          })}
        </>
      )}
    </PopoverButton>
  );
}

function exportUrl(format: string, { search, graph, columns }: { search: Search; graph: Graph; columns: readonly Column[] }): string {
  const params = toQueryParams(pinned(search, graph));
  params.set('order', formatOrder(search.order));
  if (format === 'csv') params.set('fields', pathsOf(columns.filter((c) => c.id !== INFO), []).join(','));
  return `/api/sessions.${format}?${params}`;
}

/** "The last hour" has moved on since the answer came: the file holds the sessions that are on the screen. */
function pinned(search: Search, graph: Graph): Search {
  const { xmin, xmax } = graph;
  if (search.time.kind === 'absolute' || search.time.hours === -1 || xmin === undefined || xmax === undefined) return search;
  return { ...search, time: { kind: 'absolute', start: Math.floor(xmin / 1000), stop: Math.ceil(xmax / 1000) } };
}
