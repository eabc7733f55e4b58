/**
 * What is measured. A *suite* is a list of *cases*; a case is a name and a *spec*, plain data that every runner (a TypeScript or Python
 * process) understands. Work in floating-point operations and bytes moved is stated here once, so that every runner's rate is computed alike.
 */
import { LOW_BIT_SCHEMES, MATVEC_SIZE } from './low-bit.ts';
import type { LowBitScheme } from './low-bit.ts';

/** The work of one case, as sent to the runners. */
export type CaseSpec =
  | { readonly kind: 'matmul'; readonly m: number; readonly k: number; readonly n: number; readonly weight: boolean }
  | { readonly kind: 'fma-peak' }
  | { readonly kind: 'chain'; readonly elements: number; readonly inputs: 1 | 3 }
  | { readonly kind: 'exp'; readonly elements: number }
  | { readonly kind: 'memcpy'; readonly bytes: number }
  | { readonly kind: 'softmax'; readonly rows: number; readonly columns: number }
  | { readonly kind: 'layer-norm'; readonly rows: number; readonly columns: number }
  | { readonly kind: 'cross-entropy'; readonly rows: number; readonly columns: number }
  | ConvSpec
  | { readonly kind: 'train'; readonly model: TrainModel }
  | { readonly kind: 'tiny-step'; readonly captured: boolean }
  | { readonly kind: 'tiny-graph' }
  | { readonly kind: 'cold-start' }
  | { readonly kind: 'memory-steps'; readonly mode: LoopMode; readonly early: number; readonly late: number }
  | { readonly kind: 'memory-gpt'; readonly steps: number }
  | { readonly kind: 'read-peak'; readonly bytes: number }
  | { readonly kind: 'decode'; readonly scheme: LowBitScheme; readonly tokens: number }
  | { readonly kind: 'prompt'; readonly scheme: LowBitScheme; readonly tokens: number }
  | MatvecSpec;

/** Products of quantised square matrices with a vector, so many different matrices that each comes from memory and not from a cache. */
export interface MatvecSpec {
  readonly kind: 'matvec';
  readonly scheme: LowBitScheme;
  readonly size: number;
  readonly copies: number;
}

/** A forward convolution over NCHW inputs with square kernels. */
export interface ConvSpec {
  readonly kind: 'conv2d';
  readonly batch: number;
  readonly channels: number;
  readonly size: number;
  readonly filters: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly groups: number;
}

/** The models of the `train` suite; {@link TRAIN_SHAPES} holds their sizes. */
export type TrainModel = 'mlp' | 'cnn' | 'gpt' | 'lstm';

/** How a training loop gives control back: never, after each step (`await`), or never but with a captured step. */
export type LoopMode = 'sync' | 'sync, larger net' | 'await' | 'captured';

export type CaseKind = CaseSpec['kind'];

export const SUITES = [
  'gemm',
  'elementwise',
  'reduce',
  'conv',
  'train',
  'overhead',
  'memory',
  'decode',
  'prompt',
  'matvec',
] as const;
export type Suite = (typeof SUITES)[number];

export interface BenchCase {
  readonly suite: Suite;
  readonly name: string;
  readonly spec: CaseSpec;
  /** Floating-point operations of one run, where a rate in GFLOP/s says something. */
  readonly flops?: number;
  /** Bytes that one run has to read and write, where a rate in GB/s says something. */
  readonly bytes?: number;
  /** Tokens of one unit of work, where tokens a second say something. */
  readonly tokens?: number;
}

const MEGABYTE = 1 << 20;
const LARGE = (64 * MEGABYTE) / 4;

/** 784-512-512-10 and friends: forward, backward and Adam (lr 1e-3) in every runner. */
export const TRAIN_SHAPES = {
  mlp: { batch: 128, sizes: [784, 512, 512, 10] },
  cnn: { batch: 64, image: 28, classes: 10 },
  gpt: { layers: 4, width: 256, heads: 8, length: 128, batch: 8, vocabulary: 256 },
  lstm: { width: 128, length: 64, batch: 32, vocabulary: 256 },
} as const;

