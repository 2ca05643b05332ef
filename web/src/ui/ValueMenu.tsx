import { createContext, type MouseEvent, type ReactNode, use, useCallback, useMemo, useState } from 'react';
import type { Value } from '../api/document';
import { differs, equals, exists } from '../expression/clause';
import { Icon } from './Icon';
import { Panel } from './Popover';
import { copyText, useToast } from './toast';

export interface MenuTarget {
  /** Name in the expression language; empty when the value can only be copied. */
  exp: string;
  value: Value;
}

interface Menus {
  open: (e: MouseEvent<HTMLElement>, target: MenuTarget) => void;
}

const Context = createContext<Menus>({ open: () => undefined });

/** What a click on a value offers: narrow the search by it, widen it, copy it. */
export function ValueMenuProvider(props: {
  children: ReactNode;
  /** Adds a clause to the search. */
  narrow: (join: '&&' | '||', clause: string) => void;
  /** The page's URL for a search of this clause alone, in the same time. */
  linkTo: (clause: string) => string;
}) {
  const [at, setAt] = useState<{ anchor: DOMRect; target: MenuTarget }>();
  const { say } = useToast();
  const open = useCallback((e: MouseEvent<HTMLElement>, target: MenuTarget) => {
    e.stopPropagation();
    setAt({ anchor: e.currentTarget.getBoundingClientRect(), target });
  }, []);
  const menus = useMemo(() => ({ open }), [open]);
  const close = (): void => setAt(undefined);
  return (
    <Context value={menus}>
      {props.children}
      {at && (
        <Panel anchor={at.anchor} onClose={close} label={`Actions for ${at.target.value}`} role="menu" className="value-menu">
          <ValueMenu
            target={at.target}
            close={close}
            narrow={props.narrow}
            linkTo={props.linkTo}
            copied={(ok) => say(ok ? 'Copied' : 'The browser does not allow copying', !ok)}
          />
        </Panel>
      )}
    </Context>
  );
}

function ValueMenu(props: {
  target: MenuTarget;
  close: () => void;
  narrow: (join: '&&' | '||', clause: string) => void;
  linkTo: (clause: string) => string;
  copied: (ok: boolean) => void;
}) {
  const { exp, value } = props.target;
  const run = (action: () => void) => () => {
    props.close();
    action();
  };
  const copy = run(() => void copyText(String(value)).then(props.copied));
  return (
    <>
      <div className="menu-head mono value-menu-head">{exp === '' ? String(value) : equals(exp, value)}</div>
      {exp !== '' && (
        <>
          <Item icon="plus" label="And" note="&&" onClick={run(() => props.narrow('&&', equals(exp, value)))} />
          <Item icon="minus" label="And not" note="!=" onClick={run(() => props.narrow('&&', differs(exp, value)))} />
          <Item icon="or" label="Or" note="||" onClick={run(() => props.narrow('||', equals(exp, value)))} />
          <Item icon="exists" label="Field exists" note="EXISTS!" onClick={run(() => props.narrow('&&', exists(exp)))} />
          <div className="menu-line" role="separator" />
        </>
      )}
      <Item icon="copy" label="Copy value" onClick={copy} />
      {exp !== '' && (
        <a className="menu-item" role="menuitem" href={props.linkTo(equals(exp, value))} target="_blank" rel="noopener" onClick={props.close}>
          <Icon name="external" />
          Search in a new tab
        </a>
      )}
    </>
  );
}

function Item(props: { icon: Parameters<typeof Icon>[0]['name']; label: string; note?: string; onClick: () => void }) {
  return (
    <button type="button" className="menu-item" role="menuitem" onClick={props.onClick}>
      <Icon name={props.icon} />
      {props.label}
      {props.note !== undefined && <span className="menu-note mono">{props.note}</span>}
    </button>
  );
}

/** A value that can be clicked. `quiet` leaves it out of the tab order: a table has thousands, and the opened session has all of them again. */
export function ValueButton(props: { exp: string; value: Value; children?: ReactNode; className?: string; title?: string; quiet?: boolean }) {
  const { open } = use(Context);
  return (
    <button
      type="button"
      className={`value ${props.className ?? ''}`}
      title={props.title}
      tabIndex={props.quiet ? -1 : undefined}
      aria-haspopup="menu"
      onClick={(e) => open(e, { exp: props.exp, value: props.value })}
    >
      {props.children ?? String(props.value)}
    </button>
  );
}
