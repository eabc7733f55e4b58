/** Type promotion against tables that PyTorch 1.13.1 printed. One letter a dtype, in the order of DTYPES. */
import type { Tensor } from '@proj/tensor';
import {
  type DType,
  FloatScalar,
  full,
  getDevice,
  ones,
  promoteTypes,
  resultType,
  setDefaultDevice,
  tensor,
} from '@proj/tensor';
import { beforeAll, describe, expect, it } from 'vitest';

beforeAll(() => setDefaultDevice(getDevice('js')));

const DTYPES: readonly DType[] = [
  'bool',
  'uint8',
  'int8',
  'int16',
  'int32',
  'int64',
  'float16',
  'bfloat16',
  'float32',
  'float64',
];
const LETTERS = 'bucsilhwfd';
const named = (letters: string): string[] => [...letters].map((letter) => DTYPES[LETTERS.indexOf(letter)] ?? letter);
const letterOf = (dtype: DType): string => LETTERS[DTYPES.indexOf(dtype)];

const PROMOTE_TYPES = [
  'bucsilhwfd',
  'uussilhwfd',
  'cscsilhwfd',
  'ssssilhwfd',
  'iiiiilhwfd',
  'llllllhwfd',
  'hhhhhhhffd',
  'wwwwwwfwfd',
  'fffffffffd',
  'dddddddddd',
];
/** A tensor with dimensions and a 0-dim one. */
const WITH_0_DIM = [
  'bucsilhwfd',
  'uuuuuuhwfd',
  'cccccchwfd',
  'sssssshwfd',
  'iiiiiihwfd',
  'llllllhwfd',
  'hhhhhhhhhh',
  'wwwwwwwwww',
  'ffffffffff',
  'dddddddddd',
];
/** A tensor and true, 1, 1.5. */
const WITH_NUMBERS = ['blf', 'uuf', 'ccf', 'ssf', 'iif', 'llf', 'hhh', 'www', 'fff', 'ddd'];

describe('promotion', () => {
  it.each(DTYPES.map((dtype, i) => [dtype, i] as const))('of %s with each dtype', (dtype, i) => {
    expect(DTYPES.map((other) => promoteTypes(dtype, other))).toEqual(named(PROMOTE_TYPES[i]));
  });
  it.each(DTYPES.map((dtype, i) => [dtype, i] as const))(
    'of a %s tensor with 0-dim tensors and numbers',
    (dtype, i) => {
      const x = ones(2, { dtype });
      expect(DTYPES.map((other) => x.mul(full([], 1, { dtype: other })).dtype)).toEqual(named(WITH_0_DIM[i]));
      expect(DTYPES.map((other) => full([], 1, { dtype: other }).mul(x).dtype)).toEqual(named(WITH_0_DIM[i]));
      for (const y of [x, full([], 1, { dtype })])
        expect([true, 1, 1.5].map((value) => y.mul(value).dtype)).toEqual(named(WITH_NUMBERS[i]));
      expect(x.mul(1n).dtype).toBe(named(WITH_NUMBERS[i])[1]);
      expect(x.mul(new FloatScalar(2)).dtype).toBe(named(WITH_NUMBERS[i])[2]);
      expect(resultType(x, 1.5)).toBe(named(WITH_NUMBERS[i])[2]);
    },
  );

  it.each<[string, (x: Tensor) => Tensor, string]>([
    ['sum', (x) => x.sum(), 'llllllhwfd'],
    ['mean', (x) => x.mean(), '!!!!!!hwfd'],
    ['sqrt', (x) => x.sqrt(), 'ffffffhwfd'],
    ['true division', (x) => x.div(x), 'ffffffhwfd'],
    ['floor division', (x) => x.div(x, { roundingMode: 'floor' }), '?ucsilhwfd'],
    ['comparison', (x) => x.eq(x), 'bbbbbbbbbb'],
    ['cumsum', (x) => x.cumsum(0), 'llllll?wfd'],
    ['square', (x) => x.pow(2), 'lucsilhwfd'],
    ['root by power', (x) => x.pow(0.5), 'ffffffhwfd'],
    ['negation', (x) => x.neg(), '!ucsilhwfd'],
    ['subtraction', (x) => x.sub(x), '!ucsilhwfd'],
    ['addition', (x) => x.add(x), 'bucsilhwfd'],
    ['argmax', (x) => x.argmax(), '!lllllllll'],
    ['amax', (x) => x.amax(), 'bucsilhwfd'],
    ['any', (x) => x.any(), 'bubbbbbbbb'],
    ['bitwise and', (x) => x.bitwiseAnd(x), 'bucsil!!!!'],
    ['prod', (x) => x.prod(), 'llllll??fd'],
    ['var', (x) => x.var(), '!!!!!!hwfd'],
  ])('of the result of %s', (_, f, expected) => {
    const found = DTYPES.map((dtype) => {
      try {
        return letterOf(f(ones(2, 2, { dtype })).dtype);
      } catch {
        return '!';
      }
    });
    expect(found.map((letter, i) => (expected[i] === '?' ? '?' : letter)).join('')).toBe(expected);
  });

  it('of data: whole numbers are int64, others float32, booleans bool', () => {
    expect([
      tensor([1, 2]).dtype,
      tensor([1, 2.5]).dtype,
      tensor([true]).dtype,
      tensor(3).dtype,
      tensor([new FloatScalar(1)]).dtype,
      tensor([]).dtype,
    ]).toEqual(['int64', 'float32', 'bool', 'int64', 'float32', 'float32']);
  });

  it('in place keeps the dtype of what is written, and refuses a higher category', () => {
    expect(ones(2, { dtype: 'float16' }).add_(full([2], 1, { dtype: 'float64' })).dtype).toBe('float16');
    expect(() => ones(2, { dtype: 'int64' }).add_(0.5)).toThrow(/float32 cannot be stored in a int64/);
    expect(() => ones(2, { dtype: 'int32' }).div_(2)).toThrow(/cannot be stored/);
    expect(() => ones(2, { dtype: 'bool' }).add_(1)).toThrow(/cannot be stored/);
  });

  it('the factor of a sum is multiplied in the dtype of the sum', () => {
    const bytes = tensor([3, 200], { dtype: 'uint8' });
    expect(ones(2).add(bytes, { alpha: -1 }).toFlatArray()).toEqual([-2, -199]);
    expect(ones(2, { dtype: 'int64' }).sub(bytes, { alpha: 300 }).toFlatArray()).toEqual([-899, -59999]);
  });

  it('numbers beyond 32 bits stay exact in int64, and throw where JavaScript cannot hold them', () => {
    const big = tensor([2n ** 62n, -(2n ** 53n) - 1n]);
    expect(Array.from(big.add(1).toTypedArray() as BigInt64Array)).toEqual([2n ** 62n + 1n, -(2n ** 53n)]);
    expect(() => big.toFlatArray()).toThrow(/not exact.*toTypedArray/);
  });
});
