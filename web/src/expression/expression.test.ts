import { describe, expect, it } from 'vitest';
import type { Field } from '../api/types';
import { append, equals, literal } from './clause';
import { complete } from './complete';
import { contextAt, errorRange, tokenize } from './tokens';

const field = (exp: string, type: string, more: Partial<Field> = {}): Field => ({
  exp, type, friendlyName: exp, group: 'general', help: '', dbField2: exp, ...more,
});
const fields = [
  field('ip', 'ip'),
  field('ip.src', 'ip', { friendlyName: 'Src IP', help: 'Source address', dbField2: 'source.ip' }),
  field('ip.dst', 'ip', { dbField2: 'destination.ip' }),
  field('http.uri', 'textfield', { friendlyName: 'URI' }),
  field('bytes', 'integer', { dbField2: 'network.bytes' }),
  field('protocols', 'termfield', { dbField2: 'protocol', aliases: ['proto'] }),
];
const labels = (text: string, samples: string[] = []) => {
  const caret = text.includes('|^') ? text.indexOf('|^') : text.length;
  return complete(text.replace('|^', ''), caret, fields, () => samples).items.map((i) => i.label);
};

describe('tokenize', () => {
  it('gives each token its role', () => {
    const text = '!(ip.src==10.0.0.0/8 && http.uri != "a \\" b*" || tags == [a,"b"]) && x == /a\\/b/ && y==EXISTS!';
    expect(tokenize(text).map((t) => [t.role, t.text])).toEqual([
      ['logic', '!'], ['paren', '('], ['field', 'ip.src'], ['operator', '=='], ['value', '10.0.0.0/8'], ['logic', '&&'],
      ['field', 'http.uri'], ['operator', '!='], ['value', '"a \\" b*"'], ['logic', '||'],
      ['field', 'tags'], ['operator', '=='], ['value', '[a,"b"]'], ['paren', ')'], ['logic', '&&'],
      ['field', 'x'], ['operator', '=='], ['value', '/a\\/b/'], ['logic', '&&'],
      ['field', 'y'], ['operator', '=='], ['value', 'EXISTS!'],
    ]);
  });
  it('takes an open string to the end', () => expect(tokenize('a == "b c').at(-1)).toMatchObject({ open: true, text: '"b c' }));
  it('takes the i for any case with its string, and no other', () => {
    expect(tokenize('a == "b c"i && d == "e"if').map((t) => t.text)).toEqual(['a', '==', '"b c"i', '&&', 'd', '==', '"e"', 'if']);
  });
  it('covers every character that is not blank', () => {
    const text = 'a%%^ == ]b,c[ ~ {';
    expect(tokenize(text).map((t) => t.text).join('')).toBe(text.replaceAll(' ', ''));
  });
});

describe('contextAt', () => {
  it.each([
    ['', 'field'], ['ip', 'field'], ['ip ', 'operator'], ['ip=', 'value'], ['ip ==', 'value'], ['ip == 1', 'value'], ['ip == 1 ', 'logic'],
    ['ip == 1 &&', 'field'], ['ip == 1 && (', 'field'], ['(ip == 1)', 'logic'], ['ip == "a b', 'value'], ['ip == "a b"', 'logic'], ['!', 'field'],
  ])('after %j comes %s', (text, want) => expect(contextAt(text, text.length).expected).toBe(want));
  it('knows the field of the value', () => expect(contextAt('a == 1 && b == ', 15).field).toBe('b'));
});

describe('complete', () => {
  it('prefers names that begin with what is typed', () => expect(labels('ip.')).toEqual(['ip.src', 'ip.dst']));
  it('finds by friendly name', () => expect(labels('source')).toEqual(['ip.src']));
  it('finds by alias', () => expect(labels('proto')).toEqual(['protocols']));
  it('offers order only for what is ordered', () => {
    expect(labels('bytes ')).toContain('>=');
    expect(labels('http.uri ')).toEqual(['==', '!=']);
  });
  it('offers values that were seen, and EXISTS!', () => expect(labels('protocols == ', ['http', 'dns'])).toEqual(['http', 'dns', 'EXISTS!']));
  it('narrows values', () => expect(labels('protocols == "ht', ['http', 'dns'])).toEqual(['http']));
  it('offers logic after a value', () => expect(labels('ip == 1 ')).toEqual(['&&', '||']));
  it('replaces the word under the caret only', () => {
    const text = 'ip.s == 1 && bytes > 2';
    expect(complete(text, 4, fields, () => [])).toMatchObject({ from: 0, to: 4 });
  });
});

describe('clauses', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'], [443, '443'], ['a b', '"a b"'], ['say "hi"', '"say \\"hi\\""'], ['host/path', '"host/path"'], ['/x/', '"/x/"'],
    ['$x', '"$x"'], ['', '""'], ['[a]', '"[a]"'], ['2001:db8::1', '2001:db8::1'], ['a*', '"a*"'], ['EXISTS!', '"EXISTS!"'], ['größe', '"größe"'],
  ])('%j is written %s', (value, want) => expect(literal(value)).toBe(want));
  it.each([
    ['', 'a == 1'], [' x == 1 ', 'x == 1 && a == 1'], ['x == 1 || y == 2', '(x == 1 || y == 2) && a == 1'],
    ['(x == 1 || y == 2)', '(x == 1 || y == 2) && a == 1'], ['x == "a || b"', 'x == "a || b" && a == 1'],
  ])('%j and a == 1', (before, want) => expect(append(before, '&&', equals('a', 1))).toBe(want));
});

describe('errorRange', () => {
  it('covers the token', () => expect(errorRange('ip.srcc == 1', 1)).toEqual([0, 7]));
  it('covers as much as the server says', () => expect(errorRange('a == b c == 1', 8, 3)).toEqual([7, 10]));
  it('counts code points', () => expect(errorRange('a == "😀" && bad == 1', 13)).toEqual([13, 16]));
  it('stays inside the text', () => expect(errorRange('ip ==', 6)).toEqual([5, 5]));
});
