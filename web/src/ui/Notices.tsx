import { Icon } from './Icon';

/** What is true of the answer beside its rows: corrupt files left out, parts of the link not understood. */
export function Notices({ texts }: { texts: readonly string[] }) {
  if (texts.length === 0) return null;
  return (
    <details className="notices" role="status">
      <summary>
        <Icon name="warning" size={14} />
        <span>{texts.length === 1 ? texts[0] : `${texts.length} warnings: ${texts[0] ?? ''}`}</span>
      </summary>
      <ul>
        {texts.map((t) => (
          <li key={t}>{t}</li>
        ))}
      </ul>
    </details>
  );
}
