/** The `js` device: kernels as JavaScript functions over typed arrays, on the calling thread. Slow, everywhere, and the reference. */
import { describeBytes } from '../describe-bytes.ts';
import { ProjError } from '../errors.ts';
import { coerce } from '../passes/fold.ts';
import { hashKernel } from '../ir/hash.ts';
import type { Kernel } from '../ir/ir.ts';
import type { ScalarType } from '../ir/types.ts';
import { SCALARS } from '../ir/types.ts';
import { verifyKernel } from '../ir/verify.ts';
import {
  compileJs,
  type JsArgument,
  type JsFunction,
  type JsOptions,
  type JsTypedArray,
  renderJs,
} from '../targets/js.ts';
import { MemoryUse } from './memory-use.ts';
import type { CompiledKernel, Device, DeviceBuffer, DeviceFeatures, Launch, Program } from './device.ts';

type View = (buffer: ArrayBuffer, offset: number, length: number) => JsTypedArray;

const VIEWS: Record<Exclude<ScalarType, 'index'>, View> = {
  bool: (buffer, offset, length) => new Uint8Array(buffer, offset, length),
  i8: (buffer, offset, length) => new Int8Array(buffer, offset, length),
  u8: (buffer, offset, length) => new Uint8Array(buffer, offset, length),
  i16: (buffer, offset, length) => new Int16Array(buffer, offset, length),
  u16: (buffer, offset, length) => new Uint16Array(buffer, offset, length),
  i32: (buffer, offset, length) => new Int32Array(buffer, offset, length),
  u32: (buffer, offset, length) => new Uint32Array(buffer, offset, length),
  i64: (buffer, offset, length) => new BigInt64Array(buffer, offset, length),
  f16: (buffer, offset, length) => new Uint16Array(buffer, offset, length),
  bf16: (buffer, offset, length) => new Uint16Array(buffer, offset, length),
  f32: (buffer, offset, length) => new Float32Array(buffer, offset, length),
  f64: (buffer, offset, length) => new Float64Array(buffer, offset, length),
};

/** Memory of the `js` device: an `ArrayBuffer`, with the typed views that programs have asked for. */
export class JsBuffer implements DeviceBuffer {
  readonly device: JsDevice;
  readonly bytes: number;
  #memory: ArrayBuffer | null;
  #views = new Map<string, JsTypedArray>();

  constructor(device: JsDevice, bytes: number) {
    this.device = device;
    this.bytes = bytes;
    this.#memory = new ArrayBuffer(Math.ceil(bytes / 8) * 8);
  }

  get disposed(): boolean {
    return this.#memory === null;
  }

  /** The elements from `offset` bytes on. */
  view(element: ScalarType, offset: number): JsTypedArray {
    const key = `${element}${offset}`;
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const size = SCALARS[element].bytes;
    if (element === 'index' || offset < 0 || offset > this.bytes || offset % size !== 0) {
      throw new ProjError('invalid-argument', `a view of ${element} at byte ${offset} of a buffer of ${this.bytes}`, {
        op: 'run',
      });
    }
    const memory = this.memory();
    const view = VIEWS[element](memory, offset, Math.floor((memory.byteLength - offset) / size));
    this.#views.set(key, view);
    return view;
  }

