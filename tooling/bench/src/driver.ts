/**
 * The driver's side of the wire: starts a runner process and exchanges requests for replies. A process that dies, or does not answer in time,
 * fails the request under way with what it last printed; it is never waited for in silence.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { ProjError } from '@proj/kernel';
import { decodeReply, encode, lineSplitter } from './protocol.ts';
import type { Command, PrepareReply, Reply, Request, RunReply, Scalars } from './protocol.ts';
import type { CaseSpec } from './cases.ts';

/** How to start a runner. */
export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Started, or not there: a peer that is not installed says why. */
export type Started =
  | { readonly ok: true; readonly process: RunnerProcess; readonly version: string; readonly detail: Scalars }
  | { readonly ok: false; readonly reason: string };

const START_MS = 60_000;

/** A running runner. */
export class RunnerProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #name: string;
  readonly #diagnostics: string[] = [];
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  readonly #onEnd = new Set<() => void>();
  #greet: ((reply: Reply) => void) | undefined;
  #nextId = 1;
  #ended: string | undefined;

  private constructor(name: string, child: ChildProcessWithoutNullStreams) {
    this.#name = name;
    this.#child = child;
    child.stdout.setEncoding('utf8').on(
      'data',
      lineSplitter((line) => this.#receive(line)),
    );
    child.stderr.setEncoding('utf8').on(
      'data',
      lineSplitter((line) => this.#note(line)),
    );
    child.stdin.on('error', () => {});
    child.on('error', (error) => this.#end(error.message));
    child.on('close', (code, signal) => this.#end(`ended with ${signal ?? `code ${code}`}`));
  }

  /** Starts a runner and waits for its first word. */
  static async start(name: string, spec: ProcessSpec): Promise<Started> {
    const child = spawn(spec.command, [...spec.args], { env: { ...process.env, ...spec.env }, stdio: 'pipe' });
    const runner = new RunnerProcess(name, child);
    const first = await runner
      .#await(START_MS, (accept) => (runner.#greet = accept))
      .catch((error: Error) => error.message);
    if (typeof first === 'string') {
      runner.close();
      return { ok: false, reason: first };
    }
    if (first.op === 'hello') return { ok: true, process: runner, version: first.version, detail: first.detail };
    runner.close();
    return { ok: false, reason: first.op === 'missing' ? first.reason : `unexpected first reply '${first.op}'` };
  }

  /** Makes a case ready, warmed up. */
  async prepare(spec: CaseSpec, timeoutMs: number): Promise<PrepareReply> {
    return (await this.#ask({ op: 'prepare', spec }, timeoutMs)) as PrepareReply;
  }

  /** Runs the prepared case for `minMs`, once at least. */
  async run(minMs: number, maxRuns: number, timeoutMs: number): Promise<RunReply> {
    return (await this.#ask({ op: 'run', minMs, maxRuns }, timeoutMs)) as RunReply;
  }

  /** Lets the prepared case go. */
  async release(): Promise<void> {
    await this.#ask({ op: 'release' }, START_MS);
  }

  /** Whether the process still answers. */
  get alive(): boolean {
    return this.#ended === undefined;
  }

  /** Ends the process. */
  close(): void {
    this.#child.stdin.end();
    this.#child.kill('SIGKILL');
  }

  async #ask(command: Command, timeoutMs: number): Promise<PrepareReply | RunReply | null> {
    const id = this.#nextId++;
    const request: Request = { ...command, id };
    try {
      const reply = await this.#await(timeoutMs, (accept) => {
        this.#waiting.set(id, accept);
        this.#child.stdin.write(encode(request));
      });
      if (reply.op === 'ok') return reply.result;
      throw new ProjError(
        'invalid-argument',
        `${this.#name}: ${reply.op === 'error' ? reply.message : `unexpected reply '${reply.op}'`}`,
      );
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** The next reply given to `listen`'s callback; fails when the process ends or the time is over, and then ends the process. */
  #await(timeoutMs: number, listen: (accept: (reply: Reply) => void) => void): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => {
        clearTimeout(timer);
        this.#onEnd.delete(onEnd);
        const telling =
          this.#diagnostics.find((line) => /Error\b.*:/.test(line)) ?? this.#diagnostics.slice(-4).join(' | ');
        const said = telling === '' ? '' : `; it said: ${telling}`;
        reject(new ProjError('invalid-argument', `${this.#name}: ${why}${said}`));
      };
      const timer = setTimeout(() => {
        fail(`no answer in ${Math.round(timeoutMs / 1000)} s`);
        this.close();
      }, timeoutMs);
      const onEnd = (): void => fail(this.#ended ?? 'ended');
      if (this.#ended !== undefined) return onEnd();
      this.#onEnd.add(onEnd);
      listen((reply) => {
        clearTimeout(timer);
        this.#onEnd.delete(onEnd);
        resolve(reply);
      });
    });
  }

  #receive(line: string): void {
    const reply = decodeReply(line);
    if (reply === undefined) return this.#note(line);
    if (reply.op === 'hello' || reply.op === 'missing') this.#greet?.(reply);
    else this.#waiting.get(reply.id)?.(reply);
  }

  #note(line: string): void {
    this.#diagnostics.push(line.trim());
    if (this.#diagnostics.length > 20) this.#diagnostics.shift();
  }

  #end(why: string): void {
    this.#ended ??= why;
    for (const tell of this.#onEnd) tell();
  }
}
