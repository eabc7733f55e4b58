/**
 * The device interface. A device compiles kernels and runs *programs*: tables of launches over numbered buffers, so that a whole evaluation
 * (or training step) is one call into the device.
 */
import type { Kernel } from '../ir/ir.ts';

export interface DeviceFeatures {
  /** Bytes of the widest vector that is worth using; kernels are built with lanes = vectorBytes / element bytes. */
  readonly vectorBytes: number;
  /** Vector registers, which bounds register tiles. */
  readonly vectorRegisters: number;
  /** What `tileDot` has instructions for, and registers of its own: `bf16` with sums of floats, `i8` with sums of integers. */
  readonly tiles: readonly ('bf16' | 'i8')[];
  /** Whether `mulAdd` is one rounded operation. */
  readonly fused: boolean;
  /** Threads that a launch is split over. */
  readonly threads: number;
  /** Text for people and cache keys, e.g. `x86-64 avx512`. */
  readonly description: string;
}

/** Memory of a device. Owned by the garbage collector; `dispose` gives it back at once and may be called twice. */
export interface DeviceBuffer {
  readonly device: Device;
  readonly bytes: number;
  readonly disposed: boolean;
  dispose(): void;
}

/** A kernel made executable by a device. */
export interface CompiledKernel {
  readonly kernel: Kernel;
}

/** What has to be known of a kernel to run code of it that was kept. */
export interface KeptKernel {
  readonly name: string;
  readonly parameters: Kernel['parameters'];
  /** Of its structure, as `hashKernel` gives it. */
  readonly hash: string;
  /** The kernel itself, for people who ask for it. */
  build(): Kernel;
}

/** What a device keeps for the processes to come. All of it may be lost at any time. */
export interface DeviceCache {
  /** Bytes as they were put, or undefined. */
  get(key: string): Uint8Array | undefined;
  /** Keeps bytes, if that can be done. */
  put(key: string, bytes: Uint8Array): void;
  /** These kernels, from code that was kept; undefined when that of one is missing. */
  kernels(kept: readonly KeptKernel[]): CompiledKernel[] | undefined;
}

export type Argument =
  /** Memory: binding `binding` of the program, `offset` bytes in. */
  | { readonly kind: 'buffer'; readonly binding: number; readonly offset: number }
  /** A number that is fixed in the program. i64 parameters take a bigint. */
  | { readonly kind: 'constant'; readonly value: number | bigint }
  /** A number that each run gives: entry `scalar` of its scalars. */
  | { readonly kind: 'scalar'; readonly scalar: number };

export interface Launch {
  readonly kernel: CompiledKernel;
  /** One for each parameter of the kernel, in order. */
  readonly args: readonly Argument[];
  readonly begin: number;
  readonly end: number;
  /** The range is split over threads when each would get at least this many items. */
  readonly grain: number;
  /** Parts begin at multiples of this (relative to `begin`). */
  readonly align: number;
  /**
   * Threads take parts of this many items or more as they come free, so that one that is slowed down does less. Without it each gets one part of equal size, always
   * the same, which keeps what it wrote in its core's cache. Devices may ignore it.
   */
  readonly chunk?: number;
  /**
   * Of launches with a chunk: item `i` reads the `bytes` bytes from `i · bytes` on of an argument that is a buffer, and nobody else does. Devices may ask for them ahead,
   * while threads have nothing else to do.
   */
  readonly stream?: { readonly argument: number; readonly bytes: number };
}

export interface Program {
  /** Runs all launches in order. `buffers[i]` is binding i; `scalars[i]` is scalar i. Synchronous devices have finished on return. */
  run(buffers: readonly DeviceBuffer[], scalars: readonly (number | bigint)[]): void;
  dispose(): void;
}

export interface Device {
  readonly name: string;
  readonly features: DeviceFeatures;
  /** At least `bytes` bytes, 64-byte aligned, contents undefined. */
  allocate(bytes: number): DeviceBuffer;
  /** Copies `data` into the buffer at `offset` bytes. */
  write(buffer: DeviceBuffer, offset: number, data: Uint8Array): void;
  /** A copy of `bytes` bytes from `offset`: the begin of `into`, where that is given, which has room for them. */
  read(buffer: DeviceBuffer, offset: number, bytes: number, into?: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
  /** Compiles kernels, all at once. Equal kernels (by hash) are compiled once per device. */
  compile(kernels: readonly Kernel[]): CompiledKernel[];
  program(launches: readonly Launch[], bindings: number): Program;
  /** What it keeps beside compiled code, where it keeps any. */
  readonly cache?: DeviceCache | undefined;
  /** The code made of a kernel, for people: texts by the name of their language. */
  inspect?(kernel: Kernel): Readonly<Record<string, string>>;
  /** A file as memory that kernels read, without a copy, where the device can; its bytes must not change. */
  mapFile?(path: string): DeviceBuffer;
  /** Limits the threads of later launches (1 … available cores). */
  setThreads(threads: number): void;
  /** Bytes that its buffers hold now, pooled free memory apart. */
  memory(): { readonly used: number; readonly pooled: number };
  dispose(): void;
}
