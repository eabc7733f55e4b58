/**
 * What lowering a program came to, kept by the device beside its compiled code, so that the next process that opens the same file need not read the program,
 * lower it, or build and hash its kernels: slots, launches, and each kernel's head with the hash that its code is kept under.
 *
 * An entry serves only the state of everything that it follows from: the header of the file (its sha256), the options, the features of the device, and the code
 * of this package and of the kernel language (digests that their builds put in; without them, when the sources are run, nothing is kept). The
 * entry repeats that state in full, and is not used when a letter of it differs.
 */
import {
  type Argument,
  type CompiledKernel,
  type Device,
  type DeviceCache,
  hashKernel,
  type Kernel,
  kernelCodeDigest,
  type Launch,
  ProjError,
} from '@proj/kernel';
import { codeDigest } from '../code-digest.ts';
import type { StepKind } from './lower.ts';
import type { ProgramFacts } from './need.ts';
import type { FloatPlace, SlotRecord, StepMemory } from './places.ts';

/** The code that lowers programs and builds kernels, or undefined when its state cannot be known for sure. */
export const LOWERING_CODE: string | undefined =
  codeDigest === undefined || kernelCodeDigest === undefined ? undefined : `${codeDigest} ${kernelCodeDigest}`;

/** One lowering with its kernels compiled. */
export interface CompiledLowering {
  readonly launches: readonly Launch[];
  /** By their keys in the lowering. */
  readonly kernels: ReadonlyMap<string, CompiledKernel>;
  /** Values that the program stores. */
  readonly stored: readonly FloatPlace[];
}

/** What a program is lowered from and for, apart from the code that does it. */
export interface LoweringState {
  /** The program: the sha256 of the file's header. */
  readonly program: string;
  readonly positions: number | undefined;
  readonly maxTokens: number;
  readonly sequences: number;
}

/** The lowerings of one program for one device. */
export class KeptLowerings {
  readonly #cache: DeviceCache;
  readonly #state: string;
  readonly #read: () => ProgramFacts;
  readonly #entries = new Map<StepKind, Entry | undefined>();
  #facts: ProgramFacts | undefined;

  /** `code` is the state of the code, such as {@link LOWERING_CODE}; `read` asks the program itself. */
  constructor(cache: DeviceCache, device: Device, code: string, state: LoweringState, read: () => ProgramFacts) {
    this.#cache = cache;
    // The description is for people: it says where the compiler is, which is not what lowering asks.
    this.#state = JSON.stringify([code, device.name, { ...device.features, description: '' }, state]);
    this.#read = read;
  }

  /** What is known of the program; it is read where nothing was kept. */
  get facts(): ProgramFacts {
    return (this.#facts ??= this.#entry('token')?.facts ?? this.#read());
  }

  /**
   * A lowering that was kept, over the slots of `memory`; undefined when there is none, or no code of one of its kernels. `build` gives a kernel, for people
   * who ask for it.
   */
  restore(kind: StepKind, memory: StepMemory, build: (name: string) => Kernel): CompiledLowering | undefined {
    const entry = this.#entry(kind);
    if (entry === undefined) return undefined;
    const heads = entry.kernels.map((record) => ({ ...record, build: () => build(record.name) }));
    const compiled = this.#cache.kernels(heads);
    if (compiled === undefined) return undefined;
    const slots = entry.slots.map((slot) => memory.remake(decodeSlot(slot)));
    return {
      launches: entry.launches.map((launch) => decodeLaunch(launch, compiled, slots)),
      kernels: new Map(heads.map(({ name }, i) => [name, compiled[i]])),
      stored: entry.stored.map((place) => ({ ...place, slot: slots[place.slot] })),
    };
  }

  put(kind: StepKind, memory: StepMemory, { launches, kernels, stored }: CompiledLowering): void {
    const slots: number[] = [];
    const slotOf = (slot: number): number => {
      const found = slots.indexOf(slot);
      return found < 0 ? slots.push(slot) - 1 : found;
    };
    const numbers = new Map([...kernels.values()].map((compiled, number) => [compiled, number]));
    const key = this.#key(kind);
    const entry: Entry = {
      state: key,
      facts: this.facts,
      kernels: [...kernels].map(([name, { kernel }]) => ({
        name,
        hash: hashKernel(kernel),
        parameters: kernel.parameters,
      })),
      launches: launches.map((launch) => encodeLaunch(launch, numbers.get(launch.kernel) ?? -1, slotOf)),
      stored: stored.map((place) => ({ ...place, slot: slotOf(place.slot) })),
      slots: slots.map((slot) => encodeSlot(memory.records[slot])),
    };
    this.#entries.set(kind, entry);
    this.#cache.put(key, new TextEncoder().encode(JSON.stringify(entry)));
  }

  #key(kind: StepKind): string {
    return `lowering ${kind} ${this.#state}`;
  }

