/**
 * The loader for systems whose object format is not ELF (macOS): LLVM's own linker, LLJIT. It needs LLVM even for objects out of the cache.
 *
 * Each object gets a JIT of its own, because all objects of kernels export the same symbol.
 */
import { ProjError } from '@proj/kernel';
import { koffi, type Address } from './ffi.ts';
import type { LlvmLibrary } from './llvm-library.ts';
import type { LoadedCode } from './object-loader.ts';

const POINTER = 'uintptr_t';
const OUT = 'void *';

/** LLVM's ORC interface, as far as linking an object needs it. */
function bind(file: string): {
  readonly create: (jit: BigUint64Array, builder: number) => Address;
  readonly dispose: (jit: Address) => Address;
  readonly mainLibrary: (jit: Address) => Address;
  readonly prefix: (jit: Address) => number;
  readonly processSymbols: (generator: BigUint64Array, prefix: number, filter: number, context: number) => Address;
  readonly addGenerator: (library: Address, generator: Address) => void;
  readonly copyBuffer: (bytes: Uint8Array, length: number, name: string) => Address;
  readonly addObject: (jit: Address, library: Address, buffer: Address) => Address;
  readonly lookup: (jit: Address, address: BigUint64Array, name: string) => Address;
  readonly message: (error: Address) => Address;
  readonly disposeMessage: (message: Address) => void;
} {
  const library = koffi().load(file, { lazy: true });
  return {
    create: library.func('LLVMOrcCreateLLJIT', POINTER, [OUT, POINTER]),
    dispose: library.func('LLVMOrcDisposeLLJIT', POINTER, [POINTER]),
    mainLibrary: library.func('LLVMOrcLLJITGetMainJITDylib', POINTER, [POINTER]),
    prefix: library.func('LLVMOrcLLJITGetGlobalPrefix', 'char', [POINTER]),
    processSymbols: library.func('LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess', POINTER, [
      OUT,
      'char',
      POINTER,
      POINTER,
    ]),
    addGenerator: library.func('LLVMOrcJITDylibAddGenerator', 'void', [POINTER, POINTER]),
    copyBuffer: library.func('LLVMCreateMemoryBufferWithMemoryRangeCopy', POINTER, [OUT, 'size_t', 'str']),
    addObject: library.func('LLVMOrcLLJITAddObjectFile', POINTER, [POINTER, POINTER, POINTER]),
    lookup: library.func('LLVMOrcLLJITLookup', POINTER, [POINTER, OUT, 'str']),
    message: library.func('LLVMGetErrorMessage', POINTER, [POINTER]),
    disposeMessage: library.func('LLVMDisposeErrorMessage', 'void', [POINTER]),
  };
}

const bindings = new Map<string, ReturnType<typeof bind>>();

/** Loads objects and looks up, in each, those of `names` that it exports. */
export function loadWithLljit(
  library: LlvmLibrary,
  files: readonly Uint8Array[],
  names: readonly string[],
): LoadedCode {
  let orc = bindings.get(library.file);
  if (orc === undefined) bindings.set(library.file, (orc = bind(library.file)));
  const {
    create,
    dispose,
    mainLibrary,
    prefix,
    processSymbols,
    addGenerator,
    copyBuffer,
    addObject,
    lookup,
    message,
    disposeMessage,
  } = orc;
  const failed = (error: Address): string | undefined => {
    if (error === 0) return undefined;
    const text = message(error);
    const copy = koffi().decode.string(BigInt(text));
    disposeMessage(text);
    return copy;
  };
  const check = (error: Address): void => {
    const text = failed(error);
    if (text !== undefined) throw new ProjError('kernel-compilation', `LLJIT: ${text}`, { op: 'native device' });
  };
  const jits: Address[] = [];
  const release = (): void => jits.splice(0).forEach((jit) => check(dispose(jit)));
  library.initialiseHost();
  try {
    const symbols = files.map((file) => {
      const out = new BigUint64Array(1);
      check(create(out, 0));
      const jit = Number(out[0]);
      jits.push(jit);
      check(processSymbols(out, prefix(jit), 0, 0));
      addGenerator(mainLibrary(jit), Number(out[0]));
      check(addObject(jit, mainLibrary(jit), copyBuffer(file, file.length, 'object')));
      const exported = new Map(
        names.flatMap((name): [string, Address][] =>
          failed(lookup(jit, out, name)) === undefined ? [[name, Number(out[0])]] : [],
        ),
      );
      if (exported.size === 0)
        throw new ProjError('serialization', `LLJIT: the object exports none of ${names.join(', ')}`, {
          op: 'native device',
        });
      return exported;
    });
    return { symbols, bytes: files.reduce((sum, file) => sum + file.length, 0), dispose: release };
  } catch (error) {
    release();
    throw error;
  }
}
