/** The runners: how each is started, what it can do, and how to install it where it is missing. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { CaseKind, CaseSpec, LoopMode } from './cases.ts';
import type { ProcessSpec } from './driver.ts';
import type { LowBitScheme } from './low-bit.ts';
import { hasAvx512 } from './machine.ts';
import { cacheFolder } from './peers/cache.ts';
import { setUpLlamaCpp } from './peers/llama-cpp.ts';
import type { LlamaFlavour } from './peers/llama-cpp.ts';

export const RUNNER_IDS = [
  'ours:native',
  'ours:wasm',
  'ours:js',
  'onnxruntime-node',
  'onnxruntime-web',
  'openblas',
  'pytorch',
  'tfjs',
  'jax-js',
  'llama.cpp',
  'llama.cpp:prebuilt',
  'libc',
  'libc:streaming',
  'node',
] as const;

/**
 * `llama.cpp` is built for the machine, `llama.cpp:prebuilt` the libraries that npm has. `libc` is memcpy as it comes, `libc:streaming` the same with stores past the caches from 4 MB on (glibc decides by the size of a cache that
 * a virtual machine may overstate), `node` an empty Node process: the yardsticks of bandwidth and of cold start.
 */
export type RunnerId = (typeof RUNNER_IDS)[number];

export interface RunnerDescriptor {
  /** How to make it available, in words or as a command. */
  readonly install: string;
  /** Fetches and builds the peer where that is not done yet; throws the reason when it cannot be had. */
  readonly setUp?: (say: (text: string) => void) => Promise<void>;
  /** The process that answers requests. */
  readonly serve: (threads: number) => ProcessSpec;
  /** A process that imports the library, adds two small tensors, prints the result and ends. */
  readonly coldStart?: () => ProcessSpec;
}

const OURS = ['ours:native', 'ours:wasm', 'ours:js'] as const;
const EVERYONE_TRAINS = [...OURS, 'pytorch', 'tfjs', 'jax-js'] as const;

/** Who can do what. `onnxruntime-*` run inference only; OpenBLAS only multiplies. */
const CAN: Record<Exclude<CaseKind, 'memory-steps' | 'matvec'>, readonly RunnerId[]> = {
  matmul: [...OURS, 'onnxruntime-node', 'onnxruntime-web', 'openblas', 'pytorch', 'tfjs', 'jax-js'],
  'fma-peak': ['ours:native', 'ours:wasm'],
  chain: [...OURS, 'onnxruntime-node', 'pytorch', 'tfjs', 'jax-js'],
  exp: [...OURS, 'onnxruntime-node', 'pytorch', 'tfjs', 'jax-js'],
  memcpy: ['libc', 'libc:streaming', 'pytorch'],
  softmax: [...OURS, 'onnxruntime-node', 'pytorch', 'tfjs', 'jax-js'],
  'layer-norm': [...OURS, 'onnxruntime-node', 'pytorch', 'tfjs', 'jax-js'],
  'cross-entropy': [...OURS, 'onnxruntime-node', 'pytorch', 'tfjs', 'jax-js'],
  conv2d: [...OURS, 'onnxruntime-node', 'pytorch', 'tfjs', 'jax-js'],
  train: EVERYONE_TRAINS,
  'tiny-step': EVERYONE_TRAINS,
  'tiny-graph': EVERYONE_TRAINS,
  'cold-start': ['ours:native', 'ours:wasm', 'node', 'pytorch', 'tfjs', 'jax-js'],
  'memory-gpt': ['ours:native', 'ours:wasm', 'pytorch'],
  'read-peak': ['ours:native'],
  decode: ['ours:native', 'ours:wasm', 'llama.cpp', 'llama.cpp:prebuilt'],
  prompt: ['ours:native', 'ours:wasm', 'llama.cpp', 'llama.cpp:prebuilt'],
};

/** ONNX Runtime multiplies with matrices of four and of eight bits. */
const MATVEC: Record<LowBitScheme, readonly RunnerId[]> = {
  q4: ['ours:native', 'ours:wasm', 'onnxruntime-node'],
  q8: ['ours:native', 'ours:wasm', 'onnxruntime-node'],
  q158: ['ours:native', 'ours:wasm'],
  q1: ['ours:native', 'ours:wasm'],
};

/** Loops that each can run: jax-js reads asynchronously, the others' loops are synchronous. The larger net's steps are many for all but the fastest. */
const LOOPS: Record<LoopMode, readonly RunnerId[]> = {
  sync: ['ours:native', 'ours:wasm', 'ours:js', 'pytorch', 'tfjs'],
  'sync, larger net': ['ours:native'],
  await: ['ours:native', 'ours:wasm', 'jax-js'],
  captured: ['ours:native', 'ours:wasm'],
};

/** The runners that can do a case, in the order in which they take turns. */
export function runnersFor(spec: CaseSpec): readonly RunnerId[] {
  if (spec.kind === 'memory-steps') return LOOPS[spec.mode];
  return spec.kind === 'matvec' ? MATVEC[spec.scheme] : CAN[spec.kind];
}

/** Whether a name is that of a runner. */
export function isRunner(name: string): name is RunnerId {
  return (RUNNER_IDS as readonly string[]).includes(name);
}

