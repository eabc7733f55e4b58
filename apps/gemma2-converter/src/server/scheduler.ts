/**
 * Who runs when: sequences are *slots*, and requests wait in a queue of limited length. In each round the texts that are being written get their next token, all in
 * one step, which reads the weights once; before it, one of the new prompts is read for a while, each in its turn. Between two steps the event loop has
 * its turn, so that clients are heard while the model works.
 *
 * A slot remembers what it read and wrote. A prompt that begins alike, such as a conversation that goes on, is read from where it differs.
 */
import { type ProjError, toProjError } from '@proj/kernel';
import { type FinishReason, Sampler, type SamplingOptions } from '@proj/quant-jit/gemma2';
import type { SequenceGroup, StepModel } from '@proj/quant-jit/jit';
import { commonLength } from '../model/remembering.ts';

/** A text to be written. */
export interface Job extends SamplingOptions {
  readonly prompt: readonly number[];
  readonly maxNewTokens: number;
  readonly stopIds: ReadonlySet<number>;
  /** Whether whoever reads it keeps up; a job that is not ready misses its turn. */
  ready(): boolean;
  /** The next token. `true` ends the text. */
  onToken(id: number): boolean;
  /** The last call, unless the job is cancelled. */
  onEnd(reason: FinishReason): void;
  onError(error: ProjError): void;
}

/** A job that was taken. */
export interface Ticket {
  /** Takes the job out, wherever it is; its slot is free for the next one. */
  cancel(): void;
}

/** What the scheduler is doing. */
export interface Load {
  readonly slots: number;
  readonly active: number;
  readonly waiting: number;
}

/** Times and counts of the work, for metrics. */
export interface SchedulerEvents {
  readonly onStep?: (seconds: number, promptTokens: number) => void;
  /** Tokens of a new prompt that a slot remembered. */
  readonly onRemembered?: (tokens: number) => void;
}

interface Run {
  readonly job: Job;
  readonly sampler: Sampler;
  readonly seen: number[] | null;
  /** Tokens of the prompt that the sequence has. */
  fed: number;
  made: number;
  /** The token that was chosen last; -1 while the prompt is read. */
  last: number;
}

interface Slot {
  readonly sequence: StepModel;
  /** What the sequence has read and written. */
  readonly tokens: number[];
  run: Run | null;
}
/** A slot that runs, as it is now. */
type Busy = Readonly<Slot> & { readonly run: Run };

/** Tokens of a prompt that one turn takes at most and at least, and how long it should be, in seconds: others wait meanwhile. */
const PROMPT_TURN = { most: 64, least: 8, seconds: 0.1 } as const;
/** How long to wait for readers when none of them keeps up. */
const PAUSE_MS = 5;

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Shares sequences among jobs. */
export class Scheduler {
  readonly #group: SequenceGroup;
  readonly #slots: readonly Slot[];
  readonly #limit: number;
  readonly #events: SchedulerEvents;
  readonly #waiting: Run[] = [];
  readonly #idle = new Set<() => void>();
  #running = false;
  #promptTurn: number = PROMPT_TURN.least;
  /** Number of the slot whose prompt was read last. */
  #prompted = -1;

  /** `limit` is how many jobs may wait. */
  constructor(group: SequenceGroup, limit: number, events: SchedulerEvents = {}) {
    this.#group = group;
    this.#slots = group.sequences.map((sequence) => ({ sequence, tokens: [], run: null }));
    this.#limit = limit;
    this.#events = events;
  }

