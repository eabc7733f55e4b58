/**
 * Packing windows of an array as they are multiplied, so that the matrix of all windows is never in memory. What a convolution reads at one
 * depth (a channel and a place in the kernel) is the array itself, moved: rows of the image, one after the other. A vector of columns is a
 * load, or two where it crosses from one row to the next.
 */
import type { KernelBuilder, Value } from '@proj/kernel';
import { type PackRequest, packPanels, vectorStart } from './contraction-pack.ts';
import type { ContractionWindows } from './contraction-types.ts';

/** Columns `[column, column + lanes)`, less than a run, at any depth: those before `split` lie at `first`, the others at `second`. */
interface Piece {
  readonly first: Value;
  readonly second: Value;
  readonly isFirst: Value;
}

/** Copies a piece of the depth of some panels of the right operand. */
export function packRight(b: KernelBuilder, request: PackRequest): void {
  const { windows } = request.source.operand;
  if (windows === null) packPanels(b, request);
  else packWindows(b, request, windows);
}

function packWindows(b: KernelBuilder, request: PackRequest, windows: ContractionWindows): void {
  const { source, count, first, end, width, lanes, depthBegin, depthEnd, target, at, stride } = request;
  const { memory, run, depthOffsets } = windows;
  const base = source.base ?? b.index(0);
  const offsets = b.table('depths', 'i32', new Uint8Array(Int32Array.from(depthOffsets).buffer));
  const length = Math.min(lanes, 2 ** Math.floor(Math.log2(run)));
  const crosses = run % length !== 0 || count % length !== 0;
  const exact = count % width === 0;
  const pieceAt = (column: Value): Piece => {
    const place = b.add(base, windows.columnOffset(b, column));
    const split = b.sub(run, b.rem(column, run));
    const next = b.sub(b.add(base, windows.columnOffset(b, b.add(column, split))), split);
    return {
      first: place,
      second: b.select(b.lt(split, length), next, place),
      isFirst: b.lt(b.iota('index', length), b.splat(split, length)),
    };
  };
  b.for(first, end, 1, [], (panel) => {
    const panelAt = b.add(at, b.mul(b.sub(panel, first), stride));
    const pieces: (Piece & { readonly at: number })[] = [];
    for (let v = 0; v < width; v += lanes) {
      const column = vectorStart(b, b.add(b.mul(panel, width), v), lanes, count, exact);
      for (let i = 0; i < lanes; i += length) pieces.push({ ...pieceAt(b.add(column, i)), at: v + i });
    }
    b.for(depthBegin, depthEnd, 1, [], (k) => {
      const offset = b.cast(b.load(offsets, k), 'index');
      const row = b.add(panelAt, b.mul(b.sub(k, depthBegin), width));
      for (const piece of pieces) {
        const value = b.load(memory, b.add(piece.first, offset), length);
        const whole = crosses
          ? b.select(piece.isFirst, value, b.load(memory, b.add(piece.second, offset), length))
          : value;
        b.store(target, b.add(row, piece.at), whole);
      }
    });
  });
}
