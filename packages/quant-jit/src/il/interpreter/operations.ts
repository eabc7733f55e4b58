/**
 * The meaning of every operation, in plain JavaScript: one total table. Integers are exact; floats are float32, rounded after each addition and each
 * multiplication, in the order that `../../arithmetic.ts` gives sums. So kernels have the same bits. A fused operation is by definition its parts one after
 * the other, so that passes change no bit.
 */
import { ProjError } from '@proj/kernel';
import { quantizeInput } from '../../quantize/activations.ts';
import { createLut } from '../../quantize/lut.ts';
import { groupColumns } from '../../quantize/scheme.ts';
import type { ActivationScheme } from '../../quantize/scheme.ts';
import { gelu } from '../../arithmetic.ts';
import type { ConstantSource } from '../constants.ts';
import { joinFloats, joinMatrices } from '../constants.ts';
import type { AttributesOf, IlOp, Mode, Result } from '../il.ts';
import { lookUpRounded, NORM_FACTOR, SOFTCAP, softmaxRow } from '../modes.ts';
import { attend, LayerCache, rotateRows } from './attention.ts';
import { floatProduct, intDots, scaleSums, xnorDots } from './products.ts';
import {
  type ActivationValue,
  asActivation,
  asFloats,
  asSums,
  asTokens,
  asWeight,
  type FloatValue,
  floatsOf,
  type IlValue,
  mapFloats,
  rowOf,
  type WeightValue,
} from './values.ts';

/** What operations read and change beside their operands. */
export interface State {
  readonly source: ConstantSource;
  readonly caches: Map<number, LayerCache>;
  /** Position of the step's first token. */
  readonly position: number;
  /** Tokens of the step. */
  readonly tokens: number;
  readonly input: ArrayLike<number>;
  readonly stored: FloatValue[];
}

type Meaning<Op extends IlOp> = (
  operands: readonly IlValue[],
  attributes: AttributesOf[Op],
  state: State,
  results: readonly Result[],
) => readonly IlValue[];

const { fround } = Math;

const normRows = (x: FloatValue, gain: WeightValue, eps: number, mode: Mode): FloatValue => {
  const gains = gain.floats();
  const factors = Array.from({ length: x.rows }, (_, row) => NORM_FACTOR[mode](rowOf(x, row), eps));
  return floatsOf(
    x.rows,
    x.columns,
    (row, c) => fround(x.data[row * x.columns + c] * factors[row]) * fround(1 + gains[c]),
  );
};

const quantizeRows = (x: FloatValue, scheme: ActivationScheme): ActivationValue => ({
  kind: scheme,
  data: quantizeInput(x.data, x.rows, x.columns, scheme),
});

const addRows = (a: FloatValue, b: FloatValue): FloatValue => ({ ...a, data: a.data.map((x, i) => x + b.data[i]) });
const mulRows = (a: FloatValue, b: FloatValue): FloatValue => ({ ...a, data: a.data.map((x, i) => x * b.data[i]) });
const geluRows = (x: FloatValue): FloatValue => mapFloats(x, gelu);

function linearRows(input: IlValue, w: WeightValue): FloatValue {
  if (input.kind === 'f32') return floatProduct(input, w.floats(), w.type.shape[0]);
  const x = asActivation(input);
  return scaleSums(x.kind === 'a1' ? xnorDots(x, w.matrix()) : intDots(x, w.matrix()), x, w.matrix());
}

/** The columns of gate (side 0) or up (side 1). */
const side = (both: FloatValue, which: 0 | 1): FloatValue => {
  const columns = both.columns / 2;
  return floatsOf(both.rows, columns, (row, c) => both.data[row * both.columns + which * columns + c]);
};

function lastRow(value: IlValue): IlValue {
  switch (value.kind) {
    case 'f32':
      return { ...value, rows: 1, data: rowOf(value, value.rows - 1) };
    case 'i32':
      return { ...value, rows: 1, data: value.data.slice(-value.columns * value.groups) };
    case 'a8g32':
    case 'a8':
    case 'a1': {
      const { codes, scales, sums, words, tokens, ...rest } = value.data;
      const last = <Data extends { readonly length: number; slice(from: number): Data }>(data: Data): Data =>
        data.slice(data.length - data.length / tokens);
      const one = { codes: last(codes), scales: last(scales), sums: last(sums), words: last(words), tokens: 1 };
      return { ...value, data: { ...rest, ...one } };
    }
    case 'tokens':
    case 'weight':
      throw new ProjError('kernel-verification', `last of ${value.kind}`, {
        op: 'interpret',
        cure: 'Verify the program',
      });
    default:
      return value satisfies never;
  }
}

function wholeToken(id: number): number {
  if (Number.isSafeInteger(id)) return Math.max(-1, Math.min(id, 2 ** 31 - 1));
  throw new ProjError('index-out-of-range', `${id} is no token`, { op: 'load_input', cure: 'Give whole numbers' });
}