/** A file of this package, by its path below `src`. */
function source(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

const FROM_SOURCE = ['--conditions=source', '--disable-warning=ExperimentalWarning'];

/** Node's cache of compiled modules spares a process the compiler that strips types, some 30 MB that no user's process has. */
function node(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ProcessSpec {
  return {
    command: process.execPath,
    args: [...FROM_SOURCE, source(file), ...args],
    env: { NODE_COMPILE_CACHE: cacheFolder('modules'), ...env },
  };
}

/** Debian's OpenBLAS of one threading model, or undefined where it is not installed. */
export function openblasFolder(flavour: 'pthread' | 'openmp'): string | undefined {
  const root = '/usr/lib';
  try {
    for (const triple of readdirSync(root)) {
      if (!triple.endsWith('-linux-gnu')) continue;
      if (readdirSync(`${root}/${triple}`).includes(`openblas-${flavour}`))
        return `${root}/${triple}/openblas-${flavour}`;
    }
  } catch {
    return undefined;
  }
  return undefined;
}

/** OpenBLAS 0.3.21 does not know processors newer than itself and would take its AVX2 path on them. */
function blasEnvironment(threads: number): Record<string, string> {
  return {
    OPENBLAS_NUM_THREADS: String(threads),
    OMP_NUM_THREADS: String(threads),
    ...(hasAvx512() && process.env['OPENBLAS_CORETYPE'] === undefined ? { OPENBLAS_CORETYPE: 'SkylakeX' } : {}),
  };
}

const PYTHON = process.env['PROJ_BENCH_PYTHON'] ?? '/usr/bin/python3';

function python(args: readonly string[], threads: number): ProcessSpec {
  const openmp = openblasFolder('openmp');
  return {
    command: PYTHON,
    args: ['-W', 'ignore', source('runners/pytorch.py'), ...args],
    env: { ...blasEnvironment(threads), ...(openmp === undefined ? {} : { LD_LIBRARY_PATH: openmp }) },
  };
}

function ours(device: string): RunnerDescriptor {
  return {
    install:
      device === 'native'
        ? 'apt-get install libllvm19 (or any LLVM 15 … 22; PROJ_LLVM names the library)'
        : 'part of this workspace: pnpm install',
    serve: (threads) => node('runners/ours.ts', [device, String(threads)], { PROJ_NUM_THREADS: String(threads) }),
    // From dist, without the source condition: what a user's process pays.
    coldStart: () => ({ command: process.execPath, args: [source(`cold-start/ours.mjs`), device] }),
  };
}

function npmPeer(
  file: string,
  args: (threads: number) => readonly string[],
  coldStart: string | undefined,
): RunnerDescriptor {
  return {
    install: 'pnpm install (a devDependency of tooling/bench)',
    serve: (threads) => node(file, args(threads)),
    ...(coldStart === undefined ? {} : { coldStart: () => ({ command: process.execPath, args: [source(coldStart)] }) }),
  };
}

function llama(flavour: LlamaFlavour): RunnerDescriptor {
  return {
    install: `the bench does it, into its cache: npm, and ${flavour === 'built' ? 'git, cmake and a C++ compiler' : 'nothing else'}`,
    setUp: setUpLlamaCpp,
    serve: (threads) => node('runners/llama-cpp.ts', [flavour, String(threads)]),
  };
}

function memcpy(env: Readonly<Record<string, string>>): RunnerDescriptor {
  return {
    install: 'pnpm install (koffi), on a system whose C library koffi can load',
    serve: (threads) => node('runners/libc.ts', [String(threads)], env),
  };
}

export const RUNNERS: Record<RunnerId, RunnerDescriptor> = {
  'ours:native': ours('native'),
  'ours:wasm': ours('wasm'),
  'ours:js': ours('js'),
  'onnxruntime-node': npmPeer('runners/onnxruntime.ts', (threads) => ['node', String(threads)], undefined),
  'onnxruntime-web': npmPeer('runners/onnxruntime.ts', (threads) => ['web', String(threads)], undefined),
  openblas: {
    install: 'apt-get install libopenblas0-pthread (and pnpm install, for koffi); PROJ_OPENBLAS names another library',
    serve: (threads) => node('runners/openblas.ts', [String(threads)], blasEnvironment(threads)),
  },
  pytorch: {
    install: 'apt-get install python3-torch libopenblas0-openmp; PROJ_BENCH_PYTHON names another interpreter',
    serve: (threads) => python([String(threads)], threads),
    coldStart: () => python(['cold-start'], 1),
  },
  tfjs: npmPeer('runners/tfjs.ts', (threads) => [String(threads)], 'cold-start/tfjs.mjs'),
  'jax-js': npmPeer('runners/jax.ts', (threads) => [String(threads)], 'cold-start/jax.mjs'),
  'llama.cpp': llama('built'),
  'llama.cpp:prebuilt': llama('prebuilt'),
  libc: memcpy({}),
  'libc:streaming': memcpy({ GLIBC_TUNABLES: `glibc.cpu.x86_non_temporal_threshold=${4 << 20}` }),
  node: {
    install: 'Node itself',
    serve: () => ({ command: process.execPath, args: ['-e', ''] }),
    coldStart: () => ({ command: process.execPath, args: ['-e', ''] }),
  },
};
