/**
 * `StepEngine`: a program compiled for a device, over the caches of one or several sequences. A step is one call into the device, threads inside; which tokens
 * it has is read by the kernels from a control block.
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
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import type { StepRow } from '../kernels/control.ts';
import { rowStride } from '../kernels/rows.ts';
import type { CompiledLowering, KeptLowerings } from './kept.ts';
import { lower, type Lowered, type StepKind } from './lower.ts';
import { StepMemory, type ValuePlace } from './places.ts';
import { shapeOf } from './shape.ts';
import type { ModelWeights } from './weights.ts';

export interface CompileOptions {
  readonly device: Device;
  readonly weights: ModelWeights;
  /** Most tokens of one step; longer prompts are taken in parts of this (default 128). */
  readonly maxTokens?: number;
  /** What earlier processes made of this very program, which it need not be read for then. */
  readonly kept?: KeptLowerings | undefined;
}

/** Times of a compilation, apart from those of running. */
export interface CompileReport {
  readonly device: string;
  readonly description: string;
  /** Kernels of the code that was made so far. */
  readonly kernels: number;
  readonly launchesPerStep: number;
  readonly compileMs: number;
}

/** One lowering of the program, compiled. */
interface StepProgram extends CompiledLowering {
  readonly program: Program;
  /** Where values lie. */
  places(): ReadonlyMap<string, ValuePlace>;
}

export class StepEngine {
  readonly device: Device;
  readonly maxTokens: number;
  readonly maxLength: number;
  /** Columns of the rows of floats that it takes; 0 where it takes tokens. */
  readonly columns: number;
  readonly #il: NativeCodeILNN | (() => NativeCodeILNN);
  readonly #kept: KeptLowerings | undefined;
  readonly #memory: StepMemory;
  readonly #kernels = new Map<string, Kernel>();
  readonly #compiled = new Map<Kernel, CompiledKernel>();
  readonly #programs = new Map<StepKind, StepProgram>();
  readonly #vocabulary: number;
  readonly #weights: ModelWeights;
  readonly #unsubscribe: (() => void) | undefined;
  #compileMs = 0;
  /** What `stepEach` reads into: a fresh copy for each token would pile up outside V8's heap, megabytes at a time where the vocabulary is large. */
  #each = new Uint8Array(0);

  /** The program may be given as a function, for where nobody asks for it. */
  constructor(
    il: NativeCodeILNN | (() => NativeCodeILNN),
    { device, weights, maxTokens = 128, kept }: CompileOptions,
    sequences = 1,
  ) {
    this.#il = il;
    this.#kept = kept;
    this.device = device;
    if (!Number.isSafeInteger(maxTokens) || maxTokens < 1)
      throw new ProjError('invalid-argument', `steps of ${maxTokens} tokens`, {
        op: 'compile',
        cure: 'Give a positive whole number',
      });
    this.maxTokens = maxTokens;
    const { positions, columns, vocabulary } = kept?.facts ?? shapeOf(this.il);
    this.maxLength = positions === 0 ? Infinity : positions;
    this.#memory = new StepMemory(device, positions, weights, this.maxTokens, sequences);
    this.columns = columns;
    this.#vocabulary = vocabulary ?? Infinity;
    this.#weights = weights;
    this.#unsubscribe = weights.subscribe?.((old, fresh) => this.#rebind(old, fresh));
    this.prepare('token');
  }

  get il(): NativeCodeILNN {
    return typeof this.#il === 'function' ? this.#il() : this.#il;
  }

  get report(): CompileReport {
    const { name, features } = this.device;
    return {
      device: name,
      description: features.description,
      kernels: this.#allKernels().size,
      launchesPerStep: this.#programs.get('token')?.launches.length ?? 0,
      compileMs: this.#compileMs,
    };
  }