const TRAIN_TITLES: Record<TrainModel, string> = {
  mlp: 'MLP 784-512-512-10, batch 128',
  cnn: 'LeNet 28x28, batch 64',
  gpt: 'GPT 4x256, 8 heads, T 128, batch 8',
  lstm: 'LSTM 128, T 64, batch 32',
};

function matmul(m: number, k: number, n: number, weight: boolean, name: string): BenchCase {
  return {
    suite: 'gemm',
    name,
    spec: { kind: 'matmul', m, k, n, weight },
    flops: 2 * m * k * n,
    bytes: 4 * (m * k + k * n + m * n),
  };
}

function chain(elements: number, inputs: 1 | 3, name: string): BenchCase {
  return { suite: 'elementwise', name, spec: { kind: 'chain', elements, inputs }, bytes: 4 * elements * (inputs + 1) };
}

function conv(name: string, spec: Omit<ConvSpec, 'kind'>): BenchCase {
  const out = Math.floor((spec.size + 2 * spec.padding - spec.kernel) / spec.stride) + 1;
  const flops = (2 * spec.batch * spec.filters * out * out * spec.channels * spec.kernel * spec.kernel) / spec.groups;
  return { suite: 'conv', name, spec: { kind: 'conv2d', ...spec }, flops };
}

function memorySteps(mode: LoopMode): BenchCase {
  return { suite: 'memory', name: `2000 steps, ${mode}`, spec: { kind: 'memory-steps', mode, early: 200, late: 2000 } };
}

/** The name of the case that measures how fast memory can be read. */
export const READ_PEAK = 'DRAM read';

function readPeak(suite: Suite): BenchCase {
  return { suite, name: READ_PEAK, spec: { kind: 'read-peak', bytes: 1 << 30 }, bytes: 1 << 30 };
}

/** Weights of a `matvec` case together: more than a last-level cache holds. */
const MATVEC_BYTES = 768 * MEGABYTE;
const MATVEC_BITS: Record<LowBitScheme, number> = { q4: 4, q8: 8, q158: 2, q1: 1 };

function matvec(scheme: LowBitScheme): BenchCase {
  const copies = Math.ceil(MATVEC_BYTES / ((MATVEC_SIZE ** 2 * MATVEC_BITS[scheme]) / 8));
  return { suite: 'matvec', name: scheme, spec: { kind: 'matvec', scheme, size: MATVEC_SIZE, copies } };
}

const DECODED = 32;
const PROMPT = 128;

const ROWS = 4096;
const COLUMNS = 1024;
const ROW_BYTES = 4 * ROWS * COLUMNS;