  /** The bytes themselves; throws when the buffer was disposed of. */
  memory(): ArrayBuffer {
    if (this.#memory === null)
      throw new ProjError('invalid-argument', 'the buffer was disposed of', {
        cure: 'Keep it until its last reader has run',
      });
    return this.#memory;
  }

  dispose(): void {
    if (this.#memory === null) return;
    this.#memory = null;
    this.#views.clear();
    this.device.released(this);
  }
}

interface JsKernel extends CompiledKernel {
  readonly run: JsFunction;
}

/** Kernels as JavaScript on one thread: the reference. `bounds: true` checks every access. */
export class JsDevice implements Device {
  readonly name: string = 'js';
  readonly features: DeviceFeatures = {
    vectorBytes: 4,
    vectorRegisters: 16,
    tiles: [],
    fused: false,
    threads: 1,
    description: 'JavaScript, one thread',
  };
  readonly #options: Partial<JsOptions>;
  readonly #compiled = new Map<string, JsKernel>();
  readonly #use = new MemoryUse();

  constructor(options: Partial<JsOptions> = {}) {
    this.#options = options;
  }

  allocate(bytes: number): DeviceBuffer {
    if (!Number.isSafeInteger(bytes) || bytes < 0)
      throw new ProjError('invalid-argument', `a buffer of ${bytes} bytes`, { op: 'allocate' });
    let buffer: JsBuffer;
    try {
      buffer = new JsBuffer(this, bytes);
    } catch (cause) {
      throw new ProjError('out-of-memory', `no room for ${describeBytes(bytes)}`, { op: 'allocate', cause });
    }
    this.#use.add(bytes);
    return buffer;
  }

  /** Called by a buffer that was disposed of. */
  released(buffer: JsBuffer): void {
    this.#use.remove(buffer.bytes);
  }

  write(buffer: DeviceBuffer, offset: number, data: Uint8Array): void {
    new Uint8Array(this.#range(buffer, offset, data.byteLength, 'write').memory()).set(data, offset);
  }

  read(buffer: DeviceBuffer, offset: number, bytes: number, into?: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const memory = this.#range(buffer, offset, bytes, 'read').memory();
    if (into === undefined) return new Uint8Array(memory.slice(offset, offset + bytes));
    into.set(new Uint8Array(memory, offset, bytes));
    return into.subarray(0, bytes);
  }

  compile(kernels: readonly Kernel[]): CompiledKernel[] {
    return kernels.map((kernel) => {
      const hash = hashKernel(kernel);
      let compiled = this.#compiled.get(hash);
      if (compiled === undefined) {
        verifyKernel(kernel);
        this.#compiled.set(hash, (compiled = { kernel, run: compileJs(kernel, this.#options) }));
      }
      return compiled;
    });
  }

  inspect(kernel: Kernel): { readonly javascript: string } {
    return { javascript: renderJs(kernel, this.#options) };
  }

  program(launches: readonly Launch[], bindings: number): Program {
    const steps = launches.map((launch) => this.#step(launch, bindings));
    let disposed = false;
    return {
      run: (buffers, scalars) => {
        if (disposed) throw new ProjError('invalid-argument', 'the program was disposed of', { op: 'run' });
        const own = buffers.map((buffer) => this.#own(buffer, 'run'));
        for (const step of steps) step(own, scalars);
      },
      dispose: () => {
        disposed = true;
      },
    };
  }

  setThreads(threads: number): void {
    if (!Number.isInteger(threads) || threads < 1)
      throw new ProjError('invalid-argument', `${threads} threads`, { op: 'setThreads' });
  }

  memory(): { readonly used: number; readonly pooled: number } {
    return { used: this.#use.current(), pooled: 0 };
  }

  dispose(): void {
    this.#compiled.clear();
  }

  #step(
    launch: Launch,
    bindings: number,
  ): (buffers: readonly JsBuffer[], scalars: readonly (number | bigint)[]) => void {
    const { kernel } = launch.kernel;
    const compiled = this.#compiled.get(hashKernel(kernel));
    if (compiled === undefined)
      throw new ProjError('invalid-argument', `kernel ${kernel.name} was not compiled by this device`, {
        op: 'program',
      });
    const { parameters } = kernel;
    if (parameters.length !== launch.args.length)
      throw new ProjError(
        'invalid-argument',
        `kernel ${kernel.name} has ${parameters.length} parameters, the launch gives ${launch.args.length}`,
        { op: 'program' },
      );
    const sources = parameters.map(
      (parameter, i): ((buffers: readonly JsBuffer[], scalars: readonly (number | bigint)[]) => JsArgument) => {
        const arg = launch.args[i];
        if ((arg.kind === 'buffer') !== (parameter.kind === 'buffer'))
          throw new ProjError(
            'invalid-argument',
            `kernel ${kernel.name}: parameter ${parameter.name} is a ${parameter.kind}, the launch gives a ${arg.kind}`,
            { op: 'program' },
          );
        switch (arg.kind) {
          case 'buffer': {
            if (arg.binding < 0 || arg.binding >= bindings)
              throw new ProjError('invalid-argument', `binding ${arg.binding} of ${bindings}`, { op: 'program' });
            const element = parameter.kind === 'buffer' ? parameter.element : 'u8';
            return (buffers) => buffers[arg.binding].view(element, arg.offset);
          }
          case 'constant': {
            const value = coerce(arg.value, parameter.kind === 'scalar' ? parameter.type : 'f64');
            return () => value;
          }
          case 'scalar': {
            const type = parameter.kind === 'scalar' ? parameter.type : 'f64';
            return (_, scalars) => coerce(scalars[arg.scalar], type);
          }
          default:
            return arg satisfies never;
        }
      },
    );
    const { begin, end } = launch;
    return (buffers, scalars) => {
      const args = sources.map((source) => source(buffers, scalars));
      try {
        compiled.run(args, begin, end, 0);
      } catch (cause) {
        throw new ProjError(
          'index-out-of-range',
          `kernel ${kernel.name}: ${cause instanceof Error ? cause.message : String(cause)}`,
          { op: 'run', cause },
        );
      }
    };
  }

  #own(buffer: DeviceBuffer, op: string): JsBuffer {
    if (!(buffer instanceof JsBuffer))
      throw new ProjError('invalid-argument', `a buffer of device "${buffer.device.name}" given to device "js"`, {
        op,
      });
    return buffer;
  }

  #range(buffer: DeviceBuffer, offset: number, bytes: number, op: string): JsBuffer {
    const own = this.#own(buffer, op);
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= own.bytes))
      throw new ProjError('index-out-of-range', `bytes ${offset} to ${offset + bytes} of a buffer of ${own.bytes}`, {
        op,
      });
    return own;
  }
}
