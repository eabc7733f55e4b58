/**
 * Linear layers over packed weights: y[t, r] = Σ w[r, k] · x[t, k], with integer sums inside each group and float scales between groups.
 *
 * One panel of 16 rows is worked on at a time, for a *tile* of tokens: each line of weights is loaded and unpacked once and meets the activations of
 * every token of the tile, broadcast four columns at a time (`dot4`). Rows are the lanes, so there is no horizontal sum; a line is one register or,
 * where registers are narrower, several *slices*. The unsigned form of the codes is corrected with the sums of the activations' codes. Panels are
 * split over threads.
 *
 * One and two bits go through bit planes: plane s is a line masked with the bits s of its bytes and multiplied as it is, which makes the sum of that
 * plane 2^s times too large until the end. With several tokens the planes are shifted down instead, once for all of them, and share one sum. (T-MAC and bitnet.cpp
 * look tables up; where a dot-product instruction exists masks are cheaper.)
 */
import {
  buildKernel,
  type DeviceFeatures,
  type Kernel,
  type KernelBuilder,
  type Memory,
  type Value,
} from '@proj/kernel';
import { ACTIVATION_GROUP, LINE_BYTES, PANEL_ROWS, packedLayout, type PackedLayout } from '../quantize/layout.ts';
import type { ActivationScheme, Scheme } from '../quantize/scheme.ts';

export interface LinearShape {
  readonly scheme: Scheme;
  readonly activation: ActivationScheme;
  readonly rows: number;
  readonly columns: number;
  /** Tokens that share each load of the weights. */
  readonly tile: number;
  /** Bits of a row that one turn of the inner loop takes (`TILE_SIZE`, default 32: one line). It changes no result. */
  readonly tileSize?: number;
  /** Whether the number of tokens is element 0 of the parameter `control`; else it is `tile`. */
  readonly counted: boolean;
  /** Panels come in pairs, gate and up, and `join(gate, up)` is stored in half as many rows. */
  readonly join?: (b: KernelBuilder, gate: Value, up: Value) => Value;
}

/** Rows that a register holds. Scalars alone cannot be seen as bytes, so there are at least four. */
export const rowLanes = ({ vectorBytes }: DeviceFeatures): number => Math.min(PANEL_ROWS, Math.max(4, vectorBytes / 4));

/** Columns of activations are padded, with zeros, to the largest group of any scheme. */
const LARGEST_GROUP = 128;
export const activationColumns = (columns: number): number => Math.ceil(columns / LARGEST_GROUP) * LARGEST_GROUP;

/** Words (of four codes, or of 32 signs) that the activations of a token take. */
export const activationWords = (activation: ActivationScheme, columns: number): number =>
  activationColumns(columns) / (activation === 'a1' ? 32 : 4);

/** Scales of a token's activations. */
export const activationScales = (activation: ActivationScheme, columns: number): number =>
  activation === 'a8g32' ? activationColumns(columns) / ACTIVATION_GROUP : 1;

/**
 * Sums of a token's activation codes are kept times this: what sums of 4-bit codes begin with, to make up for their unsigned form, is then broadcast from memory
 * as it is.
 */
export const CODE_SUM_FACTOR = -8;

/** A corrected sum begins with `offset` times the sum of codes taken away. */
function correctionOf(b: KernelBuilder, kept: Value, offset: number): Value {
  const factor = offset / -CODE_SUM_FACTOR;
  return factor < 1 ? b.shr(kept, -Math.log2(factor)) : b.mul(kept, factor);
}

/** Sums of a token's activation codes: one for each group of 32 columns, then their total. */
export const activationSums = (columns: number): number => activationColumns(columns) / ACTIVATION_GROUP + 1;

/** How many bytes ahead of their use weights are asked for, into the second cache, which reads memory 5 % faster than the best distance into the first. */
const PREFETCH_BYTES = 8192;

/**
 * The kernel of a linear layer. Parameters: codes u8, scales (f16 or f32), minimums f16 (asymmetric schemes), activation words i32, activation scales f32, sums i32
 * (not of `a1`), out f32 `[token][rows padded to 16]`, control i32 (when counted). Range: panels, or pairs of panels with `join`.
 */
