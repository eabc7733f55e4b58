/** Puts object files into executable memory, with no linker and no LLVM: that is how cached kernels run where LLVM is missing. */
import { ProjError } from '@proj/kernel';
import { imageBytes, linkObjects, parseObject } from './elf.ts';
import type { Address, CLibrary } from './ffi.ts';
import { cLibrary, functionAt, PROTECTION } from './ffi.ts';

/** What machine code may call: functions that LLVM lowers to, and those that the thread pool uses. */
const EXTERNAL_FUNCTIONS: ReadonlySet<string> = new Set([
  'memcpy',
  'memmove',
  'memset',
  'fmaf',
  'fma',
  'fmodf',
  'fmod',
  'floorf',
  'floor',
  'ceilf',
  'ceil',
  'truncf',
  'trunc',
  'rintf',
  'rint',
  'nearbyintf',
  'nearbyint',
  'roundevenf',
  'roundeven',
  'pthread_create',
  'pthread_join',
  'pthread_attr_init',
  'pthread_attr_setstacksize',
  'pthread_sigmask',
  'sched_yield',
  'syscall',
  '__ulock_wait',
  '__ulock_wake',
]);

/** Code in memory. */
export interface LoadedCode {
  /** Global symbols of each object, in the order given. */
  readonly symbols: readonly ReadonlyMap<string, Address>[];
  readonly bytes: number;
  /** Unmaps the code: nothing may run in it any more. May be called twice. */
  dispose(): void;
}

/** Loads objects into one mapping. Throws `serialization` for a malformed one and maps nothing then. */
export function loadObjects(files: readonly Uint8Array[], c: CLibrary = cLibrary()): LoadedCode {
  const objects = files.map(parseObject);
  const architecture = process.arch;
  for (const { machine } of objects) {
    if (machine !== architecture)
      throw new ProjError('kernel-compilation', `an object for ${machine} on ${architecture}`, { op: 'native device' });
  }
  const bytes = imageBytes(objects);
  const base = c.map(bytes);
  let mapped = true;
  const dispose = (): void => {
    if (mapped) c.unmap(base, bytes);
    mapped = false;
  };
  try {
    const image = linkObjects(objects, base, (name) => (EXTERNAL_FUNCTIONS.has(name) ? c.symbol(name) : undefined));
    c.copyTo(base, image.bytes);
    if (image.executable > 0 && !c.protect(base, image.executable, PROTECTION.read | PROTECTION.execute)) {
      throw new ProjError('device-unavailable', 'the system refuses to make memory executable', {
        op: 'native device',
        cure: 'A security policy (SELinux execmem, a hardened container) forbids generated code; use the wasm device',
      });
    }
    if (architecture === 'arm64') flushInstructionCache(c, base, image.executable);
    return { symbols: image.symbols, bytes, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

function flushInstructionCache(c: CLibrary, base: Address, bytes: number): void {
  const clear = c.symbol('__clear_cache');
  if (clear !== undefined)
    functionAt<(from: Address, to: Address) => void>(clear, 'void', ['uintptr_t', 'uintptr_t'])(base, base + bytes);
}
