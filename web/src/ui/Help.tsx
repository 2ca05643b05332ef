import { useEffect, useRef, useState } from 'react';
import type { Field } from '../api/types';
import { Icon } from './Icon';
import './help.css';

const KEYS: readonly (readonly [string[], string])[] = [
  [['Q'], 'to the search expression'],
  [['T'], 'to the time range'],
  [['S'], 'to the Sessions page'],
  [['Shift', 'Enter'], 'search, from anywhere'],
  [['↑', '↓'], 'from session to session'],
  [['Enter'], 'open or close the session'],
  [['Esc'], 'close what is open'],
  [['?'], 'this page'],
];

const SYNTAX: readonly (readonly [string, string])[] = [
  ['ip.src == 10.0.0.0/8 && port.dst == 443', 'both; && binds tighter than ||'],
  ['protocols == [dns,tls] || bytes >= 1000000', 'one of a list, or a size'],
  ['http.uri == "*login*"', 'wildcards: * and, with a *, also ?'],
  ['http.uri == "*login*"i', 'the letters A to Z in either case'],
  ['host == /.*\\.example\\.(com|net)/', 'a regular expression over the whole value'],
  ['ip == 10.1.2:53', 'a network in short, with a port'],
  ['port.dst == 8000-8100', 'a range, ends included'],
  ['tags != EXISTS!', 'the session has no such field'],
  ['!(country.dst == US || country.dst == CA)', 'not; parentheses group'],
];

/** Keys, the language in examples, and every field there is. */
export function Help({ fields, onClose, onUse }: { fields: readonly Field[]; onClose: () => void; onUse: (expression: string) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [wanted, setWanted] = useState('');
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const needle = wanted.trim().toLowerCase();
  const found = fields.filter((f) => f.exp !== '' && `${f.exp} ${f.friendlyName} ${f.help} ${f.group} ${f.aliases?.join(' ') ?? ''}`.toLowerCase().includes(needle));
  return (
    <dialog ref={dialog} className="help" aria-label="Help" onClose={onClose} onClick={(e) => e.target === dialog.current && dialog.current.close()}>
      <div className="help-body">
        <header>
          <h2>Help</h2>
          <button type="button" className="button bare square" aria-label="Close the help" onClick={() => dialog.current?.close()}><Icon name="close" /></button>
        </header>
        <div className="help-columns">
          <section>
            <h3>Expressions</h3>
            <ul className="help-syntax">
              {SYNTAX.map(([example, meaning]) => (
                <li key={example}>
                  <button type="button" className="mono" title="Put it into the search field" onClick={() => { onUse(example); dialog.current?.close(); }}>{example}</button>
                  <span>{meaning}</span>
                </li>
              ))}
            </ul>
          </section>
          <section>
            <h3>Keys</h3>
            <dl className="help-keys">
              {KEYS.map(([keys, meaning]) => (
                <div key={meaning}>
                  <dt>{keys.map((k) => <kbd key={k} className="key">{k}</kbd>)}</dt>
                  <dd>{meaning}</dd>
                </div>
              ))}
            </dl>
          </section>
        </div>
        <section>
          <div className="help-fields-head">
            <h3>Fields</h3>
            <input className="picker-search" type="search" placeholder="Find a field" aria-label="Find a field" value={wanted} onChange={(e) => setWanted(e.target.value)} />
            <span className="num">{found.length} of {fields.length}</span>
          </div>
          <div className="help-fields" tabIndex={0}>
            <table>
              <thead>
                <tr><th scope="col">Expression</th><th scope="col">Name</th><th scope="col">Group</th><th scope="col">Type</th><th scope="col">Meaning</th></tr>
              </thead>
              <tbody>
                {found.map((f) => (
                  <tr key={`${f.exp} ${f.dbField2}`}><td className="mono">{f.exp}</td><td>{f.friendlyName}</td><td>{f.group}</td><td>{f.type}</td><td>{f.help}</td></tr>
                ))}
              </tbody>
            </table>
          </div>
        </section>
        <p className="help-foot">
          All times are UTC. wirelake is free software under the Apache License 2.0; <a href="/licenses.txt" target="_blank" rel="noopener">licences of what it ships with</a>.
        </p>
      </div>
    </dialog>
  );
}
