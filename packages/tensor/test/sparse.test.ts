/** Sparse tensors: figures from PyTorch 1.13, dense results by plain loops, and matrices that would not fit if anything were made dense. */
import { beforeAll, describe, expect, it } from 'vitest';
import '@proj/device-native';
import {
  compile,
  complex,
  defaultDevice,
  deviceReport,
  fromArray,
  setDefaultDevice,
  type Tensor,
  tensor,
} from '@proj/tensor';
import * as sparse from '@proj/tensor/sparse';
import { SparseTensor } from '@proj/tensor/sparse';
import { expectTensor } from './support/expect-tensor.ts';

const floats = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor =>
  fromArray(values, shape, 'float32');
const places = tensor([
  [0, 1, 1, 2],
  [2, 0, 2, 1],
]);
const matrix = (): SparseTensor => sparse.sparseCooTensor(places, floats([3, 4, 5, -1.5]), [3, 3]);
/** Two places occur twice. */
const repeated = (): SparseTensor =>
  sparse.sparseCooTensor(
    tensor([
      [0, 1, 1, 2, 1, 0],
      [2, 0, 2, 1, 0, 2],
    ]),
    floats([3, 4, 5, -1.5, 2, 0.5]),
    [3, 3],
  );

/** Deterministic numbers in (-1, 1). */
const numbers = (count: number, seed = 1): number[] =>
  Array.from({ length: count }, (_, i) => (((i + seed) * 0.6180339887498949) % 1) * 2 - 1);
/** `count` places of [rows, columns] and values for them, some places twice. */
function scattered(rows: number, columns: number, count: number, seed = 1): SparseTensor {
  const at = (size: number, factor: number): number[] =>
    Array.from({ length: count }, (_, k) => Math.floor((((k + seed) * factor) % 1) * size));
  const indices = fromArray([...at(rows, 0.7548776662466927), ...at(columns, 0.5698402909980532)], [2, count], 'int64');
  return sparse.sparseCooTensor(indices, floats(numbers(count, seed)), [rows, columns]);
}

describe('coordinates', () => {
  it('add up where places occur several times', () => {
    const x = repeated();
    expect([x.isCoalesced(), x.nnz(), x.sparseDim(), x.denseDim()]).toEqual([false, 6, 2, 0]);
    expectTensor(x.toDense(), 'float32', [3, 3], [0, 0, 3.5, 6, 0, 5, 0, -1.5, 0]);
    const merged = x.coalesce();
    expect(merged.indices().toArray()).toEqual([
      [0, 1, 1, 2],
      [2, 0, 2, 1],
    ]);
    expectTensor(merged.values(), 'float32', [4], [3.5, 6, 5, -1.5]);
  });
  it('give indices and values once coalesced only', () => {
    expect(() => repeated().indices()).toThrow(/coalesce/);
    expect(() => repeated().values()).toThrow(/coalesce/);
    expect(repeated().storedIndices.shape).toEqual([2, 6]);
  });
  it('may have values of several dimensions', () => {
    const x = sparse.sparseCooTensor(tensor([[0, 2, 0]]), floats([1, 2, 3, 4, 5, 6], [3, 2]), [3, 2]);
    expect(x.denseDim()).toBe(1);
    expectTensor(x.toDense(), 'float32', [3, 2], [6, 8, 0, 0, 3, 4]);
    expectTensor(x.coalesce().values(), 'float32', [2, 2], [6, 8, 3, 4]);
  });
  it('sort large numbers of places as small ones', () => {
    const x = scattered(3000, 5000, 20_000);
    const merged = x.coalesce();
    const sums = new Map<number, number>();
    const [rows, columns] = x.pattern.coordinates;
    const values = x.storedValues.toFlatArray();
    values.forEach((value, k) => {
      const at = rows[k] * 5000 + columns[k];
      sums.set(at, (sums.get(at) ?? 0) + value);
    });
    const expected = [...sums].toSorted(([a], [b]) => a - b);
    expect(merged.nnz()).toBe(expected.length);
    expect([...merged.pattern.coordinates[0]].map((row, k) => row * 5000 + merged.pattern.coordinates[1][k])).toEqual(
      expected.map(([at]) => at),
    );
    merged
      .values()
      .toFlatArray()
      .forEach((value, k) => expect(value).toBeCloseTo(expected[k][1], 5));
  });
  it('refuse indices that do not fit', () => {
    expect(() => sparse.sparseCooTensor(places, floats([1, 2, 3, 4]), [2, 3])).toThrow(/index 2 in dimension 0/);
    expect(() => sparse.sparseCooTensor(places, floats([1, 2, 3]), [3, 3])).toThrow(/count/);
    expect(() => sparse.sparseCooTensor(places, floats([1, 2, 3, 4]), [3, 3, 3])).toThrow(/do not fit/);
    expect(() => sparse.sparseCooTensor(floats([0, 0], [2, 1]), floats([1]))).toThrow(/int64/);
  });
});

