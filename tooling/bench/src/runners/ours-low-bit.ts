/**
 * Our engine for models of a few bits a weight, on one of our devices: a token of decoding and a prompt, each from an empty context, with a model of
 * made-up weights in the shape that the peers get; and the chain of products of the `matvec` suite.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Device } from '@proj/kernel';
import { gemma2Config } from '@proj/quant-jit/gemma2';
import { VERSION } from '@proj/quant-jit/file';
import { openModel, writeSyntheticModel } from '@proj/quant-jit/jit';
import type { LoadedModel } from '@proj/quant-jit/jit';
import { bitsPerWeight, packedLayout, SCHEMES } from '@proj/quant-jit/quantize';
import type { SchemeName } from '@proj/quant-jit/quantize';
import type { CaseSpec } from '../cases.ts';
import { GEMMA_2_2B } from '../low-bit.ts';
import type { LowBitScheme } from '../low-bit.ts';
import { modelFolder } from '../peers/cache.ts';
import type { Scalars } from '../protocol.ts';
import { minimum } from '../statistics.ts';
import type { Prepared } from '../serve.ts';
import { prepareMatvec } from './ours-matvec.ts';

/** Our schemes: of 4 and 8 bits with scales as llama.cpp's Q4_0 and Q8_0 have them, of fewer bits with a scale a row. */
export const OUR_SCHEME: Record<LowBitScheme, Exclude<SchemeName, 'f32'>> = {
  q4: 'q4g32',
  q8: 'q8g32',
  q158: 'q158',
  q1: 'q1',
};

/** Positions of the context: those that are measured, and a few. */
const POSITIONS = 256;
/** An ordinary token. */
const TOKEN = 1000;
const LOADS = 4;

/** Prepares a case of the `decode`, `prompt` and `matvec` suites. */
export async function prepareLowBit(
  spec: CaseSpec & { kind: 'decode' | 'prompt' | 'matvec' },
  device: Device,
  threads: number,
): Promise<Prepared> {
  const scheme = OUR_SCHEME[spec.scheme];
  if (spec.kind === 'matvec') return prepareMatvec(spec, scheme, device);
  const path = await modelOf(scheme);
  const loading = spec.kind === 'decode' ? await loadingTimes(device.name, threads, path) : {};
  const model = await openModel(path, { device, threads, positions: POSITIONS, maxTokens: 128 });
  model.settle();
  const sequence = model.sequence();
  const bytes = weightBytes(model);
  const tokens = Array.from({ length: spec.tokens }, (_, i) => TOKEN + i);
  const known = {
    scheme,
    bitsPerWeight: bitsPerWeight(SCHEMES[scheme], GEMMA_2_2B.width),
    GB: bytes / 1e9,
    ...(spec.kind === 'decode' ? { bytes } : {}),
    ...loading,
  };
  return {
    units: spec.kind === 'decode' ? spec.tokens : 1,
    run() {
      sequence.reset();
      if (spec.kind === 'prompt') sequence.feed(tokens);
      else for (const token of tokens) sequence.feedOne(token);
    },
    detail: () => known,
    dispose() {
      sequence.dispose();
      model.dispose();
    },
  };
}

/** All that a token reads: every constant, the embedding once, as the output matrix. */
function weightBytes({ il }: LoadedModel): number {
  return il.constants.reduce((sum, { type }) => {
    const [rows, columns] = type.shape.length === 1 ? [1, type.shape[0]] : type.shape;
    return sum + packedLayout(SCHEMES[type.scheme], rows, columns).bytes;
  }, 0);
}

async function modelOf(scheme: SchemeName): Promise<string> {
  const path = join(modelFolder(), `gemma2-2b-${scheme}-${VERSION}.model`);
  if (existsSync(path)) return path;
  const config = gemma2Config({
    hiddenSize: GEMMA_2_2B.width,
    intermediateSize: GEMMA_2_2B.feedForward,
    numHiddenLayers: GEMMA_2_2B.layers,
    numAttentionHeads: GEMMA_2_2B.heads,
    numKeyValueHeads: GEMMA_2_2B.keyValueHeads,
    headDim: GEMMA_2_2B.headWidth,
    vocabSize: GEMMA_2_2B.vocabulary,
    maxPositionEmbeddings: GEMMA_2_2B.context,
    slidingWindow: GEMMA_2_2B.window,
  });
  await writeSyntheticModel(path, config, scheme, { seed: 1 });
  return path;
}

/** What users load with, which `pnpm bench` brings up to date first; the sources, which keep less between processes, where nothing is built. */
const BUILT = existsSync(new URL('../../../../packages/quant-jit/dist/jit/index.js', import.meta.url));

/** As the peer's are taken: each load in a process of its own, the shortest of a few; checksums and the cache of compiled code are from the first. */
async function loadingTimes(device: string, threads: number, path: string): Promise<Scalars> {
  const [loads, firsts]: [number[], number[]] = [[], []];
  for (let i = 0; i < LOADS; i++) {
    const { loadMs, firstTokenMs } = await loadOnce(device, threads, path);
    loads.push(loadMs);
    firsts.push(firstTokenMs);
  }
  return {
    loadMs: minimum(loads),
    firstTokenMs: minimum(firsts),
    coldLoadMs: loads[0] ?? Number.NaN,
    loadedFrom: BUILT ? 'dist' : 'source',
  };
}

function loadOnce(device: string, threads: number, path: string): Promise<{ loadMs: number; firstTokenMs: number }> {
  const script = fileURLToPath(new URL('ours-load.mjs', import.meta.url));
  const args = [
    ...(BUILT ? [] : process.execArgv),
    script,
    device,
    String(threads),
    path,
    String(POSITIONS),
    String(TOKEN),
  ];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout) as { loadMs: number; firstTokenMs: number });
      else reject(new Error(`loading failed: ${stderr.trim().split('\n').slice(0, 4).join(' | ')}`));
    });
  });
}
