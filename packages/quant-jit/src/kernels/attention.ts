/**
 * Attention over a cache of keys and values, with a causal mask, a sliding window and a soft-cap.
 *
 * Keys lie in panels of 16 positions, `[kv head][position / 16][head_dim][16]`, so that scores are computed with positions as lanes and no horizontal
 * sum; values lie by position, `[kv head][position][head_dim]`, and are added up with columns as lanes. A cache of `q8` holds int8 codes and one f32 scale per
 * position and head, for keys and for values. The queries of a few tokens (a *tile*) and of the heads that share keys and values are worked on together, so that
 * what is loaded and converted serves them all; key/value heads and tiles are split over threads, each with its own rows of scores, so memory grows with
 * the context and not with its square.
 *
 * Sequences may share a cache, `[sequence][kv head]…`. The tokens of a tile follow each other in one sequence.
 */
import {
  buildKernel,
  type DeviceFeatures,
  type Kernel,
  type KernelBuilder,
  type Memory,
  type Operand,
  type Value,
} from '@proj/kernel';
import { headParts, POSITION_PARTS } from '../arithmetic.ts';
import type { CacheScheme, Mode } from '../il/il.ts';
import { LINE_BYTES, PANEL_ROWS } from '../quantize/layout.ts';
import { codesPerUnit, joinLanes, joinParts, shortened } from './arithmetic.ts';
import { rowPosition, rowSequence, stepTokens } from './control.ts';
import { type ModeTables, modeTables, normaliser, softcap, softmaxWeight } from './modes.ts';
import { rowStride } from './rows.ts';

/** Sizes of a layer's cache. */
export interface CacheShape {
  readonly scheme: CacheScheme;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Positions that it holds, a multiple of 16. */
  readonly positions: number;
}

/** Bytes of the parts of a layer's cache: keys, key scales, values, value scales. */
export function cacheBytes({
  scheme,
  kvHeads,
  headDim,
  positions,
}: CacheShape): readonly [number, number, number, number] {
  const codes = kvHeads * positions * headDim;
  return scheme === 'f32'
    ? [4 * codes, 0, 4 * codes, 0]
    : [codes, 4 * kvHeads * positions, codes, 4 * kvHeads * positions];
}

interface CacheParameters {
  readonly keys: Memory;
  readonly keyScales: Memory | null;
  readonly values: Memory;
  readonly valueScales: Memory | null;
}

function cacheParameters(b: KernelBuilder, scheme: CacheScheme, access: 'read' | 'write'): CacheParameters {
  const element = scheme === 'f32' ? 'f32' : 'i8';
  const scales = (name: string): Memory | null => (scheme === 'f32' ? null : b.buffer(name, 'f32', access));
  return {
    keys: b.buffer('keys', element, access),
    keyScales: scales('keyScales'),
    values: b.buffer('values', element, access),
    valueScales: scales('valueScales'),
  };
}

export interface AppendShape extends CacheShape {
  /** Elements between the rows of the step's keys and values. */
  readonly keyStride: number;
  readonly valueStride: number;
}

/**
 * Puts the step's keys and values into the cache. Parameters: k f32, v f32, keys, [keyScales f32], values, [valueScales f32], control i32. Range: the most
 * tokens of a step, times the heads of keys.
 */