describe('compressed matrices', () => {
  const crow = tensor([0, 1, 3, 4]);
  const col = tensor([2, 0, 2, 1]);
  it('are the same in both directions', () => {
    const csr = sparse.sparseCsrTensor(crow, col, floats([3, 4, 5, -1.5]), [3, 3]);
    expect(csr.toDense().toArray()).toEqual(matrix().toDense().toArray());
    const csc = csr.toSparseCsc();
    expect(csc.ccolIndices().toArray()).toEqual([0, 1, 2, 4]);
    expect(csc.rowIndices().toArray()).toEqual([1, 2, 0, 1]);
    expect(csc.values().toArray()).toEqual([4, -1.5, 3, 5]);
    expect(csc.toDense().toArray()).toEqual(csr.toDense().toArray());
    expect(csc.toSparseCsr().crowIndices().toArray()).toEqual([0, 1, 3, 4]);
    expect(sparse.t(csr).layout).toBe('sparse_csc');
    expect(sparse.t(csr).toDense().toArray()).toEqual(csr.toDense().t().toArray());
    expect(repeated().toSparseCsr().values().toArray()).toEqual([3.5, 6, 5, -1.5]);
  });
  it('refuse what is no compressed matrix', () => {
    const make = (pointers: number[], columns: number[]): SparseTensor =>
      sparse.sparseCsrTensor(tensor(pointers), tensor(columns), floats([3, 4, 5, -1.5]), [3, 3]);
    expect(() => make([0, 1, 3], [2, 0, 2, 1])).toThrow(/3 pointers/);
    expect(() => make([1, 1, 3, 4], [2, 0, 2, 1])).toThrow(/from 0/);
    expect(() => make([0, 3, 1, 4], [0, 1, 2, 1])).toThrow(/fall/);
    expect(() => make([0, 1, 3, 4], [2, 0, 5, 1])).toThrow(/index 5/);
    expect(() => make([0, 1, 3, 4], [2, 2, 0, 1])).toThrow(/rise/);
    expect(() => matrix().crowIndices()).toThrow(/toSparseCsr/);
  });
  it('come from dense tensors', () => {
    const dense = floats([0, 2, 0, 0, 0, 0, 7, 0, 1], [3, 3]);
    expect(sparse.toSparse(dense).indices().toArray()).toEqual([
      [0, 2, 2],
      [1, 0, 2],
    ]);
    expect(sparse.toSparse(dense, 1).values().toArray()).toEqual([
      [0, 2, 0],
      [7, 0, 1],
    ]);
    expect(sparse.toSparseCsr(dense).crowIndices().toArray()).toEqual([0, 1, 1, 3]);
  });
});

describe('matrices of blocks', () => {
  it('keep the blocks that are not all zero', () => {
    const dense = floats([1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 5, 0, 0, 6, 0], [4, 4]);
    const rows = sparse.toSparseBsr(dense, [2, 2]);
    expect([rows.nnz(), rows.crowIndices().toArray(), rows.colIndices().toArray()]).toEqual([2, [0, 1, 2], [0, 1]]);
    expect(rows.values().toArray()).toEqual([
      [
        [1, 0],
        [0, 2],
      ],
      [
        [0, 5],
        [6, 0],
      ],
    ]);
    const columns = sparse.toSparseBsc(dense, [1, 2]);
    for (const each of [rows, columns]) {
      expect(each.toDense().toArray()).toEqual(dense.toArray());
      expect(sparse.mm(each.toSparse(), dense).toArray()).toEqual(dense.mm(dense).toArray());
    }
    const made = sparse.sparseBsrTensor(rows.crowIndices(), rows.colIndices(), rows.values(), [4, 4]);
    expect(made.toDense().toArray()).toEqual(dense.toArray());
    expect(() => sparse.toSparseBsr(dense, [3, 2])).toThrow(/divide/);
    expect(() => rows.ccolIndices()).toThrow(/sparse_bsr/);
  });
});

