/** The part of the WebAssembly JavaScript interface that we use, typed here because the ECMAScript library types leave it out. */
import { ProjError } from '../errors.ts';

export interface WasmModule {
  readonly [Symbol.toStringTag]?: string;
}
export interface WasmInstance {
  readonly exports: Record<string, unknown>;
}
export interface WasmMemory {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  grow(pages: number): number;
}
export interface WasmTable {
  readonly length: number;
  grow(entries: number): number;
}
interface WasmApi {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule;
  readonly Instance: new (module: WasmModule, imports?: Record<string, Record<string, unknown>>) => WasmInstance;
  readonly Memory: new (limits: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
  readonly Table: new (limits: { element: 'anyfunc'; initial: number }) => WasmTable;
  readonly Global: new (type: { value: 'i32'; mutable: boolean }, value: number) => object;
  validate(bytes: Uint8Array<ArrayBuffer>): boolean;
}

/** The engine's WebAssembly; throws `device-unavailable` where there is none. */
export function wasmApi(): WasmApi {
  const api = (globalThis as { WebAssembly?: WasmApi }).WebAssembly;
  if (api === undefined)
    throw new ProjError('device-unavailable', 'this engine has no WebAssembly', {
      cure: 'The js device works everywhere',
    });
  return api;
}
