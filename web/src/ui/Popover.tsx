import { type ReactNode, useId, useLayoutEffect, useRef, useState } from 'react';
import { createPortal } from 'react-dom';
import { useLeave } from './hooks';
import './ui.css';

interface Anchor {
  left: number;
  top: number;
  bottom: number;
  right: number;
}

/** A panel beside an anchor, moved and bounded so that all of it can be reached; closed by Escape or a press outside. */
export function Panel(props: {
  anchor: Anchor;
  onClose: () => void;
  label: string;
  role: 'menu' | 'dialog';
  className?: string;
  id?: string;
  children: ReactNode;
}) {
  const ref = useRef<HTMLDivElement>(null);
  const [position, setPosition] = useState({ left: props.anchor.left, top: props.anchor.bottom + 4 });
  useLeave(ref, true, props.onClose);
  useLayoutEffect(() => {
    const panel = ref.current;
    if (!panel) return;
    const { width, height } = panel.getBoundingClientRect();
    const margin = 8;
    const left = Math.max(margin, Math.min(props.anchor.left, innerWidth - width - margin));
    const below = props.anchor.bottom + 4;
    const above = props.anchor.top - height - 4;
    const fits = below + height <= innerHeight - margin;
    setPosition({ left, top: fits || above < margin ? Math.max(margin, Math.min(below, innerHeight - height - margin)) : above });
    const before = document.activeElement;
    (panel.querySelector<HTMLElement>('[autofocus], [role^=menuitem], input, button') ?? panel).focus();
    return () => {
      // The focus goes back to where the panel was opened from, unless the reader has put it elsewhere.
      if (before instanceof HTMLElement && (document.activeElement === document.body || panel.contains(document.activeElement))) before.focus();
    };
  }, [props.anchor]);
  return createPortal(
    <div
      ref={ref}
      id={props.id}
      className={`panel ${props.className ?? ''}`}
      role={props.role}
      aria-label={props.label}
      tabIndex={-1}
      style={position}
      onKeyDown={props.role === 'menu' ? moveInMenu : undefined}
    >
      {props.children}
    </div>,
    document.body,
  );
}

function moveInMenu(e: React.KeyboardEvent<HTMLElement>): void {
  const items = [...e.currentTarget.querySelectorAll<HTMLElement>('[role^=menuitem]:not(:disabled)')];
  const at = items.findIndex((i) => i === document.activeElement);
  const to =
    e.key === 'ArrowDown' ? at + 1 : e.key === 'ArrowUp' ? at - 1 + items.length : e.key === 'Home' ? 0 : e.key === 'End' ? items.length - 1 : undefined;
  if (to === undefined) return;
  e.preventDefault();
  items[to % items.length]?.focus();
}

/** A button that opens a panel. */
export function PopoverButton(props: {
  label: string;
  className?: string;
  title?: string;
  role: 'menu' | 'dialog';
  panelClassName?: string;
  disabled?: boolean;
  button: ReactNode;
  children: (close: () => void) => ReactNode;
}) {
  const [anchor, setAnchor] = useState<Anchor>();
  const ref = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = (): void => setAnchor(undefined);
  return (
    <>
      <button
        ref={ref}
        type="button"
        className={props.className}
        title={props.title}
        aria-label={props.label}
        aria-haspopup={props.role}
        aria-expanded={anchor !== undefined}
        aria-controls={anchor ? id : undefined}
        disabled={props.disabled}
        // The press that would close the open panel must not open it again.
        onPointerDown={(e) => anchor && e.stopPropagation()}
        onClick={() => setAnchor(anchor ? undefined : ref.current?.getBoundingClientRect())}
      >
        {props.button}
      </button>
      {anchor && (
        <Panel id={id} anchor={anchor} onClose={close} label={props.label} role={props.role} className={props.panelClassName ?? ''}>
          {props.children(close)}
        </Panel>
      )}
    </>
  );
}