describe('arithmetic', () => {
  const other = (): SparseTensor =>
    sparse.sparseCooTensor(
      tensor([
        [0, 0, 1, 0],
        [1, 1, 2, 0],
      ]),
      floats([1, 2, 3, 4]),
      [3, 3],
    );
  it('adds, subtracts and multiplies two of them', () => {
    const [a, b] = [matrix().toDense(), other().toDense()];
    expect(sparse.add(matrix(), other(), { alpha: 2 }).toDense().toArray()).toEqual(a.add(b.mul(2)).toArray());
    expect(sparse.sub(matrix(), other()).toDense().sub(a.sub(b)).abs().max().item()).toBe(0);
    expectTensor(
      sparse.mul(repeated(), other()).toDense(),
      'float32',
      [3, 3],
      repeated().toDense().mul(b).toFlatArray(),
    );
    expect(sparse.add(a, other()).toArray()).toEqual(a.add(b).toArray());
    expect(sparse.add(matrix().toSparseCsr(), other().toSparseCsr()).layout).toBe('sparse_csr');
    expect(sparse.mul(repeated(), 2).storedValues.toArray()).toEqual([6, 8, 10, -3, 4, 1]);
    const row = floats([10, 20, 30]);
    expect(sparse.mul(repeated(), row).toDense().toArray()).toEqual(repeated().toDense().mul(row).toArray());
    expect(sparse.div(matrix(), 2).toDense().toArray()).toEqual(a.div(2).toArray());
  });
  it('applies functions that are zero at zero to sums, not to their parts', () => {
    expect(sparse.sin(repeated()).toDense().toArray()).toEqual(repeated().toDense().sin().toArray());
    expect(sparse.neg(repeated()).nnz()).toBe(6);
  });
  it('writes over a tensor in its layout and dtype', () => {
    const x = matrix().toSparseCsr();
    const same = x.copy_(sparse.mul(x, repeated().toSparseCsr()));
    expect(same).toBe(x);
    expect([x.layout, x.dtype]).toEqual(['sparse_csr', 'float32']);
    expect(x.values().toArray()).toEqual([10.5, 24, 25, 2.25]);
    expect(() => x.copy_(sparse.sparseCooTensor([4, 4]))).toThrow(/shapes/);
    expect([x.zero_().nnz(), x.crowIndices().toArray(), x.layout]).toEqual([0, [0, 0, 0, 0], 'sparse_csr']);
  });
  it('refuses what would have no zeros', () => {
    expect(() => sparse.add(matrix() as never, floats([1]) as never)).toThrow(/no zeros/);
    expect(() => sparse.div(matrix(), matrix() as never)).toThrow(/0-dim/);
    expect(() => sparse.pow(matrix(), -1)).toThrow(/exponent/);
    expect(() => sparse.mul(matrix(), sparse.sparseCooTensor([3, 4]))).toThrow(/broadcast/);
  });
});

describe('sums and softmax', () => {
  it('sums everything, or over dimensions', () => {
    expect((sparse.sum(repeated()) as Tensor).item()).toBe(13);
    expectTensor((sparse.sum(repeated(), 0) as SparseTensor).toDense(), 'float32', [3], [6, -1.5, 8.5]);
    expectTensor(
      (sparse.sum(repeated(), 1, { keepdim: true }) as SparseTensor).toDense(),
      'float32',
      [3, 1],
      [3.5, 11, -1.5],
    );
    expect((sparse.sum(repeated(), [0, 1]) as Tensor).item()).toBe(13);
  });
  it("takes softmax over what is there, as PyTorch's", () => {
    const x = matrix();
    expectTensor(sparse.softmax(x, 0).toDense(), 'float32', [3, 3], [0, 0, 0.11920291, 1, 0, 0.880797, 0, 1, 0]);
    expectTensor(sparse.logSoftmax(x, 0).toDense(), 'float32', [3, 3], [0, 0, -2.1269279, 0, 0, -0.12692785, 0, 0, 0]);
    const large = sparse.sparseCooTensor(
      tensor([
        [0, 0],
        [0, 1],
      ]),
      floats([1000, 999]),
      [1, 5],
    );
    expect(sparse.softmax(large, 1).values().toArray()).toEqual([expect.closeTo(0.7310586), expect.closeTo(0.2689414)]);
  });
});