export function appendKernel(name: string, shape: AppendShape, features: DeviceFeatures): Kernel {
  const { scheme, kvHeads, headDim, positions } = shape;
  return buildKernel(name, (b) => {
    const k = b.buffer('k', 'f32');
    const v = b.buffer('v', 'f32');
    const cache = cacheParameters(b, scheme, 'write');
    const control = b.buffer('control', 'i32');
    const tokens = stepTokens(b, control);
    const lanes = divisorLanes(headDim, features);
    const element = scheme === 'f32' ? 4 : 1;
    b.for(b.begin, b.end, 1, [], (item) => {
      const [token, head] = [b.div(item, kvHeads), b.rem(item, kvHeads)];
      b.if(b.lt(token, tokens), () => {
        const position = rowPosition(b, control, token);
        const cached = b.add(b.mul(rowSequence(b, control, token), kvHeads), head);
        const row = b.add(b.mul(cached, positions), position);
        const panel = b.add(b.mul(cached, positions / PANEL_ROWS), b.div(position, PANEL_ROWS));
        const line = (column: Operand): Value => b.mul(b.add(b.mul(panel, headDim), column), PANEL_ROWS);
        // Each column of the keys is in another line of memory: those are on their way while the values are written.
        b.for(0, headDim, Math.max(1, LINE_BYTES / PANEL_ROWS / element), [], (column) =>
          b.prefetch(cache.keys, line(column)),
        );
        const put = (
          source: Memory,
          stride: number,
          scales: Memory | null,
          store: (column: Value, value: Value) => void,
        ): void => {
          const from = b.add(b.mul(token, stride), b.mul(head, headDim));
          if (scales === null)
            return void b.for(0, headDim, lanes, [], (c) => store(c, b.load(source, b.add(from, c), lanes)));
          const zero = b.splat(b.constant(0, 'f32'), lanes);
          const [peak] = b.for(0, headDim, lanes, [zero], (c, most) => [
            b.max(most, b.abs(b.load(source, b.add(from, c), lanes))),
          ]);
          const absmax = b.horizontal('reduceMax', peak);
          b.store(scales, row, b.div(absmax, 127));
          const inverse = codesPerUnit(b, absmax);
          b.for(0, headDim, lanes, [], (c) =>
            store(c, b.cast(b.cast(b.round(b.mul(b.load(source, b.add(from, c), lanes), inverse)), 'i32'), 'i8')),
          );
        };
        put(v, shape.valueStride, cache.valueScales, (column, value) =>
          b.store(cache.values, b.add(b.mul(row, headDim), column), value),
        );
        const lane = b.rem(position, PANEL_ROWS);
        put(k, shape.keyStride, cache.keyScales, (column, value) => {
          for (let i = 0; i < lanes; i++) b.store(cache.keys, b.add(line(b.add(column, i)), lane), b.extract(value, i));
        });
      });
    });
  });
}

/** The widest vector that divides a head. */
function divisorLanes(headDim: number, { vectorBytes }: DeviceFeatures): number {
  let lanes = Math.max(1, vectorBytes / 4);
  while (headDim % lanes !== 0) lanes /= 2;
  return lanes;
}

export interface AttentionShape extends CacheShape {
  readonly heads: number;
  readonly scale: number;
  /** Soft-cap of the scores; 0: none. */
  readonly cap: number;
  /** Positions that a query sees, its own counted; 0: all. */
  readonly window: number;
  readonly mode: Mode;
  /** Tokens that share the cache's loads. */
  readonly tile: number;
  /** Tiles of the longest step. */
  readonly tiles: number;
}

type QueriesShape = CacheShape & Pick<AttentionShape, 'heads' | 'tile'>;

/** Queries that share a load of keys and values. */
const queriesOf = ({ tile, heads, kvHeads }: QueriesShape): number => (tile * heads) / kvHeads;

/** Elements of a query that was shortened. */
const shortenedElements = ({ scheme, headDim }: CacheShape): number =>
  scheme === 'f32' ? 0 : Math.ceil(headDim / PANEL_ROWS) * PANEL_ROWS;

/** Elements that each thread needs for scores, and behind them for queries. */
export const scoreElements = (shape: QueriesShape): number =>
  queriesOf(shape) * (shape.positions + shortenedElements(shape));

/** Registers that are left for other things than sums. */
const SPARE_REGISTERS = 6;

/** How far ahead keys and values are asked for, into the second cache. */
const PREFETCH_BYTES = 8192;

/**
 * Parameters: q f32, keys, [keyScales f32], values, [valueScales f32], [tables f32 (data mode): exp, then tanh], scores f32 (scratch, {@link scoreElements} per thread), out f32,
 * control i32. Range: kv heads · tiles.
 */
