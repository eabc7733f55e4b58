/** The `native` device: kernels as machine code for this processor, on the threads of this process. */
import {
  hashText,
  ProjError,
  type CompiledKernel,
  type Device,
  type DeviceBuffer,
  type DeviceCache,
  type DeviceFeatures,
  type KeptKernel,
  type Kernel,
  type Launch,
  type Program,
} from '@proj/kernel';
import { BufferPool, NativeBuffer } from './buffers.ts';
import { Compiler } from './compiler.ts';
import { cpuTarget, hostCpu, type CpuTarget } from './cpu.ts';
import { koffi, type Address } from './ffi.ts';
import { findLlvm, LlvmLibrary, type LlvmSearch } from './llvm-library.ts';
import { fuses } from './llvm-operations.ts';
import { mapFile } from './mapped-file.ts';
import { type KernelHead, NativeProgram } from './native-program.ts';
import { cacheFolder, ObjectCache } from './object-cache.ts';
import { defaultThreads, Runtime, SPIN } from './runtime.ts';
import { runtimeIr } from './runtime-ir.ts';

interface NativeKernel extends CompiledKernel {
  readonly head: KernelHead;
  readonly address: Address;
}

/** A kernel whose code was kept: the kernel itself is built for people who ask for it. */
class KeptNativeKernel implements NativeKernel {
  readonly head: KeptKernel;
  readonly address: Address;

  constructor(head: KeptKernel, address: Address) {
    this.head = head;
    this.address = address;
  }

  get kernel(): Kernel {
    return this.head.build();
  }
}

/** What a device is made of. Everything has a default from the environment. */
export interface NativeDeviceOptions {
  /** In place of `process.env`: PROJ_LLVM, PROJ_CPU_FEATURES, PROJ_CACHE, PROJ_CACHE_DIR, PROJ_NUM_THREADS, PROJ_DEVICE. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Start without LLVM, with the objects that are in the cache. The default where PROJ_DEVICE asks for this device by name. */
  readonly cachedOnly?: boolean;
}

function hostFeatures(llvm: LlvmSearch): string {
  if (llvm.found === undefined) throw new ProjError('device-unavailable', llvm.reason, { op: 'native device' });
  return new LlvmLibrary(llvm.found.path).hostFeatures();
}

/** Kernels as machine code for this CPU, compiled by LLVM or taken from the cache. */
export class NativeDevice implements Device {
  readonly name = 'native';
  readonly cpu: CpuTarget;
  readonly features: DeviceFeatures;
  readonly cache: DeviceCache | undefined;
  readonly #compiler: Compiler;
  readonly #runtime: Runtime;
  readonly #buffers = new BufferPool();

  constructor({
    environment = process.env,
    cachedOnly = environment['PROJ_DEVICE'] === 'native',
  }: NativeDeviceOptions = {}) {
    if (process.platform !== 'linux' && process.platform !== 'darwin') {
      throw new ProjError('device-unavailable', `the native device does not run on ${process.platform} yet`, {
        op: 'native device',
        cure: 'Use the wasm device',
      });
    }
    koffi();
    const llvm = findLlvm(environment);
    if (llvm.found === undefined && !cachedOnly) {
      throw new ProjError('device-unavailable', llvm.reason, {
        op: 'native device',
        cure: 'Install libllvm19 (or 15 to 22), or set PROJ_LLVM to the path of its shared library',
      });
    }
    this.cpu = cpuTarget(
      hostCpu(() => hostFeatures(llvm)),
      environment['PROJ_CPU_FEATURES'],
    );
    const folder = cacheFolder(environment);
    const cache = folder === undefined ? undefined : new ObjectCache({ folder, compiler: llvm.found?.identity });
    this.#compiler = new Compiler({ cpu: this.cpu, llvm, cache });
    this.cache = cache === undefined ? undefined : this.#keeper(cache);
    const runtime = this.#compiler.module('runtime', Object.values(SPIN).join(' '), () =>
      runtimeIr(process.platform, this.cpu.architecture, SPIN),
    );
    this.#runtime = new Runtime(runtime);
    this.#runtime.setThreads(defaultThreads(environment));
    this.#compiler.useThreads(this.#runtime);
    this.features = describe(this.cpu, llvm, this.#runtime);
  }