function embedRows(w: WeightValue, tokens: Int32Array, scale: number): FloatValue {
  const [rows, columns] = w.type.shape;
  for (const token of tokens)
    if (token < 0 || token >= rows)
      throw new ProjError('index-out-of-range', `token ${token} of a vocabulary of ${rows}`, {
        op: 'embed',
        cure: 'Use the tokenizer that belongs to the model',
      });
  if (w.type.scheme === 'f32') {
    const data = w.floats();
    return floatsOf(tokens.length, columns, (t, c) => data[tokens[t] * columns + c] * fround(scale));
  }
  const { codes, scales, minimums, scheme } = w.matrix();
  const group = groupColumns(scheme, columns);
  const groups = scales.length / rows;
  return floatsOf(tokens.length, columns, (t, c) => {
    const at = tokens[t] * groups + Math.floor(c / group);
    const value = fround(codes[tokens[t] * columns + c] * fround(scales[at] * fround(scale)));
    return minimums === undefined ? value : value + fround(minimums[at] * fround(scale));
  });
}

const cacheOf = ({ caches }: State, layer: number): LayerCache => {
  const found = caches.get(layer) ?? new LayerCache();
  caches.set(layer, found);
  return found;
};

/** What each operation does. */
export const MEANINGS: { readonly [Op in IlOp]: Meaning<Op> } = {
  load_input: (_, { columns }, { input, tokens }) => [
    columns === 0
      ? { kind: 'tokens', data: Int32Array.from(input, wholeToken) }
      : { kind: 'f32', rows: tokens, columns, data: Float32Array.from(input) },
  ],
  const: (_, { name, parts }, { source }, [{ type }]) => {
    if (type.kind !== 'weight')
      throw new ProjError('kernel-verification', 'a constant that is no weight', { op: 'interpret' });
    const whole = parts.length === 0 || source.has?.(name) === true;
    const matrix = once(() => (whole ? source.matrix(name) : joinMatrices(parts.map((part) => source.matrix(part)))));
    const floats = once(() => (whole ? source.floats(name) : joinFloats(parts.map((part) => source.floats(part)))));
    return [{ kind: 'weight', type, matrix, floats }];
  },
  embed: ([w, tokens], { scale }) => [embedRows(asWeight(w), asTokens(tokens).data, scale)],
  norm: ([x, gain], { eps, mode }) => [normRows(asFloats(x), asWeight(gain), eps, mode)],
  quantize: ([x], { scheme }) => [quantizeRows(asFloats(x), scheme)],
  int_dot: ([x, w]) => [intDots(asActivation(x), asWeight(w).matrix())],
  xnor_dot: ([x, w]) => [xnorDots(asActivation(x), asWeight(w).matrix())],
  scale: ([acc, x, w]) => [scaleSums(asSums(acc), asActivation(x), asWeight(w).matrix())],
  add: ([a, b]) => [addRows(asFloats(a), asFloats(b))],
  mul: ([a, b]) => [mulRows(asFloats(a), asFloats(b))],
  gelu: ([x]) => [geluRows(asFloats(x))],
  softcap: ([x], { cap }) => [mapFloats(asFloats(x), (value) => SOFTCAP.exact(value, cap))],
  slice: ([x], { begin, end }) => {
    const { rows, columns, data } = asFloats(x);
    return [floatsOf(rows, end - begin, (row, c) => data[row * columns + begin + c])];
  },
  last: ([x]) => [lastRow(x)],
  rope: ([x], { head_dim: dim, theta }, { position, tokens }) => {
    const floats = asFloats(x);
    return [rotateRows(floats, position + tokens - floats.rows, dim, theta)];
  },
  attention: ([q, k, v], attributes, state) => {
    const cache = cacheOf(state, attributes.layer);
    cache.append(asFloats(k), asFloats(v), attributes.head_dim, attributes.cache);
    return [attend(asFloats(q), cache, attributes)];
  },
  lut: ([x], { function: name, lo, hi, bits }) => {
    const table = createLut(name, lo, hi, bits);
    return [mapFloats(asFloats(x), (value) => lookUpRounded(table, value))];
  },
  softmax: ([x], { mode }) => {
    const floats = asFloats(x);
    const rows = Array.from({ length: floats.rows }, (_, row) => softmaxRow(rowOf(floats, row), mode));
    return [floatsOf(floats.rows, floats.columns, (row, c) => rows[row][c])];
  },
  linear: ([x, w]) => [linearRows(x, asWeight(w))],
  gated_linear: ([x, w]) => {
    const both = linearRows(x, asWeight(w));
    return [mulRows(geluRows(side(both, 0)), side(both, 1))];
  },
  norm_quantize: ([x, gain], { eps, scheme, mode }) => [
    quantizeRows(normRows(asFloats(x), asWeight(gain), eps, mode), scheme),
  ],
  add_norm: ([x, y, gain], { eps, mode }) => [addRows(asFloats(x), normRows(asFloats(y), asWeight(gain), eps, mode))],
  add_norm_quantize: ([x, y, gain, next], { eps, scheme, mode }) => {
    const h = addRows(asFloats(x), normRows(asFloats(y), asWeight(gain), eps, mode));
    return [h, quantizeRows(normRows(h, asWeight(next), eps, mode), scheme)];
  },
  store: ([x], _, { stored }) => {
    stored.push(asFloats(x));
    return [];
  },
};

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
