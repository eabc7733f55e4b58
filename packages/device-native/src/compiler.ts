/** From kernels to callable code: the cache first, LLVM for what is not in it (opened only then), our loader for both. */
import { hashKernel, hashText, kernelCodeDigest, ProjError, verifyKernel, type Kernel } from '@proj/kernel';
import { codeDigest } from './code-digest.ts';
import { codeIdentity } from './code-identity.ts';
import { COMPILE_SYMBOL, compileIr } from './compile-ir.ts';
import type { CpuTarget } from './cpu.ts';
import type { Address } from './ffi.ts';
import { LlvmLibrary, type CompileOptions, type LlvmSearch } from './llvm-library.ts';
import { KERNEL_SYMBOL, renderLlvm } from './llvm-renderer.ts';
import { readFileSync } from './node-modules.ts';
import type { ObjectCache } from './object-cache.ts';
import { loadWithLljit } from './lljit-loader.ts';
import { loadObjects, type LoadedCode } from './object-loader.ts';
import type { Runtime } from './runtime.ts';
import { RUNTIME_SYMBOLS } from './runtime-ir.ts';

/**
 * Kernels arrive vectorised, folded and hoisted by the kernel language: LLVM's middle end has only to merge equal address arithmetic and join
 * blocks. More passes cost compile time and gain nothing (`bench/gemm-tile.ts`: `instcombine` even loses 5 % on the tile of a matrix product).
 */
export const KERNEL_PASSES = 'function(early-cse,simplifycfg)';
const RUNTIME_PASSES = 'default<O2>';

/** Everything that our modules export. */
const SYMBOLS = [KERNEL_SYMBOL, ...RUNTIME_SYMBOLS, COMPILE_SYMBOL];

/** A module of ours in LLVM IR, with what is known about it before it is rendered. */
interface Source {
  /** Identifies the code that results. */
  readonly key: string;
  readonly name: string;
  readonly passes: string;
  /** The text of LLVM IR. Throws when the source is not valid. */
  text(): string;
}

export interface CompilerOptions {
  readonly cpu: CpuTarget;
  readonly llvm: LlvmSearch;
  readonly cache: ObjectCache | undefined;
}

/** The digest of the built package covers it. */
function packageVersion(): string {
  if (codeDigest !== undefined) return '';
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : '';
}

/** Compiles and loads code for one processor target. */
export class Compiler {
  readonly cpu: CpuTarget;
  /** What the cache and LLVM were used for so far. */
  readonly statistics = { cached: 0, compiled: 0, compileMs: 0 };
  readonly #llvm: LlvmSearch;
  readonly #cache: ObjectCache | undefined;
  readonly #context: string;
  readonly #addresses = new Map<string, Address>();
  readonly #loaded: LoadedCode[] = [];
  #library: LlvmLibrary | undefined;
  #runtime: Runtime | undefined;
  #sideBySide: Address | undefined;

