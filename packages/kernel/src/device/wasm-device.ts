/**
 * The `wasm` device: kernels as WebAssembly SIMD in one linear memory, shared with worker threads where the platform has them. It needs
 * nothing but the engine, so it is what everything falls back to that is not native.
 *
 * Environment: `PROJ_NUM_THREADS` limits the threads. `PROJ_WASM_OPTIMIZE=1` makes V8 compile with its optimising compiler at once, where
 * it otherwise begins with code that is several times slower. `PROJ_WASM_REVECTORIZE=1` lets V8 fuse pairs of 128-bit operations into 256 bits:
 * matrix products are 1.4 times as fast, but V8 13.6 computes wrong results for one in fifty random kernels with shuffles and
 * scatters, so it is for experiments. Both are flags of the whole process; nothing sets them unless asked to.
 */
import { describeBytes } from '../describe-bytes.ts';
import { ProjError, toProjError } from '../errors.ts';
import { hashKernel } from '../ir/hash.ts';
import { toHexadecimal } from '../ir/print.ts';
import type { Kernel } from '../ir/ir.ts';
import { renderWasm, wasmConstantBytes } from '../targets/wasm.ts';
import { MAX_PAGES } from '../targets/wasm-bytes.ts';
import type { WasmFeatures } from '../targets/wasm-vector.ts';
import type { CompiledKernel, Device, DeviceBuffer, DeviceFeatures, Launch, Program } from './device.ts';
import type { DeviceFactory } from './registry.ts';
import { wasmApi, type WasmMemory, type WasmTable } from './wasm-api.ts';
import { detectFeatures } from './wasm-features.ts';
import { MemoryPool } from './wasm-pool.ts';
import { Residence, type Slot } from './wasm-residence.ts';
import { WasmProgram } from './wasm-program.ts';
import {
  encodeRunner,
  MAX_THREADS,
  RECORD_BYTES,
  type RunnerExports,
  SHARED,
  STACK_BYTES,
  STACK_START,
} from './wasm-runner.ts';
import { availableThreads, mayWait, WorkerThreads } from './wasm-threads.ts';

const PAGE = 65536;
/** A launch is cut into this many pieces for each thread. */
const PIECES_PER_THREAD = 4;
/** The first runs of a program are cut finer: the engine enters optimised code, which it makes meanwhile, between pieces only. */
const PIECES_AT_FIRST = 64;
const FIRST_RUNS = 4;

export interface WasmDeviceOptions {
  /** Most threads; by default the processors, or `PROJ_NUM_THREADS`. */
  readonly threads?: number;
  /** Most bytes of memory, at most 4 GiB. */
  readonly maximumBytes?: number;
  /** `false`: no shared memory and so no threads, as where SharedArrayBuffer is missing. */
  readonly shared?: boolean;
  /** Features to leave unused. */
  readonly without?: Partial<Record<keyof WasmFeatures, true>>;
}

export interface WasmKernel extends CompiledKernel {
  /** Its place in the function table. */
  readonly index: number;
}

/** Memory of the `wasm` device: a block of its linear memory, or outside while no program needs it. */
export class WasmBuffer implements DeviceBuffer {
  readonly device: WasmDevice;
  readonly bytes: number;
  readonly #slot: Slot;
  #disposed = false;