  allocate(bytes: number): NativeBuffer {
    return this.#buffers.allocate(this, bytes);
  }

  mapFile(path: string): NativeBuffer {
    return mapFile(this, path);
  }

  write(buffer: DeviceBuffer, offset: number, data: Uint8Array): void {
    this.#range(buffer, offset, data.byteLength, 'write').view().set(data, offset);
  }

  read(buffer: DeviceBuffer, offset: number, bytes: number, into?: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const view = this.#range(buffer, offset, bytes, 'read').view();
    if (into === undefined) return view.slice(offset, offset + bytes);
    into.set(view.subarray(offset, offset + bytes));
    return into.subarray(0, bytes);
  }

  compile(kernels: readonly Kernel[]): CompiledKernel[] {
    const addresses = this.#compiler.kernels(kernels);
    return kernels.map((kernel, i): NativeKernel => ({ kernel, head: kernel, address: addresses[i] ?? 0 }));
  }

  program(launches: readonly Launch[], bindings: number): Program {
    return new NativeProgram(
      this.#runtime,
      launches.map((launch) => {
        const { head, address } = compiledHere(launch.kernel);
        return { launch, head, code: address };
      }),
      bindings,
    );
  }

  setThreads(threads: number): void {
    this.#runtime.setThreads(threads);
  }

  memory(): { readonly used: number; readonly pooled: number } {
    return { used: this.#buffers.used, pooled: this.#buffers.pooled };
  }

  /** LLVM IR and assembly of a kernel, for people. */
  inspect(kernel: Kernel): { readonly ir: string; readonly assembly: string } {
    return this.#compiler.inspect(kernel);
  }

  /** Objects taken from the cache and compiled so far, and the time that compiling took. */
  statistics(): { readonly cached: number; readonly compiled: number; readonly compileMs: number } {
    return { ...this.#compiler.statistics };
  }

  /** @internal The parts that measurements are built from. */
  get internals(): { readonly compiler: Compiler; readonly runtime: Runtime } {
    return { compiler: this.#compiler, runtime: this.#runtime };
  }

  dispose(): void {
    this.#runtime.dispose();
    this.#compiler.dispose();
    this.#buffers.clear();
  }

  #keeper(objects: ObjectCache): DeviceCache {
    return {
      get: (key) => objects.get(hashText(key)),
      put: (key, bytes) => objects.put(hashText(key), bytes),
      kernels: (kept) => {
        const addresses = this.#compiler.kept(kept.map(({ hash }) => hash));
        return addresses && kept.map((head, i) => new KeptNativeKernel(head, addresses[i] ?? 0));
      },
    };
  }

  #range(buffer: DeviceBuffer, offset: number, bytes: number, op: string): NativeBuffer {
    if (!(buffer instanceof NativeBuffer))
      throw new ProjError('invalid-argument', `a buffer of device "${buffer.device.name}" given to device "native"`, {
        op,
      });
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= buffer.bytes)) {
      throw new ProjError('index-out-of-range', `bytes ${offset} to ${offset + bytes} of a buffer of ${buffer.bytes}`, {
        op,
      });
    }
    return buffer;
  }
}

function compiledHere(kernel: CompiledKernel): NativeKernel {
  if ('address' in kernel && typeof kernel.address === 'number' && kernel.address !== 0) return kernel as NativeKernel;
  throw new ProjError('invalid-argument', `kernel ${kernel.kernel.name} was not compiled by this device`, {
    op: 'program',
  });
}

function describe(cpu: CpuTarget, llvm: LlvmSearch, runtime: Runtime): DeviceFeatures {
  const compiler = llvm.found === undefined ? 'cached objects only' : llvm.found.path;
  return {
    vectorBytes: cpu.vectorBytes,
    vectorRegisters: cpu.registers,
    tiles: cpu.tiles,
    fused: fuses(cpu),
    get threads() {
      return runtime.threads;
    },
    get description() {
      return `${cpu.architecture === 'x64' ? 'x86-64' : 'aarch64'} ${cpu.level}${cpu.tiles.length === 0 ? '' : ' with tiles'}, ${runtime.threads} ${runtime.threads === 1 ? 'thread' : 'threads'}, ${compiler}`;
    },
  };
}
