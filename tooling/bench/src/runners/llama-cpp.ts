/**
 * llama.cpp, `llama-cpp.ts built|prebuilt THREADS`: its own llama-bench on a model of made-up weights, or its libraries through node-llama-cpp where no
 * llama-bench could be built. What it measures itself is what counts: a token of decoding from an empty context, a prompt from an empty context.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { GEMMA_2_2B } from '../low-bit.ts';
import type { LowBitScheme } from '../low-bit.ts';
import { modelFolder } from '../peers/cache.ts';
import { findLlamaCpp } from '../peers/llama-cpp.ts';
import type { LlamaCpp } from '../peers/llama-cpp.ts';
import { GGML_OF, gemmaBytes, writeSyntheticGguf } from '../peers/synthetic-gguf.ts';
import { minimum } from '../statistics.ts';
import { serve } from '../serve.ts';
import type { SelfTimed } from '../serve.ts';
import { openWithLibrary } from './llama-library.ts';

const [, , flavourText, threadsText] = process.argv;
const threads = Number(threadsText);
/** Loads that are timed. */
const LOADS = 4;

await serve(() => {
  const llama = findLlamaCpp(flavourText === 'prebuilt' ? 'prebuilt' : 'built');
  return {
    version: llama.version,
    detail: { measuredBy: llama.kind === 'program' ? 'llama-bench' : 'node-llama-cpp' },
    prepare(spec) {
      if (spec.kind !== 'decode' && spec.kind !== 'prompt') throw new RangeError(`llama.cpp has no '${spec.kind}'`);
      return prepare(llama, spec.kind, spec.scheme, spec.tokens);
    },
  };
});

function modelOf(scheme: LowBitScheme): string {
  const path = join(modelFolder(), `gemma2-2b-${GGML_OF[scheme]}.gguf`);
  if (!existsSync(path)) writeSyntheticGguf(path, GEMMA_2_2B, GGML_OF[scheme]);
  return path;
}

async function prepare(
  llama: LlamaCpp,
  kind: 'decode' | 'prompt',
  scheme: LowBitScheme,
  tokens: number,
): Promise<SelfTimed> {
  const model = modelOf(scheme);
  const bytes = gemmaBytes(GEMMA_2_2B, GGML_OF[scheme]);
  const known = { type: GGML_OF[scheme], GB: bytes / 1e9, ...(kind === 'decode' ? { bytes } : {}) };
  if (llama.kind === 'library') {
    const { samples, loading, dispose } = await openWithLibrary(llama.entry, model, threads, kind, tokens);
    return { samples, dispose, detail: () => ({ ...known, ...loading }) };
  }
  const loading = kind === 'decode' ? await loadingTimes(llama, model) : {};
  return {
    async samples() {
      const work = kind === 'decode' ? ['-p', '0', '-n', String(tokens)] : ['-p', String(tokens), '-n', '0'];
      const { results } = await llamaBench(llama, ['-m', model, ...work, '-r', '1']);
      const unit = kind === 'decode' ? tokens : 1;
      return results.flatMap(({ samples_ns }) => samples_ns.map((ns) => ns / 1e6 / unit));
    },
    detail: () => ({ ...known, ...loading }),
  };
}

/**
 * The shortest of a few times from opening the file to a loaded model with a context, and to the first token; the file is in the system's
 * cache from the second on. llama.cpp counts the first token into the load time that it logs.
 */
async function loadingTimes(llama: LlamaCpp & { kind: 'program' }, model: string) {
  const [loads, firsts]: [number[], number[]] = [[], []];
  for (let i = 0; i < LOADS; i++) {
    const once = ['-m', model, '-p', '0', '-n', '1', '-r', '1', '--no-warmup', '-v'];
    const { results, log } = await llamaBench(llama, once);
    const first = Number(/load time =\s*([\d.]+) ms/.exec(log)?.[1]);
    const token = (results[0]?.samples_ns[0] ?? Number.NaN) / 1e6;
    if (!Number.isFinite(first - token)) throw new RangeError('llama-bench logs no load time');
    loads.push(first - token);
    firsts.push(first);
  }
  return { loadMs: minimum(loads), firstTokenMs: minimum(firsts) };
}

interface BenchResult {
  readonly samples_ns: readonly number[];
}

function llamaBench(
  { path, env }: LlamaCpp & { kind: 'program' },
  args: readonly string[],
): Promise<{ results: readonly BenchResult[]; log: string }> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 1 << 28 };
    execFile(path, [...args, '-t', String(threads), '-o', 'json'], options, (error, stdout, stderr) => {
      if (error === null) return resolve({ results: JSON.parse(stdout) as BenchResult[], log: stderr });
      const said = stderr.trim().split('\n').slice(-2).join(' | ');
      reject(new Error(`llama-bench ended with ${error.signal ?? `code ${error.code}`}: ${said}`));
    });
  });
}
