/**
 * Lowers an IL-NN program to launches: one table row an operation. A program is lowered for each {@link StepKind}, over the same caches.
 * See places.ts for slots and places. In a step of a prompt, kernels that work on one row (after `last`) read a second control block, which says one token at the last position.
 */
import {
  type Argument,
  type DeviceFeatures,
  embedConstants,
  type Kernel,
  type KernelBuilder,
  type Launch,
  ProjError,
  type Value,
} from '@proj/kernel';
import { ropeFrequency } from '../il/interpreter/attention.ts';
import type { AttributesOf, IlOp, Instruction, Result } from '../il/il.ts';
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { planMemory } from '../il/passes/memory.ts';
import type { Rows } from '../il/types.ts';
import { gelu } from '../kernels/arithmetic.ts';
import { type AttentionShape, appendKernel, attentionKernel, cacheBytes, scoreElements } from '../kernels/attention.ts';
import { dotKernel, scaleKernel } from '../kernels/dots.ts';
import { elementwiseKernel, type ElementwiseShape, lastRowKernel, softmaxKernel } from '../kernels/elementwise.ts';
import { embedKernel } from '../kernels/embed.ts';
import { floatLinearKernel } from '../kernels/float-linear.ts';
import { activationScales, activationSums, activationWords, linearKernel } from '../kernels/linear.ts';
import { lookUpLut, softcap, tableData } from '../kernels/modes.ts';
import { angleKernel, ropeKernel } from '../kernels/rope.ts';
import { rowKernel, type RowShape, rowStride } from '../kernels/rows.ts';
import { LINE_BYTES, packedLayout } from '../quantize/layout.ts';
import { createLut } from '../quantize/lut.ts';
import { SCHEMES } from '../quantize/scheme.ts';
import {
  type ActivationPlace,
  activationPlace,
  asActivation,
  asFloats,
  asSums,
  asWeight,
  type At,
  type FloatPlace,
  rowBytes,
  type StepMemory,
  type SumsPlace,
  type ValuePlace,
  weightParts,
  type WeightValue,
  wrongKind,
} from './places.ts';

/** Tokens that share a load of weights, and of keys and values. */
const LINEAR_TILE = 8;
export const ATTENTION_TILE = 4;
/** Work below this many bytes of weights is not worth another thread. */
const GRAIN_BYTES = 16384;
/** The least that a thread takes when it comes free: reading memory takes a while to get going. */
const CHUNK_BYTES = 32768;
/** Threads that scores have room for. */
export const MOST_THREADS = 64;

/** A kernel with where its arguments lie. */
export interface Step {
  readonly kernel: Kernel;
  readonly args: readonly Argument[];
  readonly begin: number;
  readonly end: number;
  readonly grain: number;
  /** For launches whose time is that of reading weights. */
  readonly stream: Pick<Launch, 'chunk' | 'stream'> | undefined;
  /** The value that it computes, for reports. */
  readonly value: string;
}

/** Steps of a program, and where values lie. */
export interface Lowered {
  readonly steps: readonly Step[];
  readonly places: ReadonlyMap<string, ValuePlace>;
  /** Values that the program stores. */
  readonly stored: readonly FloatPlace[];
}

/**
 * What a step does: one `token` of one sequence; a part of a `prompt`, tokens of one sequence that follow each other; a `batch` of tokens, each the next of another
 * sequence and so the last of its own.
 */
export type StepKind = 'token' | 'prompt' | 'batch';

/** Lowers a program for steps of a kind, over the caches in `memory`. */
export function lower(il: NativeCodeILNN, memory: StepMemory, kind: StepKind, kernels: Map<string, Kernel>): Lowered {
  return new Lowering(il, memory, kind, kernels).run();
}

type LowerOp<Op extends IlOp> = (
  at: Lowering,
  operands: readonly ValuePlace[],
  attributes: AttributesOf[Op],
  results: readonly Result[],
) => void;

class Lowering {
  readonly memory: StepMemory;
  readonly kind: StepKind;
  readonly tileSize: number;
  readonly stored: FloatPlace[] = [];
  /** Angles that the steps so far have computed. */
  readonly angles = new Set<string>();
  readonly #il: NativeCodeILNN;
  readonly #steps: Step[] = [];
  readonly #places = new Map<string, ValuePlace>();
  readonly #kernels: Map<string, Kernel>;
  readonly #allocate: (name: string) => { readonly step: boolean; readonly offset: number };
  readonly #arenas: { readonly step: At; readonly fixed: At };