export function attentionKernel(name: string, shape: AttentionShape, features: DeviceFeatures): Kernel {
  return buildKernel(name, (b) => new AttentionBuilder(b, shape, features).build());
}

interface Query {
  readonly head: Value;
  readonly token: Value;
  /** Positions that it sees: from `begin` to `end`. */
  readonly begin: Value;
  readonly end: Value;
  /** Its row in the scores. */
  readonly scores: Value;
  /** Where its numbers are: in the queries, or shortened behind the scores. */
  readonly numbers: Value;
}

class AttentionBuilder {
  readonly #b: KernelBuilder;
  readonly #shape: AttentionShape;
  readonly #lanes: number;
  readonly #columnLanes: number;
  readonly #registers: number;
  readonly #q: Memory;
  readonly #cache: CacheParameters;
  readonly #tables: ModeTables | null;
  readonly #scores: Memory;
  readonly #out: Memory;
  readonly #control: Memory;

  constructor(b: KernelBuilder, shape: AttentionShape, features: DeviceFeatures) {
    this.#b = b;
    this.#shape = shape;
    this.#lanes = Math.min(PANEL_ROWS, Math.max(1, features.vectorBytes / 4));
    this.#columnLanes = divisorLanes(shape.headDim, features);
    this.#registers = features.vectorRegisters;
    this.#q = b.buffer('q', 'f32');
    this.#cache = cacheParameters(b, shape.scheme, 'read');
    this.#tables = modeTables(b, shape.mode);
    this.#scores = b.buffer('scores', 'f32', 'readwrite');
    this.#out = b.buffer('out', 'f32', 'write');
    this.#control = b.buffer('control', 'i32');
  }

