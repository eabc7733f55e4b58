/** Opens a converted model: header, program, device, weights, code. */
import { attempt, type Device, ProjError } from '@proj/kernel';
import { type ModelFile, openModelFile, type OpenOptions } from '../file/reader.ts';
import { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { typeText } from '../il/types.ts';
import { chooseDevice, type DeviceChoice, type DeviceName } from './choose.ts';
import { CompiledNativeILNN, type StepModel } from './compiled.ts';
import { CompiledGroup, SeparateGroup, type SequenceGroup } from './group.ts';
import { fileConstants, InterpretedNativeILNN } from './interpreted.ts';
import { KeptLowerings, LOWERING_CODE } from './kept.ts';
import { factsOf, type ProgramFacts, requireModelMemory } from './need.ts';
import { FileWeights, type Residence } from './residence.ts';

export interface OpenModelOptions extends OpenOptions {
  /** Device, or its name (default `auto`: the fastest that works). */
  readonly device?: DeviceName | Device;
  readonly threads?: number;
  /** Most tokens of one step (default 128). */
  readonly maxTokens?: number;
  /** Positions that the caches hold, at most those of the model (default: all). */
  readonly positions?: number;
  readonly residence?: Residence;
  /** Sequences of the model's group (default 1). */
  readonly sequences?: number;
  /** @internal The state of the code that lowers programs, in place of that of the build. */
  readonly code?: string | undefined;
  /** Hears of devices that were not taken, and why, and of what was taken then. */
  readonly log?: (message: string) => void;
}

/** How long opening took, in milliseconds. */
export interface LoadTimes {
  /** Header, and checksums where they were due. */
  readonly file: number;
  /** Program, device and weights. */
  readonly weights: number;
  /** Kernels built, compiled or taken from the cache, and bound. */
  readonly compile: number;
}

/** A converted model, ready to run. Sequences share its weights. */
export class LoadedModel {
  readonly file: ModelFile;
  /** Sequences that take their next tokens together: as many as were asked for. */
  readonly group: SequenceGroup;
  readonly choice: DeviceChoice;
  readonly times: LoadTimes;
  readonly #il: () => NativeCodeILNN;
  readonly #make: () => StepModel;
  readonly #weights: FileWeights | null;
  #taken = false;

  constructor(parts: {
    readonly file: ModelFile;
    readonly il: () => NativeCodeILNN;
    readonly choice: DeviceChoice;
    readonly times: LoadTimes;
    readonly weights: FileWeights | null;
    readonly group: SequenceGroup;
    readonly make: () => StepModel;
  }) {
    this.file = parts.file;
    this.#il = parts.il;
    this.choice = parts.choice;
    this.times = parts.times;
    this.#weights = parts.weights;
    this.group = parts.group;
    this.#make = parts.make;
  }

  /** The program. It is read when it is first asked for, where an earlier process kept what it was lowered to. */
  get il(): NativeCodeILNN {
    return this.#il();
  }

  /** A sequence that steps by itself: the group where that is of one, and then others. */
  sequence(): StepModel {
    const [first, ...others] = this.group.sequences;
    if (others.length > 0 || this.#taken) return this.#make();
    this.#taken = true;
    return first;
  }

  /** Moves what is left of the weights into memory of the device, so that no later step waits for it. */
  settle(): void {
    this.#weights?.settle();
  }

  /** Whether the weights lie where they are to stay. */
  get settled(): boolean {
    return this.#weights?.settled ?? true;
  }

  dispose(): void {
    this.group.dispose();
    this.#weights?.dispose();
  }
}

/**
 * Opens a converted model and compiles its program.
 *
 * @throws ProjError `io`, `serialization` (see `openModelFile`), `device-unavailable` for a device asked for by name, `out-of-memory` with what is needed.
 */
export async function openModel(path: string, options: OpenModelOptions = {}): Promise<LoadedModel> {
  const {
    device: wanted = 'auto',
    threads,
    maxTokens = 128,
    positions,
    residence = 'auto',
    sequences = 1,
    code = LOWERING_CODE,
    log = () => {},
  } = options;
  for (const [name, count] of Object.entries({ maxTokens, sequences }))
    if (!Number.isSafeInteger(count) || count < 1)
      throw new ProjError('invalid-argument', `${name} is ${count}`, {
        op: 'openModel',
        cure: 'Give a positive whole number',
      });
  const started = performance.now();
  const file = await openModelFile(path, options);
  const opened = performance.now();
  let read: NativeCodeILNN | null = null;
  const il = (): NativeCodeILNN => (read ??= shortened(programOfFile(file), positions));
  if (code === undefined) il();
  const facts = (count: number) => (): ProgramFacts => factsOf(il(), { sequences: count, maxTokens });
  const keptFor = (device: Device, count: number): KeptLowerings | undefined => {
    if (device.cache === undefined || code === undefined) return undefined;
    const state = { program: file.sha256, positions, maxTokens, sequences: count };
    return new KeptLowerings(device.cache, device, code, state, facts(count));
  };
  let group: SequenceGroup | null = null;
  let make = (): StepModel => new InterpretedNativeILNN(il(), fileConstants(file, il()));
  let weights: FileWeights | null = null;
  let compileStart = opened;
  const choice = chooseDevice(wanted, log, (device) => {
    if (threads !== undefined) device.setThreads(threads);
    const kept = keptFor(device, sequences);
    requireModelMemory(device, file, kept?.facts ?? facts(sequences)(), residence, { sequences, maxTokens });
    const placed = new FileWeights(device, file, residence);
    compileStart = performance.now();
    const options = { device, weights: placed, maxTokens };
    let alone = sequences === 1 ? kept : undefined;
    const one = (): StepModel => new CompiledNativeILNN(il, { ...options, kept: (alone ??= keptFor(device, 1)) });
    try {
      group = sequences > 1 ? new CompiledGroup(il, { ...options, kept }, sequences) : new SeparateGroup([one()]);
      make = one;
      weights = placed;
    } catch (error) {
      placed.dispose();
      throw error;
    }
  });
  group ??= new SeparateGroup(Array.from({ length: sequences }, make));
  const done = performance.now();
  return new LoadedModel({
    file,
    il,
    choice,
    times: { file: opened - started, weights: compileStart - opened, compile: done - compileStart },
    weights,
    group,
    make,
  });
}

/**
 * The program of a file, with constants that are the tensors of the file: kernels read as many bytes as the program says.
 *
 * @throws ProjError `serialization` when the program cannot be read, or is not that of the tensors.
 */
export function programOfFile({ path, il: text, tensors }: ModelFile): NativeCodeILNN {
  const parsed = attempt(() => NativeCodeILNN.parse(text));
  if (!parsed.ok)
    throw new ProjError('serialization', `${path}: the program in it: ${parsed.error.message}`, {
      op: 'openModel',
      cause: parsed.error,
    });
  const il = parsed.value;
  for (const { name, type } of il.constants) {
    const record = tensors.get(name);
    const shape = record?.rows === 1 && type.shape.length === 1 ? [record.columns] : [record?.rows, record?.columns];
    const found = record === undefined ? 'nothing' : `${record.scheme.name}[${shape.join(', ')}]`;
    if (found !== `${type.scheme}[${type.shape.join(', ')}]`)
      throw new ProjError(
        'serialization',
        `${path}: "${name}" is ${typeText(type)} in the program, ${found} in the file`,
        {
          op: 'openModel',
          cure: 'Convert the model again',
        },
      );
  }
  return il;
}

/** The program with a shorter context. */
function shortened(il: NativeCodeILNN, positions: number | undefined): NativeCodeILNN {
  if (positions === undefined || positions >= il.config.positions) return il;
  if (!Number.isSafeInteger(positions) || positions < 1)
    throw new ProjError('invalid-argument', `a context of ${positions} positions`, {
      op: 'openModel',
      cure: `Give 1 … ${il.config.positions}`,
    });
  return new NativeCodeILNN({ ...il.config, positions }, il.program);
}
