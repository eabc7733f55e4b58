/**
 * The types of every operation: what operands it takes and what it gives. One total table; the verifier, the parser and the builder all ask it, so a program
 * that exists is well typed. Meanings are in `interpreter/`.
 */
import { ProjError } from '@proj/kernel';
import { ACTIVATIONS } from '../quantize/scheme.ts';
import type { AttributesOf, IlOp } from './il.ts';
import { dotGroups, floats, isActivation, sameType, typeText } from './types.ts';
import type { ActivationType, FloatType, SumsType, ValueType, WeightType } from './types.ts';

/** What an operand may be. `input`: floats or quantised activations; `rows`: anything with a row a token. */
export type OperandKind = 'tokens' | 'f32' | 'i32' | 'activation' | 'input' | 'rows' | 'weight';

interface TypeOfKind {
  readonly tokens: ValueType & { kind: 'tokens' };
  readonly f32: FloatType;
  readonly i32: SumsType;
  readonly activation: ActivationType;
  readonly input: FloatType | ActivationType;
  readonly rows: FloatType | ActivationType | SumsType;
  readonly weight: WeightType;
}

type TypesOf<Kinds extends readonly OperandKind[]> = { readonly [I in keyof Kinds]: TypeOfKind[Kinds[I]] };

/** A row of the table. */
export interface Rule<Op extends IlOp = IlOp> {
  /** Names and kinds of the operands. */
  readonly operands: readonly (readonly [name: string, kind: OperandKind])[];
  /** Types of the results. `declared` are those that the text gives: constants have no other source. @throws ProjError what does not go together. */
  readonly results: (
    operands: readonly ValueType[],
    attributes: AttributesOf[Op],
    declared: readonly ValueType[],
  ) => readonly ValueType[];
  /** What it means, in one line. */
  readonly doc: string;
}

const wrong = (message: string, cure: string): ProjError => new ProjError('kernel-verification', message, { cure });

function rule<Op extends IlOp, const Kinds extends readonly OperandKind[]>(
  _op: Op,
  names: { readonly [I in keyof Kinds]: string },
  kinds: Kinds,
  doc: string,
  results: (
    types: TypesOf<Kinds>,
    attributes: AttributesOf[Op],
    declared: readonly ValueType[],
  ) => readonly ValueType[],
): Rule<Op> {
  return {
    operands: kinds.map((kind, i) => [names[i], kind] as const),
    doc,
    // The operand kinds were checked against the table by `resultTypes`.
    results: (types, attributes, declared) => results(types as unknown as TypesOf<Kinds>, attributes, declared),
  };
}

function matrix(w: WeightType): readonly [rows: number, columns: number] {
  const [rows, columns] = w.shape;
  if (w.shape.length !== 2) throw wrong(`${typeText(w)} is not a matrix`, 'Give a weight of two dimensions');
  return [rows, columns];
}

function gainOf(x: FloatType, gain: WeightType): void {
  if (gain.scheme === 'f32' && gain.shape.length === 1 && gain.shape[0] === x.columns) return;
  throw wrong(`the gain ${typeText(gain)} does not fit ${typeText(x)}`, `Give a weight f32[${x.columns}]`);
}

function same(a: ValueType, b: ValueType): void {
  if (!sameType(a, b)) throw wrong(`${typeText(a)} and ${typeText(b)} differ`, 'Give two values of one type');
}

/** Output columns of a product of `x` with `w`, after checking that they can be multiplied. */
function productColumns(x: FloatType | ActivationType, w: WeightType): number {
  const [rows, columns] = matrix(w);
  if (columns !== x.columns)
    throw wrong(
      `${typeText(x)} has ${x.columns} columns, ${typeText(w)} has ${columns}`,
      'The columns of both are the reduction: make them equal',
    );
  const allowed: readonly string[] = w.scheme === 'f32' ? ['f32'] : ACTIVATIONS[w.scheme];
  if (!allowed.includes(x.kind))
    throw wrong(`${x.kind} activations do not go with ${w.scheme} weights`, `Use ${allowed.join(' or ')}`);
  return rows;
}

function sums(x: ActivationType, w: WeightType): SumsType {
  const columns = productColumns(x, w);
  return { kind: 'i32', rows: x.rows, columns, groups: dotGroups(x.kind, w.scheme, x.columns) };
}

function headColumns(x: FloatType, heads: number, headDim: number, what: string): void {
  if (x.columns !== heads * headDim)
    throw wrong(`${what} ${typeText(x)} is not ${heads} heads of ${headDim}`, `Give ${heads * headDim} columns`);
}

