/**
 * LLVM's C interface, versions 15 to 22, through the shared library of the system.
 *
 * Finding it looks at files only; opening it (50 MB, some 20 ms) waits until something must be compiled. The route is text of LLVM IR →
 * parser → verifier → passes → object bytes: all of it reports errors as values. What LLVM answers by aborting the process (an instruction it
 * cannot select) must be kept out by the renderer, which asks the CPU's features first.
 */
import { ProjError } from '@proj/kernel';
import { COMPILE_FUNCTIONS, COMPILE_JOB, COMPILE_STAGES } from './compile-ir.ts';
import { addressOf, cLibrary, koffi, messageOf, type Address, type CLibrary } from './ffi.ts';
import type { CpuTarget } from './cpu.ts';
import { basename, existsSync, realpathSync, statSync } from './node-modules.ts';

const VERSIONS = [22, 21, 20, 19, 18, 17, 16, 15] as const;
const OLDEST = 15;

/** A library file, told apart from others without opening it. */
export interface LlvmFile {
  readonly path: string;
  /** Changes when the file does. */
  readonly identity: string;
}

/** Where the search for LLVM ended, and why when it found none. */
export type LlvmSearch = { readonly found: LlvmFile } | { readonly found: undefined; readonly reason: string };

function directories(environment: NodeJS.ProcessEnv): string[] {
  const fromLoader = (environment['LD_LIBRARY_PATH'] ?? '').split(':').filter((part) => part !== '');
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  return [
    ...fromLoader,
    `/usr/lib/${triplet}`,
    '/usr/lib64',
    '/usr/lib',
    '/usr/local/lib',
    '/usr/local/lib64',
    `/lib/${triplet}`,
  ];
}

/** Every place where a version of LLVM is installed by the usual means, best first. */
export function* llvmCandidates(
  platform: NodeJS.Platform = process.platform,
  environment: NodeJS.ProcessEnv = process.env,
): Generator<string> {
  if (platform === 'darwin') {
    for (const root of ['/opt/homebrew/opt', '/usr/local/opt']) {
      yield `${root}/llvm/lib/libLLVM.dylib`;
      for (const v of VERSIONS) yield `${root}/llvm@${v}/lib/libLLVM.dylib`;
    }
    return;
  }
  if (platform !== 'linux') return;
  const folders = directories(environment);
  for (const v of VERSIONS) {
    for (const folder of folders) {
      yield `${folder}/libLLVM.so.${v}.1`;
      yield `${folder}/libLLVM-${v}.so.1`;
      yield `${folder}/libLLVM-${v}.so`;
    }
    for (const folder of [
      `/usr/lib/llvm-${v}`,
      `/usr/lib64/llvm${v}`,
      `/usr/lib/llvm${v}`,
      `/home/linuxbrew/.linuxbrew/opt/llvm@${v}`,
    ])
      yield `${folder}/lib/libLLVM.so`;
  }
  for (const folder of ['/home/linuxbrew/.linuxbrew/opt/llvm/lib', ...folders]) yield `${folder}/libLLVM.so`;
}

/** Looks for LLVM. `PROJ_LLVM` is the path of a library, or `none`. */
export function findLlvm(environment: NodeJS.ProcessEnv = process.env): LlvmSearch {
  const chosen = environment['PROJ_LLVM'];
  if (chosen === 'none') return { found: undefined, reason: 'PROJ_LLVM=none forbids it' };
  if (chosen !== undefined && chosen !== '') {
    return existsSync(chosen)
      ? { found: identify(chosen) }
      : { found: undefined, reason: `PROJ_LLVM names ${chosen}, which does not exist` };
  }
  for (const path of llvmCandidates(process.platform, environment))
    if (existsSync(path)) return { found: identify(path) };
  return { found: undefined, reason: `no LLVM library (${OLDEST} to ${VERSIONS[0]}) is installed` };
}

function identify(path: string): LlvmFile {
  const real = realpathSync(path);
  const { size, mtimeMs } = statSync(real);
  return { path, identity: `${basename(real)}:${size}:${Math.floor(mtimeMs)}` };
}