export function linearKernel(name: string, shape: LinearShape, features: DeviceFeatures): Kernel {
  return buildKernel(name, (b) => new LinearBuilder(b, shape, features).build());
}

/** [token of the tile][slice of the panel] */
type Grid = Value[][];

const grid = (tokens: number, slices: number, value: (token: number, slice: number) => Value): Grid =>
  Array.from({ length: tokens }, (_, t) => Array.from({ length: slices }, (_unused, s) => value(t, s)));

class LinearBuilder {
  readonly #b: KernelBuilder;
  readonly #shape: LinearShape;
  readonly #layout: PackedLayout;
  readonly #lanes: number;
  readonly #slices: number;
  readonly #codes: Memory;
  readonly #scales: Memory;
  readonly #minimums: Memory | null;
  readonly #words: Memory;
  readonly #activationScales: Memory;
  readonly #sums: Memory | null;
  readonly #out: Memory;
  readonly #control: Memory | null;
  /** Where the last line of this launch's part begins; what lies behind it is another thread's. */
  readonly #lastLine: Value;
  /** Lines that are asked for begin here in this turn of the inner loop, one with each line that is loaded. */
  #ahead: Value;
  #loaded = 0;

  constructor(b: KernelBuilder, shape: LinearShape, features: DeviceFeatures) {
    const { scheme, activation } = shape;
    this.#b = b;
    this.#shape = shape;
    this.#layout = packedLayout(scheme, shape.rows, shape.columns);
    this.#lanes = rowLanes(features);
    this.#slices = PANEL_ROWS / this.#lanes;
    this.#codes = b.buffer('codes', 'u8');
    this.#scales = b.buffer('scales', scheme.scaleType);
    this.#minimums = scheme.asymmetric ? b.buffer('minimums', 'f16') : null;
    this.#words = b.buffer('words', 'i32');
    this.#activationScales = b.buffer('activationScales', 'f32');
    this.#sums = activation === 'a1' ? null : b.buffer('sums', 'i32');
    this.#out = b.buffer('out', 'f32', 'write');
    this.#control = shape.counted ? b.buffer('control', 'i32') : null;
    const itemBytes = this.#layout.linesPerPanel * LINE_BYTES * (shape.join === undefined ? 1 : 2);
    this.#lastLine = b.sub(b.mul(b.end, itemBytes), LINE_BYTES);
    this.#ahead = this.#lastLine;
  }

