import { useState } from 'react';
import { Icon } from './Icon';

const THEMES = ['system', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];

/** public/theme.js reads the same key before the first paint; it is plain text, not JSON. */
const KEY = 'wirelake.theme';

function current(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
}

export function ThemeToggle() {
  const [theme, setTheme] = useState(current);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system';
  const choose = (): void => {
    setTheme(next);
    if (next === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // Blocked: the choice holds for this page.
    }
  };
  return (
    <button type="button" className="button bare square" aria-label={`Theme: ${theme}. Change to ${next}`} title={`Theme: ${theme}`} onClick={choose}>
      <Icon name={theme === 'system' ? 'system' : theme === 'light' ? 'sun' : 'moon'} />
    </button>
  );
}
