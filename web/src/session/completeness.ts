/** What of a session's packets is known to be missing, in words: no answer may look more complete than it is. */

import { numberAt } from '../api/document';
import type { Doc } from '../api/types';
import { countOf, formatBytes, formatCount } from '../format';

export function missing(doc: Doc): string[] {
  const [lost, cut] = [numberAt(doc, 'capture.loss') ?? 0, numberAt(doc, 'capture.cut') ?? 0];
  const all: string[] = [];
  if (lost > 0) all.push(`The sensor lost ${countOf(lost, 'packet')} while this session ran: some may have been of it.`);
  if (cut > 0) {
    const size = cut < 1000 ? formatBytes(cut) : `${formatBytes(cut)} (${formatCount(cut)} B)`;
    all.push(`${size} of this session were not kept: a rule of the sensor, or its snaplen, cut the packets to their beginnings. All counts include what was cut.`);
  }
  return all;
}
