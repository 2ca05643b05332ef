/** The API's shapes, as README.md ("The API the GUI uses") describes them. */

export interface Field {
  friendlyName: string;
  group: string;
  help: string;
  /** Name in the expression language; empty when it cannot be searched. */
  exp: string;
  /** Dotted path in the session's document. */
  dbField2: string;
  type: string;
  aliases?: string[];
}

/** A session's document, or the part of it that was asked for. Nested; lists where the registry says so. */
export type Doc = Readonly<Record<string, unknown>> & { readonly id: string; readonly node: string };

/** [start of the bucket in ms, value] */
export type Bucket = readonly [number, number];

export interface Graph {
  xmin?: number;
  xmax?: number;
  /** Width of a bucket in seconds. */
  interval?: number;
  [key: string]: number | readonly Bucket[] | undefined;
}

export interface SessionsAnswer {
  data: Doc[];
  recordsTotal: number;
  recordsFiltered: number;
  graph: Graph;
  warnings: string[];
}

export interface Packet {
  /** Position in the session, from 1. */
  n: number;
  /** ms since 1970, with a fraction. */
  time: number;
  /** Sent by the session's source. */
  src: boolean;
  /** Bytes on the wire. */
  length: number;
  /** Bytes stored. */
  captured: number;
  /** The captured frame. */
  bytes: Uint8Array;
  payloadOffset: number;
  payloadLength: number;
  summary: string;
}

export interface PacketsAnswer {
  packets: Packet[];
  total: number;
  truncated: boolean;
  warnings: string[];
}