  #entry(kind: StepKind): Entry | undefined {
    if (!this.#entries.has(kind)) this.#entries.set(kind, this.#load(this.#key(kind)));
    return this.#entries.get(kind);
  }

  #load(key: string): Entry | undefined {
    const bytes = this.#cache.get(key);
    if (bytes === undefined) return undefined;
    try {
      const entry = JSON.parse(new TextDecoder().decode(bytes)) as Entry;
      return entry.state === key ? entry : undefined;
    } catch {
      return undefined;
    }
  }
}

/** The JSON of an entry. */
interface Entry {
  readonly state: string;
  readonly facts: ProgramFacts;
  readonly kernels: readonly Pick<Kernel & { readonly hash: string }, 'name' | 'hash' | 'parameters'>[];
  /** `[kernel, begin, end, grain, align, chunk or 0, argument and bytes of the stream or 0 and 0, slot, offset, slot, offset, …]`; slots are positions in `slots`. */
  readonly launches: readonly (readonly number[])[];
  readonly stored: readonly FloatPlace[];
  readonly slots: readonly SlotEntry[];
}

/** Floats are in base64. */
type SlotEntry =
  { readonly name: string; readonly bytes: number; readonly contents?: string } | { readonly weight: string };

function encodeSlot(slot: SlotRecord): SlotEntry {
  if ('weight' in slot) return slot;
  const { name, bytes, contents } = slot;
  if (contents === undefined) return { name, bytes };
  const { buffer, byteOffset, byteLength } = contents;
  return { name, bytes, contents: Buffer.from(buffer, byteOffset, byteLength).toString('base64') };
}

function decodeSlot(slot: SlotEntry): SlotRecord {
  if ('weight' in slot) return slot;
  const { name, bytes, contents } = slot;
  if (contents === undefined) return { name, bytes };
  return { name, bytes, contents: new Float32Array(Uint8Array.from(Buffer.from(contents, 'base64')).buffer) };
}

/** Of a launch, before those of its arguments. */
const LAUNCH_NUMBERS = 8;

function encodeLaunch(launch: Launch, number: number, slotOf: (slot: number) => number): number[] {
  const { kernel: _, begin, end, grain, align, chunk = 0, stream, args, ...others } = launch;
  // A field that launches get is to be kept too.
  others satisfies Record<string, never>;
  const places = args.flatMap((argument) => {
    if (argument.kind !== 'buffer')
      throw new ProjError('not-implemented', `an argument that is a ${argument.kind} cannot be kept`, { op: 'lower' });
    return [slotOf(argument.binding), argument.offset];
  });
  return [number, begin, end, grain, align, chunk, stream?.argument ?? 0, stream?.bytes ?? 0, ...places];
}

function decodeLaunch(
  numbers: readonly number[],
  kernels: readonly CompiledKernel[],
  slots: readonly number[],
): Launch {
  const args: Argument[] = [];
  for (let i = LAUNCH_NUMBERS; i < numbers.length; i += 2)
    args.push({ kind: 'buffer', binding: slots[numbers[i]], offset: numbers[i + 1] });
  const launch = {
    kernel: kernels[numbers[0]],
    args,
    begin: numbers[1],
    end: numbers[2],
    grain: numbers[3],
    align: numbers[4],
  };
  const [chunk, argument, bytes] = numbers.slice(5);
  return {
    ...launch,
    ...(chunk === 0 ? {} : { chunk }),
    ...(bytes === 0 ? {} : { stream: { argument, bytes } }),
  };
}
