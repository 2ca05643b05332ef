/**
 * Tokens of the expression language, for colouring and completion. The server parses for good; this accepts everything, as a
 * text being typed is wrong most of the time.
 */

export type TokenKind = 'word' | 'string' | 'regex' | 'operator' | 'logic' | 'not' | 'open' | 'close' | 'list' | 'other';

export interface Token {
  kind: TokenKind;
  text: string;
  /** UTF-16 offsets in the expression, end exclusive. */
  start: number;
  end: number;
  /** What the token is for, by its place. */
  role: 'field' | 'operator' | 'value' | 'logic' | 'paren' | 'unknown';
  /** A string, regex or list that is not closed. */
  open: boolean;
}

export type Expected = 'field' | 'operator' | 'value' | 'logic';

const BARE = /[-+a-zA-Z0-9_.@:*?/$!%\u0080-\uffff]/;

export function tokenize(expression: string): Token[] {
  const tokens: Token[] = [];
  let expected: Expected = 'field';
  let at = 0;
  while (at < expression.length) {
    const c = expression.charAt(at);
    if (/\s/.test(c)) {
      at++;
      continue;
    }
    const [kind, end, open] = scan(expression, at, expected);
    const [role, next] = place(kind, expected);
    tokens.push({ kind, text: expression.slice(at, end), start: at, end, role, open });
    expected = next;
    at = end;
  }
  return tokens;
}

function scan(s: string, at: number, expected: Expected): [TokenKind, number, boolean] {
  const c = s.charAt(at);
  const two = s.slice(at, at + 2);
  if (two === '&&' || two === '||') return ['logic', at + 2, false];
  if (c === '&' || c === '|') return ['logic', at + 1, false];
  if (two === '==' || two === '!=' || two === '<=' || two === '>=') return ['operator', at + 2, false];
  if (c === '=' || c === '<' || c === '>') return ['operator', at + 1, false];
  if (c === '!') return ['not', at + 1, false];
  if (c === '(') return ['open', at + 1, false];
  if (c === ')') return ['close', at + 1, false];
  if (c === '"') {
    const [end, open] = until(s, at, '"');
    // An i right behind the quote is for any case.
    const anyCase = !open && s.charAt(end) === 'i' && !BARE.test(s.charAt(end + 1));
    return ['string', anyCase ? end + 1 : end, open];
  }
  if (expected === 'value') {
    if (c === '/') return ['regex', ...until(s, at, '/')];
    if (c === '[') return ['list', ...until(s, at, ']')];
    if (c === ']') return ['list', ...until(s, at, '[')];
  }
  if (!BARE.test(c)) return ['other', at + 1, false];
  let end = at + 1;
  while (end < s.length && BARE.test(s.charAt(end))) {
    // `!` belongs to EXISTS! only; elsewhere it begins the next operator.
    if (s.charAt(end) === '!' && s.slice(at, end) !== 'EXISTS') break;
    end++;
  }
  return ['word', end, false];
}

/** The end of what `close` closes, skipping what a backslash escapes. */
function until(s: string, at: number, close: string): [number, boolean] {
  for (let i = at + 1; i < s.length; i++) {
    if (s.charAt(i) === '\\') i++;
    else if (s.charAt(i) === close) return [i + 1, false];
  }
  return [s.length, true];
}

function place(kind: TokenKind, expected: Expected): [Token['role'], Expected] {
  switch (kind) {
    case 'logic':
      return ['logic', 'field'];
    case 'not':
      return ['logic', 'field'];
    case 'open':
      return ['paren', 'field'];
    case 'close':
      return ['paren', 'logic'];
    case 'operator':
      return ['operator', 'value'];
    case 'word':
      if (expected === 'field') return ['field', 'operator'];
      return expected === 'value' ? ['value', 'logic'] : ['unknown', expected];
    case 'string':
    case 'regex':
    case 'list':
      return expected === 'value' ? ['value', 'logic'] : ['unknown', expected];
    default:
      return ['unknown', expected];
  }
}

/** What may follow the tokens before `at`, and the token being typed there. */
export interface Context {
  expected: Expected;
  /** The token that ends at or contains the caret, when the caret may still change it. */
  current: Token | undefined;
  /** The field that the operator or value belongs to. */
  field: string;
}

export function contextAt(expression: string, caret: number): Context {
  const tokens = tokenize(expression);
  let current: Token | undefined;
  let expected: Expected = 'field';
  let field = '';
  for (const t of tokens) {
    if (t.start >= caret) break;
    if (caret <= t.end && isTyped(t, caret)) {
      current = t;
      break;
    }
    if (t.role === 'field') field = t.text;
    expected = place(t.kind, expected)[1];
  }
  // An operator half typed ("=", "!") is completed as an operator, not as what would follow it.
  if (current?.kind === 'not' && expected === 'field') current = undefined;
  return { expected, current, field };
}

function isTyped(t: Token, caret: number): boolean {
  switch (t.kind) {
    case 'word':
      return true;
    case 'string':
    case 'regex':
    case 'list':
      return t.open || caret < t.end;
    case 'not':
    case 'other':
      return true;
    default:
      return caret < t.end;
  }
}

/** The UTF-16 range that the server's column and length (code points, from 1) point at; without a length, the token there. */
export function errorRange(expression: string, column: number, length = 0): [number, number] {
  const points = Array.from(expression);
  const start = points.slice(0, column - 1).join('').length;
  if (length > 0) return [start, start + points.slice(column - 1, column - 1 + length).join('').length];
  const token = tokenize(expression).find((t) => t.start <= start && start < t.end);
  return [start, token ? token.end : Math.min(start + 1, expression.length)];
}
