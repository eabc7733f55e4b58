/** Bad input: errors that name the operation, the operands and the cure, thrown where the user wrote them. */
import { deviceReport, hashKernel, KernelBuilder, verifyKernel } from '@proj/kernel';
import { NativeDevice } from '@proj/device-native';
import type { Tensor } from '@proj/tensor';
import {
  arange,
  cat,
  compile,
  fromArray,
  full,
  getDevice,
  ones,
  ProjError,
  rand,
  setDefaultDevice,
  tensor,
  zeros,
} from '@proj/tensor';
import { beforeAll, describe, expect, it } from 'vitest';

beforeAll(() => setDefaultDevice(getDevice('js')));

function errorOf(fn: () => unknown): ProjError {
  try {
    fn();
  } catch (error) {
    if (error instanceof ProjError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('mismatched shapes', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['addition', () => ones(2, 3).add(ones(4, 3)), /^add: .*\[2, 3\].*\[4, 3\]/],
    ['matmul', () => ones(2, 3).matmul(ones(4, 5)), /^matmul: .*3 and 4.*\[2, 3\].*\[4, 5\]/],
    ['bmm', () => ones(2, 3, 4).bmm(ones(3, 4, 5)), /^bmm: batch sizes differ/],
    ['cat', () => cat([ones(2, 3), ones(2, 4)]), /^cat: .*\[2, 3\].*\[2, 4\]/],
    ['reshape', () => ones(2, 3).reshape(4, 2), /^reshape: 6 elements do not fit shape \[4, 2\]/],
    ['expand', () => ones(2, 3).expand(3, 3), /^expand: .*\[3, 3\].*\[2, 3\]/],
    ['where', () => ones(3).gt(0).logicalAnd(ones(4).gt(0)), /^logicalAnd: .*\[3\].*\[4\]/],
    ['fromArray', () => fromArray([1, 2, 3], [2, 2]), /^fromArray: 3 elements for shape \[2, 2\]/],
    ['ragged data', () => tensor([[1, 2], [3]]), /^tensor: nested arrays of unequal length/],
    ['item', () => ones(2).item(), /^item: .*exactly one element.*toArray/],
    ['amax of nothing', () => zeros(0).amax(), /^amax: .*empty/],
  ])('%s', (_, fn, message) => {
    const error = errorOf(fn);
    expect(error.code).toBe('shape-mismatch');
    expect(error.message).toMatch(message);
  });

  it("are thrown when the operation is built, with the user's line on the stack and nothing computed", () => {
    const left = ones(2, 3);
    const written = (): Tensor => left.matmul(ones(4, 5)); // the user's line
    const error = errorOf(written);
    expect(error.stack).toMatch(/errors\.test\.ts:\d+/);
    expect(error.stack).toContain('written');
    expect([error.op, error.shapes, error.dtypes]).toEqual([
      'matmul',
      [
        [2, 3],
        [4, 5],
      ],
      ['float32', 'float32'],
    ]);
    expect(left.node.data).toBeNull();
  });
});

