/** A model in memory to a converted file, as the converter does it but with logits of all positions; and what a file says about a text. */
import type { StateDict } from '@proj/nn';
import { createModelFile } from '../src/file/index.ts';
import { type Gemma2Config, gemma2ConfigJson } from '../src/gemma2/index.ts';
import { buildGemma2, constantsFrom, optimise } from '../src/il/index.ts';
import { openModel, packConstant } from '../src/jit/index.ts';
import { klDivergence, nextTokenAccuracy, topOneAgreement } from '../src/metrics/index.ts';
import { crossEntropy } from '../src/metrics/index.ts';
import {
  bitsPerWeight,
  type Calibration,
  quantize,
  type QuantizedMatrix,
  type SchemeName,
  SCHEMES,
} from '../src/quantize/index.ts';

export interface ConvertedSize {
  /** Of the file. */
  readonly bytes: number;
  /** What the schemes promise: codes and scales of every matrix, and floats for the gains of the norms. */
  readonly promised: number;
  readonly weights: number;
}

/** Rounds a matrix of a name. */
export type Rounding = (
  name: string,
  values: Float32Array,
  rows: number,
  columns: number,
  scheme: SchemeName,
) => QuantizedMatrix;

export const roundBy =
  (calibration: Calibration): Rounding =>
  (_, values, rows, columns, scheme) =>
    quantize(values, rows, columns, scheme, { calibration });

export async function writeConverted(
  path: string,
  config: Gemma2Config,
  state: StateDict,
  schemeOf: (tensor: string) => SchemeName,
  rounding: Rounding,
): Promise<ConvertedSize> {
  const whole = buildGemma2(config, schemeOf, { logits: 'all' });
  const il = whole.with(optimise(whole.program));
  const matrices = new Map<string, QuantizedMatrix>();
  const floats = new Map<string, Float32Array>();
  let promised = 0;
  let weights = 0;
  for (const [name, tensor] of Object.entries(state)) {
    const values = tensor.toTypedArray() as Float32Array;
    const vector = tensor.ndim === 1;
    const scheme = vector ? 'f32' : schemeOf(name);
    weights += values.length;
    promised += (values.length * bitsPerWeight(SCHEMES[scheme], tensor.shape.at(-1) ?? 1)) / 8;
    if (scheme === 'f32') floats.set(name, values);
    else matrices.set(name, rounding(name, values, tensor.shape[0], tensor.shape[1], scheme));
  }
  const tensors = il.constants.map(({ name, type: { scheme, shape } }) => {
    const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
    return { name, scheme, rows, columns };
  });
  const plan = { config: gemma2ConfigJson(config), il: String(il), tensors };
  const writer = await createModelFile(path, plan, { resume: false });
  const source = constantsFrom({ matrices, floats });
  for (const constant of il.constants) await writer.write(constant.name, packConstant(constant, source));
  await writer.finish();
  return { bytes: writer.bytes, promised, weights };
}

/** Windows of a text that follow each other. */
export interface HeldOut {
  readonly ids: ArrayLike<number>;
  readonly context: number;
  readonly windows: number;
}

export const windowAt = ({ ids, context }: HeldOut, window: number): { inputs: Int32Array; targets: Int32Array } => ({
  inputs: Int32Array.from({ length: context }, (_, t) => ids[window * context + t]),
  targets: Int32Array.from({ length: context }, (_, t) => ids[window * context + t + 1]),
});

export interface Quality {
  /** Of all positions of all windows, those with little context included. */
  readonly perplexity: number;
  readonly accuracy: number;
  readonly agreement: number;
  readonly kl: number;
}

/** Averages over windows of what `logitsOf` says, beside what the teacher said. */
export function qualityOf(
  held: HeldOut,
  vocabulary: number,
  teacher: readonly Float32Array[],
  logitsOf: (inputs: Int32Array, window: number) => Float32Array,
): Quality {
  const sums = { loss: 0, accuracy: 0, agreement: 0, kl: 0 };
  for (let window = 0; window < held.windows; window++) {
    const { inputs, targets } = windowAt(held, window);
    const logits = logitsOf(inputs, window);
    sums.loss += crossEntropy(logits, targets, vocabulary);
    sums.accuracy += nextTokenAccuracy(logits, targets, vocabulary);
    sums.agreement += topOneAgreement(teacher[window], logits, vocabulary);
    sums.kl += klDivergence(teacher[window], logits, vocabulary);
  }
  const n = held.windows;
  return {
    perplexity: Math.exp(sums.loss / n),
    accuracy: sums.accuracy / n,
    agreement: sums.agreement / n,
    kl: sums.kl / n,
  };
}

/** The same through the compiled kernels of a file. */
export async function qualityOfFile(
  path: string,
  held: HeldOut,
  vocabulary: number,
  teacher: readonly Float32Array[],
): Promise<Quality> {
  const loaded = await openModel(path, { maxTokens: held.context });
  const sequence = loaded.sequence();
  try {
    return qualityOf(held, vocabulary, teacher, (inputs) => {
      sequence.reset();
      return sequence.feed(inputs);
    });
  } finally {
    sequence.dispose();
    loaded.dispose();
  }
}