  build(): void {
    const b = this.#b;
    b.for(b.begin, b.end, 1, [], (item) => {
      if (this.#control === null) return this.#item(item, b.index(0));
      b.for(0, b.load(this.#control, 0), this.#shape.tile, [], (token) => this.#item(item, token));
    });
  }

  /** A panel, or a pair, for a tile of tokens. */
  #item(item: Value, token: Value): void {
    const b = this.#b;
    const { join, tile } = this.#shape;
    const stride = (this.#layout.panels * PANEL_ROWS) / (join === undefined ? 1 : 2);
    const store = (values: Grid): void => {
      for (let t = 0; t < tile; t++) {
        const row = b.add(b.mul(b.add(token, t), stride), b.mul(item, PANEL_ROWS));
        values[t].forEach((value, s) => b.store(this.#out, b.add(row, s * this.#lanes), value));
      }
    };
    if (join === undefined) return store(this.#panel(item, token));
    const gate = this.#panel(b.mul(item, 2), token);
    const up = this.#panel(b.add(b.mul(item, 2), 1), token);
    store(gate.map((row, t) => row.map((value, s) => join(b, value, up[t][s]))));
  }

  /** The finished sums of a panel. */
  #panel(panel: Value, token: Value): Grid {
    const { scheme, activation } = this.#shape;
    if (activation === 'a1') return this.#signs(panel, token);
    if (scheme.bits <= 2) return scheme.group === 'row' ? this.#planesOfRow(panel, token) : this.#groups(panel, token);
    return activation === 'a8' && scheme.group === 'row' ? this.#row(panel, token) : this.#groups(panel, token);
  }

  // Float sums over groups

  #groups(panel: Value, token: Value): Grid {
    const b = this.#b;
    const { scheme, activation, tile } = this.#shape;
    const columns = scheme.group === 'row' ? ACTIVATION_GROUP : scheme.group;
    // Where activations have one scale, sums of integers reach over the whole group.
    const parts = activation === 'a8g32' ? columns / ACTIVATION_GROUP : 1;
    const zero = b.splat(b.constant(0, 'f32'), this.#lanes);
    const flat = this.#unrolled(
      panel,
      this.#layout.columns / columns,
      (columns * scheme.bits) / 32,
      grid(tile, this.#slices, () => zero).flat(),
      (group, ...carried) => {
        let partial: Grid | null = null;
        for (let part = 0; part < parts; part++) {
          const at = b.add(b.mul(group, parts), part);
          const sums = this.#integers(panel, token, at, columns / parts).map((row) => row.map((v) => b.cast(v, 'f32')));
          if (activation === 'a8') {
            partial = sums;
            continue;
          }
          const before: Grid | null = partial;
          partial = sums.map((row, t) => {
            const scale = b.splat(this.#activationScale(token, t, at), this.#lanes);
            return row.map((sum, s) => {
              const scaled = b.mul(sum, scale);
              return before === null ? scaled : b.add(scaled, before[t][s]);
            });
          });
        }
        const scaled = partial ?? [];
        if (scheme.group === 'row')
          return scaled.flatMap((row, t) => row.map((v, s) => b.add(v, carried[t * this.#slices + s])));
        const at = b.mul(b.add(b.mul(panel, this.#layout.groups), group), PANEL_ROWS);
        const scales = this.#slice((s) => b.cast(b.load(this.#scales, b.add(at, s * this.#lanes), this.#lanes), 'f32'));
        const next = scaled.map((row, t) =>
          row.map((v, s) => b.add(b.mul(v, scales[s]), carried[t * this.#slices + s])),
        );
        return this.#addMinimums(next, token, group, at).flat();
      },
    );
    const sums = grid(tile, this.#slices, (t, s) => flat[t * this.#slices + s]);
    const done = scheme.group === 'row' ? this.#timesRowScales(sums, panel) : sums;
    return activation === 'a8' ? this.#timesTokenScales(done, token) : done;
  }

  /** Asymmetric schemes: minimum · Σ x. */
  #addMinimums(sums: Grid, token: Value, group: Value, at: Value): Grid {
    const b = this.#b;
    const minimums = this.#minimums;
    const { scheme, activation } = this.#shape;
    if (minimums === null || scheme.group === 'row') return sums;
    const lowest = this.#slice((s) => b.cast(b.load(minimums, b.add(at, s * this.#lanes), this.#lanes), 'f32'));
    const parts = scheme.group / ACTIVATION_GROUP;
    return sums.map((row, t) => {
      let total: Value | null = null;
      for (let part = 0; part < parts; part++) {
        const g = b.add(b.mul(group, parts), part);
        const sum = b.mul(b.cast(this.#codeSum(token, t, g), 'f32'), 1 / CODE_SUM_FACTOR);
        const term = activation === 'a8' ? sum : b.mul(sum, this.#activationScale(token, t, g));
        total = total === null ? term : b.add(total, term);
      }
      return total === null ? row : row.map((v, s) => b.add(b.mul(lowest[s], b.splat(total, this.#lanes)), v));
    });
  }

  /** Integer sums of `columns` columns: group `at` of those of this width. */
  #integers(panel: Value, token: Value, at: Value, columns: number): Grid {
    const b = this.#b;
    const { scheme, tile } = this.#shape;
    const lines = (columns * scheme.bits) / 32;
    const first = b.add(b.mul(panel, this.#layout.linesPerPanel), b.mul(at, lines));
    const groups = columns / ACTIVATION_GROUP;
    const correction = (t: number): Value => {
      let sum = this.#codeSum(token, t, b.mul(at, groups));
      for (let g = 1; g < groups; g++) sum = b.add(sum, this.#codeSum(token, t, b.add(b.mul(at, groups), g)));
      return correctionOf(b, sum, scheme.bits === 1 ? 1 : scheme.offset);
    };
    if (scheme.bits <= 2 && tile === 1) {
      const planes = this.#planes(
        Array.from({ length: 8 / scheme.bits }, () => this.#zeros()),
        first,
        lines,
        token,
        b.mul(at, columns / 4),
      );
      return this.#joinPlanes(planes, [correction(0)]);
    }
    let sums = grid(tile, this.#slices, (t) =>
      scheme.bits === 1 || scheme.offset === 0
        ? b.splat(b.constant(0, 'i32'), this.#lanes)
        : b.splat(correction(t), this.#lanes),
    );
    for (let line = 0; line < lines; line++)
      sums = this.#line(sums, b.add(first, line), token, b.add(b.mul(at, columns / 4), (line * 8) / scheme.bits));
    return scheme.bits === 1
      ? sums.map((row, t) => row.map((v) => b.add(b.add(v, v), b.splat(correction(t), this.#lanes))))
      : sums;
  }

  /** Adds the products of one line, whose first column is in activation word `word`. */
  #line(sums: Grid, line: Value, token: Value, word: Value): Grid {
    const b = this.#b;
    const { bits } = this.#shape.scheme;
    const slices = this.#slice((s) => this.#load(line, s));
    let current = sums;
    for (let field = 0; field < 8 / bits; field++) {
      const codes = slices.map((v) => (bits === 8 ? v : b.and(b.shr(v, field * bits), 2 ** bits - 1)));
      current = current.map((row, t) => {
        const bytes = this.#bytes(token, t, b.add(word, field));
        return row.map((sum, s) => b.dot4(sum, codes[s], bytes));
      });
    }
    return current;
  }

  // Integer sums over whole rows

  /** 8 and 4 bits with one scale per row and per token. */
  #row(panel: Value, token: Value): Grid {
    const b = this.#b;
    const { scheme, tile } = this.#shape;
    const { linesPerPanel } = this.#layout;
    const first = b.mul(panel, linesPerPanel);
    // A chain of dependent sums is slow; a tile of tokens is several chains already.
    const chains = tile * this.#slices >= 4 || linesPerPanel % 4 !== 0 ? 1 : 4;
    const start = Array.from({ length: chains }, () => grid(tile, this.#slices, () => this.#zero()));
    const flat = this.#unrolled(panel, linesPerPanel / chains, chains, start.flat(2), (turn, ...carried) => {
      const line = b.mul(turn, chains);
      const at = this.#ungroup(carried, chains);
      return at
        .map((sums, c) => this.#line(sums, b.add(b.add(first, line), c), token, b.mul(b.add(line, c), 8 / scheme.bits)))
        .flat(2);
    });
    const sums = this.#ungroup(flat, chains).reduce((x, y) => x.map((row, t) => row.map((v, s) => b.add(v, y[t][s]))));
    return this.#finishRow(
      sums.map((row, t) => row.map((v) => b.add(v, this.#totals(token, t, scheme.offset)))),
      panel,
      token,
    );
  }

  /** 1 and 2 bits with one scale per row and per token. */
  #planesOfRow(panel: Value, token: Value): Grid {
    const b = this.#b;
    const { scheme, tile } = this.#shape;
    const { linesPerPanel } = this.#layout;
    const first = b.mul(panel, linesPerPanel);
    const offset = scheme.bits === 1 ? 1 : scheme.offset;
    if (tile === 1) {
      const count = 8 / scheme.bits;
      const flat = this.#unrolled(
        panel,
        linesPerPanel,
        1,
        Array.from({ length: count }, () => this.#zeros()).flat(),
        (line, ...carried) => {
          const planes = Array.from({ length: count }, (_, p) =>
            carried.slice(p * this.#slices, (p + 1) * this.#slices),
          );
          return this.#planes(planes, b.add(first, line), 1, token, b.mul(line, count)).flat();
        },
      );
      const planes = Array.from({ length: count }, (_, p) => flat.slice(p * this.#slices, (p + 1) * this.#slices));
      return this.#finishRow(this.#joinPlanes(planes, [this.#total(token, 0, offset)]), panel, token);
    }
    const flat = this.#unrolled(
      panel,
      linesPerPanel,
      1,
      grid(tile, this.#slices, () => this.#zero()).flat(),
      (line, ...carried) =>
        this.#line(this.#ungroup(carried, 1)[0], b.add(first, line), token, b.mul(line, 8 / scheme.bits)).flat(),
    );
    const sums = this.#ungroup(flat, 1)[0].map((row, t) =>
      row.map((v) => b.add(scheme.bits === 1 ? b.add(v, v) : v, this.#totals(token, t, offset))),
    );
    return this.#finishRow(sums, panel, token);
  }

  /** Adds the products of lines to one sum for each plane and slice, for one token. */
  #planes(planes: Value[][], first: Value, lines: number, token: Value, word: Value): Value[][] {
    const b = this.#b;
    const { bits } = this.#shape.scheme;
    let current = planes;
    for (let line = 0; line < lines; line++) {
      const slices = this.#slice((s) => this.#load(b.add(first, line), s));
      current = current.map((row, plane) => {
        const bytes = this.#bytes(token, 0, b.add(b.add(word, line * (8 / bits)), plane));
        return row.map((sum, s) => b.dot4(sum, b.and(slices[s], (2 ** bits - 1) << (bits * plane)), bytes));
      });
    }
    return current;
  }

  /** One sum of all planes, for one token. */
  #joinPlanes(planes: Value[][], corrections: readonly Value[]): Grid {
    const b = this.#b;
    const { bits } = this.#shape.scheme;
    const joined = this.#slice((s) => {
      const terms = planes.map((row, plane) => b.shr(row[s], bits * plane));
      const sum = terms.reduce((x, y) => b.add(x, y));
      return b.add(bits === 1 ? b.add(sum, sum) : sum, b.splat(corrections[0], this.#lanes));
    });
    return [joined];
  }

  /** Binary weights by binary activations: columns - 2 · (bits that differ). */
  #signs(panel: Value, token: Value): Grid {
    const b = this.#b;
    const { tile, columns } = this.#shape;
    const { linesPerPanel } = this.#layout;
    const first = b.mul(panel, linesPerPanel);
    const flat = this.#unrolled(
      panel,
      linesPerPanel,
      1,
      grid(tile, this.#slices, () => this.#zero()).flat(),
      (line, ...carried) => {
        const slices = this.#slice((s) => b.bitcast(this.#load(b.add(first, line), s), 'i32'));
        return carried.map((count, i) => {
          const [t, s] = [Math.floor(i / this.#slices), i % this.#slices];
          const word = b.splat(this.#word(token, t, line), this.#lanes);
          return b.add(count, b.popcount(b.xor(slices[s], word)));
        });
      },
    );
    const dots = this.#ungroup(flat, 1)[0].map((row) =>
      row.map((differ) => b.sub(b.splat(b.constant(columns, 'i32'), this.#lanes), b.add(differ, differ))),
    );
    return this.#finishRow(dots, panel, token);
  }

  // Scales

  #finishRow(sums: Grid, panel: Value, token: Value): Grid {
    const floats = sums.map((row) => row.map((v) => this.#b.cast(v, 'f32')));
    return this.#timesTokenScales(this.#timesRowScales(floats, panel), token);
  }
  #timesRowScales(sums: Grid, panel: Value): Grid {
    const b = this.#b;
    const scales = this.#slice((s) =>
      b.load(this.#scales, b.add(b.mul(panel, PANEL_ROWS), s * this.#lanes), this.#lanes),
    );
    return sums.map((row) => row.map((v, s) => b.mul(v, scales[s])));
  }
  #timesTokenScales(sums: Grid, token: Value): Grid {
    const b = this.#b;
    return sums.map((row, t) => {
      const scale = b.splat(this.#activationScale(token, t, b.index(0)), this.#lanes);
      return row.map((v) => b.mul(v, scale));
    });
  }

  /** Eight bits are little work for a line that is one register: two tiles to a turn read memory 2 % faster. */
  get #tilesOfTurn(): number {
    return this.#shape.scheme.bits === 8 && this.#slices === 1 ? 2 : 1;
  }

  /** A loop over `count` items of `lines` lines each, several to a turn. */
  #unrolled(
    panel: Value,
    count: number,
    lines: number,
    initial: readonly Value[],
    body: (item: Value, ...carried: Value[]) => readonly Value[],
  ): Value[] {
    const b = this.#b;
    let items = Math.max(1, Math.floor(((this.#shape.tileSize ?? 32) / 32 / lines) * this.#tilesOfTurn));
    while (count % items !== 0) items--;
    const turnLines = items * lines;
    const last = b.sub(this.#lastLine, (turnLines - 1) * LINE_BYTES);
    return b.for(0, count, items, initial, (first, ...carried) => {
      const line = b.add(b.mul(panel, this.#layout.linesPerPanel), b.mul(first, lines));
      this.#ahead = b.min(b.add(b.mul(line, LINE_BYTES), PREFETCH_BYTES), last);
      this.#loaded = 0;
      let values: readonly Value[] = carried;
      for (let i = 0; i < items; i++) values = body(b.add(first, i), ...values);
      return values;
    });
  }

  // Memory

  #load(line: Value, slice: number): Value {
    const b = this.#b;
    const at = b.add(b.mul(line, LINE_BYTES), slice * 4 * this.#lanes);
    // A line that is one register is asked for behind a load, and where is found once a turn: 1 to 3 % faster with AVX-512, and up to 13 % slower with AVX2.
    if (this.#slices > 1) {
      if (slice === 0) b.prefetch(this.#codes, b.min(b.add(at, PREFETCH_BYTES), this.#lastLine), 2);
      return b.load(this.#codes, at, 4 * this.#lanes);
    }
    const loaded = b.load(this.#codes, at, 4 * this.#lanes);
    b.prefetch(this.#codes, b.add(this.#ahead, this.#loaded++ * LINE_BYTES), 2);
    return loaded;
  }
  #word(token: Value, t: number, word: Value): Value {
    const b = this.#b;
    const stride = activationWords(this.#shape.activation, this.#shape.columns);
    return b.load(this.#words, b.add(b.mul(b.add(token, t), stride), word));
  }
  /** Four activation codes in all lanes. */
  #bytes(token: Value, t: number, word: Value): Value {
    return this.#b.bitcast(this.#b.splat(this.#word(token, t, word), this.#lanes), 'i8');
  }
  #activationScale(token: Value, t: number, group: Value): Value {
    const b = this.#b;
    const stride = activationScales(this.#shape.activation, this.#shape.columns);
    return b.load(this.#activationScales, b.add(b.mul(b.add(token, t), stride), group));
  }
  /** Times {@link CODE_SUM_FACTOR}. */
  #codeSum(token: Value, t: number, group: Value): Value {
    const b = this.#b;
    if (this.#sums === null) return b.constant(0, 'i32');
    return b.load(this.#sums, b.add(b.mul(b.add(token, t), activationSums(this.#shape.columns)), group));
  }
  /** What a sum over a whole row is corrected with. */
  #total(token: Value, t: number, offset: number): Value {
    const b = this.#b;
    return correctionOf(b, this.#codeSum(token, t, b.index(activationSums(this.#shape.columns) - 1)), offset);
  }
  #totals(token: Value, t: number, offset: number): Value {
    return this.#b.splat(this.#total(token, t, offset), this.#lanes);
  }

  // Shapes

  #zero(): Value {
    return this.#b.splat(this.#b.constant(0, 'i32'), this.#lanes);
  }
  #zeros(): Value[] {
    return this.#slice(() => this.#zero());
  }
  #slice<T>(value: (slice: number) => T): T[] {
    return Array.from({ length: this.#slices }, (_, s) => value(s));
  }
  #ungroup(flat: readonly Value[], chains: number): Grid[] {
    const { tile } = this.#shape;
    return Array.from({ length: chains }, (_, c) =>
      grid(tile, this.#slices, (t, s) => flat[(c * tile + t) * this.#slices + s]),
    );
  }
}
