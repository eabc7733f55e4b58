/**
 * The door to machine code: koffi, and the handful of C library functions that the device needs to map code and memory.
 *
 * Everything is lazy. Importing this file opens nothing; koffi is an ordinary dependency that may still be missing or unable to load
 * (an exotic platform), which is reported as `device-unavailable` and never as a crash.
 */
import { ProjError } from '@proj/kernel';
import { createRequire, existsSync } from './node-modules.ts';

type Koffi = typeof import('koffi').default;

/** An address of the process. 48 bits, so a number holds it exactly. */
export type Address = number;

let loaded: Koffi | undefined;

/** koffi, loaded on first use. */
export function koffi(): Koffi {
  if (loaded !== undefined) return loaded;
  try {
    loaded = load();
  } catch (cause) {
    throw new ProjError('device-unavailable', `koffi could not be loaded (${messageOf(cause)})`, {
      op: 'native device',
      cure: 'Install the koffi package for this platform; until then kernels run on WebAssembly',
      cause,
    });
  }
  // LLVM recurses deeply on large kernels, and calls run on koffi's own stack (2 MiB unless told).
  loaded.config({ sync_stack_size: 16 << 20 });
  // In a worker thread koffi 3.3 has to have opened some library before it may decode or call a raw address.
  loaded.load(null);
  return loaded;
}

/**
 * koffi's own package for this platform where it can be reached, which is all that the main package would load, without the 6 ms that its
 * wrapper (compatibility with older interfaces) takes; of that package the binary itself, without the 1.5 ms in which it finds out what C library
 * there is; else the main package.
 */
function load(): Koffi {
  const ours = createRequire(import.meta.url);
  for (const name of binaries()) {
    try {
      const binary = createRequire(ours.resolve('koffi'))(name) as Koffi;
      if (typeof binary.load === 'function' && binary.version === EXPECTED_VERSION) return binary;
    } catch {
      continue;
    }
  }
  return ours('koffi') as Koffi;
}

function binaries(): string[] {
  const { platform, arch } = process;
  const inner = `@koromix/koffi-${platform}-${arch}`;
  const musl = `/lib/ld-musl-${arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`;
  return platform === 'linux' && !existsSync(musl) ? [`${inner}/linux_${arch}/koffi.node`, inner] : [inner];
}

/** The version whose inner package was tried; others go through the main package. */
const EXPECTED_VERSION = '3.3.4';

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Protection bits of `mprotect`. */
export const PROTECTION = { read: 1, write: 2, execute: 4 } as const;

const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = process.platform === 'darwin' ? 0x1000 : 0x20;
const MADV_HUGEPAGE = 14;
/** Of Linux on x86-64 (Documentation/arch/x86/xstate.rst). */
const SYS_ARCH_PRCTL = 158;
const ARCH_REQ_XCOMP_PERM = 0x1023;
const XFEATURE_XTILEDATA = 18;

/** The functions of the C library that the loader and the pools use. */
export interface CLibrary {
  /** Fresh zeroed pages, readable and writable. */
  map(bytes: number): Address;
  /** A file's bytes, read-only. */
  mapFile(file: number, bytes: number): Address;
  unmap(address: Address, bytes: number): void;
  /** Gives pages another protection; false when the system refuses. */
  protect(address: Address, bytes: number, protection: number): boolean;
  copyTo(address: Address, bytes: Uint8Array): void;
  copyFrom(address: Address, bytes: number): Uint8Array<ArrayBuffer>;
  /** Asks for huge pages under a range; only ever a hint. */
  adviseHuge(address: Address, bytes: number): void;
  /** Whether this process may use the tile registers of x86-64, whose state Linux keeps only for those who asked. */
  requestTiles(): boolean;
  /** The address of a function of the C, mathematics, threads or compiler support library. */
  symbol(name: string): Address | undefined;
}

let library: CLibrary | undefined;

const SYMBOL_LIBRARIES: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ['libc.so.6', 'libm.so.6', 'libpthread.so.0', 'libgcc_s.so.1'],
};