  /** The kernels of the code that was made so far, for people: print them, or let the device show what they became. */
  get kernels(): readonly Kernel[] {
    return [...this.#allKernels().values()].map(({ kernel }) => kernel);
  }

  #allKernels(): ReadonlyMap<string, CompiledKernel> {
    return new Map([...this.#programs.values()].flatMap(({ kernels }) => [...kernels]));
  }

  /** Makes the code for steps of a kind now, which the first of them would else wait for. */
  prepare(kind: StepKind): StepProgram {
    const found = this.#programs.get(kind);
    if (found !== undefined) return found;
    const start = performance.now();
    const step = this.#restored(kind) ?? this.#lowered(kind);
    this.#compileMs += performance.now() - start;
    this.#programs.set(kind, step);
    return step;
  }

  /** One step, of the tokens (or rows of floats) in `input` from row `first` on. Gives what the program stores, in order, row by row. */
  step(kind: StepKind, rows: readonly StepRow[], input: ArrayLike<number>, first = 0): readonly Float32Array[] {
    const stored = this.#run(kind, rows, input, first);
    return stored.map((place) => this.#read(place, place.rows === 'T' || kind === 'batch' ? rows.length : 1));
  }

  /** One step of one token of each of some sequences. Gives the first value that the program stores, by row, in memory that the next call writes over. */
  stepEach(rows: readonly StepRow[], tokens: ArrayLike<number>): readonly Float32Array[] {
    const [{ slot, offset, columns, stride }] = this.#run(rows.length === 1 ? 'token' : 'batch', rows, tokens, 0);
    const bytes = 4 * ((rows.length - 1) * stride + columns);
    if (this.#each.length < bytes) this.#each = new Uint8Array(4 * this.#memory.batch * stride);
    const { buffer } = this.device.read(this.#memory.slots[slot], offset, bytes, this.#each);
    return rows.map((_, row) => new Float32Array(buffer, 4 * row * stride, columns));
  }

  #run(kind: StepKind, rows: readonly StepRow[], input: ArrayLike<number>, first: number): StepProgram['stored'] {
    this.#weights.advance?.();
    const { program, stored } = this.prepare(kind);
    this.#write(input, first, rows.length);
    this.#memory.writeRows(rows);
    program.run(this.#memory.slots, []);
    return stored;
  }

  /** The floats of a value of the last step of a kind, for comparisons; the value's place may have been used again by a later one. */
  value(kind: StepKind, name: string, tokens: number): Float32Array {
    const place = this.#programs.get(kind)?.places().get(name);
    if (place?.kind !== 'f32')
      throw new ProjError('invalid-argument', `there are no floats %${name}`, {
        op: 'value',
        cure: 'See the program for names',
      });
    return this.#read(place, place.rows === 'T' ? tokens : 1);
  }

  /** The integer sums of a value of the last step, `[token][column][group]`; as `value`. */
  integers(kind: StepKind, name: string, tokens: number): Int32Array {
    const place = this.#programs.get(kind)?.places().get(name);
    if (place?.kind !== 'i32')
      throw new ProjError('invalid-argument', `there are no integers %${name}`, {
        op: 'integers',
        cure: 'Ask for a result of int_dot or xnor_dot, in a program whose passes have not joined it',
      });
    const count = (place.rows === 'T' ? tokens : 1) * place.columns * place.groups;
    return new Int32Array(this.device.read(this.#memory.slots[place.slot], place.offset, 4 * count).buffer);
  }

  /** Tokens must be rows of the embedding. @throws ProjError `invalid-argument`. */
  check(input: ArrayLike<number>): void {
    if (this.columns !== 0) return;
    for (let i = 0; i < input.length; i++)
      if (!Number.isInteger(input[i]) || input[i] < 0 || input[i] >= this.#vocabulary)
        throw new ProjError('invalid-argument', `token ${input[i]} of a vocabulary of ${this.#vocabulary}`, {
          op: 'call',
          cure: 'Use the tokenizer that belongs to the model',
        });
  }

  dispose(): void {
    this.#unsubscribe?.();
    this.#memory.dispose();
    for (const { program } of this.#programs.values()) program.dispose();
  }

  #rebind(old: DeviceBuffer, fresh: DeviceBuffer): void {
    this.#memory.slots.forEach((buffer, slot) => {
      if (buffer === old) this.#memory.slots[slot] = fresh;
    });
  }

  #write(input: ArrayLike<number>, first: number, count: number): void {
    const place = this.#memory.allocate('input', 0);
    const buffer = this.#memory.slots[place.slot];
    if (this.columns === 0) {
      const ids = Int32Array.from({ length: count }, (_, t) => input[first + t]);
      this.device.write(buffer, place.offset, new Uint8Array(ids.buffer));
      return;
    }
    const columns = this.columns;
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

  /** From what an earlier process kept. Whatever is wrong with that, the program itself is there. */
  #restored(kind: StepKind): StepProgram | undefined {
    try {
      const compiled = this.#kept?.restore(kind, this.#memory, (name) => this.#kernel(kind, name));
      return compiled && this.#bind(compiled, () => this.#lower(kind).places);
    } catch {
      return undefined;
    }
  }

  /** A kernel of a lowering that was restored. */
  #kernel(kind: StepKind, name: string): Kernel {
    if (!this.#kernels.has(name)) this.#lower(kind);
    const kernel = this.#kernels.get(name);
    if (kernel === undefined)
      throw new ProjError('kernel-compilation', `the program has no kernel ${name}`, { op: 'compile' });
    return kernel;
  }

  #lower(kind: StepKind): Lowered {
    return lower(this.il, this.#memory, kind, this.#kernels);
  }

  #lowered(kind: StepKind): StepProgram {
    const { steps, places, stored } = this.#lower(kind);
    const used = new Set(steps.map(({ kernel }) => kernel));
    const fresh = [...used].filter((kernel) => !this.#compiled.has(kernel));
    this.device.compile(fresh).forEach((compiled, i) => this.#compiled.set(fresh[i], compiled));
    const kernels = new Map<string, CompiledKernel>();
    for (const [name, kernel] of this.#kernels) {
      const compiled = this.#compiled.get(kernel);
      if (compiled !== undefined && used.has(kernel)) kernels.set(name, compiled);
    }
    const launches = steps.map(({ kernel, args, begin, end, grain, stream }): Launch => {
      const compiled = this.#compiled.get(kernel);
      if (compiled === undefined)
        throw new ProjError('kernel-compilation', `kernel ${kernel.name} is missing`, { op: 'compile' });
      return { kernel: compiled, args, begin, end, grain, align: 1, ...stream };
    });
    const lowering = { launches, kernels, stored };
    const step = this.#bind(lowering, () => places);
    this.#kept?.put(kind, this.#memory, lowering);
    return step;
  }

  #bind(lowering: CompiledLowering, places: StepProgram['places']): StepProgram {
    return { ...lowering, places, program: this.device.program(lowering.launches, this.#memory.slots.length) };
  }
}
