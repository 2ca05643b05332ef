import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError, getSessions } from '../api/client';
import type { Graph, SessionsAnswer } from '../api/types';
import { type Search, toQueryParams, toSessionsParams } from './search';

/** What the last answer, or error, left behind. */
interface Settled {
  answer: SessionsAnswer | undefined;
  /** Kept while only the page or the order changes: the timeline is the same then. */
  graph: Graph;
  error: ApiError | undefined;
  /** ms that the last answer took. */
  took: number | undefined;
  /** The question it belongs to. */
  key: string;
}

export interface Sessions extends Settled {
  running: boolean;
  cancelled: boolean;
}

const NOTHING: Settled = { answer: undefined, graph: {}, error: undefined, took: undefined, key: '' };

/**
 * Runs the search whenever what it asks for changes, or `run` grows. A newer search cancels the older one, so that no late
 * answer replaces a newer. Nothing is asked before `ready`.
 */
export function useSessions(search: Search, paths: readonly string[], run: number, ready: boolean): [Sessions, () => void] {
  const [settled, setSettled] = useState(NOTHING);
  const [cancelledKey, setCancelledKey] = useState('');
  const controller = useRef<AbortController>(undefined);
  const graphKey = useRef('');
  // The chart's look is no question to the server.
  const question = toSessionsParams(search, [...paths], true).toString();
  const counted = `${run} ${search.interval} ${toQueryParams(search).toString()}`;
  const key = `${run} ${question}`;
  useEffect(() => {
    if (!ready) return;
    const abort = new AbortController();
    controller.current = abort;
    const withGraph = counted !== graphKey.current;
    const params = new URLSearchParams(question);
    if (!withGraph) params.delete('facets');
    const began = performance.now();
    getSessions(params, abort.signal).then(
      (answer) => {
        if (abort.signal.aborted) return;
        graphKey.current = counted;
        const took = performance.now() - began;
        setSettled((s) => ({ answer, graph: withGraph ? answer.graph : s.graph, error: undefined, took, key }));
      },
      (err: unknown) => {
        if (abort.signal.aborted) return;
        graphKey.current = '';
        setSettled({ ...NOTHING, error: err instanceof ApiError ? err : new ApiError(String(err), 0), key });
      },
    );
    return () => abort.abort();
  }, [question, counted, key, ready]);
  const cancel = useCallback(() => {
    controller.current?.abort();
    setCancelledKey(key);
  }, [key]);
  const cancelled = cancelledKey === key;
  return [{ ...settled, running: settled.key !== key && !cancelled, cancelled }, cancel];
}
