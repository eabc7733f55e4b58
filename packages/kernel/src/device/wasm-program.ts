/**
 * A program of the WebAssembly device: its launches as a table in linear memory, and for each binding and scalar the argument slots that
 * hold it. A run writes the slots of what changed since the last run and calls the runner once.
 */
import { ProjError } from '../errors.ts';
import type { ScalarType } from '../ir/types.ts';
import { coerce } from '../passes/fold.ts';
import { stackType } from '../targets/wasm-opcodes.ts';
import type { DeviceBuffer, Launch, Program } from './device.ts';
import { floatToBfloatBits, floatToHalfBits } from '../dtypes/half.ts';
import type { WasmDevice, WasmKernel } from './wasm-device.ts';
import { RECORD_BYTES } from './wasm-runner.ts';

/** Indices are i32, and stay so when a piece is added. */
const MAX_INDEX = 2 ** 30;

/** Byte addresses of the slots that a binding fills, with what is added to its address. */
interface BindingSlots {
  readonly slots: number[];
  readonly offsets: number[];
  /** The address that the slots hold, -1 at first. */
  address: number;
}

interface ScalarSlots {
  readonly slots: number[];
  readonly types: ScalarType[];
  value: number | bigint | undefined;
}

/** Writes a scalar argument as the kernel reads it. */
function writeScalar(view: DataView, slot: number, type: ScalarType, value: number | bigint): void {
  const coerced = coerce(value, type);
  switch (stackType[type]) {
    case 'i64':
      view.setBigInt64(slot, BigInt(coerced), true);
      return;
    case 'f32':
      view.setFloat32(slot, Number(coerced), true);
      return;
    case 'f64':
      view.setFloat64(slot, Number(coerced), true);
      return;
    case 'i32': {
      const number = Number(coerced);
      view.setInt32(
        slot,
        type === 'f16' ? floatToHalfBits(number) : type === 'bf16' ? floatToBfloatBits(number) : number,
        true,
      );
      return;
    }
    default:
      stackType satisfies Record<ScalarType, string>;
  }
}

export class WasmProgram implements Program {
  readonly #device: WasmDevice;
  readonly #table: number;
  readonly #bytes: number;
  readonly #count: number;
  readonly #bindings: BindingSlots[];
  readonly #scalars: ScalarSlots[] = [];
  /** Whether some launch is large enough for more than one thread. */
  readonly #parallel: boolean;
  #runs = 0;
  #disposed = false;

  constructor(
    device: WasmDevice,
    launches: readonly Launch[],
    kernels: readonly WasmKernel[],
    bindings: number,
    register: (program: WasmProgram, table: number, bytes: number) => void,
  ) {
    this.#device = device;
    this.#count = launches.length;
    this.#bindings = Array.from({ length: bindings }, () => ({ slots: [], offsets: [], address: -1 }));
    const slots = launches.reduce((sum, launch) => sum + launch.args.length, 0);
    this.#bytes = launches.length * RECORD_BYTES + 8 * slots;
    this.#table = device.reserve(this.#bytes);
    register(this, this.#table, this.#bytes);
    this.#parallel = launches.some(({ begin, end, grain }) => end - begin >= 2 * Math.max(1, grain));
    const view = device.view();
    let args = this.#table + launches.length * RECORD_BYTES;
    launches.forEach((launch, i) => {
      const { kernel, index } = kernels[i];
      const { parameters } = kernel;
      const fail = (message: string): never => {
        throw new ProjError('invalid-argument', `kernel ${kernel.name}: ${message}`, { op: 'program' });
      };
      if (parameters.length !== launch.args.length)
        fail(`${parameters.length} parameters, the launch gives ${launch.args.length}`);
      const { begin, end } = launch;
      if (!(Math.abs(begin) <= MAX_INDEX && Math.abs(end) <= MAX_INDEX))
        fail(`range ${begin} to ${end}: the wasm device counts in 32 bits`);
      const positive = (value: number): number => Math.max(1, Math.min(MAX_INDEX, Math.floor(value)));
      const record = [index, args, begin, end, positive(launch.grain), positive(launch.align)];
      record.forEach((value, field) => view.setInt32(this.#table + i * RECORD_BYTES + 4 * field, value, true));
      parameters.forEach((parameter, position) => {
        const arg = launch.args[position];
        const slot = args + 8 * position;
        if ((arg.kind === 'buffer') !== (parameter.kind === 'buffer'))
          fail(`parameter ${parameter.name} is a ${parameter.kind}, the launch gives a ${arg.kind}`);
        const type = parameter.kind === 'scalar' ? parameter.type : 'i32';
        switch (arg.kind) {
          case 'buffer': {
            const binding = this.#bindings[arg.binding] ?? fail(`binding ${arg.binding} of ${bindings}`);
            binding.slots.push(slot);
            binding.offsets.push(arg.offset);
            break;
          }
          case 'constant':
            writeScalar(view, slot, type, arg.value);
            break;
          case 'scalar': {
            const scalar = (this.#scalars[arg.scalar] ??= { slots: [], types: [], value: undefined });
            scalar.slots.push(slot);
            scalar.types.push(type);
            break;
          }
          default:
            arg satisfies never;
        }
      });
      args += 8 * parameters.length;
    });
  }

  run(buffers: readonly DeviceBuffer[], scalars: readonly (number | bigint)[]): void {
    if (this.#disposed) throw new ProjError('invalid-argument', 'the program was disposed of', { op: 'run' });
    this.#device.withBuffers(() => this.#runWith(buffers, scalars));
  }

  #runWith(buffers: readonly DeviceBuffer[], scalars: readonly (number | bigint)[]): void {
    let view = this.#device.view();
    for (let i = 0; i < this.#bindings.length; i++) {
      const binding = this.#bindings[i];
      if (binding.slots.length === 0) continue;
      const address = this.#device.addressOf(buffers[i], i);
      if (address === binding.address) continue;
      binding.address = address;
      // A buffer that came back may have made the memory grow.
      view = this.#device.view();
      for (let k = 0; k < binding.slots.length; k++)
        view.setInt32(binding.slots[k], address + binding.offsets[k], true);
    }
    for (let i = 0; i < this.#scalars.length; i++) {
      const scalar = this.#scalars[i];
      if (scalar === undefined || Object.is(scalar.value, scalars[i])) continue;
      if (scalars[i] === undefined) throw new ProjError('invalid-argument', `scalar ${i} is missing`, { op: 'run' });
      for (let k = 0; k < scalar.slots.length; k++) writeScalar(view, scalar.slots[k], scalar.types[k], scalars[i]);
      scalar.value = scalars[i];
    }
    this.#device.execute(this.#table, this.#count, this.#parallel, this.#runs++);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#device.release(this, this.#table, this.#bytes);
  }
}