  get load(): Load {
    const active = this.#slots.filter(({ run }) => run !== null).length;
    return { slots: this.#slots.length, active, waiting: this.#waiting.length };
  }

  /** Tokens that a sequence holds. */
  get maxLength(): number {
    return this.#slots[0].sequence.maxLength;
  }

  /** Takes a job, or gives null when all slots are taken and the queue is full. */
  submit(job: Job): Ticket | null {
    if (this.#waiting.length >= this.#limit && this.#slots.every(({ run }) => run !== null)) return null;
    const penalised = job.repetitionPenalty !== undefined && job.repetitionPenalty !== 1;
    const { temperature, topK, topP, repetitionPenalty, seed } = job;
    const run: Run = {
      job,
      sampler: new Sampler({ temperature, topK, topP, repetitionPenalty, seed }),
      seen: penalised ? [...job.prompt] : null,
      fed: 0,
      made: 0,
      last: -1,
    };
    this.#waiting.push(run);
    this.#admit();
    if (!this.#running) void this.#loop();
    return { cancel: () => this.#remove(run) };
  }

  /** Resolves when nothing runs and nothing waits. */
  whenIdle(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.add(resolve));
  }

  /** Ends all jobs as aborted. */
  abortAll(): void {
    const runs = [...this.#slots.flatMap(({ run }) => (run === null ? [] : [run])), ...this.#waiting];
    for (const run of runs) {
      this.#remove(run);
      run.job.onEnd('aborted');
    }
  }

  #remove(run: Run): void {
    const waiting = this.#waiting.indexOf(run);
    if (waiting >= 0) this.#waiting.splice(waiting, 1);
    for (const slot of this.#slots) if (slot.run === run) slot.run = null;
    this.#admit();
  }

  /** Gives free slots to those who wait longest: of these the one that remembers most of the prompt, and of equals the one with least to forget. */
  #admit(): void {
    for (;;) {
      const free = this.#slots.filter(({ run }) => run === null);
      if (free.length === 0) return;
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const { prompt } = next.job;
      // The last token is always read: its logits are wanted.
      const known = new Map(free.map((slot) => [slot, Math.min(commonLength(slot.tokens, prompt), prompt.length - 1)]));
      const knownBy = (slot: Slot): number => known.get(slot) ?? 0;
      const [slot] = free.toSorted((a, b) => knownBy(b) - knownBy(a) || a.tokens.length - b.tokens.length);
      next.fed = knownBy(slot);
      slot.sequence.rewind(next.fed);
      slot.tokens.length = next.fed;
      slot.run = next;
      this.#events.onRemembered?.(next.fed);
    }
  }

  async #loop(): Promise<void> {
    this.#running = true;
    // Whoever submits has its say before the first token.
    await immediate();
    while (this.#slots.some(({ run }) => run !== null)) {
      const prompting = this.#nextPrompt();
      if (prompting !== null) {
        this.#readPrompt(prompting);
        await immediate();
      }
      const writing = this.#ready().filter(({ run }) => run.last >= 0);
      if (writing.length > 0) {
        this.#writeTokens(writing);
        await immediate();
      }
      if (prompting === null && writing.length === 0) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    this.#running = false;
    for (const resolve of this.#idle) resolve();
    this.#idle.clear();
  }

  /** Slots whose readers keep up. */
  #ready(): Busy[] {
    return this.#slots.flatMap(({ sequence, tokens, run }) =>
      run?.job.ready() === true ? [{ sequence, tokens, run }] : [],
    );
  }

  /** The next one, in turn, whose prompt is not read to its end. */
  #nextPrompt(): Busy | null {
    const count = this.#slots.length;
    for (let step = 1; step <= count; step++) {
      const number = (this.#prompted + step) % count;
      const { sequence, tokens, run } = this.#slots[number];
      if (run === null || run.last >= 0 || !run.job.ready()) continue;
      this.#prompted = number;
      return { sequence, tokens, run };
    }
    return null;
  }

  /** A part of a prompt; after the last one, the first token. */
  #readPrompt({ sequence, tokens, run }: Busy): void {
    const part = run.job.prompt.slice(run.fed, run.fed + this.#promptTurn);
    this.#guarded([run], () => {
      const started = performance.now();
      const logits = sequence.feed(part);
      const seconds = (performance.now() - started) / 1000;
      this.#events.onStep?.(seconds, part.length);
      if (part.length === this.#promptTurn) this.#promptTurn = nextTurn(part.length, seconds);
      tokens.push(...part);
      run.fed += part.length;
      if (run.fed === run.job.prompt.length) this.#take(run, logits);
    });
  }

  /** The next token of each. */
  #writeTokens(writing: readonly Busy[]): void {
    const full = writing.filter(({ sequence }) => sequence.position >= sequence.maxLength);
    for (const { run } of full) this.#end(run, 'length');
    const rest = writing.filter((each) => !full.includes(each));
    if (rest.length === 0) return;
    this.#guarded(
      rest.map(({ run }) => run),
      () => {
        const started = performance.now();
        const logits = this.#group.feedEach(rest.map(({ sequence, run }) => ({ sequence, token: run.last })));
        this.#events.onStep?.((performance.now() - started) / 1000, 0);
        for (const { tokens, run } of rest) tokens.push(run.last);
        rest.forEach(({ run }, i) => this.#guarded([run], () => this.#take(run, logits[i])));
      },
    );
  }

  /** Chooses the token that follows. */
  #take(run: Run, logits: Float32Array): void {
    if (this.#slots.every((slot) => slot.run !== run)) return;
    const { job } = run;
    const token = run.sampler.next(logits, run.seen ?? []);
    if (job.stopIds.has(token)) return this.#end(run, 'stop');
    run.last = token;
    run.made++;
    run.seen?.push(token);
    if (job.onToken(token)) this.#end(run, 'stop');
    else if (run.made >= job.maxNewTokens) this.#end(run, 'length');
  }

  #end(run: Run, reason: FinishReason): void {
    this.#remove(run);
    run.job.onEnd(reason);
  }

  /** What goes wrong ends these runs, and no others. */
  #guarded(runs: readonly Run[], work: () => void): void {
    try {
      work();
    } catch (error) {
      for (const run of runs) {
        this.#remove(run);
        run.job.onError(toProjError(error));
      }
    }
  }
}

/** How many tokens the next part of a prompt should have, after one of `tokens` that took `seconds`. */
function nextTurn(tokens: number, seconds: number): number {
  const fitting = Math.floor((tokens * PROMPT_TURN.seconds) / seconds);
  return Math.max(PROMPT_TURN.least, Math.min(PROMPT_TURN.most, 2 * tokens, fitting));
}
