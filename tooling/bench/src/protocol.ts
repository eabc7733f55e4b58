/**
 * The wire between the driver and a runner process: one JSON object a line, requests on the runner's stdin, replies on its stdout. A runner
 * says `hello` (or `missing`, with the reason) first; each request has an id that its reply repeats. Lines that are no such object (a peer
 * that prints a banner) are kept as diagnostics, never taken for a reply.
 */
import type { CaseSpec } from './cases.ts';

export type Scalars = Readonly<Record<string, number | string | boolean>>;

/** What the driver asks. */
export type Request =
  | { readonly id: number; readonly op: 'prepare'; readonly spec: CaseSpec }
  | { readonly id: number; readonly op: 'run'; readonly minMs: number; readonly maxRuns: number }
  | { readonly id: number; readonly op: 'release' };

/** A request without its id, which the driver's side of the pipe gives. */
export type Command = Request extends infer R ? (R extends { id: number } ? Omit<R, 'id'> : never) : never;

export interface PrepareReply {
  /** Output values at {@link checkPositions}, to be compared between runners; empty where there is nothing to compare. */
  readonly check: readonly number[];
  /** The first run (compilation included), in milliseconds. */
  readonly firstMs: number;
  readonly detail: Scalars;
}

export interface RunReply {
  /** Milliseconds of each run; where runs are short, of a batch divided by its size. */
  readonly times: readonly number[];
  readonly batch: number;
  /** CPU time that the process spent meanwhile, all threads. */
  readonly cpuMs: number;
  readonly detail: Scalars;
}

/** What a runner answers. */
export type Reply =
  | { readonly op: 'hello'; readonly version: string; readonly detail: Scalars }
  | { readonly op: 'missing'; readonly reason: string }
  | { readonly op: 'ok'; readonly id: number; readonly result: PrepareReply | RunReply | null }
  | { readonly op: 'error'; readonly id: number; readonly message: string };

const REPLIES: ReadonlySet<unknown> = new Set<Reply['op']>(['hello', 'missing', 'ok', 'error']);

/** A message as one line. Numbers that JSON has no word for become null. */
export function encode(message: Request | Reply): string {
  return `${JSON.stringify(message)}\n`;
}

/** The reply on a line, or undefined when the line is something else. */
export function decodeReply(line: string): Reply | undefined {
  const value = parse(line);
  return value !== undefined && REPLIES.has(value['op']) ? (value as unknown as Reply) : undefined;
}

/** The request on a line, or undefined when the line is something else. */
export function decodeRequest(line: string): Request | undefined {
  const value = parse(line);
  return value !== undefined && typeof value['id'] === 'number' ? (value as unknown as Request) : undefined;
}

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** Cuts a stream of chunks into lines; keeps the unfinished end for the next chunk. */
export function lineSplitter(onLine: (line: string) => void): (chunk: string) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(line);
  };
}
