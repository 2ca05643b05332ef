/** Packet bytes as text. All functions take hostile input and give plain text, which React escapes. */

export const BASES = ['hex', 'ascii', 'utf8', 'natural'] as const;
export type Base = (typeof BASES)[number];

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

const printable = (byte: number): boolean => byte >= 0x20 && byte < 0x7f;

export interface HexLine {
  offset: string;
  hex: string;
  ascii: string;
}

/** Lines of `width` bytes; the hex column of the last one is padded, so that the columns stay columns. */
export function hexLines(bytes: Uint8Array, width: number): HexLine[] {
  const lines: HexLine[] = [];
  for (let at = 0; at < bytes.length; at += width) {
    let hex = '';
    let ascii = '';
    for (let i = 0; i < width; i++) {
      const byte = bytes[at + i];
      if (i > 0) hex += i % 8 === 0 ? '  ' : ' ';
      hex += byte === undefined ? '  ' : (HEX[byte] ?? '');
      if (byte !== undefined) ascii += printable(byte) ? String.fromCharCode(byte) : '.';
    }
    lines.push({ offset: at.toString(16).padStart(4, '0'), hex, ascii });
  }
  return lines;
}

/** One character a byte; what is not printable ASCII is a dot, line breaks stay. */
export function asciiText(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i++) {
    const b = bytes[i] ?? 0;
    if (b === 0x0d && bytes[i + 1] === 0x0a) continue;
    out += printable(b) || b === 0x0a || b === 0x09 ? String.fromCharCode(b) : '.';
  }
  return out;
}

/** UTF-8; control characters are shown by their pictures (␀ ␛), bad bytes by the replacement character. */
export function utf8Text(bytes: Uint8Array): string {
  const text = new TextDecoder('utf-8').decode(bytes).replaceAll('\r\n', '\n');
  // Marks that turn the direction of text could make a payload read as what it is not.
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f\u0080-\u009f\u202a-\u202e\u2066-\u2069]/g, pictured);  
}

function pictured(c: string): string {
  const code = c.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? '␡' : '\ufffd';
}

/** UTF-8 where it is text; a run of what is not becomes its length, so that text stands out of binary. */
export function naturalText(bytes: Uint8Array): string {
  return utf8Text(bytes).replace(/[\u2400-\u241f\u2421\ufffd]{2,}/g, (run) => ` ⟨${run.length} binary⟩ `);
}