const POINTER = 'uintptr_t';
const OUT = 'void *';

/** C functions by name: result, then parameters. */
const FUNCTIONS = {
  LLVMContextCreate: [POINTER, []],
  LLVMContextDispose: ['void', [POINTER]],
  LLVMContextSetDiagnosticHandler: ['void', [POINTER, POINTER, POINTER]],
  LLVMCreateMemoryBufferWithMemoryRangeCopy: [POINTER, [OUT, 'size_t', 'str']],
  LLVMDisposeMessage: ['void', [POINTER]],
  LLVMParseIRInContext: ['int', [POINTER, POINTER, OUT, OUT]],
  LLVMVerifyModule: ['int', [POINTER, 'int', OUT]],
  LLVMRunPasses: [POINTER, [POINTER, 'str', POINTER, POINTER]],
  LLVMCreatePassBuilderOptions: [POINTER, []],
  LLVMDisposePassBuilderOptions: ['void', [POINTER]],
  LLVMPassBuilderOptionsSetLoopVectorization: ['void', [POINTER, 'int']],
  LLVMPassBuilderOptionsSetSLPVectorization: ['void', [POINTER, 'int']],
  LLVMPassBuilderOptionsSetLoopUnrolling: ['void', [POINTER, 'int']],
  LLVMGetErrorMessage: [POINTER, [POINTER]],
  LLVMDisposeErrorMessage: ['void', [POINTER]],
  LLVMGetHostCPUFeatures: [POINTER, []],
  LLVMGetDefaultTargetTriple: [POINTER, []],
  LLVMGetTargetFromTriple: ['int', ['str', OUT, OUT]],
  LLVMCreateTargetMachine: [POINTER, [POINTER, 'str', 'str', 'str', 'int', 'int', 'int']],
  LLVMDisposeTargetMachine: ['void', [POINTER]],
  LLVMCreateTargetDataLayout: [POINTER, [POINTER]],
  LLVMSetModuleDataLayout: ['void', [POINTER, POINTER]],
  LLVMDisposeTargetData: ['void', [POINTER]],
  LLVMSetTarget: ['void', [POINTER, 'str']],
  LLVMTargetMachineEmitToMemoryBuffer: ['int', [POINTER, POINTER, 'int', OUT, OUT]],
  LLVMGetBufferStart: [POINTER, [POINTER]],
  LLVMGetBufferSize: ['size_t', [POINTER]],
  LLVMDisposeMemoryBuffer: ['void', [POINTER]],
  LLVMPrintModuleToString: [POINTER, [POINTER]],
  LLVMDisposeModule: ['void', [POINTER]],
} as const satisfies Record<string, readonly [string, readonly string[]]>;

type FunctionName = keyof typeof FUNCTIONS;
type Argument = number | string | null | BigUint64Array | Uint8Array;
type Bound = Readonly<Record<FunctionName, (...args: Argument[]) => number>>;

const ARCHITECTURES = { x64: 'X86', arm64: 'AArch64' } as const;
/** `LLVMRelocPIC`, `LLVMCodeModelDefault`, `LLVMAssemblyFile` / `LLVMObjectFile`. */
const RELOCATION_PIC = 2;
const CODE_MODEL_DEFAULT = 0;
const EMIT = { assembly: 0, object: 1 } as const;

/** How to compile. */
export interface CompileOptions {
  readonly cpu: CpuTarget;
  /** A pass pipeline in the syntax of LLVM's `opt`; empty for none. */
  readonly passes: string;
  /** 0 to 3: effort of the code generator. */
  readonly optLevel: 0 | 1 | 2 | 3;
  /** Compile for another machine, such as `aarch64-linux-gnu`. */
  readonly triple?: string;
}

/** Where compile time went, in milliseconds. */
export interface CompileTimes {
  parse: number;
  passes: number;
  generate: number;
}

/** An open LLVM. */
export class LlvmLibrary {
  readonly file: string;
  readonly version: string;
  readonly #functions: Bound;
  readonly #symbol: (name: string) => Address;
  readonly #memory: CLibrary;
  readonly #initialise: (architecture: string) => void;
  readonly #initialised = new Set<string>();
  readonly #machines = new Map<string, Address>();
  readonly #out = new BigUint64Array(1);
  readonly #error = new BigUint64Array(1);

