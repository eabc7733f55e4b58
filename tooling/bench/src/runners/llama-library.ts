/** llama.cpp's libraries through node-llama-cpp, from wherever the bench installed it: for machines without a compiler. */
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';

/** The part of node-llama-cpp's interface that is used. */
interface NodeLlamaCpp {
  getLlama(options: {
    gpu: false;
    build: 'never';
    skipDownload: true;
    progressLogs: false;
    logLevel: 'error';
    maxThreads: number;
  }): Promise<{ loadModel(options: { modelPath: string }): Promise<Model> }>;
}

interface Model {
  createContext(options: { contextSize: number; threads: number; batchSize: number }): Promise<{
    getSequence(): Sequence;
    dispose(): Promise<void>;
  }>;
  dispose(): Promise<void>;
}

interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: readonly number[], options: { temperature: 0; yieldEogToken: true }): AsyncGenerator<number>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
}

/** An ordinary token, beyond the special ones and the bytes. */
const TOKEN = 1000;

/** A model loaded for the case, and what a run of it measures. */
export async function openWithLibrary(
  entry: string,
  modelPath: string,
  threads: number,
  kind: 'decode' | 'prompt',
  tokens: number,
): Promise<{
  samples: () => Promise<readonly number[]>;
  loading: Readonly<Record<string, number>>;
  dispose: () => void;
}> {
  const { getLlama } = (await import(pathToFileURL(entry).href)) as NodeLlamaCpp;
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logLevel: 'error',
    maxThreads: threads,
  });
  const began = performance.now();
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 512, threads, batchSize: 512 });
  const loadMs = performance.now() - began;
  const sequence = context.getSequence();
  const prompt = Array.from({ length: tokens }, (_, i) => TOKEN + i);
  const samples = async (): Promise<number[]> => {
    await sequence.clearHistory();
    if (kind === 'prompt') {
      const from = performance.now();
      await sequence.evaluateWithoutGeneratingNewTokens(prompt);
      return [performance.now() - from];
    }
    const times: number[] = [];
    let last = Number.NaN;
    for await (const _ of sequence.evaluate([TOKEN], { temperature: 0, yieldEogToken: true })) {
      const now = performance.now();
      if (!Number.isNaN(last)) times.push(now - last);
      last = now;
      if (times.length === tokens) break;
    }
    return times;
  };
  await samples();
  return {
    samples,
    loading: kind === 'decode' ? { loadMs } : {},
    dispose: () => void context.dispose().then(() => model.dispose()),
  };
}
