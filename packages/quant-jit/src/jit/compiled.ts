/**
 * `CompiledNativeILNN`: a converted model as compiled code. A step is one call into the device, threads inside; the number of tokens and the position are
 * read by the kernels from a control block.
 */
import {
  type CompiledKernel,
  type Device,
  type DeviceBuffer,
  type Kernel,
  type Launch,
  type Program,
  ProjError,
} from '@proj/kernel';
import type { Instruction } from '../il/il.ts';
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { rowStride } from '../kernels/rows.ts';
import { lower, type Lowered } from './lower.ts';
import { StepMemory } from './places.ts';
import type { ModelWeights } from './weights.ts';

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
  /** Takes more tokens, or rows of floats where the program loads those, and gives what it stores. */
  call(input: ArrayLike<number>): readonly Float32Array[];
  dispose(): void;
}

export interface CompileOptions {
  readonly device: Device;
  readonly weights: ModelWeights;
  /** Most tokens of one step; longer prompts are taken in chunks of this (default 128). */
  readonly maxTokens?: number;
}

/** Times of a compilation, apart from those of running. */
export interface CompileReport {
  readonly device: string;
  readonly description: string;
  /** Kernels that were built for the program. */
  readonly kernels: number;
  readonly launchesPerStep: number;
  readonly compileMs: number;
}

/** One lowering of the program, compiled. */
interface StepProgram {
  readonly lowered: Lowered;
  readonly program: Program;
}

/** A program compiled for a device. Holds the caches of one sequence. */
export class CompiledNativeILNN implements StepModel {
  readonly il: NativeCodeILNN;
  readonly device: Device;
  readonly maxTokens: number;
  readonly #memory: StepMemory;
  readonly #kernels = new Map<string, Kernel>();
  readonly #compiled = new Map<Kernel, CompiledKernel>();
  readonly #columns: number;
  readonly #vocabulary: number;
  readonly #weights: ModelWeights;
  readonly #unsubscribe: (() => void) | undefined;
  #decode: StepProgram | undefined;
  #chunk: StepProgram | undefined;
  #compileMs = 0;
  #position = 0;

  constructor(il: NativeCodeILNN, { device, weights, maxTokens = 128 }: CompileOptions) {
    this.il = il;
    this.device = device;
    this.maxTokens = Math.max(1, maxTokens);
    this.#memory = new StepMemory(device, il, weights, this.maxTokens);
    const input = il.program.instructions.find(
      (each): each is Extract<Instruction, { op: 'load_input' }> => each.op === 'load_input',
    );
    this.#columns = input?.attributes.columns ?? 0;
    this.#vocabulary = vocabularyOf(il);
    this.#weights = weights;
    this.#unsubscribe = weights.subscribe?.((old, fresh) => this.#rebind(old, fresh));
    this.#decode = this.#compile(false);
  }

  get position(): number {
    return this.#position;
  }

  get maxLength(): number {
    return this.il.config.positions === 0 ? Infinity : this.il.config.positions;
  }

  get report(): CompileReport {
    const { name, features } = this.device;
    return {
      device: name,
      description: features.description,
      kernels: this.#kernels.size,
      launchesPerStep: this.#decode?.lowered.steps.length ?? 0,
      compileMs: this.#compileMs,
    };
  }