describe('unknown names', () => {
  it('of dtypes list those that exist', () => {
    expect(errorOf(() => fromArray([1], [1], 'float31' as never)).message).toMatch(/unknown dtype "float31".*float32/);
    expect(errorOf(() => ones(2, { dtype: 'double' as never }).realize()).message).toMatch(/unknown dtype "double"/);
    expect(errorOf(() => ones(2).to('complex63')).code).toBe('device-unavailable');
    expect(errorOf(() => tensor([1], { dtype: 'int' as never })).code).toBe('dtype');
    expect(errorOf(() => arange(3, { dtype: 'float' as never })).code).toBe('dtype');
    expect(errorOf(() => full([1], 0, { dtype: 'f32' as never })).code).toBe('dtype');
    expect(errorOf(() => ones(2).sum(0, { dtype: 'f64' as never })).code).toBe('dtype');
  });
  it('of devices list those that are registered', () => {
    const error = errorOf(() => ones(2, { device: 'cuda' }));
    expect(error.code).toBe('device-unavailable');
    expect(error.message).toMatch(/no device "cuda".*Known devices:.*js/);
    expect(errorOf(() => setDefaultDevice('tpu')).message).toMatch(/no device "tpu"/);
  });
  it('of operations on two devices', () => {
    const error = errorOf(() => ones(2, { device: 'js' }).add(ones(2, { device: 'wasm' })));
    expect(error.message).toMatch(/js and wasm|wasm and js/);
    expect(error.cure).toMatch(/\.to\(/);
  });
});

describe('arguments', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['a dim out of range', () => ones(2, 3).sum(2), /sum: dim 2 is out of range for 2 dimensions.*-2 … 1/],
    ['repeated dims', () => ones(2, 3).sum([0, 0]), /sum: dims \[0, 0\] repeat/],
    ['not a tensor', () => ones(2).add('1' as never), /a tensor or a number is needed, got string/],
    ['mean of integers', () => tensor([1, 2]).mean(), /mean of int64.*dtype/],
    ['bit operations on floats', () => ones(2).bitwiseAnd(ones(2)), /bitwiseAnd: bit operations on float32/],
    ['negating booleans', () => tensor([true]).neg(), /neg: .*logicalNot/],
    ['a range that goes nowhere', () => arange(0, 5, 0), /arange: no range from 0 to 5 by 0/],
    [
      'different dtypes in a product',
      () => ones(2, 2).matmul(ones(2, 2, { dtype: 'float64' })),
      /matmul: operands of float32 and float64/,
    ],
    ['a negative size', () => zeros(2, -3), /size -3/],
    ['a size to be found, of zeros', () => zeros([2, -1]), /^zeros: size -1/],
    ['a size to be found, of full', () => full([-1, 2], 1), /^full: size -1/],
    ['select beyond the end', () => ones(3).select(0, 3), /select: index 3 of a dimension of 3/],
    ['narrow beyond the end', () => ones(3).narrow(0, 2, 2), /narrow: elements 2 … 3 of a dimension of 3/],
    ['topk of more than there are', () => ones(3).topk(4), /topk: 4 of 3 elements/],
  ])('%s', (_, fn, message) => {
    expect(errorOf(fn).message).toMatch(message);
  });
});

describe.each(['js', 'wasm', 'native'])('indices out of range on %s', (name) => {
  const device = (): string => name;
  const available = ((): boolean => {
    try {
      getDevice(name);
      return true;
    } catch {
      return false;
    }
  })();
  const table = (): Tensor => arange(12, { dtype: 'float32', device: device() }).reshape(4, 3);
  const index = (...values: number[]): Tensor => tensor(values, { device: device() });
  it.skipIf(!available).each<[string, () => Tensor, number, number]>([
    ['indexSelect', () => table().indexSelect(0, index(0, 4)), 4, 4],
    ['indexSelect, negative', () => table().indexSelect(0, index(0, -1)), -1, 4],
    ['gather', () => table().gather(1, index(0, 1, 7).reshape(3, 1)), 12, 12],
    ['take', () => table().take(index(12)), 12, 12],
    ['rows by a tensor', () => table().index(index(1, 9)), 9, 4],
    [
      'scatter',
      () =>
        table()
          .reshape([-1])
          .scatter(0, index(1, 99), fromArray(Float32Array.of(1, 2), [2], 'float32', { device: device() })),
      12,
      12,
    ],
    [
      'indexAdd',
      () => table().indexAdd(0, index(5), fromArray(Float32Array.of(1, 2, 3), [1, 3], 'float32', { device: device() })),
      12,
      12,
    ],
    ['indexCopy in a fused kernel', () => table().exp().indexSelect(0, index(0, 40)).mul(2).sum(1), 40, 4],
  ])('%s', (_, fn, bad, bound) => {
    const error = errorOf(() => fn().toFlatArray());
    expect(error.code).toBe('index-out-of-range');
    expect(error.message).toContain(`index ${bad} is out of range for a dimension of ${bound}`);
  });
  it.skipIf(!available)('do no harm: what follows is computed', () => {
    expect(() => table().indexSelect(0, index(1000000000)).toFlatArray()).toThrow(/out of range/);
    expect(table().indexSelect(0, index(3)).toFlatArray()).toEqual([9, 10, 11]);
  });
});

