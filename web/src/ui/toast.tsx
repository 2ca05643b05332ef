import { createContext, type ReactNode, use, useCallback, useMemo, useState } from 'react';

interface Toasts {
  say: (text: string, bad?: boolean) => void;
}

const Context = createContext<Toasts>({ say: () => undefined });

export const useToast = (): Toasts => use(Context);

/** One short message at a time, at the foot of the page, read out by screen readers. */
export function ToastProvider({ children }: { children: ReactNode }) {
  const [message, setMessage] = useState<{ text: string; bad: boolean; n: number }>();
  const say = useCallback((text: string, bad = false) => {
    setMessage((before) => {
      const n = (before?.n ?? 0) + 1;
      setTimeout(() => setMessage((now) => (now?.n === n ? undefined : now)), bad ? 9000 : 2500);
      return { text, bad, n };
    });
  }, []);
  const value = useMemo(() => ({ say }), [say]);
  return (
    <Context value={value}>
      {children}
      <div role="status" aria-live="polite">
        {message && <div className={`toast ${message.bad ? 'bad' : ''}`}>{message.text}</div>}
      </div>
    </Context>
  );
}

/** Writes to the clipboard, also on plain HTTP, where the modern interface does not exist. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.style.position = 'fixed';
    area.style.opacity = '0';
    document.body.append(area);
    area.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way without a secure context
    const copied = document.execCommand('copy');
    area.remove();
    return copied;
  }
}