/** The C library of the process, bound on first use. */
export function cLibrary(): CLibrary {
  if (library !== undefined) return library;
  const ffi = koffi();
  const process_ = ffi.load(process.platform === 'linux' ? firstThatLoads(['libc.so.6', null]) : null);
  const mmap = process_.func('mmap', 'intptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']);
  const munmap = process_.func('munmap', 'int', ['uintptr_t', 'size_t']);
  const mprotect = process_.func('mprotect', 'int', ['uintptr_t', 'size_t', 'int']);
  const memcpyIn = process_.func('memcpy', 'uintptr_t', ['uintptr_t', 'void *', 'size_t']);
  const memcpyOut = process_.func('memcpy', 'uintptr_t', ['void *', 'uintptr_t', 'size_t']);
  const madvise =
    process.platform === 'linux' ? process_.func('madvise', 'int', ['uintptr_t', 'size_t', 'int']) : undefined;
  const symbols = new Map<string, Address | undefined>();
  library = {
    map(bytes) {
      const address = Number(mmap(0, bytes, PROTECTION.read | PROTECTION.write, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      if (address === -1)
        throw new ProjError('out-of-memory', `mmap of ${bytes} bytes failed (errno ${ffi.errno()})`, {
          op: 'native device',
        });
      return address;
    },
    mapFile(file, bytes) {
      const address = Number(mmap(0, bytes, PROTECTION.read, MAP_SHARED, file, 0));
      if (address === -1)
        throw new ProjError('out-of-memory', `mmap of a file of ${bytes} bytes failed (errno ${ffi.errno()})`, {
          op: 'native device',
          cure: 'Put the file on a local disk, or use another device',
        });
      return address;
    },
    unmap(address, bytes) {
      munmap(address, bytes);
    },
    protect: (address, bytes, protection) => mprotect(address, bytes, protection) === 0,
    copyTo(address, bytes) {
      if (bytes.length > 0) memcpyIn(address, bytes, bytes.length);
    },
    copyFrom(address, bytes) {
      const copy = new Uint8Array(new ArrayBuffer(bytes));
      if (bytes > 0) memcpyOut(copy, address, bytes);
      return copy;
    },
    adviseHuge(address, bytes) {
      const first = Math.ceil(address / PAGE) * PAGE;
      const last = Math.floor((address + bytes) / PAGE) * PAGE;
      if (last > first) madvise?.(first, last - first, MADV_HUGEPAGE);
    },
    requestTiles() {
      const call = process_.func('syscall', 'long', ['long', 'long', 'long']);
      return Number(call(SYS_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)) === 0;
    },
    symbol(name) {
      if (!symbols.has(name)) symbols.set(name, findSymbol(ffi, name));
      return symbols.get(name);
    },
  };
  return library;
}

/** Bytes of a page as far as rounding is concerned: the largest page size of the supported systems. */
export const PAGE = process.arch === 'arm64' ? 65536 : 4096;

function firstThatLoads(names: readonly (string | null)[]): string | null {
  for (const name of names) {
    try {
      koffi().load(name, { lazy: true });
      return name;
    } catch {
      continue;
    }
  }
  return null;
}

function findSymbol(ffi: Koffi, name: string): Address | undefined {
  for (const file of [...(SYMBOL_LIBRARIES[process.platform] ?? []), null]) {
    try {
      return Number(ffi.address(ffi.load(file, { lazy: true }).symbol(name)));
    } catch {
      continue;
    }
  }
  return undefined;
}

/** Where the bytes of a buffer or view lie. Stable for buffers of more than 64 bytes: V8 never moves those. */
export function addressOf(memory: ArrayBufferLike | ArrayBufferView): Address {
  return Number(koffi().address(memory));
}

/** A JavaScript function that calls the machine code at `address`. */
export function functionAt<T extends (...args: never[]) => unknown>(
  address: Address,
  result: string,
  parameters: readonly string[],
): T {
  const ffi = koffi();
  return ffi.decode(BigInt(address), ffi.proto(result, [...parameters])) as T;
}
