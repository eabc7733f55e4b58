/**
 * The quality table of docs/brain-blitz.md: a teacher trained here on a text, converted at every number of bits, directly and after distillation, and measured on
 * the held-out tenth of the text through the compiled kernels of the written file.
 *
 *     node --conditions=source packages/quant-jit/bench/quality.ts --text input.txt --out folder [--teacher-steps 1500] [--distill-steps 300] [--windows 400]
 *       [--distill q1,q158] [--schemes q8,q8g32,…] [--ngrams 2,3,5,6] [--settings JSON]
 *
 * Everything is kept in the folder: a second run goes on where the first was stopped, and measures again what is there.
 */
import '@proj/device-native';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { noGrad } from '@proj/autograd';
import type { StateDict } from '@proj/nn';
import { compile, fromArray, type Tensor } from '@proj/tensor';
import { distillAndBinarize } from '../src/distill/index.ts';
import { NgramModel } from '../src/metrics/index.ts';
import { type Calibration, type SchemeName, SCHEMES } from '../src/quantize/index.ts';
import {
  type ConvertedSize,
  type HeldOut,
  type Quality,
  qualityOf,
  qualityOfFile,
  roundBy,
  windowAt,
  writeConverted,
} from './conversion.ts';
import { trainedTeacher } from './teacher.ts';

const { values: options } = parseArgs({
  options: {
    text: { type: 'string' },
    out: { type: 'string' },
    'teacher-steps': { type: 'string', default: '1500' },
    'distill-steps': { type: 'string', default: '300' },
    windows: { type: 'string', default: '400' },
    distill: { type: 'string', default: 'q1,q158' },
    schemes: { type: 'string', default: 'q8,q8g32,q4g32,q4g32 mse,q4g128,q158,q158 mse,q1,q1g128' },
    ngrams: { type: 'string', default: '2,3,5,6' },
    settings: { type: 'string', default: '{}' },
  },
});
const { text, out } = options;
if (text === undefined || out === undefined) throw new Error('give --text FILE and --out FOLDER');
mkdirSync(out, { recursive: true });
const log = (message: string): void => console.log(message);
const list = (names: string): string[] => names.split(',').filter((name) => name !== '');

const bytes = readFileSync(text);
const cut = Math.floor(bytes.length * 0.9);
const [train, validation] = [bytes.subarray(0, cut), bytes.subarray(cut)];
const teacher = await trainedTeacher({
  folder: join(out, 'teacher'),
  train,
  validation,
  steps: Number(options['teacher-steps']),
  log,
});
const { config } = teacher;
const context = config.maxPositionEmbeddings;
const held: HeldOut = {
  ids: validation,
  context,
  windows: Math.min(Number(options.windows), Math.floor((validation.length - 1) / context)),
};
const vocabulary = config.vocabSize;

interface Row {
  readonly name: string;
  readonly size: ConvertedSize | null;
  readonly quality: Partial<Quality> & { readonly perplexity: number; readonly accuracy: number };
}
const rows: Row[] = [];
const run = compile((ids: Tensor) => noGrad(() => teacher.call(ids).logits));
const floatLogits = (inputs: Int32Array): Float32Array =>
  (run(fromArray(inputs, [1, context], 'int64')).toTypedArray() as Float32Array).slice();
const reference = Array.from({ length: held.windows }, (_, window) => floatLogits(windowAt(held, window).inputs));
const add = (row: Row): void => {
  rows.push(row);
  const { perplexity, accuracy } = row.quality;
  log(
    `${row.name}: perplexity ${perplexity.toFixed(4)} (x ${(perplexity / rows[0].quality.perplexity).toFixed(4)}), accuracy ${accuracy.toFixed(4)}`,
  );
};
add({
  name: 'teacher, f32',
  size: null,
  quality: qualityOf(held, vocabulary, reference, (_, window) => reference[window]),
});

const tableScheme = (scheme: SchemeName): SchemeName => (SCHEMES[scheme].bits < 4 ? 'q8' : scheme);
async function measure(name: string, state: StateDict, scheme: SchemeName, calibration: Calibration): Promise<void> {
  const path = join(out ?? '', `${name.replaceAll(/[^a-z0-9]+/g, '-')}.safetensors`);
  const schemeOf = (tensor: string): SchemeName => (/embed_tokens|lm_head/.test(tensor) ? tableScheme(scheme) : scheme);
  const size = await writeConverted(path, config, state, schemeOf, roundBy(calibration));
  add({ name, size, quality: await qualityOfFile(path, held, vocabulary, reference) });
}
for (const entry of list(options.schemes)) {
  const [scheme, calibration = 'absmax'] = entry.split(' ');
  await measure(entry, teacher.stateDict(), scheme as SchemeName, calibration as Calibration);
}
for (const scheme of list(options.distill) as SchemeName[]) {
  const began = performance.now();
  const { stateDict, history } = await distillAndBinarize({
    teacher,
    ids: train,
    scheme,
    steps: Number(options['distill-steps']),
    checkpoint: join(out, `distill-${scheme}.safetensors`),
    checkpointEvery: 25,
    batchSize: 8,
    seed: 1,
    onProgress: ({ step, loss, hidden, kl, crossEntropy }) => {
      if (step % 25 === 0)
        log(
          `${scheme} step ${step}: loss ${loss.toFixed(3)}, hidden ${hidden.toFixed(3)}, kl ${kl.toFixed(3)}, cross-entropy ${crossEntropy.toFixed(3)}, ${((performance.now() - began) / 1000).toFixed(0)} s`,
        );
    },
    ...(JSON.parse(options.settings) as object),
  });
  writeFileSync(join(out, `distill-${scheme}.json`), JSON.stringify(history));
  await measure(`${scheme} distilled`, stateDict, scheme, 'absmax');
}
// Under the same conditions: each window is all that is known before its tokens.
for (const order of list(options.ngrams).map(Number)) {
  const model = new NgramModel({ vocabulary, order }).train(train);
  let [loss, accuracy] = [0, 0];
  for (let window = 0; window < held.windows; window++) {
    const found = model.evaluate(validation.subarray(window * context, (window + 1) * context + 1), 1);
    loss += Math.log(found.perplexity) / held.windows;
    accuracy += found.accuracy / held.windows;
  }
  add({ name: `${order}-gram`, size: null, quality: { perplexity: Math.exp(loss), accuracy } });
}

const cell = (value: number | undefined, digits: number): string => (value === undefined ? '' : value.toFixed(digits));
const [first] = rows;
log(
  '\n| model | bits per weight | bytes | of promised | perplexity | × teacher | KL | top-1 agreement | next byte right |',
);
log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const { name, size, quality } of rows) {
  const { perplexity, accuracy, agreement, kl } = quality;
  const cells = [
    name,
    cell(size === null ? undefined : (8 * size.bytes) / size.weights, 3),
    size === null ? '' : String(size.bytes),
    cell(size === null ? undefined : size.bytes / size.promised, 4),
    perplexity.toFixed(4),
    (perplexity / first.quality.perplexity).toFixed(4),
    cell(kl, 5),
    cell(agreement, 4),
    accuracy.toFixed(4),
  ];
  log(`| ${cells.join(' | ')} |`);
}