  constructor(il: NativeCodeILNN, memory: StepMemory, kind: StepKind, kernels: Map<string, Kernel>) {
    this.#il = il;
    this.memory = memory;
    this.kind = kind;
    this.tileSize = il.config.tileSize;
    this.#kernels = kernels;
    const plan = planMemory(il.program, { bytes: rowBytes, views: kind === 'prompt' ? ['slice'] : ['slice', 'last'] });
    this.#arenas = {
      step: memory.allocate(`step arena, ${kind}`, plan.bytesPerToken * this.capacity('T')),
      fixed: memory.allocate(`fixed arena, ${kind}`, plan.fixedBytes * this.capacity(1)),
    };
    this.#allocate = (name) => {
      const place = plan.places.get(name);
      if (place === undefined)
        throw new ProjError('kernel-compilation', `value %${name} has no place`, { op: 'lower' });
      return { step: place.arena === 'step', offset: place.offset };
    };
  }

  run(): Lowered {
    for (const instruction of this.#il.program.instructions) this.#instruction(instruction);
    return { steps: this.#steps, places: this.#places, stored: this.stored };
  }

  get features(): DeviceFeatures {
    return this.memory.device.features;
  }

  /** Rows that a value of this kind has room for. */
  capacity(rows: Rows): number {
    if (this.kind === 'batch') return this.memory.batch;
    return rows === 'T' && this.kind === 'prompt' ? this.memory.tokens : 1;
  }
  control(rows: Rows): At {
    return rows === 1 && this.kind === 'prompt' ? this.memory.lastControl : this.memory.control;
  }

  /** The kernel of a key, built once. */
  kernel(key: string, build: (name: string) => Kernel): Kernel {
    const found = this.#kernels.get(key);
    if (found !== undefined) return found;
    const kernel = build(key);
    this.#kernels.set(key, kernel);
    return kernel;
  }

  launch(
    kernel: Kernel,
    args: readonly At[],
    end: number,
    grain: number,
    value: string,
    stream?: Step['stream'],
  ): void {
    const built = args.flatMap(({ contents }, i): [string, Uint8Array][] =>
      contents === undefined ? [] : [[kernel.parameters[i].name, contents]],
    );
    const used =
      built.length === 0
        ? kernel
        : this.kernel(`${kernel.name}, weights of ${value}`, (name) => embedConstants(kernel, new Map(built), name));
    const buffers = args.flatMap(({ slot, offset, contents }): Argument[] =>
      contents === undefined ? [{ kind: 'buffer', binding: slot, offset }] : [],
    );
    this.#steps.push({ kernel: used, args: buffers, begin: 0, end, grain, stream, value });
  }

  place(name: string): ValuePlace {
    const found = this.#places.get(name);
    if (found === undefined) throw new ProjError('kernel-verification', `there is no value %${name}`, { op: 'lower' });
    return found;
  }
  alias(result: Result, place: ValuePlace): void {
    this.#places.set(result.name, place);
  }

  floats({ name, type }: Result): FloatPlace {
    if (type.kind !== 'f32') throw wrongKind('f32', type.kind);
    const at = this.#at(name);
    const place: FloatPlace = { ...type, ...at, stride: rowStride(type.columns) };
    this.#places.set(name, place);
    return place;
  }
  activation({ name, type }: Result): ActivationPlace {
    if (type.kind !== 'a8g32' && type.kind !== 'a8' && type.kind !== 'a1') throw wrongKind('activations', type.kind);
    const { slot, offset } = this.#at(name);
    const place = activationPlace(type, slot, offset, this.capacity(type.rows));
    this.#places.set(name, place);
    return place;
  }
  sums({ name, type }: Result): SumsPlace {
    if (type.kind !== 'i32') throw wrongKind('i32', type.kind);
    const place: SumsPlace = { ...type, ...this.#at(name) };
    this.#places.set(name, place);
    return place;
  }

  #at(name: string): At {
    const { step, offset } = this.#allocate(name);
    return step
      ? { slot: this.#arenas.step.slot, offset: offset * this.capacity('T') }
      : { slot: this.#arenas.fixed.slot, offset: offset * this.capacity(1) };
  }

  #instruction(instruction: Instruction): void {
    const operands = instruction.operands.map((name) => this.place(name));
    const op: LowerOp<IlOp> = LOWER[instruction.op] as LowerOp<IlOp>;
    op(this, operands, instruction.attributes as AttributesOf[IlOp], instruction.results);
  }
}

/** Norm, residual sum and quantisation, as one kernel. */
function rows(
  at: Lowering,
  shape: Omit<RowShape, 'rows' | 'strides'>,
  x: FloatPlace,
  y: FloatPlace | null,
  gains: readonly WeightValue[],
  sum: FloatPlace | null,
  out: FloatPlace | ActivationPlace,
  value: string,
): void {
  const full: RowShape = { ...shape, rows: 'each', strides: { x: x.stride, y: y?.stride ?? 0 } };
  const kernel = at.kernel(`rows ${JSON.stringify(full)}`, (name) => rowKernel(name, full, at.features));
  const output: At[] =
    out.kind === 'f32' ? [out] : out.kind === 'a1' ? [out.codes, out.scales] : [out.codes, out.scales, out.sums];
  const [gain1, gain2] = shape.residual ? gains : [undefined, gains[0]];
  const args = [
    x,
    ...(y === null || gain1 === undefined || sum === null ? [] : [y, gain1, sum]),
    ...(gain2 === undefined ? [] : [gain2]),
    ...(shape.output === null ? [] : output),
    ...(shape.mode === 'data' && (shape.residual || shape.norm)
      ? [at.memory.constant('mode tables', tableData())]
      : []),
    at.control(x.rows),
  ];
  at.launch(kernel, args, at.capacity(x.rows), 4, value);
}

function elementwise(
  at: Lowering,
  key: string,
  operands: readonly FloatPlace[],
  result: FloatPlace,
  apply: ElementwiseShape['apply'],
  value: string,
  table?: At,
): void {
  const { columns } = result;
  const strides = operands.map(({ stride }) => stride);
  const shape: ElementwiseShape = { columns, strides, apply, table: table !== undefined };
  const kernel = at.kernel(`${key} ${columns} ${strides.join(' ')}`, (name) =>
    elementwiseKernel(name, shape, at.features),
  );
  const args = [...operands, ...(table === undefined ? [] : [table]), result, at.control(operands[0].rows)];
  at.launch(kernel, args, at.capacity(result.rows), 8, value);
}

function linear(at: Lowering, operands: readonly ValuePlace[], result: Result, gated: boolean): void {
  const w = asWeight(operands[1]);
  if (gated && w.layout !== 'pairs')
    throw new ProjError('kernel-compilation', `%${result.name}: gated_linear reads a weight in layout "${w.layout}"`, {
      op: 'compile',
      cure: 'Run the pass choose-layouts',
    });
  const [rowCount, columns] = w.type.shape;
  const join = gated ? (b: KernelBuilder, gate: Value, up: Value): Value => b.mul(gelu(b, gate), up) : undefined;
  const input = operands[0];
  const out = at.floats(result);
  if (input.kind === 'f32') {
    const shape = { rows: rowCount, columns, stride: input.stride, ...(join === undefined ? {} : { join }) };
    const kernel = at.kernel(`float linear ${gated} ${rowCount} ${columns} ${input.stride}`, (name) =>
      floatLinearKernel(name, shape, at.features),
    );
    const grain = Math.ceil(GRAIN_BYTES / (4 * columns));
    at.launch(kernel, [w, input, out, at.control(input.rows)], gated ? rowCount / 2 : rowCount, grain, result.name);
    return;
  }
  const x = asActivation(input);
  const scheme = SCHEMES[w.type.scheme];
  const layout = packedLayout(scheme, rowCount, columns);
  const tile = Math.min(LINEAR_TILE, at.capacity(x.rows));
  const counted = tile > 1;
  const key = `linear ${scheme.name} ${x.kind} ${rowCount}x${columns}${gated ? ' gated' : ''} ${tile} ${at.tileSize}`;
  const kernel = at.kernel(key, (name) =>
    linearKernel(
      name,
      {
        scheme,
        activation: x.kind,
        rows: rowCount,
        columns,
        tile,
        counted,
        tileSize: at.tileSize,
        ...(join === undefined ? {} : { join }),
      },
      at.features,
    ),
  );
  const { codes, scales, minimums } = weightParts(w);
  const args = [
    codes,
    scales,
    ...minimums,
    x.codes,
    x.scales,
    ...(x.kind === 'a1' ? [] : [x.sums]),
    out,
    ...(counted ? [at.control(x.rows)] : []),
  ];
  const panelBytes = layout.bytes / layout.panels;
  const panelsOf = (bytes: number): number => Math.ceil(bytes / panelBytes / tile);
  const together = gated ? 2 : 1;
  at.launch(kernel, args, layout.panels / together, panelsOf(GRAIN_BYTES), result.name, {
    chunk: panelsOf(CHUNK_BYTES),
    ...(codes.contents === undefined
      ? { stream: { argument: 0, bytes: layout.linesPerPanel * LINE_BYTES * together } }
      : {}),
  });
}

/** Angles of the step, computed where they are first needed. */
function angles(at: Lowering, headDim: number, theta: number, x: FloatPlace): At {
  const name = `angles ${headDim} ${theta} ${x.rows} ${at.kind}`;
  const { memory } = at;
  const place = memory.allocate(name, 4 * headDim * at.capacity(x.rows));
  if (at.angles.has(name)) return place;
  at.angles.add(name);
  const frequencies = Float32Array.from({ length: headDim / 2 }, (_, i) => ropeFrequency(i, headDim, theta));
  const kernel = at.kernel(`angles ${headDim}`, (key) => angleKernel(key, headDim, at.features));
  const args = [memory.constant(`frequencies ${headDim} ${theta}`, frequencies), place, at.control(x.rows)];
  at.launch(kernel, args, at.capacity(x.rows), 16, name);
  return place;
}

function dots(at: Lowering, operands: readonly ValuePlace[], result: Result): void {
  const x = asActivation(operands[0]);
  const w = asWeight(operands[1]);
  const [rowCount, columns] = w.type.shape;
  const shape = { scheme: SCHEMES[w.type.scheme], activation: x.kind, rows: rowCount, columns };
  const kernel = at.kernel(`dot ${w.type.scheme} ${x.kind} ${rowCount}x${columns}`, (name) => dotKernel(name, shape));
  at.launch(kernel, [weightParts(w).codes, x.codes, at.sums(result), at.control(x.rows)], rowCount, 16, result.name);
}

interface RowPart {
  readonly from: At;
  readonly to: At;
  readonly words: number;
  /** Words between rows. */
  readonly stride: number;
}

/** What a row of a value is made of, and where it goes in a value of one row. */
function rowParts(at: Lowering, x: ValuePlace, result: Result): readonly RowPart[] {
  if (x.kind === 'f32') return [{ from: x, to: at.floats(result), words: x.columns, stride: x.stride }];
  if (x.kind === 'i32') {
    const words = x.columns * x.groups;
    return [{ from: x, to: at.sums(result), words, stride: words }];
  }
  const { codes, scales, sums, kind, columns } = asActivation(x);
  const to = at.activation(result);
  const part = (from: At, target: At, words: number): RowPart => ({ from, to: target, words, stride: words });
  return [
    part(codes, to.codes, activationWords(kind, columns)),
    part(scales, to.scales, activationScales(kind, columns)),
    ...(kind === 'a1' ? [] : [part(sums, to.sums, activationSums(columns))]),
  ];
}

/** How each operation becomes launches. */
const LOWER: { readonly [Op in IlOp]: LowerOp<Op> } = {
  load_input: (at, _, { columns }, [result]) => {
    const bytes = 4 * Math.max(at.memory.tokens, at.memory.batch) * (columns === 0 ? 1 : rowStride(columns));
    const place = at.memory.allocate('input', bytes);
    if (columns === 0) at.alias(result, { kind: 'tokens', ...place });
    else at.alias(result, { kind: 'f32', rows: 'T', columns, stride: rowStride(columns), ...place });
  },
  const: (at, _, { name, layout }, [result]) => {
    if (result.type.kind !== 'weight') throw wrongKind('a weight', result.type.kind);
    at.alias(result, { kind: 'weight', type: result.type, layout, ...at.memory.weight(name) });
  },
  embed: (at, [table, tokens], { scale }, [result]) => {
    const w = asWeight(table);
    const [rowCount, columns] = w.type.shape;
    const scheme = SCHEMES[w.type.scheme];
    const shape = { scheme, rows: rowCount, columns, factor: scale };
    const kernel = at.kernel(`embed ${scheme.name} ${rowCount}x${columns} ${scale}`, (name) =>
      embedKernel(name, shape),
    );
    if (tokens.kind !== 'tokens') throw wrongKind('tokens', tokens.kind);
    const { codes, scales, minimums } = weightParts(w);
    const weights = scheme.bits === 32 ? [codes] : [codes, scales, ...minimums];
    at.launch(kernel, [...weights, tokens, at.floats(result), at.control('T')], at.capacity('T'), 4, result.name);
  },
  norm: (at, [x, gain], { eps, mode }, [result]) => {
    const input = asFloats(x);
    const shape = { columns: input.columns, residual: false, norm: true, output: 'f32', eps, mode } as const;
    rows(at, shape, input, null, [asWeight(gain)], null, at.floats(result), result.name);
  },
  quantize: (at, [x], { scheme }, [result]) => {
    const input = asFloats(x);
    const shape = {
      columns: input.columns,
      residual: false,
      norm: false,
      output: scheme,
      eps: 0,
      mode: 'exact',
    } as const;
    rows(at, shape, input, null, [], null, at.activation(result), result.name);
  },
  int_dot: (at, operands, _, [result]) => dots(at, operands, result),
  xnor_dot: (at, operands, _, [result]) => dots(at, operands, result),
  scale: (at, [acc, xq, w], _, [result]) => {
    const [sums, x, matrix] = [asSums(acc), asActivation(xq), asWeight(w)];
    const [rowCount, columns] = matrix.type.shape;
    const shape = { scheme: SCHEMES[matrix.type.scheme], activation: x.kind, rows: rowCount, columns };
    const key = `scale ${matrix.type.scheme} ${x.kind} ${rowCount}x${columns}`;
    const { scales, minimums } = weightParts(matrix);
    const corrections = minimums.length === 0 ? [] : [...minimums, x.sums];
    const args = [sums, scales, ...corrections, x.scales, at.floats(result), at.control(x.rows)];
    at.launch(
      at.kernel(key, (name) => scaleKernel(name, shape)),
      args,
      rowCount,
      16,
      result.name,
    );
  },
  add: (at, [a, b], _, [result]) =>
    elementwise(at, 'add', [asFloats(a), asFloats(b)], at.floats(result), (k, [x, y]) => k.add(x, y), result.name),
  mul: (at, [a, b], _, [result]) =>
    elementwise(at, 'mul', [asFloats(a), asFloats(b)], at.floats(result), (k, [x, y]) => k.mul(x, y), result.name),
  gelu: (at, [x], _, [result]) =>
    elementwise(at, 'gelu', [asFloats(x)], at.floats(result), (k, [v]) => gelu(k, v), result.name),
  softcap: (at, [x], { cap }, [result]) =>
    elementwise(
      at,
      `softcap ${cap}`,
      [asFloats(x)],
      at.floats(result),
      (k, [v]) => softcap(k, 'exact', null, v, cap),
      result.name,
    ),
  slice: (at, [x], { begin, end }, [result]) => {
    const whole = asFloats(x);
    at.alias(result, { ...whole, offset: whole.offset + 4 * begin, columns: end - begin });
  },
  last: (at, [x], _, [result]) => {
    // A row that is not of a prompt is the last of its sequence.
    if (at.kind !== 'prompt') return at.alias(result, { ...x, rows: 1 } as ValuePlace);
    for (const { from, to, words, stride } of rowParts(at, x, result)) {
      const kernel = at.kernel(`last ${words} ${stride}`, (name) => lastRowKernel(name, { words, stride }));
      at.launch(kernel, [from, to, at.control('T')], 1, 1, result.name);
    }
  },
  rope: (at, [x], { heads, head_dim: headDim, theta }, [result]) => {
    const input = asFloats(x);
    const shape = { heads, headDim, stride: input.stride };
    const kernel = at.kernel(`rope ${heads} ${headDim} ${input.stride}`, (name) =>
      ropeKernel(name, shape, at.features),
    );
    const turned = angles(at, headDim, theta, input);
    at.launch(
      kernel,
      [input, turned, at.floats(result), at.control(input.rows)],
      at.capacity(input.rows),
      8,
      result.name,
    );
  },
  attention: (at, [q, k, v], attributes, [result]) => {
    const { layer, heads, kv_heads: kvHeads, head_dim: headDim, scale, cap, window, cache: scheme, mode } = attributes;
    const [queries, keys, values] = [asFloats(q), asFloats(k), asFloats(v)];
    const { positions, sequences } = at.memory;
    const cache = { scheme, kvHeads, headDim, positions };
    const parts = cacheBytes(cache).map((bytes, part) =>
      bytes === 0 ? null : at.memory.allocate(`cache ${layer} ${part}`, sequences * bytes),
    );
    const places = parts.filter((part) => part !== null);
    const append = { ...cache, keyStride: keys.stride, valueStride: values.stride };
    at.launch(
      at.kernel(`append ${JSON.stringify(append)}`, (name) => appendKernel(name, append, at.features)),
      [keys, values, ...places, at.control('T')],
      at.capacity('T') * kvHeads,
      2,
      `${result.name}.append`,
    );
    const many = at.kind === 'prompt' && queries.rows === 'T';
    const tile = many ? ATTENTION_TILE : 1;
    const tiles = Math.ceil(at.capacity(queries.rows) / tile);
    const shape: AttentionShape = { ...cache, heads, scale, cap, window, mode, tile, tiles };
    const most = scoreElements({ ...shape, tile: ATTENTION_TILE });
    const scores = at.memory.allocate(`scores ${most}`, 4 * most * MOST_THREADS);
    const tables = mode === 'data' ? [at.memory.constant('mode tables', tableData())] : [];
    at.launch(
      at.kernel(`attention ${JSON.stringify(shape)}`, (name) => attentionKernel(name, shape, at.features)),
      [queries, ...places, ...tables, scores, at.floats(result), at.control(queries.rows)],
      kvHeads * tiles,
      1,
      result.name,
    );
  },
  lut: (at, [x], { function: name, lo, hi, bits }, [result]) => {
    const lut = createLut(name, lo, hi, bits);
    const key = `lut ${name} ${lo} ${hi} ${bits}`;
    const table = at.memory.constant(key, lut.table);
    const apply: ElementwiseShape['apply'] = (b, [value], memory) =>
      memory === null ? value : lookUpLut(b, memory, lut, value);
    elementwise(at, key, [asFloats(x)], at.floats(result), apply, result.name, table);
  },
  softmax: (at, [x], { mode }, [result]) => {
    const input = asFloats(x);
    const shape = { columns: input.columns, stride: input.stride, mode };
    const kernel = at.kernel(`softmax ${JSON.stringify(shape)}`, (name) => softmaxKernel(name, shape, at.features));
    const tables = mode === 'data' ? [at.memory.constant('mode tables', tableData())] : [];
    at.launch(
      kernel,
      [input, ...tables, at.floats(result), at.control(input.rows)],
      at.capacity(input.rows),
      4,
      result.name,
    );
  },
  linear: (at, operands, _, [result]) => linear(at, operands, result, false),
  gated_linear: (at, operands, _, [result]) => linear(at, operands, result, true),
  norm_quantize: (at, [x, gain], { eps, scheme, mode }, [result]) => {
    const input = asFloats(x);
    const shape = { columns: input.columns, residual: false, norm: true, output: scheme, eps, mode } as const;
    rows(at, shape, input, null, [asWeight(gain)], null, at.activation(result), result.name);
  },
  add_norm: (at, [x, y, gain], { eps, mode }, [result]) => {
    const input = asFloats(x);
    const shape = { columns: input.columns, residual: true, norm: false, output: null, eps, mode } as const;
    const sum = at.floats(result);
    rows(at, shape, input, asFloats(y), [asWeight(gain)], sum, sum, result.name);
  },
  add_norm_quantize: (at, [x, y, gain, next], { eps, scheme, mode }, [sum, result]) => {
    const input = asFloats(x);
    const shape = { columns: input.columns, residual: true, norm: true, output: scheme, eps, mode } as const;
    const gains = [asWeight(gain), asWeight(next)];
    rows(at, shape, input, asFloats(y), gains, at.floats(sum), at.activation(result), result.name);
  },
  store: (at, [x]) => void at.stored.push(asFloats(x)),
};
