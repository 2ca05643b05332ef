import { useCallback, useEffect, useState } from 'react';
import { pagePath, parseSearch, type Search } from './search';
import { load, save } from '../ui/storage';

const isRange = (v: unknown): v is string => typeof v === 'string';

/** The search as the address says it, and the way to change it. The address is the only home of the search. */
export function useLocation(): [Search, (change: Partial<Search>) => void] {
  const [search, setSearch] = useState(read);
  useEffect(() => {
    const moved = (): void => setSearch(read());
    addEventListener('popstate', moved);
    return () => removeEventListener('popstate', moved);
  }, []);
  const go = useCallback(
    (change: Partial<Search>) => {
      // openAll opens what a link points at; the next search is another.
      const next: Search = { ...search, openAll: false, problems: [], ...change };
      const path = pagePath(next);
      if (path !== location.pathname + location.search) history.pushState(null, '', path);
      if (next.time.kind === 'relative') save('date', String(next.time.hours));
      setSearch(next);
    },
    [search],
  );
  return [search, go];
}

/** Reads the address; what names no page or no time is completed in place, so that it can be copied. */
function read(): Search {
  const params = new URLSearchParams(location.search);
  const timeless = !params.has('date') && !(params.has('startTime') && params.has('stopTime'));
  if (location.pathname === '/' && timeless) params.set('date', load('date', '1', isRange));
  const search = parseSearch(params, Date.now());
  if (location.pathname !== '/sessions' || timeless) history.replaceState(null, '', pagePath(search));
  return search;
}