  constructor(device: WasmDevice, bytes: number, slot: Slot) {
    this.device = device;
    this.bytes = bytes;
    this.#slot = slot;
  }
  get disposed(): boolean {
    return this.#disposed;
  }
  /** Where its bytes are; those that are outside come back. */
  get address(): number {
    return this.device.addressOfSlot(this.#slot);
  }
  /** Its bytes where they are outside. */
  get away(): Uint8Array<ArrayBuffer> | null {
    return this.#slot.away;
  }
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.device.releaseSlot(this.#slot);
  }
}

/** Kernels as WebAssembly SIMD, with worker threads where memory can be shared. */
export class WasmDevice implements Device {
  readonly name = 'wasm';
  readonly #wasm: WasmFeatures;
  readonly #memory: WasmMemory;
  readonly #shared: boolean;
  readonly #maximum: number;
  readonly #table: WasmTable;
  readonly #stack: object;
  readonly #runner: RunnerExports;
  readonly #workers: WorkerThreads | null;
  readonly #pool: MemoryPool;
  readonly #residence: Residence;
  readonly #kernels = new Map<string, WasmKernel>();
  readonly #available: number;
  readonly #collected: FinalizationRegistry<{ readonly address: number; readonly bytes: number }>;
  #functions = 0;
  #threads: number;
  #pieces = 0;
  #bytes: Uint8Array;
  #view: DataView;
  #disposed = false;