  constructor(file: string) {
    const ffi = koffi();
    this.file = file;
    this.#memory = cLibrary();
    const library = (() => {
      try {
        return ffi.load(file, { lazy: true });
      } catch (cause) {
        throw new ProjError('device-unavailable', `LLVM at ${file} could not be opened (${messageOf(cause)})`, {
          op: 'native device',
          cure: 'Install libllvm19 (or 15 to 22), or set PROJ_LLVM to the path of its shared library, or to none',
          cause,
        });
      }
    })();
    try {
      // Bound one by one on first use: most processes need a third of them.
      this.#functions = lazyFunctions(library);
      this.version = versionOf(library, file);
      if (typeof this.#functions.LLVMRunPasses !== 'function') throw new TypeError('LLVMRunPasses is missing');
    } catch (cause) {
      throw new ProjError('device-unavailable', `${file} is not an LLVM that we can use (${messageOf(cause)})`, {
        op: 'native device',
        cure: `Use LLVM ${OLDEST} to ${VERSIONS[0]}`,
        cause,
      });
    }
    if (Number.parseInt(this.version, 10) < OLDEST) {
      throw new ProjError('device-unavailable', `${file} is LLVM ${this.version}`, {
        op: 'native device',
        cure: `Use LLVM ${OLDEST} to ${VERSIONS[0]}`,
      });
    }
    this.#symbol = (name) => Number(library.symbol(name));
    this.#initialise = (architecture) => {
      for (const part of ['TargetInfo', 'Target', 'TargetMC', 'AsmPrinter'])
        library.func(`LLVMInitialize${architecture}${part}`, 'void', [])();
    };
  }

  /** LLVM's description of this machine: `+avx2,-sse4a,…`. */
  hostFeatures(): string {
    return this.#take(this.#functions.LLVMGetHostCPUFeatures());
  }