  constructor({ cpu, llvm, cache }: CompilerOptions) {
    this.cpu = cpu;
    this.#llvm = llvm;
    this.#cache = cache;
    this.#context = hashText(
      `${packageVersion()} ${kernelCodeDigest ?? ''} ${codeIdentity()} ${cpu.architecture} ${cpu.baseCpu} ${cpu.tuneCpu} ${cpu.vectorBytes} ${cpu.featureString}`,
    );
  }

  /** Lets the compiler use the threads of a runtime (which it has compiled). */
  useThreads(runtime: Runtime): void {
    this.#runtime = runtime;
  }

  /** The addresses of `kernel(args, begin, end, thread)`, for each kernel. Equal kernels are compiled once. */
  kernels(kernels: readonly Kernel[]): Address[] {
    const hashes = kernels.map(hashKernel);
    const missing = new Map(
      kernels.flatMap((kernel, i): [string, Kernel][] =>
        this.#addresses.has(hashes[i] ?? '') ? [] : [[hashes[i] ?? '', kernel]],
      ),
    );
    if (missing.size > 0) {
      const code = this.#load([...missing].map(([hash, kernel]) => this.#kernelSource(hash, kernel)));
      [...missing.keys()].forEach((hash, i) => this.#addresses.set(hash, symbolOf(code, i, KERNEL_SYMBOL)));
    }
    return hashes.map((hash) => this.#addresses.get(hash) ?? 0);
  }

  /** As {@link kernels}, of kernels known by their hashes alone, from the cache alone; undefined when one of them is not there or of no use. */
  kept(hashes: readonly string[]): Address[] | undefined {
    const missing = [...new Set(hashes)].filter((hash) => !this.#addresses.has(hash));
    const keys = missing.map((hash) => this.#kernelKey(hash));
    const objects: Uint8Array[] = [];
    for (const key of keys) {
      const object = this.#cache?.get(key);
      if (object === undefined) return undefined;
      objects.push(object);
    }
    if (objects.length > 0) {
      try {
        const code = this.#link(objects);
        this.#loaded.push(code);
        const addresses = missing.map((_, i) => symbolOf(code, i, KERNEL_SYMBOL));
        missing.forEach((hash, i) => this.#addresses.set(hash, addresses[i] ?? 0));
      } catch (error) {
        if (!(error instanceof ProjError)) throw error;
        for (const key of keys) this.#cache?.discard(key);
        return undefined;
      }
      this.statistics.cached += objects.length;
    }
    return hashes.map((hash) => this.#addresses.get(hash) ?? 0);
  }

  /** Loads a module of LLVM IR that is no kernel, whose text follows from the package's code and `settings`. */
  module(name: string, settings: string, text: () => string): LoadedCode {
    return this.#load([
      { key: hashText(`${name} ${RUNTIME_PASSES} ${settings} ${this.#context}`), name, passes: RUNTIME_PASSES, text },
    ]);
  }

  /** The optimised LLVM IR and the assembly of a kernel, for people. */
  inspect(kernel: Kernel): { readonly ir: string; readonly assembly: string } {
    const library = this.#open();
    const source = this.#kernelSource(hashKernel(kernel), kernel);
    const text = source.text();
    return {
      ir: library.optimised(text, this.#options(source)),
      assembly: library.assembly(text, this.#options(source)),
    };
  }

  /** Unmaps all code that was loaded. */
  dispose(): void {
    for (const code of this.#loaded) code.dispose();
    this.#addresses.clear();
  }

  #kernelKey(hash: string): string {
    return hashText(`${hash} ${KERNEL_PASSES} ${this.#context}`);
  }

  #kernelSource(hash: string, kernel: Kernel): Source {
    return {
      key: this.#kernelKey(hash),
      name: kernel.name,
      passes: KERNEL_PASSES,
      text: () => {
        verifyKernel(kernel);
        return renderLlvm(kernel, this.cpu);
      },
    };
  }

  #load(sources: readonly Source[]): LoadedCode {
    const objects = sources.map(({ key }) => this.#cache?.get(key));
    let code: LoadedCode;
    try {
      code = this.#link(this.#complete(sources, objects));
    } catch (error) {
      // An entry that is whole but of no use: forget what came from the cache and compile everything.
      if (
        !objects.some((object) => object !== undefined) ||
        !(error instanceof ProjError) ||
        error.code === 'device-unavailable' ||
        error.code === 'kernel-verification'
      )
        throw error;
      for (const { key } of sources) this.#cache?.discard(key);
      code = this.#link(
        this.#complete(
          sources,
          sources.map(() => undefined),
        ),
      );
    }
    this.#loaded.push(code);
    return code;
  }

  /** Our loader reads ELF; other systems need LLVM's linker. */
  #link(objects: readonly Uint8Array[]): LoadedCode {
    return process.platform === 'linux' ? loadObjects(objects) : loadWithLljit(this.#open(), objects, SYMBOLS);
  }

  #complete(sources: readonly Source[], objects: readonly (Uint8Array | undefined)[]): Uint8Array[] {
    const missing = sources.filter((_, i) => objects[i] === undefined);
    this.statistics.cached += sources.length - missing.length;
    const compiled = missing.length === 0 ? [] : this.#compile(missing);
    missing.forEach(({ key }, i) => this.#cache?.put(key, compiled[i] ?? new Uint8Array()));
    let next = 0;
    return objects.map((object) => object ?? compiled[next++] ?? new Uint8Array());
  }

  #compile(sources: readonly Source[]): Uint8Array[] {
    const texts = sources.map((source) => source.text());
    const library = this.#open();
    const started = performance.now();
    try {
      return (
        this.#compileSideBySide(library, sources, texts) ??
        texts.flatMap((text, i) => this.#compileOne(library, sources[i], text))
      );
    } finally {
      this.statistics.compiled += sources.length;
      this.statistics.compileMs += performance.now() - started;
    }
  }

  #compileOne(library: LlvmLibrary, source: Source | undefined, text: string): Uint8Array[] {
    if (source === undefined) return [];
    try {
      return library.compile([text], this.#options(source));
    } catch (cause) {
      if (cause instanceof ProjError)
        throw new ProjError(cause.code, `kernel ${source.name}: ${cause.message}`, { cause });
      throw cause;
    }
  }

  /** Compiles several kernels on all threads; undefined when there is nothing to share, or when one fails (it is found one by one then). */
  #compileSideBySide(
    library: LlvmLibrary,
    sources: readonly Source[],
    texts: readonly string[],
  ): Uint8Array[] | undefined {
    const runtime = this.#runtime;
    const [first] = sources;
    if (runtime === undefined || runtime.threads === 1 || first === undefined || texts.length < 2) return undefined;
    const code = this.sideBySide();
    const threads = Math.min(runtime.threads, texts.length);
    try {
      return library.compileSideBySide(texts, this.#options(first), threads, (args, count) =>
        runtime.runEach(code, args, count),
      );
    } catch (error) {
      if (error instanceof ProjError) return undefined;
      throw error;
    }
  }

  /** @internal The machine code that compiles one job of many. */
  sideBySide(): Address {
    return (this.#sideBySide ??= symbolOf(this.module('compiler', '', compileIr), 0, COMPILE_SYMBOL));
  }

  #options({ passes }: Source): CompileOptions {
    return { cpu: this.cpu, passes, optLevel: 3 };
  }

  #open(): LlvmLibrary {
    if (this.#library !== undefined) return this.#library;
    if (this.#llvm.found === undefined) {
      throw new ProjError('device-unavailable', `a kernel has to be compiled, and ${this.#llvm.reason}`, {
        op: 'native device',
        cure: 'Install libllvm19 (or 15 to 22), set PROJ_LLVM to the path of its shared library, or use the wasm device',
      });
    }
    return (this.#library = new LlvmLibrary(this.#llvm.found.path));
  }
}

function symbolOf(code: LoadedCode, index: number, name: string): Address {
  const address = code.symbols[index]?.get(name);
  if (address === undefined)
    throw new ProjError('serialization', `a compiled object has no ${name}`, { op: 'native device' });
  return address;
}
