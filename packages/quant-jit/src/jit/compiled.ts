/** `CompiledNativeILNN`: a converted model as compiled code, for one sequence. */
import type { Device, Kernel } from '@proj/kernel';
import { ProjError } from '@proj/kernel';
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { type CompileOptions, type CompileReport, StepEngine } from './engine.ts';

/** What runs steps of a program and remembers the tokens: compiled code, or the interpreter. */
export interface StepModel {
  readonly il: NativeCodeILNN;
  /** Position of the next token. */
  readonly position: number;
  /** Positions that the caches hold; Infinity for a program without attention. */
  readonly maxLength: number;
  /** Forgets everything after `position`. */
  rewind(position?: number): void;
  /** Forgets all tokens. */
  reset(): void;
  /** Takes more tokens and gives the logits of the last. */
  feed(ids: ArrayLike<number>): Float32Array;
  /** Takes one more token and gives its logits, which the next call may write over: what a loop that only picks the next token needs. */
  feedOne(token: number): Float32Array;
  /** Takes more tokens, or rows of floats where the program loads those, and gives what it stores. */
  call(input: ArrayLike<number>): readonly Float32Array[];
  dispose(): void;
}

/** One of the sequences of an engine, which outlives it. */
export class EngineSequence implements StepModel {
  readonly engine: StepEngine;
  /** Which of the engine's sequences it is. */
  readonly number: number;
  #position = 0;

  constructor(engine: StepEngine, number: number) {
    this.engine = engine;
    this.number = number;
  }

  get il(): NativeCodeILNN {
    return this.engine.il;
  }

  get position(): number {
    return this.#position;
  }

  get maxLength(): number {
    return this.engine.maxLength;
  }

  rewind(position = 0): void {
    if (!Number.isSafeInteger(position) || position < 0 || position > this.#position)
      throw new ProjError('index-out-of-range', `position ${position} of ${this.#position}`, {
        op: 'rewind',
        cure: 'Go back to a position that was reached',
      });
    this.#position = position;
  }

  reset(): void {
    this.rewind(0);
  }

  feed(ids: ArrayLike<number>): Float32Array {
    return this.call(ids)[0];
  }

  /** @throws ProjError as {@link call}, and `invalid-argument` for a program that takes rows of floats. */
  feedOne(token: number): Float32Array {
    const { columns } = this.engine;
    if (columns !== 0)
      throw new ProjError('invalid-argument', `the program takes rows of ${columns} floats, not tokens`, {
        op: 'feedOne',
        cure: 'Use call, with whole rows',
      });
    this.requireRoom(1);
    this.engine.check([token]);
    const [logits] = this.engine.stepEach([{ position: this.#position, sequence: this.number }], [token]);
    this.#position++;
    return logits;
  }

  /**
   * One or more steps: tokens, or rows of floats where the program loads those. Gives what the last step stores, in order, row by row.
   *
   * @throws ProjError `invalid-argument` for an input of the wrong length or a token outside the vocabulary, `index-out-of-range` for a full context.
   */
  call(input: ArrayLike<number>): readonly Float32Array[] {
    const { columns, maxTokens } = this.engine;
    const width = columns === 0 ? 1 : columns;
    const tokens = input.length / width;
    if (!Number.isInteger(tokens) || tokens === 0)
      throw new ProjError('invalid-argument', `${input.length} numbers are not rows of ${width}`, {
        op: 'call',
        cure: 'Give at least one token, or whole rows',
      });
    this.requireRoom(tokens);
    this.engine.check(input);
    for (let first = 0; ; first += maxTokens) {
      const count = Math.min(maxTokens, tokens - first);
      const rows = Array.from({ length: count }, (_, t) => ({ position: this.#position + t, sequence: this.number }));
      const results = this.engine.step(count === 1 ? 'token' : 'prompt', rows, input, first);
      this.#position += count;
      if (first + count >= tokens) return results;
    }
  }

  /** @throws ProjError `index-out-of-range` when the context has no room for so many tokens more. */
  requireRoom(tokens: number): void {
    if (this.#position + tokens <= this.maxLength) return;
    throw new ProjError(
      'index-out-of-range',
      `${tokens} tokens after ${this.#position} do not fit ${this.maxLength} positions`,
      { op: 'call', cure: 'Shorten the prompt, or convert the model with a longer context' },
    );
  }

  /** @internal A step of the engine that this sequence had a token in. */
  stepped(): void {
    this.#position++;
  }

  dispose(): void {}
}

/** A program compiled for a device. Holds the caches of one sequence. */
export class CompiledNativeILNN extends EngineSequence {
  /** The program may be given as a function, for where nobody asks for it. */
  constructor(il: NativeCodeILNN | (() => NativeCodeILNN), options: CompileOptions) {
    super(new StepEngine(il, options), 0);
  }

  get device(): Device {
    return this.engine.device;
  }

  get maxTokens(): number {
    return this.engine.maxTokens;
  }

  get report(): CompileReport {
    return this.engine.report;
  }

  /** The kernels of the code that was made so far, for people: print them, or let the device show what they became. */
  get kernels(): readonly Kernel[] {
    return this.engine.kernels;
  }

  /** Makes the code for parts of a prompt now, which the first longer prompt would else wait for. */
  prepare(): void {
    if (this.maxTokens > 1) this.engine.prepare('prompt');
  }

  /** The floats of a value of the last step of so many tokens, for comparisons; the value's place may have been used again by a later one. */
  value(name: string, tokens: number): Float32Array {
    return this.engine.value(tokens === 1 ? 'token' : 'prompt', name, tokens);
  }

  /** The integer sums of a value of the last step of so many tokens, `[token][column][group]`; as `value`. */
  integers(name: string, tokens: number): Int32Array {
    return this.engine.integers(tokens === 1 ? 'token' : 'prompt', name, tokens);
  }

  override dispose(): void {
    this.engine.dispose();
  }
}