const quantized = (x: FloatType, scheme: ActivationType['kind']): ActivationType => ({
  kind: scheme,
  rows: x.rows,
  columns: x.columns,
});

/** Types and meanings, one row for each operation. */
export const RULES: { readonly [Op in IlOp]: Rule<Op> } = {
  load_input: rule(
    'load_input',
    [],
    [],
    'the tokens of the step; with `columns`, rows of floats instead',
    (_, { columns }) => [columns === 0 ? { kind: 'tokens' } : floats('T', columns)],
  ),
  const: rule('const', [], [], 'a tensor of the file; with `parts`, the rows of several', (_, { layout }, declared) => {
    const [type] = declared;
    if (type?.kind !== 'weight')
      throw wrong('a constant has no weight type', 'Declare it: %w: weight q8[rows, columns] = const "name"');
    if (layout === (type.scheme === 'f32' ? 'panels' : 'rows'))
      throw wrong(`${typeText(type)} does not lie in ${layout}`, 'Floats lie in rows, codes in panels');
    if (layout === 'pairs' && matrix(type)[0] % 32 !== 0)
      throw wrong(`${typeText(type)} has no pairs of panels`, 'Pairs take two halves of a multiple of 16 rows each');
    return [type];
  }),
  embed: rule('embed', ['w', 'tokens'], ['weight', 'tokens'], 'rows of w, times scale', ([w]) => [
    floats('T', matrix(w)[1]),
  ]),
  norm: rule('norm', ['x', 'gain'], ['f32', 'weight'], 'RMSNorm: x / sqrt(mean x² + eps) · (1 + gain)', ([x, gain]) => {
    gainOf(x, gain);
    return [x];
  }),
  quantize: rule('quantize', ['x'], ['f32'], 'floats to activation codes and their scales', ([x], { scheme }) => [
    quantized(x, scheme),
  ]),
  int_dot: rule(
    'int_dot',
    ['xq', 'w'],
    ['activation', 'weight'],
    'sums of products of codes, one for each group',
    ([x, w]) => {
      if (x.kind === 'a1') throw wrong('int_dot takes int8 activations', 'Use xnor_dot for a1');
      return [sums(x, w)];
    },
  ),
  xnor_dot: rule(
    'xnor_dot',
    ['xq', 'w'],
    ['activation', 'weight'],
    'n − 2 · popcount(x xor w) over the signs of both',
    ([x, w]) => {
      if (x.kind !== 'a1') throw wrong('xnor_dot takes binary activations', 'Quantise to a1, or use int_dot');
      return [sums(x, w)];
    },
  ),
  scale: rule(
    'scale',
    ['acc', 'xq', 'w'],
    ['i32', 'activation', 'weight'],
    'integer sums to floats, with the scales (and minimums) of both sides',
    ([acc, x, w]) => {
      same(acc, sums(x, w));
      return [floats(acc.rows, acc.columns)];
    },
  ),
  add: rule('add', ['a', 'b'], ['f32', 'f32'], 'a + b', ([a, b]) => {
    same(a, b);
    return [a];
  }),
  mul: rule('mul', ['a', 'b'], ['f32', 'f32'], 'a · b', ([a, b]) => {
    same(a, b);
    return [a];
  }),
  gelu: rule('gelu', ['x'], ['f32'], 'GELU by tanh', ([x]) => [x]),
  softcap: rule('softcap', ['x'], ['f32'], 'cap · tanh(x / cap)', ([x]) => [x]),
  slice: rule('slice', ['x'], ['f32'], 'columns begin … end − 1', ([x], { begin, end }) => {
    if (begin >= end || end > x.columns)
      throw wrong(`columns ${begin} … ${end} are not inside ${typeText(x)}`, `Give begin < end <= ${x.columns}`);
    return [floats(x.rows, end - begin)];
  }),
  last: rule('last', ['x'], ['rows'], "the last token's row", ([x]) => [{ ...x, rows: 1 }]),
  rope: rule(
    'rope',
    ['x'],
    ['f32'],
    'rotary position: of each head, column i turns with column i + head_dim / 2',
    ([x], { heads, head_dim: dim }) => {
      headColumns(x, heads, dim, 'the operand');
      if (dim % 2 !== 0) throw wrong(`a head of ${dim} columns has no halves`, 'Give an even head_dim');
      return [x];
    },
  ),
  attention: rule(
    'attention',
    ['q', 'k', 'v'],
    ['f32', 'f32', 'f32'],
    "appends k and v to the layer's cache, then attends causally over it; `window` 0 is global",
    ([q, k, v], { heads, kv_heads: kvHeads, head_dim: dim }) => {
      headColumns(q, heads, dim, 'q');
      headColumns(k, kvHeads, dim, 'k');
      headColumns(v, kvHeads, dim, 'v');
      if (k.rows !== 'T' || v.rows !== 'T')
        throw wrong('k and v lack tokens of the step', 'Give k and v with T rows: later steps read them');
      if (heads % kvHeads !== 0)
        throw wrong(`${kvHeads} key/value heads do not divide ${heads} heads`, 'Make heads a multiple of kv_heads');
      return [q];
    },
  ),
  lut: rule('lut', ['x'], ['f32'], 'function of x by a table of 2^bits cells over lo … hi', ([x], { lo, hi, bits }) => {
    if (!(lo < hi) || bits > 20)
      throw wrong(`a table of 2^${bits} cells over ${lo} … ${hi}`, 'Give lo < hi and at most 20 bits');
    return [x];
  }),
  softmax: rule('softmax', ['x'], ['f32'], 'softmax over the columns', ([x]) => [x]),
  linear: rule(
    'linear',
    ['x', 'w'],
    ['input', 'weight'],
    'x · wᵀ as floats: int_dot or xnor_dot, then scale; f32 weights take f32',
    ([x, w]) => [floats(x.rows, productColumns(x, w))],
  ),
  gated_linear: rule(
    'gated_linear',
    ['x', 'w'],
    ['input', 'weight'],
    'gelu(x · gateᵀ) · (x · upᵀ), with w the rows of gate, then those of up',
    ([x, w]) => {
      const rows = productColumns(x, w);
      if (rows % 32 !== 0)
        throw wrong(`${rows} rows are not gate and up in panels`, 'Join two weights of a multiple of 16 rows each');
      return [floats(x.rows, rows / 2)];
    },
  ),
  norm_quantize: rule(
    'norm_quantize',
    ['x', 'gain'],
    ['f32', 'weight'],
    'quantize(norm(x, gain))',
    ([x, gain], { scheme }) => {
      gainOf(x, gain);
      return [quantized(x, scheme)];
    },
  ),
  add_norm: rule('add_norm', ['x', 'y', 'gain'], ['f32', 'f32', 'weight'], 'x + norm(y, gain)', ([x, y, gain]) => {
    same(x, y);
    gainOf(y, gain);
    return [x];
  }),
  add_norm_quantize: rule(
    'add_norm_quantize',
    ['x', 'y', 'gain', 'next_gain'],
    ['f32', 'f32', 'weight', 'weight'],
    'h = x + norm(y, gain), and quantize(norm(h, next_gain)): two results',
    ([x, y, gain, next], { scheme }) => {
      same(x, y);
      gainOf(y, gain);
      gainOf(x, next);
      return [x, quantized(x, scheme)];
    },
  ),
  store: rule('store', ['x'], ['f32'], 'a result of the step', () => []),
};