  constructor(options: WasmDeviceOptions = {}) {
    const api = wasmApi();
    setEngineFlags();
    const detected = detectFeatures();
    const without = options.without ?? {};
    this.#wasm = {
      relaxed: detected.relaxed && without.relaxed !== true,
      fused: detected.fused && without.fused !== true && without.relaxed !== true,
      exactDot: detected.exactDot && without.exactDot !== true && without.relaxed !== true,
    };
    const scope = globalThis as { crossOriginIsolated?: boolean };
    this.#shared =
      options.shared !== false && typeof SharedArrayBuffer !== 'undefined' && scope.crossOriginIsolated !== false;
    [this.#memory, this.#maximum] = createMemory(options.maximumBytes ?? MAX_PAGES * PAGE, this.#shared);
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.#view = new DataView(this.#memory.buffer);
    this.#table = new api.Table({ element: 'anyfunc', initial: 64 });
    this.#stack = new api.Global({ value: 'i32', mutable: false }, STACK_START);
    const runner = new api.Module(encodeRunner(this.#shared));
    this.#runner = new api.Instance(runner, { e: { m: this.#memory, t: this.#table } })
      .exports as unknown as RunnerExports;
    this.#workers = this.#shared ? new WorkerThreads(this.#memory, runner) : null;
    this.#pool = new MemoryPool(STACK_START + STACK_BYTES, (end) => this.#grow(end));
    this.#residence = new Residence(this.#pool, {
      byteLength: () => this.#memory.buffer.byteLength,
      copyOut: (address, bytes) => this.#copyOut(address, bytes),
      copyIn: (address, data) => this.#fresh().#bytes.set(data, address),
    });
    this.#collected = new FinalizationRegistry(({ address, bytes }) => this.#pool.free(address, bytes));
    const limit = Number(globalThis.process?.env?.['PROJ_NUM_THREADS'] ?? Infinity);
    const most = options.threads ?? Math.min(availableThreads(), limit >= 1 ? Math.floor(limit) : Infinity);
    this.#available = this.#shared ? Math.max(1, Math.min(most, MAX_THREADS)) : 1;
    this.#threads = this.#available;
    this.#view.setInt32(SHARED.mayWait, Number(mayWait()), true);
    this.setThreads(this.#available);
  }

  get features(): DeviceFeatures {
    const extras = [
      this.#wasm.relaxed ? 'relaxed' : '',
      this.#wasm.fused ? 'fused' : '',
      this.#shared ? 'shared memory' : '',
    ].filter((text) => text !== '');
    return {
      vectorBytes: 16,
      vectorRegisters: 16,
      tiles: [],
      fused: this.#wasm.fused,
      threads: this.#threads,
      description: `WebAssembly SIMD128${extras.length === 0 ? '' : ` (${extras.join(', ')})`}, ${this.#threads} thread${this.#threads === 1 ? '' : 's'}`,
    };
  }

  allocate(bytes: number): WasmBuffer {
    if (!Number.isSafeInteger(bytes) || bytes < 0)
      throw new ProjError('invalid-argument', `a buffer of ${bytes} bytes`, { op: 'allocate' });
    this.#requireAlive('allocate');
    const slot = this.#residence.allocate(bytes);
    return slot === null ? this.#noRoom(bytes) : new WasmBuffer(this, bytes, slot);
  }

  write(buffer: DeviceBuffer, offset: number, data: Uint8Array): void {
    const own = this.#range(buffer, offset, data.byteLength, 'write');
    if (own.away !== null) own.away.set(data, offset);
    else this.#fresh().#bytes.set(data, own.address + offset);
  }

  read(buffer: DeviceBuffer, offset: number, bytes: number, into?: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const own = this.#range(buffer, offset, bytes, 'read');
    if (own.away === null) return this.#copyOut(own.address + offset, bytes, into);
    if (into === undefined) return own.away.slice(offset, offset + bytes);
    into.set(own.away.subarray(offset, offset + bytes));
    return into.subarray(0, bytes);
  }

  compile(kernels: readonly Kernel[]): WasmKernel[] {
    this.#requireAlive('compile');
    const missing = new Map<string, Kernel>();
    for (const kernel of kernels) if (!this.#kernels.has(hashKernel(kernel))) missing.set(hashKernel(kernel), kernel);
    if (missing.size > 0) {
      const first = this.#functions;
      const constants = wasmConstantBytes([...missing.values()]);
      const bytes = renderWasm([...missing.values()], {
        features: this.#wasm,
        sharedMemory: this.#shared,
        tableStart: first,
        // Never given back: compiled kernels stay as long as the device.
        ...(constants === 0 ? {} : { constantsStart: this.reserve(constants) }),
      });
      const functions = first + missing.size;
      if (this.#table.length < functions) this.#table.grow(2 * functions - this.#table.length);
      const api = wasmApi();
      try {
        const module = new api.Module(bytes);
        new api.Instance(module, { e: { m: this.#memory, t: this.#table, s: this.#stack } });
        this.#workers?.publish(module, functions);
      } catch (cause) {
        const names = [...missing.values()].map((kernel) => kernel.name).join(', ');
        throw new ProjError(
          'kernel-compilation',
          `the engine rejects the code of ${names}: ${toProjError(cause).message}`,
          { op: 'compile', cause },
        );
      }
      this.#functions = functions;
      let index = first;
      for (const [hash, kernel] of missing) this.#kernels.set(hash, { kernel, index: index++ });
    }
    return kernels.map((kernel) => this.#compiled(kernel));
  }

  /** A module of the kernel alone, two digits a byte. */
  inspect(kernel: Kernel): { readonly wasm: string } {
    const constants = wasmConstantBytes([kernel]);
    const bytes = renderWasm([kernel], {
      features: this.#wasm,
      sharedMemory: this.#shared,
      tableStart: 0,
      ...(constants === 0 ? {} : { constantsStart: STACK_START }),
    });
    return { wasm: toHexadecimal(bytes) };
  }

  program(launches: readonly Launch[], bindings: number): Program {
    this.#requireAlive('program');
    const kernels = launches.map((launch) => this.#compiled(launch.kernel.kernel));
    return new WasmProgram(this, launches, kernels, bindings, (program, address, bytes) =>
      this.#collected.register(program, { address, bytes }, program),
    );
  }

  setThreads(threads: number): void {
    if (!Number.isInteger(threads) || threads < 1)
      throw new ProjError('invalid-argument', `${threads} threads`, { op: 'setThreads' });
    this.#threads = Math.min(threads, this.#available);
    this.#fresh().#view.setInt32(SHARED.threads, this.#threads, true);
  }

  memory(): { readonly used: number; readonly pooled: number } {
    return { used: this.#pool.used, pooled: this.#pool.pooled };
  }

  /** Worker threads that take part in launches by now. They start with the first launch that is worth splitting, and not at once. */
  get readyThreads(): number {
    return 1 + Math.min(this.#workers?.ready ?? 0, this.#threads - 1);
  }

  dispose(): void {
    this.#disposed = true;
    this.#workers?.stop();
    this.#kernels.clear();
  }

  // For the buffers and programs of this device

  /** The address of a block of at least `bytes` bytes. */
  reserve(bytes: number): number {
    this.#requireAlive('allocate');
    return this.#residence.room(bytes) ?? this.#noRoom(bytes);
  }

  /** The address of a buffer's bytes, which come back from outside if need be. */
  addressOfSlot(slot: Slot): number {
    return this.#residence.touch(slot) ?? this.#noRoom(slot.bytes);
  }

  releaseSlot(slot: Slot): void {
    this.#residence.release(slot);
  }

  /** Runs `body`, which asks for the addresses of the buffers that a program needs, all at once, and then runs it. */
  withBuffers(body: () => void): void {
    this.#residence.beginRun();
    try {
      body();
    } finally {
      this.#residence.endRun();
    }
  }

  #copyOut(address: number, bytes: number, into?: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    let copy: Uint8Array<ArrayBuffer>;
    try {
      copy = into?.subarray(0, bytes) ?? new Uint8Array(bytes);
    } catch (cause) {
      throw new ProjError('out-of-memory', `no room for ${describeBytes(bytes)} outside the WebAssembly memory`, {
        cause,
      });
    }
    copy.set(this.#fresh().#bytes.subarray(address, address + bytes));
    return copy;
  }

  #noRoom(bytes: number): never {
    const inUse = Math.round(this.#pool.used / 2 ** 20);
    throw new ProjError(
      'out-of-memory',
      `no room for ${describeBytes(bytes)}: ${inUse} MiB of at most ${Math.round(this.#maximum / 2 ** 20)} MiB are in use`,
      {
        op: 'allocate',
        cure: 'What one evaluation reads and writes must fit: evaluate in smaller pieces (smaller batches, realize() in between), give values back early with tidy() or dispose(), or capture the step with compile(), which updates in place; the native device has no such limit',
      },
    );
  }

  /** Gives a block back; `owner` was registered for it. */
  release(owner: object, address: number, bytes: number): void {
    this.#collected.unregister(owner);
    this.#pool.free(address, bytes);
  }

  /** A view of the whole memory. */
  view(): DataView {
    return this.#fresh().#view;
  }

  addressOf(buffer: DeviceBuffer | undefined, binding: number): number {
    if (!(buffer instanceof WasmBuffer) || buffer.device !== this) {
      throw new ProjError(
        'invalid-argument',
        buffer === undefined
          ? `binding ${binding} is missing`
          : `a buffer of device "${buffer.device.name}" given to another device "wasm"`,
        { op: 'run' },
      );
    }
    if (buffer.disposed)
      throw new ProjError('invalid-argument', `the buffer of binding ${binding} was disposed of`, {
        op: 'run',
        cure: 'Keep it until its last reader has run',
      });
    return buffer.address;
  }

  /** `runs`: how often the program ran before. */
  execute(table: number, count: number, parallel: boolean, runs: number): void {
    this.#requireAlive('run');
    const pieces = Math.max(
      runs < FIRST_RUNS ? PIECES_AT_FIRST : 1,
      this.#threads > 1 ? this.#threads * PIECES_PER_THREAD : 1,
    );
    if (pieces !== this.#pieces) {
      this.#pieces = pieces;
      this.view().setInt32(SHARED.maxPieces, pieces, true);
    }
    if (parallel && this.#workers !== null && this.#workers.started < this.#threads - 1)
      this.#workers.start(this.#threads - 1, () => this.#pool.allocate(STACK_BYTES, 0) ?? this.reserve(STACK_BYTES));
    let lost = 0;
    try {
      let left = this.#runner.run(table, count);
      while (left > 0 && lost === 0) {
        lost = this.#workers?.settle() ?? 0;
        left = lost > 0 ? 0 : this.#runner.run(table + (count - left + 1) * RECORD_BYTES, left - 1);
      }
    } catch (cause) {
      if ((this.#workers?.ready ?? 0) > 0) this.#workers?.abandon();
      throw new ProjError('index-out-of-range', `a kernel left its memory: ${toProjError(cause).message}`, {
        op: 'run',
        cause,
      });
    }
    if (lost > 0)
      throw new ProjError('device-unavailable', 'a worker thread of the wasm device ended in the middle of a launch', {
        op: 'run',
        cure: 'The results of this evaluation are lost; later ones run on the threads that are left. Memory is the usual reason: raise --max-old-space-size, or set PROJ_NUM_THREADS=1',
      });
    if (this.#workers !== null && this.#workers.failures() > 0)
      throw new ProjError('index-out-of-range', 'a kernel left its memory, on a worker thread', { op: 'run' });
  }

  // Internals

  #compiled(kernel: Kernel): WasmKernel {
    const compiled = this.#kernels.get(hashKernel(kernel));
    if (compiled === undefined)
      throw new ProjError('invalid-argument', `kernel ${kernel.name} was not compiled by this device`, {
        op: 'program',
      });
    return compiled;
  }

  /** Views are made anew when the memory has grown. */
  #fresh(): this {
    if (this.#bytes.buffer !== this.#memory.buffer) {
      this.#bytes = new Uint8Array(this.#memory.buffer);
      this.#view = new DataView(this.#memory.buffer);
    }
    return this;
  }

  /** Makes bytes below `end` exist: a quarter more than before at least, or just what is needed. */
  #grow(end: number): boolean {
    const present = this.#memory.buffer.byteLength;
    if (end <= present) return true;
    if (end > this.#maximum) return false;
    const needed = Math.ceil((end - present) / PAGE);
    const most = Math.floor(this.#maximum / PAGE) - present / PAGE;
    for (const pages of [Math.min(most, Math.max(needed, Math.ceil(present / PAGE / 4), 256)), needed]) {
      try {
        this.#memory.grow(pages);
        return true;
      } catch {
        continue;
      }
    }
    return false;
  }

  #range(buffer: DeviceBuffer, offset: number, bytes: number, op: string): WasmBuffer {
    if (!(buffer instanceof WasmBuffer) || buffer.device !== this)
      throw new ProjError(
        'invalid-argument',
        `a buffer of device "${buffer.device.name}" given to another device "wasm"`,
        { op },
      );
    if (buffer.disposed)
      throw new ProjError('invalid-argument', 'the buffer was disposed of', {
        op,
        cure: 'Keep it until its last reader has run',
      });
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= buffer.bytes))
      throw new ProjError('index-out-of-range', `bytes ${offset} to ${offset + bytes} of a buffer of ${buffer.bytes}`, {
        op,
      });
    return buffer;
  }

  #requireAlive(op: string): void {
    if (this.#disposed) throw new ProjError('device-unavailable', 'the wasm device was disposed of', { op });
  }
}

function createMemory(maximumBytes: number, shared: boolean): [WasmMemory, number] {
  const api = wasmApi();
  const initial = Math.ceil((STACK_START + STACK_BYTES) / PAGE) + 10;
  let failure: unknown;
  // Address space is reserved for the maximum; where it is scarce, less will do.
  for (let pages = Math.max(initial, Math.floor(maximumBytes / PAGE)); pages >= initial; pages = pages >> 1) {
    try {
      return [new api.Memory({ initial, maximum: pages, shared }), pages * PAGE];
    } catch (error) {
      failure = error;
    }
  }
  throw new ProjError('device-unavailable', 'no address space for a WebAssembly memory', { cause: failure });
}

function setEngineFlags(): void {
  const flags = { PROJ_WASM_REVECTORIZE: '--experimental-wasm-revectorize', PROJ_WASM_OPTIMIZE: '--no-liftoff' };
  for (const [name, flag] of Object.entries(flags)) {
    if (globalThis.process?.env?.[name] === '1')
      globalThis.process.getBuiltinModule?.('node:v8').setFlagsFromString(flag);
  }
}

/** The factory that registers the device; it starts when it is first asked for. */
export const wasmDevice: DeviceFactory = { name: 'wasm', priority: 50, create: () => new WasmDevice() };
