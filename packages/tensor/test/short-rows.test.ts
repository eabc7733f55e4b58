/** Rows of every short length on every device, against plain loops over numbers: maps, windows, and rows whose elements are repeated. */
import '@proj/device-native';
import { deviceReport, getDevice } from '@proj/kernel';
import { arange, type Tensor, tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';

const devices = deviceReport().flatMap(({ name, available }) => (available ? [name] : []));
for (const { name, available, detail } of deviceReport()) if (!available) it.skip(`short rows on ${name}: ${detail}`);
const LENGTHS = [2, 3, 5, 7, 10, 14, 15, 17, 20, 23, 28, 31, 40];
const ROWS = 6;

describe.each(devices)('short rows on %s', (name) => {
  const device = getDevice(name);
  /** Of shape [3, 2, n]: a part of longer rows, so that no two dimensions can be walked as one. */
  const rowsOf = (n: number): Tensor =>
    arange(ROWS * (n + 3), { dtype: 'float32', device })
      .reshape([3, 2, n + 3])
      .slice(2, 1, n + 1);
  const element = (n: number, row: number, i: number): number => row * (n + 3) + 1 + i;
  const expected = (n: number, value: (row: number, i: number) => number): number[] =>
    Array.from({ length: ROWS * n }, (_, at) => value(Math.floor(at / n), at % n));
  const steps = tensor([[10], [20]], { dtype: 'float32', device });
  const step = (row: number): number => (row % 2 === 0 ? 10 : 20);

  it('maps', () => {
    for (const n of LENGTHS) {
      const result = rowsOf(n).mul(2).add(steps);
      expect(result.toFlatArray(), `rows of ${n}`).toEqual(expected(n, (row, i) => 2 * element(n, row, i) + step(row)));
    }
  });

  it('maps in place', () => {
    for (const n of LENGTHS) {
      const x = rowsOf(n).clone().realize();
      for (let turn = 0; turn < 3; turn++) x.mul_(-2).add_(steps).realize();
      expect(x.toFlatArray(), `rows of ${n}`).toEqual(expected(n, (row, i) => -8 * element(n, row, i) + 3 * step(row)));
    }
  });

  it('reduces windows', () => {
    for (const n of LENGTHS) {
      const windows = rowsOf(n + 2).unfold(2, 3, 1);
      const [sums, most, last] = [windows.sum(-1), windows.amax(-1), windows.neg().argmin(-1)];
      const first = (row: number, i: number): number => element(n + 2, row, i);
      expect(sums.toFlatArray(), `sums of ${n}`).toEqual(expected(n, (row, i) => 3 * first(row, i) + 3));
      expect(most.toFlatArray(), `most of ${n}`).toEqual(expected(n, (row, i) => first(row, i) + 2));
      expect(last.toFlatArray().map(Number), `places of ${n}`).toEqual(expected(n, () => 2));
    }
  });

  it('reads elements several times over', () => {
    for (const n of LENGTHS) {
      for (const times of [2, 3, 4]) {
        const repeated = rowsOf(n)
          .unsqueeze(-1)
          .expand(3, 2, n, times)
          .reshape([3, 2, n * times]);
        expect(repeated.add(steps).toFlatArray(), `${times} times rows of ${n}`).toEqual(
          expected(n * times, (row, i) => element(n, row, Math.floor(i / times)) + step(row)),
        );
      }
    }
  });
});
