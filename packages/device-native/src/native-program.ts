/**
 * A program of the native device: a table of entries and a block of parameter slots, in memory that machine code reads. A run writes the
 * addresses of buffers that changed and the scalars, then makes one call.
 */
import {
  coerce,
  floatToBfloatBits,
  floatToHalfBits,
  ProjError,
  SCALARS,
  type DeviceBuffer,
  type Kernel,
  type Launch,
  type Program,
  type ScalarType,
} from '@proj/kernel';
import { NativeBuffer } from './buffers.ts';
import { addressOf, type Address } from './ffi.ts';
import type { Runtime } from './runtime.ts';
import { ENTRY } from './runtime-parts-ir.ts';

/** What a program needs of a kernel, apart from its code. */
export type KernelHead = Pick<Kernel, 'name' | 'parameters'>;

/** A launch with the address of its code. */
export interface NativeLaunch {
  readonly launch: Launch;
  readonly head: KernelHead;
  readonly code: Address;
}

/** 8-byte slots, seen as each type of parameter. */
class Slots {
  readonly words: Uint32Array;
  readonly address: Address;
  readonly #bytes: Uint8Array;
  readonly #floats: Float32Array;
  readonly #doubles: Float64Array;
  readonly #longs: BigInt64Array;

  constructor(count: number) {
    // More than the 64 bytes that V8 may move.
    const memory = new ArrayBuffer(Math.max(count, 16) * 8);
    this.words = new Uint32Array(memory);
    this.#bytes = new Uint8Array(memory);
    this.#floats = new Float32Array(memory);
    this.#doubles = new Float64Array(memory);
    this.#longs = new BigInt64Array(memory);
    this.address = addressOf(memory);
  }

  /** An integer of at most 53 bits. */
  integer(slot: number, value: number): void {
    this.words[slot * 2] = value;
    this.words[slot * 2 + 1] = Math.floor(value / 2 ** 32);
  }

  scalar(slot: number, element: ScalarType, given: number | bigint): void {
    const value = coerce(given, element);
    switch (element) {
      case 'f32':
        this.#floats[slot * 2] = Number(value);
        return;
      case 'f64':
        this.#doubles[slot] = Number(value);
        return;
      case 'i64':
        this.#longs[slot] = BigInt(value);
        return;
      case 'f16':
        this.words[slot * 2] = floatToHalfBits(Number(value));
        return;
      case 'bf16':
        this.words[slot * 2] = floatToBfloatBits(Number(value));
        return;
      case 'bool':
        this.#bytes[slot * 8] = Number(value);
        return;
      case 'i8':
      case 'u8':
      case 'i16':
      case 'u16':
      case 'i32':
      case 'u32':
      case 'index':
        return this.integer(slot, Number(value));
      default:
        element satisfies never;
    }
  }
}

interface BufferSlot {
  readonly slot: number;
  readonly offset: number;
}

interface ScalarSlot {
  readonly slot: number;
  readonly scalar: number;
  readonly type: ScalarType;
}

function wrong(what: string, cure?: string): ProjError {
  return new ProjError('invalid-argument', what, cure === undefined ? { op: 'program' } : { op: 'program', cure });
}

/** Makes a program of launches. */
export class NativeProgram implements Program {
  readonly #runtime: Runtime;
  readonly #count: number;
  readonly #entries: Slots;
  readonly #arguments: Slots;
  /** For each binding, where its address goes. */
  readonly #bindings: readonly BufferSlot[][];
  readonly #least: Int32Array | Float64Array;
  readonly #addresses: Float64Array;
  readonly #scalars: ScalarSlot[] = [];
  #disposed = false;

  constructor(runtime: Runtime, launches: readonly NativeLaunch[], bindings: number) {
    this.#runtime = runtime;
    this.#count = launches.length;
    this.#entries = new Slots(launches.length * ENTRY.slots);
    this.#arguments = new Slots(launches.reduce((sum, { launch }) => sum + launch.args.length, 0));
    this.#bindings = Array.from({ length: bindings }, () => []);
    this.#least = new Float64Array(bindings);
    this.#addresses = new Float64Array(bindings).fill(-1);
    let slot = 0;
    launches.forEach((native, index) => {
      this.#entry(index, native, slot);
      slot = this.#launchArguments(native, slot);
    });
  }

