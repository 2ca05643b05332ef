import { useCallback, useEffect, useState } from 'react';
import { ApiError, getSensors } from '../api/client';
import { extend, type History, type SensorsAnswer } from './sensors';

/** Sensors write every ten seconds; asked twice as often, what is shown is at most fifteen seconds old. */
const EVERY = 5000;

export interface Sensors {
  answer: SensorsAnswer | undefined;
  history: History;
  /** Of the last question; the answer before it stays. */
  error: ApiError | undefined;
  /** By the browser's clock, in ms. */
  heard: number;
}

const NOTHING: Sensors = { answer: undefined, history: new Map(), error: undefined, heard: 0 };

/** Asks again and again while the page is looked at, and `again` asks at once. */
export function useSensors(): [Sensors, () => void] {
  const [sensors, setSensors] = useState(NOTHING);
  const [run, setRun] = useState(0);
  const again = useCallback(() => setRun((n) => n + 1), []);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = (): void => {
      getSensors(abort.signal)
        .then(
          (answer) => setSensors((s) => ({ answer, history: extend(s.history, answer.sensors), error: undefined, heard: Date.now() })),
          (err: unknown) => {
            if (!abort.signal.aborted) setSensors((s) => ({ ...s, error: err instanceof ApiError ? err : new ApiError(String(err), 0) }));
          },
        )
        .finally(() => {
          if (!abort.signal.aborted && !document.hidden) timer = setTimeout(ask, EVERY);
        });
    };
    const seen = (): void => {
      if (!document.hidden) again();
    };
    ask();
    document.addEventListener('visibilitychange', seen);
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
    };
  }, [run, again]);
  return [sensors, again];
}
