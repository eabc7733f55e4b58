/** Stable argsort of rows: bottom-up merge sort of positions, two passes a round so that the result ends in the output. NaN counts as the largest value. */
import { buildKernel, type DeviceFeatures, type KernelBuilder, type Memory, type Value } from '@proj/kernel';
import { type AnyNode, elementCount } from '../graph/node.ts';
import { castValue } from './elementwise.ts';
import { KernelEnvironment, type LoweredKernel } from './environment.ts';

export function lowerArgsort(
  anchor: AnyNode,
  source: AnyNode,
  descending: boolean,
  _features: DeviceFeatures,
): { kernels: LoweredKernel[]; workspaceBytes: number } {
  const length = anchor.shape.at(-1) ?? 1;
  const rows = elementCount(anchor.shape) / Math.max(1, length);
  let environment: KernelEnvironment | null = null;
  const rounds = Math.ceil(Math.ceil(Math.log2(Math.max(1, length))) / 2);
  const kernel = buildKernel('argsort', (b) => {
    environment = new KernelEnvironment(b, () => true);
    const out = environment.output(anchor, 'readwrite');
    const input = environment.bind(source, 0);
    const scratch = b.buffer('workspace', 'i64', 'readwrite');
    b.for(b.begin, b.end, 1, [], (row) => {
      const start = b.mul(row, b.index(length));
      const key = (position: Value): Value => {
        const value = castValue(b, b.load(input, b.add(start, position)), source.dtype, source.dtype);
        return value.type.scalar === 'bool' ? b.cast(value, 'i32') : value;
      };
      b.for(0, length, 1, [], (i) => b.store(out, b.add(start, i), b.cast(i, 'i64')));
      b.for(0, rounds, 1, [b.index(1)], (_, width) => {
        mergePass(b, out, scratch, start, length, width, key, descending);
        const doubled = b.add(width, width);
        mergePass(b, scratch, out, start, length, doubled, key, descending);
        return [b.add(doubled, doubled)];
      });
    });
  });
  const made = environment as KernelEnvironment | null;
  if (made === null) throw new Error('unreachable');
  return {
    kernels: [
      {
        kernel,
        args: made.argumentsOf(kernel),
        begin: 0,
        end: rows,
        grain: Math.max(1, Math.ceil(4096 / Math.max(1, length))),
        align: 1,
        checks: [],
        inPlace: [],
      },
    ],
    workspaceBytes: 8 * elementCount(anchor.shape),
  };
}

/** Whether x comes strictly before y in ascending order. */
function before(b: KernelBuilder, x: Value, y: Value): Value {
  if (x.type.scalar !== 'f32' && x.type.scalar !== 'f64') return b.lt(x, y);
  return b.or(b.lt(x, y), b.and(b.ne(y, y), b.eq(x, x)));
}

function mergePass(
  b: KernelBuilder,
  from: Memory,
  to: Memory,
  start: Value,
  length: number,
  width: Value,
  key: (position: Value) => Value,
  descending: boolean,
): void {
  const both = b.add(width, width);
  const segments = b.div(b.add(b.sub(both, b.index(1)), b.index(length)), both);
  b.for(0, segments, 1, [], (segment) => {
    const low = b.mul(segment, both);
    const middle = b.min(b.add(low, width), b.index(length));
    const high = b.min(b.add(low, both), b.index(length));
    b.for(low, high, 1, [low, middle], (k, i, j) => {
      // Reads of an exhausted side are of its last element and not used.
      const left = b.load(from, b.add(start, b.min(i, b.sub(middle, b.index(1)))));
      const right = b.load(from, b.add(start, b.min(j, b.index(length - 1))));
      const x = key(b.cast(left, 'index'));
      const y = key(b.cast(right, 'index'));
      const rightFirst = descending ? before(b, x, y) : before(b, y, x);
      const takeRight = b.and(b.lt(j, high), b.or(b.ge(i, middle), rightFirst));
      b.store(to, b.add(start, k), b.select(takeRight, right, left));
      const one = b.index(1);
      const zero = b.index(0);
      return [b.add(i, b.select(takeRight, zero, one)), b.add(j, b.select(takeRight, one, zero))];
    });
  });
}
