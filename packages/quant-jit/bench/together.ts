/**
 * What batching is worth: tokens a second of 1 to 16 sequences that take their next tokens together, with made-up weights in the shape of Gemma 2 2B (a vocabulary of
 * 32,000). Weights are read once a step for all sequences, so a step costs little more until the products take longer than reading.
 * `node --conditions=source packages/quant-jit/bench/together.ts [scheme [threads]]`
 */
import '@proj/device-native';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gemma2Config } from '../src/gemma2/index.ts';
import { openModel, writeSyntheticModel } from '../src/jit/index.ts';
import { SCHEMES, type SchemeName } from '../src/quantize/index.ts';

const STEPS = 24;
const isScheme = (name: string): name is Exclude<SchemeName, 'f32'> => name in SCHEMES && name !== 'f32';
const [scheme = 'q4g32', threads] = process.argv.slice(2);
if (!isScheme(scheme)) throw new RangeError(`no scheme ${scheme}; there are ${Object.keys(SCHEMES).join(', ')}`);

const config = gemma2Config({
  hiddenSize: 2304,
  intermediateSize: 9216,
  numHiddenLayers: 26,
  numAttentionHeads: 8,
  numKeyValueHeads: 4,
  headDim: 256,
  vocabSize: 32_000,
  maxPositionEmbeddings: 8192,
  slidingWindow: 4096,
});
const folder = mkdtempSync(join(tmpdir(), 'together-'));
try {
  const path = join(folder, 'model');
  await writeSyntheticModel(path, config, scheme, { seed: 1 });
  console.log('| sequences | step | tokens/s |\n| --- | --- | --- |');
  for (const sequences of [1, 2, 4, 8, 16]) {
    const model = await openModel(path, {
      device: 'native',
      positions: 256,
      sequences,
      ...(threads === undefined ? {} : { threads: Number(threads) }),
    });
    model.settle();
    model.group.prepare();
    const times = Array.from({ length: STEPS }, (_, step) => {
      const started = performance.now();
      model.group.feedEach(model.group.sequences.map((sequence, s) => ({ sequence, token: 100 * s + step })));
      return performance.now() - started;
    }).sort((a, b) => a - b);
    const median = times[STEPS >> 1];
    console.log(`| ${sequences} | ${median.toFixed(1)} ms | ${((1000 * sequences) / median).toFixed(1)} |`);
    model.dispose();
  }
} finally {
  rmSync(folder, { recursive: true });
}