const ACCEPTS: Record<OperandKind, (type: ValueType) => boolean> = {
  tokens: ({ kind }) => kind === 'tokens',
  f32: ({ kind }) => kind === 'f32',
  i32: ({ kind }) => kind === 'i32',
  activation: isActivation,
  input: (type) => type.kind === 'f32' || isActivation(type),
  rows: (type) => type.kind === 'f32' || type.kind === 'i32' || isActivation(type),
  weight: ({ kind }) => kind === 'weight',
};

/**
 * The types that an operation gives for operands of these types. `declared` are the types that the program states, which only constants need.
 * @throws ProjError `kernel-verification`: which operand is wrong, and what would be right.
 */
export function resultTypes<Op extends IlOp>(
  op: Op,
  operands: readonly ValueType[],
  attributes: AttributesOf[Op],
  declared: readonly ValueType[] = [],
): readonly ValueType[] {
  const found: Rule<Op> = RULES[op];
  const signature = `${op}${found.operands.map(([name]) => ` ${name}`).join(',')}`;
  if (operands.length !== found.operands.length)
    throw wrong(`${op} has ${operands.length} operands, not ${found.operands.length}`, `Write ${signature}`);
  found.operands.forEach(([name, kind], i) => {
    if (!ACCEPTS[kind](operands[i]))
      throw wrong(`operand ${name} of ${op} is ${typeText(operands[i])}`, `Give a value of kind ${kind}`);
  });
  return found.results(operands, attributes, declared);
}
