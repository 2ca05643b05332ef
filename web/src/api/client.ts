import { type SensorsAnswer, toAnswer } from '../sensors/sensors';
import type { Doc, Field, Graph, Packet, PacketsAnswer, SessionsAnswer } from './types';

/** An answer that says what went wrong; column counts code points of the expression from 1. */
export class ApiError extends Error {
  override name = 'ApiError';
  constructor(
    message: string,
    readonly status: number,
    readonly column?: number,
    readonly suggestion?: string,
    /** Code points from column that are wrong. */
    readonly length?: number,
  ) {
    super(message);
  }
}

type Json = Record<string, unknown>;

const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);
const text = (v: unknown): string => (typeof v === 'string' ? v : '');
const number = (v: unknown, otherwise: number): number => (typeof v === 'number' && Number.isFinite(v) ? v : otherwise);
const strings = (v: unknown): string[] => (Array.isArray(v) ? v.filter((x): x is string => typeof x === 'string') : []);

async function getJSON(path: string, signal: AbortSignal): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, { signal, headers: { Accept: 'application/json' } });
  } catch (err) {
    if (signal.aborted) throw err;
    throw new ApiError('The server cannot be reached. Is wirelake still running?', 0);
  }
  const body = await response.text();
  let answer: unknown;
  try {
    answer = JSON.parse(body);
  } catch {
    const start = body.trim().slice(0, 200);
    throw new ApiError(`The server answered ${response.status} without JSON: ${start || response.statusText}`, response.status);
  }
  // Arkime's way, which a proxy or `compat=200` may bring back: an error in an answer of 200.
  const error = isObject(answer) ? text(answer.error) : '';
  if (!response.ok || error !== '') throw toError(answer, response.status);
  return answer;
}

function toError(answer: unknown, status: number): ApiError {
  if (!isObject(answer)) return new ApiError(`The server answered ${status}`, status);
  const column = answer.column;
  const suggestion = answer.suggestion;
  const length = answer.length;
  return new ApiError(
    text(answer.error) || `The server answered ${status}`,
    status,
    typeof column === 'number' && column >= 1 ? column : undefined,
    typeof suggestion === 'string' && suggestion !== '' ? suggestion : undefined,
    typeof length === 'number' && length >= 1 ? length : undefined,
  );
}

export async function getFields(signal: AbortSignal): Promise<Field[]> {
  const answer = await getJSON('/api/fields', signal);
  if (!Array.isArray(answer)) throw new ApiError('The answer of /api/fields is not a list', 200);
  return answer.filter(isObject).map((f) => ({
    friendlyName: text(f.friendlyName) || text(f.exp),
    group: text(f.group) || 'general',
    help: text(f.help),
    exp: text(f.exp),
    dbField2: text(f.dbField2),
    type: text(f.type),
    aliases: strings(f.aliases),
  }));
}

export async function getSessions(query: URLSearchParams, signal: AbortSignal): Promise<SessionsAnswer> {
  const answer = await getJSON(`/api/sessions?${query}`, signal);
  if (!isObject(answer)) throw new ApiError('The answer of /api/sessions is not an object', 200);
  const data = Array.isArray(answer.data) ? answer.data : [];
  return {
    data: data.filter((d): d is Doc => isObject(d) && typeof d.id === 'string' && typeof d.node === 'string'),
    recordsTotal: number(answer.recordsTotal, 0),
    recordsFiltered: number(answer.recordsFiltered, 0),
    graph: isObject(answer.graph) ? (answer.graph as Graph) : {},
    warnings: strings(answer.warnings),
  };
}

export async function getSensors(signal: AbortSignal): Promise<SensorsAnswer> {
  return toAnswer(await getJSON('/api/v1/sensors', signal));
}

/** The path of a session below /api; node and id may hold anything. */
export const sessionPath = (doc: Pick<Doc, 'id' | 'node'>): string =>
  `/api/session/${encodeURIComponent(doc.node)}/${encodeURIComponent(doc.id)}`;

export async function getSession(doc: Pick<Doc, 'id' | 'node'>, signal: AbortSignal): Promise<Doc> {
  const answer = await getJSON(sessionPath(doc), signal);
  if (!isObject(answer)) throw new ApiError(`The document of session ${doc.id} is not an object`, 200);
  return { ...answer, id: doc.id, node: doc.node };
}

export async function getPackets(doc: Pick<Doc, 'id' | 'node'>, limit: number, signal: AbortSignal): Promise<PacketsAnswer> {
  const answer = await getJSON(`${sessionPath(doc)}/packets?base=hex&format=json&packets=${limit}`, signal);
  if (!isObject(answer) || !Array.isArray(answer.packets)) {
    throw new ApiError(`The answer has no packets of session ${doc.id}`, 200);
  }
  const packets = answer.packets.filter(isObject).map(toPacket);
  return {
    packets,
    total: number(answer.total, packets.length),
    truncated: answer.truncated === true,
    warnings: strings(answer.warnings),
  };
}

function toPacket(p: Json, index: number): Packet {
  const bytes = decodeBase64(text(p.data));
  const offset = Math.min(number(p.payloadOffset, 0), bytes.length);
  return {
    n: number(p.n, index + 1),
    time: number(p.time, 0),
    src: p.src === true,
    length: number(p.length, bytes.length),
    captured: number(p.captured, bytes.length),
    bytes,
    payloadOffset: offset,
    payloadLength: Math.min(number(p.payloadLength, bytes.length - offset), bytes.length - offset),
    summary: text(p.summary),
  };
}

export function decodeBase64(s: string): Uint8Array {
  const binary = atob(s);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
