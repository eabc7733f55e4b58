/**
 * Floats as sums of three bfloat16: 24 bits of a mantissa are three times 8. Strips of an operand are split and packed as the tiles that
 * `tileDot` multiplies, with the range of their numbers, which tells whether splitting them was exact enough.
 *
 * The idea is from Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision computations" (2019).
 */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';
import type { OperandAt } from './contraction-operand.ts';
import { transpose, vectorStart } from './contraction-pack.ts';

/** Rows of a tile, columns of a tile of sums, and lanes of all vectors here. */
export const SIDE = 16;
/** Outer positions of a strip: two tiles. */
export const STRIP = 2 * SIDE;
/** Depths of a tile of bfloat16. */
export const DEPTH_STEP = 2 * SIDE;
export const PIECES = 3;
/** Elements of one tile, of a piece of a strip, and of a strip, for a step of the depth. */
export const TILE = SIDE * DEPTH_STEP;
const PIECE = 2 * TILE;
export const STEP = PIECES * PIECE;

/** Where tile `half` of piece `piece` lies in a step of a strip. */
export const tileAt = (piece: number, half: number): number => piece * PIECE + half * TILE;

/** Of the outer positions of a strip that are not all zero: the least and the most of their largest magnitudes. NaN comes through in `most`. */
export interface StripRange {
  readonly least: Value;
  readonly most: Value;
}

export interface StripRequest {
  readonly source: OperandAt;
  /** `depth`: vectors of a tile lie along depth, as in the left operand of `tileDot`; `outer`: across it, as in the right one. */
  readonly lanes: 'outer' | 'depth';
  /** Outer positions and depths of the operand. */
  readonly count: number;
  readonly depth: number;
  /** First outer position of the strip; one that would end outside begins early. */
  readonly first: Value;
  readonly target: Memory;
  readonly at: Value;
}

/** Rows whose vectors lie along depth that are packed together: their lines of a tile are neighbours. */
const ROWS_AT_ONCE = 4;

const MAGNITUDE = 0x7fffffff;
/** The bits of 2^127, more than the least can be. */
const NONE = 0x7f000000;

/** Splits and packs a strip. Pairs of depths are (k, k + 16), which takes no shuffles, and is the same for both operands. */
export function packStrip(b: KernelBuilder, request: StripRequest): StripRange {
  const axis = contiguousAxis(request.source);
  const most = axis === request.lanes || axis === null ? packAsRead(b, request) : packTurned(b, request);
  const least = most.map((m) => b.select(b.eq(m, 0), b.constant(NONE, m.type), m));
  const fold = (op: 'reduceMin' | 'reduceMax', all: readonly Value[]): Value =>
    b.bitcast(
      b.horizontal(
        op,
        all.reduce((x, y) => (op === 'reduceMin' ? b.min(x, y) : b.max(x, y))),
      ),
      'f32',
    );
  return { least: fold('reduceMin', least), most: fold('reduceMax', most) };
}

function contiguousAxis({ operand: { strided } }: OperandAt): 'outer' | 'depth' | null {
  return strided?.outer === 1 ? 'outer' : strided?.depth === 1 ? 'depth' : null;
}

/** 16 elements from (outer, depth) along `axis`; zeros from `end` of the depth on, where that is given. */
function read(
  b: KernelBuilder,
  { operand: { strided }, base }: OperandAt,
  outer: Value,
  depth: Value,
  axis: 'outer' | 'depth',
  end: number | null,
): Value {
  if (strided === null || base === null) throw new TypeError('only strided operands are split');
  const index = b.add(b.add(base, b.mul(outer, strided.outer)), b.mul(depth, strided.depth));
  const left = end === null ? null : b.sub(b.index(end), depth);
  const mask =
    left === null
      ? null
      : axis === 'outer'
        ? b.splat(b.gt(left, 0), SIDE)
        : b.lt(b.iota('i32', SIDE), b.splat(b.cast(left, 'i32'), SIDE));
  const stride = strided[axis];
  if (stride === 1) return b.load(strided.memory, index, SIDE, mask);
  return b.gather(strided.memory, b.add(b.splat(index, SIDE), b.mul(b.iota('index', SIDE), stride)), mask);
}

const magnitude = (b: KernelBuilder, x: Value): Value => b.and(b.bitcast(x, 'i32'), MAGNITUDE);

