import { Icon } from './Icon';
import './ui.css';

/** The browser's own select, dressed: it works with every keyboard, screen reader and phone. */
export function Select<T extends string | number>(props: {
  label: string;
  /** Shown before the value; the label alone is for screen readers. */
  prefix?: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
  small?: boolean;
  title?: string;
  className?: string;
}) {
  return (
    <label className={`select ${props.small ? 'small' : ''} ${props.className ?? ''}`} title={props.title}>
      {props.prefix !== undefined && <span aria-hidden="true">{props.prefix}</span>}
      <select
        aria-label={props.label}
        value={props.value}
        onChange={(e) => {
          const chosen = props.options[e.target.selectedIndex];
          if (chosen) props.onChange(chosen[0]);
        }}
      >
        {props.options.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
      <Icon name="down" size={12} />
    </label>
  );
}