describe('parts and joins', () => {
  it('are those of the dense tensor', () => {
    const [x, y] = [repeated(), repeated().toDense()];
    const at = tensor([2, 0, 2]);
    expect(sparse.indexSelect(x, 1, at).toDense().toArray()).toEqual(y.indexSelect(1, at).toArray());
    expect((sparse.select(x, 0, 1) as SparseTensor).toDense().toArray()).toEqual(y.select(0, 1).toArray());
    expect(sparse.narrowCopy(x, 1, 1, 2).toDense().toArray()).toEqual(y.narrow(1, 1, 2).toArray());
    expect(sparse.t(x).toDense().toArray()).toEqual(y.t().toArray());
    expect(sparse.unsqueeze(x, 1).toDense().toArray()).toEqual(y.unsqueeze(1).toArray());
    expect(sparse.cat([x, x], 1).toDense().toArray()).toEqual(y.repeat([1, 2]).toArray());
    expect(sparse.stack([x, x]).shape).toEqual([2, 3, 3]);
    expect(sparse.sparseMask(y.add(1), matrix().coalesce()).values().toArray()).toEqual([4.5, 7, 6, -0.5]);
  });
  it('put diagonals where they belong', () => {
    const bands = fromArray([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3], 'float32');
    const x = sparse.spdiags(bands, tensor([0, -1, 2]), [3, 4]);
    expect(x.toDense().toArray()).toEqual([
      [1, 0, 9, 0],
      [4, 2, 0, 0],
      [0, 5, 3, 0],
    ]);
  });
});

for (const { name, available } of deviceReport())
  describe.skipIf(!available)(`products on ${name}`, () => {
    beforeAll(() => {
      const before = defaultDevice();
      setDefaultDevice(name);
      return () => setDefaultDevice(before);
    });
    /** Plain loops in double precision. */
    function product(x: SparseTensor, dense: readonly number[], width: number): number[] {
      const out = new Array<number>(x.shape[0] * width).fill(0);
      const [rows, columns] = x.pattern.coordinates;
      x.storedValues.toFlatArray().forEach((value, k) => {
        for (let n = 0; n < width; n++) out[rows[k] * width + n] += value * dense[columns[k] * width + n];
      });
      return out;
    }
    for (const width of [1, 3, 16, 37, 130])
      it(`sparse times dense, ${width} columns`, () => {
        const x = scattered(50, 40, 300);
        const dense = numbers(40 * width, 7);
        const expected = product(x, dense.map(Math.fround), width);
        for (const each of [x, x.toSparseCsr(), x.toSparseCsc()])
          expectTensor(sparse.mm(each, floats(dense, [40, width])), 'float32', [50, width], expected);
      });
    it('matrix and vector, dense times sparse, batches, integers', () => {
      const x = scattered(50, 40, 300);
      const v = floats(numbers(40, 3));
      const dense = x.toDense();
      expectTensor(sparse.mv(x, v), 'float32', [50], dense.mv(v).toFlatArray());
      const left = floats(numbers(100, 5), [2, 50]);
      expectTensor(sparse.mm(left, x), 'float32', [2, 40], left.mm(dense).toFlatArray());
      const cube = sparse.sparseCooTensor(
        tensor([
          [0, 0, 1],
          [0, 1, 2],
          [1, 0, 2],
        ]),
        floats([2, 3, 4]),
        [2, 3, 3],
      );
      const right = floats(numbers(12, 2), [2, 3, 2]);
      expectTensor(sparse.bmm(cube, right), 'float32', [2, 3, 2], cube.toDense().bmm(right).toFlatArray());
      const whole = sparse.sparseCooTensor(places, tensor([2 ** 33, 2, 3, 4]), [3, 3]);
      expect(sparse.mm(whole, tensor([[1], [2], [3]])).toArray()).toEqual([[3 * 2 ** 33], [11], [8]]);
    });
    it('sparse times sparse stays sparse', () => {
      const [a, b] = [scattered(30, 40, 100), scattered(40, 20, 90, 5)];
      const c = sparse.mm(a, b);
      expect(c).toBeInstanceOf(SparseTensor);
      expectTensor(c.toDense(), 'float32', [30, 20], a.toDense().mm(b.toDense()).toFlatArray());
      expect(sparse.mm(a.toSparseCsr(), b.toSparseCsr()).layout).toBe('sparse_csr');
    });
    it('sparse times sparse adds up on every thread, whether rows of the result are full or nearly empty', () => {
      // Whole numbers, so that every sum is exact. Some places occur twice.
      const whole = (rows: number, columns: number, count: number, seed: number): SparseTensor => {
        const x = scattered(rows, columns, count, seed);
        return x.withValues(
          floats(
            Array.from({ length: count }, (_, k) => ((k * 7 + seed) % 9) - 4),
            [count],
          ),
        );
      };
      for (const [depth, columns, count] of [
        [400, 350, 6000],
        [5000, 90_000, 4000],
      ]) {
        const [a, b] = [whole(300, depth, count, 1), whole(depth, columns, count, 5)];
        const c = sparse.mm(a, b);
        expect(c.isCoalesced()).toBe(true);
        const expected = new Map<number, number>();
        const byRow = new Map<number, [number, number][]>();
        const triples = (x: SparseTensor): (readonly [number, number, number])[] => {
          const [rows, cols] = x.pattern.coordinates;
          return x.storedValues.toFlatArray().map((value, k) => [rows[k], cols[k], value] as const);
        };
        for (const [row, column, value] of triples(b)) byRow.set(row, [...(byRow.get(row) ?? []), [column, value]]);
        for (const [row, middle, x] of triples(a))
          for (const [column, y] of byRow.get(middle) ?? [])
            expected.set(row * columns + column, (expected.get(row * columns + column) ?? 0) + x * y);
        expect(triples(c).map(([row, column, value]) => [row * columns + column, value])).toEqual(
          [...expected].sort(([p], [q]) => p - q),
        );
      }
    });
    it('products at a pattern only', () => {
      const mask = scattered(6, 7, 9).coalesce();
      const [a, b] = [floats(numbers(30, 2), [6, 5]), floats(numbers(35, 4), [5, 7])];
      const full = a.mm(b);
      const result = sparse.sampledAddmm(mask.toSparseCsr(), a, b, { beta: 0.5, alpha: 2 });
      expectTensor(
        result.values(),
        'float32',
        [mask.nnz()],
        sparse.sparseMask(full.mul(2), mask).values().add(mask.values().mul(0.5)).toFlatArray(),
      );
    });
    it('complex numbers', () => {
      const x = sparse.sparseCooTensor(places, complex(floats([1, 2, 3, 4]), floats([-1, 0.5, 2, 0])), [3, 3]);
      const d = floats(numbers(6), [3, 2]).to('complex64');
      expect(x.toDense().dtype).toBe('complex64');
      expect(sparse.mm(x, d).sub(x.toDense().mm(d)).abs().max().item()).toBeLessThan(1e-6);
    });
  });