describe('kernels and devices', () => {
  it('a kernel that does not verify is refused with what is wrong', () => {
    const b = new KernelBuilder('bad');
    const out = b.buffer('out', 'f32', 'write');
    const inner: { value?: ReturnType<typeof b.index> } = {};
    b.for(0, 4, 1, [], (i) => {
      inner.value = i;
    });
    // The loop's variable does not exist after the loop.
    b.store(out, inner.value ?? 0, b.constant(1, 'f32'));
    const error = errorOf(() => {
      const kernel = b.build();
      hashKernel(kernel);
      verifyKernel(kernel);
      getDevice('js').compile([kernel]);
    });
    expect(error.code).toBe('kernel-verification');
    expect(error.message).toMatch(/bad/);
  });
  const hasNative = deviceReport().some(({ name, available }) => name === 'native' && available);
  it.skipIf(!hasNative)('a CPU feature that is masked off or unknown is named, with those that remain', () => {
    const made = (features: string) => () =>
      new NativeDevice({ environment: { ...process.env, PROJ_CPU_FEATURES: features } });
    const unknown = errorOf(made('-avx1024'));
    expect(unknown.message).toMatch(/'-avx1024' in PROJ_CPU_FEATURES: unknown; the names are .*avx2/);
    if (process.arch === 'x64')
      expect(errorOf(made('-fma,+fma')).message).toMatch(/an earlier part of the list takes it away|does not have it/);
  });
  it('a disposed tensor says so when it is read', () => {
    const x = fromArray([1, 2], [2], 'float32', { device: 'js' });
    x.dispose();
    x.dispose();
    expect(errorOf(() => x.add(1).toFlatArray()).message).toMatch(/disposed/);
  });
});

describe('options that do not exist', () => {
  const odd = (options: object): never => options as never;
  it.each<[string, () => unknown, RegExp]>([
    ['tensor', () => tensor([1], odd({ requires_grad: true })), /tensor: .*Did you mean 'requiresGrad'/],
    ['tensor', () => tensor([1], 'float32' as never), /tensor: "float32" where an object of options belongs/],
    ['zeros', () => zeros([2], odd({ type: 'int32' })), /zeros: unknown option 'type'. Did you mean 'dtype'/],
    ['arange', () => arange(3, odd({ dtyp: 'int32' })), /arange: .*'dtype'/],
    [
      'rand',
      () => rand(3, odd({ seed: 1 })),
      /rand: unknown option 'seed'. Known are dtype, device, requiresGrad, gen/,
    ],
    ['sum', () => zeros(2).sum(0, odd({ keepDims: true })), /sum: .*Did you mean 'keepdim'/],
    ['add', () => zeros(2).add(1, odd({ alhpa: 2 })), /add: .*'alpha'/],
    ['topk', () => zeros(2).topk(1, odd({ descending: true })), /topk: unknown option 'descending'/],
    ['index', () => zeros(2).index('a' as never), /index: "a" where an object/],
    ['compile', () => compile(() => zeros(1), odd({ dynamic: true })), /compile: .*Known are onCapture, reuseOutputs/],
  ])('are refused by %s', (_, act, message) => {
    expect(act).toThrow(message);
  });
});

describe('values of the wrong kind', () => {
  const odd = (value: unknown): never => value as never;
  it.each<[string, () => unknown, RegExp]>([
    ['nothing', () => tensor(odd(undefined)), /tensor: undefined where a number or a boolean belongs/],
    ['a hole', () => tensor(odd([1, null])), /tensor: null where a number/],
    ['text', () => tensor(odd(['1'])), /tensor: "1" where a number/],
    ['an object', () => tensor(odd({ a: 1 })), /tensor: an object where a number/],
    ['no value', () => full([2], odd(undefined)), /full: the value is undefined/],
    ['a size as text', () => zeros(odd('3')), /size "3" in shape \["3"\]/],
    ['options instead of dims', () => zeros(2).sum(odd({ dim: 0 })), /sum: an object where a dim .*Write sum\(1\)/],
    ['no list', () => cat(odd(zeros(2))), /cat: a list of tensors is needed. Write cat\(\[a, b\]\)/],
    ['a number', () => zeros(2, 2).matmul(odd(2)), /matmul: both operands must be tensors. mul\(\)/],
    ['an unknown name', () => zeros(2).to('float'), /to: "float" is no dtype and no device.*Dtypes are float32/],
    ['no function', () => compile(odd(undefined)), /compile: undefined where a function belongs/],
    ['an operator', () => Number(zeros(1)), /a tensor is no number. Read it with item\(\)/],
  ])('are refused: %s', (_, act, message) => {
    expect(act).toThrow(message);
  });
  it('a tensor is text in text and its values in JSON', () => {
    expect(`${String(tensor([1]))}!`).toBe('tensor([1])!');
    expect(JSON.stringify({ loss: tensor(0.5), rows: tensor([[1, 2]]) })).toBe('{"loss":0.5,"rows":[[1,2]]}');
  });
});