/** Every case, suite by suite, in the order in which they run. */
export const CASES: Record<Suite, readonly BenchCase[]> = {
  gemm: [
    { suite: 'gemm', name: 'FMA peak', spec: { kind: 'fma-peak' } },
    ...[64, 128, 256, 512, 1024, 2048].map((n) => matmul(n, n, n, false, `sgemm ${n}`)),
    matmul(16, 4096, 4096, true, '16x4096x4096 prepacked'),
    matmul(1, 4096, 4096, true, '1x4096x4096 prepacked'),
  ],
  elementwise: [
    {
      suite: 'elementwise',
      name: 'memcpy 64 MB',
      spec: { kind: 'memcpy', bytes: 64 * MEGABYTE },
      bytes: 2 * 64 * MEGABYTE,
    },
    chain(1e6, 3, '7-op chain 1e6'),
    chain(LARGE, 1, '7-op chain 64 MB, 1 input'),
    chain(LARGE, 3, '7-op chain 64 MB, 3 inputs'),
    { suite: 'elementwise', name: 'exp 1e6', spec: { kind: 'exp', elements: 1e6 }, bytes: 8e6 },
  ],
  reduce: [
    {
      suite: 'reduce',
      name: 'softmax 4096x1024',
      spec: { kind: 'softmax', rows: ROWS, columns: COLUMNS },
      bytes: 2 * ROW_BYTES,
    },
    {
      suite: 'reduce',
      name: 'layer norm 4096x1024',
      spec: { kind: 'layer-norm', rows: ROWS, columns: COLUMNS },
      bytes: 2 * ROW_BYTES,
    },
    {
      suite: 'reduce',
      name: 'cross-entropy 4096x1024',
      spec: { kind: 'cross-entropy', rows: ROWS, columns: COLUMNS },
      bytes: ROW_BYTES,
    },
  ],
  conv: [
    conv('64x1x28x28, 6 of 5x5', {
      batch: 64,
      channels: 1,
      size: 28,
      filters: 6,
      kernel: 5,
      stride: 1,
      padding: 2,
      groups: 1,
    }),
    conv('16x16x32x32, 16 of 3x3', {
      batch: 16,
      channels: 16,
      size: 32,
      filters: 16,
      kernel: 3,
      stride: 1,
      padding: 1,
      groups: 1,
    }),
    conv('1x64x56x56, 64 of 3x3', {
      batch: 1,
      channels: 64,
      size: 56,
      filters: 64,
      kernel: 3,
      stride: 1,
      padding: 1,
      groups: 1,
    }),
    conv('1x256x14x14, 256 of 3x3', {
      batch: 1,
      channels: 256,
      size: 14,
      filters: 256,
      kernel: 3,
      stride: 1,
      padding: 1,
      groups: 1,
    }),
    conv('1x64x56x56, 256 of 1x1', {
      batch: 1,
      channels: 64,
      size: 56,
      filters: 256,
      kernel: 1,
      stride: 1,
      padding: 0,
      groups: 1,
    }),
    conv('1x128x28x28, 3x3 depthwise', {
      batch: 1,
      channels: 128,
      size: 28,
      filters: 128,
      kernel: 3,
      stride: 1,
      padding: 1,
      groups: 128,
    }),
  ],
  train: (['mlp', 'cnn', 'gpt', 'lstm'] as const).map((model) => ({
    suite: 'train',
    name: TRAIN_TITLES[model],
    spec: { kind: 'train', model },
  })),
  overhead: [
    { suite: 'overhead', name: 'captured step, MLP 4-8-2', spec: { kind: 'tiny-step', captured: true } },
    { suite: 'overhead', name: 'eager step, MLP 4-8-2', spec: { kind: 'tiny-step', captured: false } },
    { suite: 'overhead', name: 'sum((a + b) * a) of 16, read', spec: { kind: 'tiny-graph' } },
    { suite: 'overhead', name: 'cold start', spec: { kind: 'cold-start' } },
  ],
  memory: [
    memorySteps('sync'),
    memorySteps('sync, larger net'),
    memorySteps('await'),
    memorySteps('captured'),
    { suite: 'memory', name: 'GPT step, peak', spec: { kind: 'memory-gpt', steps: 5 } },
  ],
  decode: [
    readPeak('decode'),
    ...LOW_BIT_SCHEMES.map((scheme): BenchCase => ({
      suite: 'decode',
      name: scheme,
      spec: { kind: 'decode', scheme, tokens: DECODED },
      tokens: 1,
    })),
  ],
  prompt: LOW_BIT_SCHEMES.map((scheme) => ({
    suite: 'prompt',
    name: scheme,
    spec: { kind: 'prompt', scheme, tokens: PROMPT },
    tokens: PROMPT,
  })),
  matvec: [readPeak('matvec'), ...LOW_BIT_SCHEMES.map(matvec)],
};

/** Whether a name is that of a suite. */
export function isSuite(name: string): name is Suite {
  return (SUITES as readonly string[]).includes(name);
}

/** Where an output's 8 check values stand, the same in every runner: `(i + 0.5) / 8` of the way through. */
export function checkPositions(length: number): number[] {
  return Array.from({ length: 8 }, (_, i) => Math.floor(((i + 0.5) * length) / 8));
}