  /** The object file of each text of IR. */
  compile(texts: readonly string[], options: CompileOptions, times?: CompileTimes): Uint8Array<ArrayBuffer>[] {
    return texts.map((text) => this.#emit(text, options, EMIT.object, times));
  }

  /**
   * As {@link compile}, for texts that are kernels of one processor target, on `threads` threads. `run` runs machine code for each item of a
   * range, one item at a time, with the number of the part: 0 to threads - 1.
   */
  compileSideBySide(
    texts: readonly string[],
    options: CompileOptions,
    threads: number,
    run: (args: Address, count: number) => void,
  ): Uint8Array<ArrayBuffer>[] {
    const llvm = this.#functions;
    const bytes = texts.map((text) => Buffer.from(`${text}\0`));
    const strings = [options.passes, options.triple ?? this.#hostTriple(), 'kernel'].map((text) =>
      Buffer.from(`${text}\0`.padEnd(128, '\0')),
    );
    const functions = table(COMPILE_FUNCTIONS.map(this.#symbol));
    const machines = table(Array.from({ length: threads }, (_, copy) => this.#machine(options, copy)));
    const jobs = table(
      bytes.flatMap((text) => {
        const job = Array.from({ length: COMPILE_JOB.slots }, () => 0);
        job[COMPILE_JOB.text] = addressOf(text);
        job[COMPILE_JOB.length] = text.length - 1;
        return job;
      }),
    );
    const alive = [functions, machines, jobs, ...strings];
    const args = table(alive.map(addressOf));
    run(addressOf(args), texts.length);
    // What machine code read has to outlive the call.
    if (alive.length + bytes.length + args.length === 0) return [];
    return texts.map((_, i) => {
      const slot = (index: number): Address => Number(jobs[i * COMPILE_JOB.slots + index]);
      const stage = COMPILE_STAGES[slot(COMPILE_JOB.stage)] ?? '';
      if (stage === 'optimisation') throw this.#failure(stage, this.#takeFailure(slot(COMPILE_JOB.message)));
      if (stage !== '') throw this.#failure(stage, this.#take(slot(COMPILE_JOB.message)));
      const buffer = slot(COMPILE_JOB.buffer);
      const object = this.#memory.copyFrom(llvm.LLVMGetBufferStart(buffer), llvm.LLVMGetBufferSize(buffer));
      llvm.LLVMDisposeMemoryBuffer(buffer);
      return object;
    });
  }

  /** Assembly, for people. */
  assembly(text: string, options: CompileOptions): string {
    return Buffer.from(this.#emit(text, options, EMIT.assembly)).toString('latin1');
  }

  /** The text of IR after the passes, for people. */
  optimised(text: string, options: CompileOptions): string {
    return this.#withModule(text, options, (module) => this.#take(this.#functions.LLVMPrintModuleToString(module)));
  }

  #emit(text: string, options: CompileOptions, kind: number, times?: CompileTimes): Uint8Array<ArrayBuffer> {
    const llvm = this.#functions;
    return this.#withModule(
      text,
      options,
      (module, machine) => {
        const started = performance.now();
        if (llvm.LLVMTargetMachineEmitToMemoryBuffer(machine, module, kind, this.#error, this.#out) !== 0)
          throw this.#failure('code generation', this.#takeError());
        const buffer = Number(this.#out[0]);
        const bytes = this.#memory.copyFrom(llvm.LLVMGetBufferStart(buffer), llvm.LLVMGetBufferSize(buffer));
        llvm.LLVMDisposeMemoryBuffer(buffer);
        if (times !== undefined) times.generate += performance.now() - started;
        return bytes;
      },
      times,
    );
  }

  #withModule<T>(
    text: string,
    options: CompileOptions,
    use: (module: Address, machine: Address) => T,
    times?: CompileTimes,
  ): T {
    const llvm = this.#functions;
    const machine = this.#machine(options);
    const started = performance.now();
    const context = llvm.LLVMContextCreate();
    let module: Address | undefined;
    try {
      module = this.#parse(context, text);
      const layout = llvm.LLVMCreateTargetDataLayout(machine);
      llvm.LLVMSetModuleDataLayout(module, layout);
      llvm.LLVMDisposeTargetData(layout);
      llvm.LLVMSetTarget(module, options.triple ?? this.#hostTriple());
      // 2: return the message instead of printing or aborting. The parser verifies too, but not what depends on the data layout.
      if (llvm.LLVMVerifyModule(module, 2, this.#error) !== 0) throw this.#failure('verification', this.#takeError());
      this.#takeError();
      const parsed = performance.now();
      if (options.passes !== '') this.#runPasses(module, machine, options.passes);
      if (times !== undefined) {
        times.parse += parsed - started;
        times.passes += performance.now() - parsed;
      }
      return use(module, machine);
    } finally {
      if (module !== undefined) llvm.LLVMDisposeModule(module);
      llvm.LLVMContextDispose(context);
    }
  }

  #parse(context: Address, text: string): Address {
    const bytes = Buffer.from(`${text}\0`);
    const buffer = this.#functions.LLVMCreateMemoryBufferWithMemoryRangeCopy(bytes, bytes.length - 1, 'kernel');
    // The parser takes the buffer over, whatever happens.
    if (this.#functions.LLVMParseIRInContext(context, buffer, this.#out, this.#error) !== 0)
      throw this.#failure('parsing', this.#takeError());
    return Number(this.#out[0]);
  }

  #runPasses(module: Address, machine: Address, passes: string): void {
    const llvm = this.#functions;
    const options = llvm.LLVMCreatePassBuilderOptions();
    llvm.LLVMPassBuilderOptionsSetLoopVectorization(options, 1);
    llvm.LLVMPassBuilderOptionsSetSLPVectorization(options, 1);
    llvm.LLVMPassBuilderOptionsSetLoopUnrolling(options, 1);
    const error = llvm.LLVMRunPasses(module, passes, machine, options);
    llvm.LLVMDisposePassBuilderOptions(options);
    if (error !== 0) throw this.#failure('optimisation', this.#takeFailure(error));
  }

  /** The text of an `LLVMErrorRef`, which is ours to free. */
  #takeFailure(error: Address): string {
    const message = this.#functions.LLVMGetErrorMessage(error);
    const text = this.#text(message);
    this.#functions.LLVMDisposeErrorMessage(message);
    return text;
  }

  /** A target machine, kept for the life of the process: there are as many as there are targets in use. */
  #machine({ cpu, optLevel, triple }: CompileOptions, copy = 0): Address {
    const llvm = this.#functions;
    const name = triple ?? this.#hostTriple();
    const key = `${name} ${cpu.baseCpu} ${cpu.featureString} ${optLevel} ${copy}`;
    const kept = this.#machines.get(key);
    if (kept !== undefined) return kept;
    this.#initialiseOnce(ARCHITECTURES[cpu.architecture]);
    if (llvm.LLVMGetTargetFromTriple(name, this.#out, this.#error) !== 0)
      throw this.#failure('target', this.#takeError());
    const machine = llvm.LLVMCreateTargetMachine(
      Number(this.#out[0]),
      name,
      cpu.baseCpu,
      cpu.featureString,
      optLevel,
      RELOCATION_PIC,
      CODE_MODEL_DEFAULT,
    );
    if (machine === 0) throw this.#failure('target', `no target machine for ${name}`);
    this.#machines.set(key, machine);
    return machine;
  }

  /** Makes the code generator of this machine known to LLVM, which its linker needs too. */
  initialiseHost(): void {
    if (process.arch === 'x64' || process.arch === 'arm64') this.#initialiseOnce(ARCHITECTURES[process.arch]);
  }

  #initialiseOnce(architecture: string): void {
    if (this.#initialised.has(architecture)) return;
    this.#initialise(architecture);
    this.#initialised.add(architecture);
  }

  #triple: string | undefined;
  #hostTriple(): string {
    return (this.#triple ??= this.#take(this.#functions.LLVMGetDefaultTargetTriple()));
  }

  #text(address: Address): string {
    return address === 0 ? '' : koffi().decode.string(BigInt(address));
  }

  /** The text of a message that is ours to free. */
  #take(address: Address): string {
    const text = this.#text(address);
    if (address !== 0) this.#functions.LLVMDisposeMessage(address);
    return text;
  }

  #takeError(): string {
    const text = this.#take(Number(this.#error[0]));
    this.#error[0] = 0n;
    return text;
  }

  #failure(stage: string, text: string): ProjError {
    return new ProjError(
      'kernel-compilation',
      `LLVM ${this.version}, ${stage}: ${text.trim().split('\n').slice(0, 6).join(' | ')}`,
      { op: 'native device' },
    );
  }
}

/** Numbers as 8-byte words that machine code reads. */
function table(words: readonly number[]): BigUint64Array {
  // V8 may move arrays of 64 bytes or less.
  const memory = new BigUint64Array(Math.max(words.length, 16));
  memory.set(words.map(BigInt));
  return memory;
}

function lazyFunctions(library: ReturnType<ReturnType<typeof koffi>['load']>): Bound {
  const bound: Partial<Record<FunctionName, (...args: Argument[]) => number>> = {};
  for (const name of Object.keys(FUNCTIONS) as FunctionName[]) {
    Object.defineProperty(bound, name, {
      configurable: true,
      get: () => {
        const [result, parameters] = FUNCTIONS[name];
        const value = library.func(name, result, [...parameters]) as (...args: Argument[]) => number;
        Object.defineProperty(bound, name, { value });
        return value;
      },
    });
  }
  return bound as Bound;
}

/** `LLVMGetVersion` exists from 16 on; before that the file's name tells. */
function versionOf(library: ReturnType<ReturnType<typeof koffi>['load']>, file: string): string {
  try {
    const parts = [new Uint32Array(1), new Uint32Array(1), new Uint32Array(1)] as const;
    library.func('LLVMGetVersion', 'void', [OUT, OUT, OUT])(...parts);
    return parts.map(([part]) => part).join('.');
  } catch {
    return /LLVM(?:-|\.so\.)(\d+)/.exec(basename(realpathSync(file)))?.[1] ?? /llvm[-@]?(\d+)/.exec(file)?.[1] ?? '0';
  }
}