  /** The kernels of the code that was made so far, for people: print them, or let the device show what they became. */
  get kernels(): readonly Kernel[] {
    return [...this.#compiled.keys()];
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

  /**
   * One or more steps: tokens, or rows of floats where the program loads those. Gives what the last step stores, in order, row by row.
   *
   * @throws ProjError `invalid-argument` for an input of the wrong length or a token outside the vocabulary, `index-out-of-range` for a full context.
   */
  call(input: ArrayLike<number>): readonly Float32Array[] {
    const width = this.#columns === 0 ? 1 : this.#columns;
    const tokens = input.length / width;
    if (!Number.isInteger(tokens) || tokens === 0)
      throw new ProjError('invalid-argument', `${input.length} numbers are not rows of ${width}`, {
        op: 'call',
        cure: 'Give at least one token, or whole rows',
      });
    if (this.#position + tokens > this.maxLength)
      throw new ProjError(
        'index-out-of-range',
        `${tokens} tokens after ${this.#position} do not fit ${this.maxLength} positions`,
        {
          op: 'call',
          cure: 'Shorten the prompt, or convert the model with a longer context',
        },
      );
    this.#check(input);
    for (let first = 0; ; first += this.maxTokens) {
      const count = Math.min(this.maxTokens, tokens - first);
      const step = this.#step(input, first, count);
      if (first + count >= tokens) return this.#results(step, count);
    }
  }

  /** The floats of a value of the last step, for comparisons; the value's place may have been used again by a later one. */
  value(name: string, tokens: number): Float32Array {
    const step = tokens === 1 ? this.#decode : this.#chunk;
    const place = step?.lowered.places.get(name);
    if (place?.kind !== 'f32')
      throw new ProjError('invalid-argument', `there are no floats %${name}`, {
        op: 'value',
        cure: 'See the program for names',
      });
    return this.#read(place, place.rows === 'T' ? tokens : 1);
  }

  /** The integer sums of a value of the last step, `[token][column][group]`; as `value`. */
  integers(name: string, tokens: number): Int32Array {
    const place = (tokens === 1 ? this.#decode : this.#chunk)?.lowered.places.get(name);
    if (place?.kind !== 'i32')
      throw new ProjError('invalid-argument', `there are no integers %${name}`, {
        op: 'integers',
        cure: 'Ask for a result of int_dot or xnor_dot, in a program whose passes have not joined it',
      });
    const count = (place.rows === 'T' ? tokens : 1) * place.columns * place.groups;
    return new Int32Array(this.device.read(this.#memory.slots[place.slot], place.offset, 4 * count).buffer);
  }

  #rebind(old: DeviceBuffer, fresh: DeviceBuffer): void {
    this.#memory.slots.forEach((buffer, slot) => {
      if (buffer === old) this.#memory.slots[slot] = fresh;
    });
  }

  /** Makes the code for chunks of a prompt now, which the first longer prompt would else wait for. */
  prepare(): void {
    if (this.maxTokens > 1) this.#chunk ??= this.#compile(true);
  }

  dispose(): void {
    this.#unsubscribe?.();
    this.#memory.dispose();
    this.#decode?.program.dispose();
    this.#chunk?.program.dispose();
  }

  #step(input: ArrayLike<number>, first: number, count: number): StepProgram {
    this.#weights.advance?.();
    const step = count === 1 ? (this.#decode ??= this.#compile(false)) : (this.#chunk ??= this.#compile(true));
    this.#write(input, first, count);
    this.#memory.writeRows(Array.from({ length: count }, (_, t) => ({ position: this.#position + t, sequence: 0 })));
    step.program.run(this.#memory.slots, []);
    this.#position += count;
    return step;
  }

  #write(input: ArrayLike<number>, first: number, count: number): void {
    const place = this.#memory.allocate('input', 0);
    const buffer = this.#memory.slots[place.slot];
    if (this.#columns === 0) {
      const ids = Int32Array.from({ length: count }, (_, t) => input[first + t]);
      this.device.write(buffer, place.offset, new Uint8Array(ids.buffer));
      return;
    }
    const columns = this.#columns;
    const stride = rowStride(columns);
    const floats = input instanceof Float32Array ? input : Float32Array.from(input);
    const given = floats.subarray(first * columns, (first + count) * columns);
    let rows = given;
    if (stride !== columns) {
      rows = new Float32Array(count * stride);
      for (let t = 0; t < count; t++) rows.set(given.subarray(t * columns, (t + 1) * columns), t * stride);
    }
    this.device.write(buffer, place.offset, new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength));
  }

  #results(step: StepProgram, count: number): readonly Float32Array[] {
    return step.lowered.stored.map((place) => this.#read(place, place.rows === 'T' ? count : 1));
  }

  #read(place: { slot: number; offset: number; columns: number; stride: number }, rows: number): Float32Array {
    const { columns, stride } = place;
    const bytes = this.device.read(this.#memory.slots[place.slot], place.offset, 4 * ((rows - 1) * stride + columns));
    const padded = new Float32Array(bytes.buffer);
    if (stride === columns || rows === 1) return padded;
    const result = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++)
      result.set(padded.subarray(row * stride, row * stride + columns), row * columns);
    return result;
  }

  /** Tokens must be rows of the embedding. */
  #check(input: ArrayLike<number>): void {
    if (this.#columns !== 0) return;
    for (let i = 0; i < input.length; i++)
      if (!Number.isInteger(input[i]) || input[i] < 0 || input[i] >= this.#vocabulary)
        throw new ProjError('invalid-argument', `token ${input[i]} of a vocabulary of ${this.#vocabulary}`, {
          op: 'call',
          cure: 'Use the tokenizer that belongs to the model',
        });
  }

  #compile(chunk: boolean): StepProgram {
    const start = performance.now();
    const lowered = lower(this.il, this.#memory, chunk ? 'prompt' : 'token', this.#kernels);
    const fresh = [...new Set(lowered.steps.map(({ kernel }) => kernel))].filter(
      (kernel) => !this.#compiled.has(kernel),
    );
    this.device.compile(fresh).forEach((compiled, i) => this.#compiled.set(fresh[i], compiled));
    const launches = lowered.steps.map(({ kernel, args, begin, end, grain, chunk }): Launch => {
      const compiled = this.#compiled.get(kernel);
      if (compiled === undefined)
        throw new ProjError('kernel-compilation', `kernel ${kernel.name} is missing`, { op: 'compile' });
      return { kernel: compiled, args, begin, end, grain, align: 1, chunk };
    });
    const program = this.device.program(launches, this.#memory.slots.length);
    this.#compileMs += performance.now() - start;
    return { lowered, program };
  }
}

/** Rows of the embedding. */
function vocabularyOf({ program }: NativeCodeILNN): number {
  const table = program.instructions.find(({ op }) => op === 'embed')?.operands[0];
  for (const { results } of program.instructions)
    for (const { name, type } of results) if (name === table && type.kind === 'weight') return type.shape[0];
  return Infinity;
}
