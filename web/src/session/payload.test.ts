import { describe, expect, it } from 'vitest';
import { asciiText, hexLines, naturalText, utf8Text } from './payload';

const bytes = (s: string) => new TextEncoder().encode(s);

describe('payload', () => {
  it('dumps hex in columns of one width', () => {
    const lines = hexLines(Uint8Array.from({ length: 18 }, (_, i) => i + 0x38), 16);
    expect(lines).toEqual([
      { offset: '0000', hex: '38 39 3a 3b 3c 3d 3e 3f  40 41 42 43 44 45 46 47', ascii: '89:;<=>?@ABCDEFG' },
      { offset: '0010', hex: `48 49${' '.repeat(44 - 1)}`.padEnd(48), ascii: 'HI' },
    ]);
  });
  it('shows no control character as itself', () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (const text of [asciiText(all), utf8Text(all), naturalText(all)]) {
      expect(text.replace(/[\n\t]/g, '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);  
    }
  });
  it('keeps lines', () => expect(asciiText(bytes('GET /\r\nHost: ü\r\n'))).toBe('GET /\nHost: ..\n'));
  it('decodes UTF-8', () => expect(utf8Text(bytes('grün\u0000'))).toBe('grün␀'));
  it('disarms marks of direction', () => expect(utf8Text(bytes('a\u202eb'))).toBe('a\ufffdb'));
  it('counts binary', () => expect(naturalText(bytes('a\u0000\u0001\u0002b'))).toBe('a ⟨3 binary⟩ b'));
});