describe('a matrix of 10^6 × 10^6 with 100 values', () => {
  const size = 1_000_000;
  const x = scattered(size, size, 100);

  it('takes memory for its values in every operation that gives a sparse tensor', () => {
    const before = process.memoryUsage();
    const results = [
      sparse.mm(x, sparse.t(x)),
      sparse.add(x, sparse.mul(x, 3)),
      sparse.mul(x, x),
      sparse.sin(x),
      sparse.softmax(x, 1),
      sparse.t(x),
      sparse.cat([x, x], 1),
      sparse.indexSelect(x, 0, tensor([1, 2, 3])),
      sparse.sum(x, 0) as SparseTensor,
    ];
    for (const result of results) {
      expect(result.nnz()).toBeLessThanOrEqual(200);
      expect(result.storedValues.toFlatArray().length).toBe(result.nnz());
    }
    const after = process.memoryUsage();
    const grown =
      after.heapUsed + after.arrayBuffers + after.external - (before.heapUsed + before.arrayBuffers + before.external);
    expect(grown).toBeLessThan(64 * 2 ** 20);
  });
  it('multiplies with itself as the closed form says', () => {
    // (x xᵀ)[i, i] is the sum of squares of row i.
    const squares = sparse.mm(x, sparse.t(x)).coalesce();
    const [rows, columns] = squares.pattern.coordinates;
    const own = x.coalesce();
    const sums = new Map<number, number>();
    own
      .values()
      .toFlatArray()
      .forEach((value, k) => {
        const row = own.pattern.coordinates[0][k];
        sums.set(row, (sums.get(row) ?? 0) + value * value);
      });
    const values = squares.values().toFlatArray();
    let diagonal = 0;
    rows.forEach((row, k) => {
      if (row !== columns[k]) return;
      diagonal++;
      expect(values[k]).toBeCloseTo(sums.get(row) ?? NaN, 5);
    });
    expect(diagonal).toBe(sums.size);
  });
  it('multiplies with a vector in memory for vectors', () => {
    const ones = fromArray(new Float32Array(size).fill(1), [size], 'float32');
    expect(sparse.mv(x, ones).sum().item()).toBeCloseTo((sparse.sum(x) as Tensor).item(), 4);
  });
});

describe('capture', () => {
  it('replays products with other values at the same places', () => {
    const x = repeated();
    const d = floats(numbers(6), [3, 2]);
    const step = compile((values: Tensor) => sparse.mm(x.withValues(values), d));
    for (const factor of [1, 2, 3])
      expectTensor(step(x.storedValues.mul(factor)), 'float32', [3, 2], x.toDense().mul(factor).mm(d).toFlatArray());
  });
});