  build(): void {
    const b = this.#b;
    const { tile, tiles } = this.#shape;
    const tokens = stepTokens(b, this.#control);
    b.for(b.begin, b.end, 1, [], (item) => {
      const first = b.mul(b.rem(item, tiles), tile);
      b.if(b.lt(first, tokens), () => this.#tile(b.div(item, tiles), first, tokens));
    });
  }

  #tile(kvHead: Value, first: Value, tokens: Value): void {
    const b = this.#b;
    const { tile, window, positions, heads, kvHeads } = this.#shape;
    const group = heads / kvHeads;
    const position = rowPosition(b, this.#control, first);
    const cached = b.add(b.mul(rowSequence(b, this.#control, first), kvHeads), kvHead);
    const rows = b.mul(b.thread, scoreElements(this.#shape));
    const count = tile * group;
    const queries = Array.from({ length: count }, (_, i): Query => {
      const token = b.add(first, Math.floor(i / group));
      const head = b.add(b.mul(kvHead, group), i % group);
      const end = b.add(position, Math.floor(i / group) + 1);
      return {
        head,
        token,
        end,
        begin: window === 0 ? b.index(0) : b.max(b.sub(end, window), b.index(0)),
        scores: b.add(rows, i * positions),
        numbers: this.#numbers(token, head, b.add(rows, count * positions + i * shortenedElements(this.#shape))),
      };
    });
    // Rows behind the last token are computed too and read by nobody; they must not read positions that are not there.
    const end = b.min(queries[queries.length - 1].end, b.add(position, b.sub(tokens, first)));
    const { begin } = queries[0];
    const panels = [b.div(begin, PANEL_ROWS), b.div(b.add(end, PANEL_ROWS - 1), PANEL_ROWS)] as const;
    const peaks = this.#score(cached, queries, panels);
    const factors = peaks.map((peak, i) => this.#softmax(cached, queries[i], peak, panels));
    this.#mix(cached, queries, factors, begin, end);
  }

  /**
   * Where the numbers of a query begin that meet the keys. What meets codes is shortened, once: then the products are exact, and may be added as the target likes
   * best.
   */
  #numbers(token: Value, head: Value, to: Value): Value {
    const b = this.#b;
    const from = this.#row(token, head);
    if (this.#shape.scheme === 'f32') return from;
    const lanes = this.#columnLanes;
    b.for(0, this.#shape.headDim, lanes, [], (c) =>
      b.store(this.#scores, b.add(to, c), shortened(b, b.load(this.#q, b.add(from, c), lanes))),
    );
    return to;
  }

  /** sum + x · y: joined only where the product is exact. */
  #addProduct(x: Value, y: Value, sum: Value): Value {
    const b = this.#b;
    return this.#shape.scheme === 'f32' ? b.add(sum, b.mul(x, y)) : b.mulAdd(x, y, sum);
  }

  /** Scores over some panels, −∞ where a query does not see; gives the largest of each query. */
  #score(cached: Value, queries: readonly Query[], [firstPanel, lastPanel]: readonly [Value, Value]): Value[] {
    const b = this.#b;
    const { headDim, positions, scale, cap, mode } = this.#shape;
    const lanes = this.#lanes;
    const count = queries.length;
    const lowest = b.splat(b.constant(-Infinity, 'f32'), lanes);
    const numbers = this.#shape.scheme === 'f32' ? this.#q : this.#scores;
    const parts = headParts(headDim);
    // Several chains of sums at once where queries are few: one would wait for itself.
    let together = parts;
    while (together > 1 && count * together > this.#registers - SPARE_REGISTERS) together /= 2;
    const peaks = b.for(
      firstPanel,
      lastPanel,
      1,
      queries.map(() => lowest),
      (panel, ...most) =>
        b.for(0, PANEL_ROWS, lanes, most, (slice, ...running) => {
          const line = b.mul(b.add(b.mul(cached, positions / PANEL_ROWS), panel), headDim);
          const zero = b.splat(b.constant(0, 'f32'), lanes);
          const sums: Value[][] = [];
          for (let part = 0; part < parts; part += together) {
            const flat = b.for(
              part,
              headDim,
              parts,
              Array.from({ length: count * together }, () => zero),
              (c, ...current) =>
                current.map((sum, i) => {
                  const column = b.add(c, Math.floor(i / count));
                  const at = b.add(b.mul(b.add(line, column), PANEL_ROWS), slice);
                  if (i % count === 0) this.#prefetch(this.#cache.keys, at, (i / count) * PANEL_ROWS);
                  const keys = this.#keys(at);
                  const query = b.load(numbers, b.add(queries[i % count].numbers, column));
                  return this.#addProduct(keys, b.splat(query, lanes), sum);
                }),
            );
            for (let i = 0; i < together; i++) sums.push(flat.slice(i * count, (i + 1) * count));
          }
          const at = b.add(b.mul(panel, PANEL_ROWS), slice);
          const where = b.add(b.iota('i32', lanes), b.splat(b.cast(at, 'i32'), lanes));
          return running.map((peak, q) => {
            const { begin, end, scores } = queries[q];
            let dot = joinParts(
              b,
              sums.map((part) => part[q]),
            );
            if (this.#cache.keyScales !== null)
              dot = b.mul(dot, b.load(this.#cache.keyScales, b.add(b.mul(cached, positions), at), lanes));
            const scaled = b.mul(dot, scale);
            const capped = cap === 0 ? scaled : softcap(b, mode, this.#tables, scaled, cap);
            const seen = b.and(
              b.ge(where, b.splat(b.cast(begin, 'i32'), lanes)),
              b.lt(where, b.splat(b.cast(end, 'i32'), lanes)),
            );
            const score = b.select(seen, capped, lowest);
            b.store(this.#scores, b.add(scores, at), score);
            return b.max(score, peak);
          });
        }),
    );
    return peaks.map((peak) => b.horizontal('reduceMax', peak));
  }

  /** Turns a query's scores into weights, with the scales of the values in them, and gives what the sums are to be multiplied with. */
  #softmax(cached: Value, { scores }: Query, peak: Value, [firstPanel, lastPanel]: readonly [Value, Value]): Value {
    const b = this.#b;
    const { mode, positions } = this.#shape;
    const { valueScales } = this.#cache;
    const lanes = this.#lanes;
    const zero = b.splat(b.constant(0, 'f32'), lanes);
    const zeros = Array.from({ length: POSITION_PARTS / lanes }, () => zero);
    const sums = b.for(firstPanel, lastPanel, 1, zeros, (panel, ...running) =>
      running.map((sum, slice) => {
        const i = b.add(b.mul(panel, PANEL_ROWS), slice * lanes);
        const score = b.load(this.#scores, b.add(scores, i), lanes);
        const seen = b.ne(score, -Infinity);
        const below = b.sub(b.select(seen, score, b.splat(peak, lanes)), b.splat(peak, lanes));
        const weight = b.select(seen, softmaxWeight(b, mode, this.#tables, below), zero);
        const scaled =
          valueScales === null
            ? weight
            : shortened(b, b.mul(weight, b.load(valueScales, b.add(b.mul(cached, positions), i), lanes)));
        b.store(this.#scores, b.add(scores, i), scaled);
        return b.add(sum, weight);
      }),
    );
    return normaliser(b, mode, joinLanes(b, sums));
  }

  /** The weighted sums of the values. */
  #mix(cached: Value, queries: readonly Query[], factors: readonly Value[], begin: Value, end: Value): void {
    const b = this.#b;
    const { headDim, positions } = this.#shape;
    const lanes = this.#columnLanes;
    const { values } = this.#cache;
    const most = Math.max(1, Math.floor((this.#registers - SPARE_REGISTERS) / queries.length));
    const vectors = headDim / lanes;
    // Equal parts: memory is read best in long pieces.
    const atOnce = Math.ceil(vectors / Math.ceil(vectors / most));
    for (let column = 0; column < headDim; column += atOnce * lanes) {
      const count = Math.min(atOnce, (headDim - column) / lanes);
      const zero = b.splat(b.constant(0, 'f32'), lanes);
      const sums = b.for(
        begin,
        end,
        1,
        Array.from({ length: queries.length * count }, () => zero),
        (p, ...running) => {
          const row = b.add(b.mul(cached, positions), p);
          const weights = queries.map(({ scores }) => b.splat(b.load(this.#scores, b.add(scores, p)), lanes));
          return running.map((sum, i) => {
            const at = b.add(b.mul(row, headDim), column + (i % count) * lanes);
            if (i < count) this.#prefetch(values, at, i * lanes);
            const value = this.#float(b.load(values, at, lanes));
            return this.#addProduct(value, weights[Math.floor(i / count)], sum);
          });
        },
      );
      queries.forEach(({ token, head }, q) => {
        const factor = b.splat(factors[q], lanes);
        for (let i = 0; i < count; i++)
          b.store(this.#out, b.add(this.#row(token, head), column + i * lanes), b.mul(sums[q * count + i], factor));
      });
    }
  }

  /** Asks for what lies ahead, once for each line: `first` elements of it are asked for already. */
  #prefetch(memory: Memory, at: Value, first: number): void {
    const bytes = this.#shape.scheme === 'f32' ? 4 : 1;
    if ((first * bytes) % LINE_BYTES === 0) this.#b.prefetch(memory, this.#b.add(at, PREFETCH_BYTES / bytes), 2);
  }
  #keys(at: Value): Value {
    return this.#float(this.#b.load(this.#cache.keys, at, this.#lanes));
  }
  #float(value: Value): Value {
    return this.#shape.scheme === 'f32' ? value : this.#b.cast(this.#b.cast(value, 'i32'), 'f32');
  }
  #row(token: Value, head: Value): Value {
    const b = this.#b;
    const { heads, headDim } = this.#shape;
    return b.add(b.mul(token, rowStride(heads * headDim)), b.mul(head, headDim));
  }
}