/** Calls `body` for the whole steps of the depth, then for the rest, where there is one, with where the depth ends. Maxima pass through. */
function overDepth(
  b: KernelBuilder,
  depth: number,
  count: number,
  body: (k: Value, step: Value, most: readonly Value[], end: number | null) => readonly Value[],
): Value[] {
  const whole = depth - (depth % DEPTH_STEP);
  const none = b.splat(b.constant(0, 'i32'), SIDE);
  const stepAt = (k: Value): Value => b.mul(b.div(k, DEPTH_STEP), STEP);
  let most = b.for(
    0,
    whole,
    DEPTH_STEP,
    Array.from({ length: count }, () => none),
    (k, ...entering) => body(k, stepAt(k), entering, null),
  );
  if (whole < depth) most = [...body(b.index(whole), b.index((whole / DEPTH_STEP) * STEP), most, depth)];
  return most;
}

/** Vectors as the operand has them, or gathered. */
function packAsRead(b: KernelBuilder, request: StripRequest): Value[] {
  const { source, lanes, count, depth, first, target, at } = request;
  const put = (outer: Value, k: Value, row: Value, place: Value, end: number | null): Value => {
    const [x, y] =
      lanes === 'outer'
        ? [
            read(b, source, outer, b.add(k, row), lanes, end),
            read(b, source, outer, b.add(b.add(k, row), SIDE), lanes, end),
          ]
        : [read(b, source, outer, k, lanes, end), read(b, source, outer, b.add(k, SIDE), lanes, end)];
    split(b, x, y, target, b.add(place, b.mul(row, DEPTH_STEP)));
    return b.max(magnitude(b, x), magnitude(b, y));
  };
  if (lanes === 'outer') {
    const starts = [0, 1].map((half) => vectorStart(b, b.add(first, half * SIDE), SIDE, count, count % STRIP === 0));
    return overDepth(b, depth, 2, (k, step, most, end) =>
      b.for(0, SIDE, 1, most, (row, ...entering) =>
        entering.map((m, half) => b.max(m, put(starts[half], k, row, b.add(b.add(at, step), tileAt(0, half)), end))),
      ),
    );
  }
  const start = [b.constant(NONE, 'i32'), b.constant(0, 'i32')];
  return b.for(0, STRIP, ROWS_AT_ONCE, start, (i, ...range) => {
    const half = b.mul(b.div(i, SIDE), TILE);
    const row = b.rem(i, SIDE);
    const largest = overDepth(b, depth, ROWS_AT_ONCE, (k, step, most, end) =>
      most.map((m, n) => b.max(m, put(b.add(b.add(first, i), n), k, b.add(row, n), b.add(b.add(at, step), half), end))),
    );
    return largest.reduce(([least, most], lanes) => {
      const own = b.horizontal('reduceMax', lanes);
      return [b.select(b.eq(own, 0), least, b.min(least, own)), b.max(most, own)];
    }, range);
  });
}

/** Squares turned in registers, for operands whose vectors lie the other way. */
function packTurned(b: KernelBuilder, { source, lanes, count, depth, first, target, at }: StripRequest): Value[] {
  const other = lanes === 'outer' ? 'depth' : 'outer';
  const maxima = [0, 1].map((half) => {
    const start =
      lanes === 'outer'
        ? vectorStart(b, b.add(first, half * SIDE), SIDE, count, count % STRIP === 0)
        : b.add(first, half * SIDE);
    const [most] = overDepth(b, depth, 1, (k, step, [m], end) => {
      const squares = [0, SIDE].map((later) => {
        const rows = Array.from({ length: SIDE }, (_, i) =>
          other === 'depth'
            ? read(b, source, b.add(start, i), b.add(k, later), other, end)
            : read(b, source, start, b.add(k, later + i), other, end),
        );
        const turned = transpose(b, rows);
        return { turned, across: other === 'outer' ? rows : turned };
      });
      const [x, y] = squares;
      const place = b.add(b.add(at, step), tileAt(0, half));
      for (let i = 0; i < SIDE; i++) split(b, x.turned[i], y.turned[i], target, b.add(place, i * DEPTH_STEP));
      return [squares.flatMap(({ across }) => across).reduce((all, row) => b.max(all, magnitude(b, row)), m)];
    });
    return most;
  });
  return maxima;
}

/** The three pieces of 16 pairs of floats, each the nearest bfloat16 to what those before leave (ties away from zero). */
function split(b: KernelBuilder, x: Value, y: Value, target: Memory, at: Value): void {
  let [restX, restY] = [x, y];
  for (let piece = 0; piece < PIECES; piece++) {
    const [highX, highY] = [restX, restY].map((rest) =>
      b.and(b.add(b.bitcast(rest, 'u32'), piece < PIECES - 1 ? 0x8000 : 0), 0xffff0000),
    );
    const pair = b.or(highY, b.shr(highX, 16));
    b.store(target, b.add(at, tileAt(piece, 0)), b.bitcast(b.bitcast(pair, 'u16'), 'bf16'));
    restX = b.sub(restX, b.bitcast(highX, 'f32'));
    restY = b.sub(restY, b.bitcast(highY, 'f32'));
  }
}