  run(buffers: readonly DeviceBuffer[], scalars: readonly (number | bigint)[]): void {
    if (this.#disposed) throw new ProjError('invalid-argument', 'the program was disposed of', { op: 'run' });
    const { length } = this.#bindings;
    for (let binding = 0; binding < length; binding++) this.#bind(binding, buffers[binding]);
    for (const { slot, scalar, type } of this.#scalars) {
      const value = scalars[scalar];
      if (value === undefined) throw new ProjError('invalid-argument', `scalar ${scalar} is missing`, { op: 'run' });
      this.#arguments.scalar(slot, type, value);
    }
    this.#runtime.run(this.#entries.words, this.#count);
  }

  dispose(): void {
    this.#disposed = true;
  }

  #bind(binding: number, buffer: DeviceBuffer | undefined): void {
    const slots = this.#bindings[binding];
    if (slots === undefined || slots.length === 0) return;
    if (!(buffer instanceof NativeBuffer)) {
      throw new ProjError(
        'invalid-argument',
        buffer === undefined
          ? `binding ${binding} is missing`
          : `binding ${binding} is a buffer of device "${buffer.device.name}"`,
        { op: 'run' },
      );
    }
    const { address } = buffer;
    if (buffer.bytes < (this.#least[binding] ?? 0))
      throw new ProjError(
        'index-out-of-range',
        `binding ${binding} of ${buffer.bytes} bytes is used from byte ${this.#least[binding]} on`,
        { op: 'run' },
      );
    if (this.#addresses[binding] === address) return;
    this.#addresses[binding] = address;
    for (const { slot, offset } of slots) this.#arguments.integer(slot, address + offset);
  }

  #entry(index: number, { launch, head, code }: NativeLaunch, firstArgument: number): void {
    const { begin, end, grain, align, chunk, stream } = launch;
    if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end))
      throw wrong(`kernel ${head.name}: range ${begin} to ${end}`);
    const first = index * ENTRY.slots;
    this.#entries.integer(first + ENTRY.code, code);
    this.#entries.integer(first + ENTRY.args, this.#arguments.address + firstArgument * 8);
    this.#entries.integer(first + ENTRY.begin, begin);
    this.#entries.integer(first + ENTRY.end, end);
    this.#entries.integer(first + ENTRY.grain, positive(grain));
    this.#entries.integer(first + ENTRY.align, positive(align));
    if (chunk !== undefined) this.#entries.integer(first + ENTRY.chunk, wholeUnits(chunk, align));
    if (chunk === undefined || stream === undefined) return;
    if (launch.args[stream.argument]?.kind !== 'buffer')
      throw wrong(`kernel ${head.name}: the stream is argument ${stream.argument}, which is no buffer`);
    this.#entries.integer(first + ENTRY.streamBytes, positive(stream.bytes));
    this.#entries.integer(first + ENTRY.stream, stream.argument);
  }

  #launchArguments({ head: kernel, launch: { args } }: NativeLaunch, firstSlot: number): number {
    if (kernel.parameters.length !== args.length)
      throw wrong(`kernel ${kernel.name} has ${kernel.parameters.length} parameters, the launch gives ${args.length}`);
    kernel.parameters.forEach((parameter, i) => {
      const argument = args[i];
      const slot = firstSlot + i;
      if (argument === undefined || (argument.kind === 'buffer') !== (parameter.kind !== 'scalar')) {
        throw wrong(
          `kernel ${kernel.name}: parameter ${parameter.name} is a ${parameter.kind}, the launch gives a ${argument?.kind}`,
        );
      }
      if (parameter.kind !== 'scalar') {
        if (argument.kind !== 'buffer') return;
        const slots = this.#bindings[argument.binding];
        if (slots === undefined) throw wrong(`binding ${argument.binding} of ${this.#bindings.length}`);
        if (
          !Number.isSafeInteger(argument.offset) ||
          argument.offset < 0 ||
          argument.offset % SCALARS[parameter.element].bytes !== 0
        ) {
          throw wrong(
            `kernel ${kernel.name}: offset ${argument.offset} of ${parameter.name}`,
            'Offsets are bytes and multiples of the element size',
          );
        }
        slots.push({ slot, offset: argument.offset });
        this.#least[argument.binding] = Math.max(this.#least[argument.binding] ?? 0, argument.offset);
        return;
      }
      if (argument.kind === 'constant') this.#arguments.scalar(slot, parameter.type, argument.value);
      if (argument.kind === 'scalar') this.#scalars.push({ slot, scalar: argument.scalar, type: parameter.type });
    });
    return firstSlot + args.length;
  }
}

/** Grains and alignments are at least 1: the runtime divides by them. */
const positive = (value: number): number =>
  Number.isFinite(value) ? Math.max(1, Math.min(Math.floor(value), 2 ** 52)) : 2 ** 52;

/** A chunk of at least `chunk` items that ends at a multiple of `align`. */
const wholeUnits = (chunk: number, align: number): number =>
  Math.ceil(positive(chunk) / positive(align)) * positive(align);
