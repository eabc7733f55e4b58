import { describe, expect, test } from 'vitest';
import {
  buildKernel,
  embedConstants,
  hashKernel,
  KernelBuilder,
  printKernel,
  vectorLoop,
  verifyKernel,
  type Kernel,
} from '../src/index.ts';

const body = (kernel: Kernel): string[] =>
  printKernel(kernel)
    .split('\n')
    .slice(1, -1)
    .map((line) => line.trim());
const lines = (build: (b: KernelBuilder) => void): string[] => body(buildKernel('k', build));

test('prints a kernel as one can read it', () => {
  const kernel = buildKernel('axpy', (b) => {
    const x = b.buffer('x', 'f32');
    const y = b.buffer('y', 'f32', 'readwrite');
    const a = b.scalar('a', 'f32');
    vectorLoop(b, b.begin, b.end, 8, (i, lanes) =>
      b.store(y, i, b.mulAdd(a, b.load(x, i, lanes), b.load(y, i, lanes))),
    );
  });
  expect(printKernel(kernel)).toMatchInlineSnapshot(`
    "kernel axpy(x: read f32[], y: readwrite f32[], a: f32) {
      %0: f32 = param a
      %1: index = builtin begin
      %2: index = builtin end
      %3: index = sub %2, %1
      %4: index = div %3, index 8
      %5: index = mul %4, index 8
      %6: index = add %1, %5
      %7: f32x8 = splat %0
      for %8 = %1 to %6 step 8 {
        %9: f32x8 = load x[%8]
        %10: f32x8 = load y[%8]
        %11: f32x8 = mulAdd %7, %9, %10
        y[%8] = %11
      }
      for %12 = %6 to %2 step 1 {
        %13: f32 = load x[%12]
        %14: f32 = load y[%12]
        %15: f32 = mulAdd %0, %13, %14
        y[%12] = %15
      }
    }"
  `);
});

test('prints loops with carried values, branches, masks and locals', () => {
  const kernel = buildKernel('statements', (b) => {
    const x = b.buffer('x', 'f32');
    const flags = b.buffer('flags', 'bool');
    const out = b.buffer('out', 'f32', 'write');
    const scratch = b.local('scratch', 'f32', 16);
    const [sum] = b.for(0, 10, 2, [b.constant(0, 'f32')], (i, acc) => [b.add(acc, b.load(x, i))]);
    b.if(
      b.load(flags, 0),
      () => b.store(out, 0, sum),
      () => b.prefetch(x, 64),
    );
    const mask = b.lt(b.load(x, 0, 4), 1);
    b.store(scratch, 4, b.load(x, 4, 4, mask), mask);
    b.scatter(
      out,
      b.cast(b.iota('i32', 4), 'index'),
      b.shuffle(b.load(scratch, 4, 4), b.load(scratch, 8, 4), [0, 4, 1, 5]),
    );
  });
  expect(printKernel(kernel)).toMatchInlineSnapshot(`
    "kernel statements(x: read f32[], flags: read bool[], out: write f32[]) {
      local scratch0: f32[16]
      for %1 = index 0 to index 10 step 2 carrying %0: f32 = f32 0 {
        %2: f32 = load x[%1]
        %3: f32 = add %0, %2
        next %3
      } giving %4
      %5: bool = load flags[index 0]
      if %5 {
        out[index 0] = %4
      } else {
        prefetch x[index 64]
      }
      %6: f32x4 = load x[index 0]
      %7: boolx4 = lt %6, f32x4 1
      %8: f32x4 = load x[index 4] where %7
      scratch0[index 4] = %8 where %7
      %9: i32x4 = iota
      %10: indexx4 = cast %9
      %11: f32x4 = load scratch0[index 4]
      %12: f32x4 = load scratch0[index 8]
      %13: f32x4 = shuffle %11, %12 [0 4 1 5]
      scatter out[%10] = %13
    }"
  `);
});

test('prints constants with their bytes, which tell kernels apart', () => {
  const kernel = (bytes: readonly number[]): Kernel =>
    buildKernel('constants', (b) => {
      const x = b.table('x', 'u16', Uint8Array.from(bytes));
      b.store(b.buffer('out', 'u16', 'write'), 0, b.load(x, 1));
    });
  expect(printKernel(kernel([1, 2, 254, 255]))).toMatchInlineSnapshot(`
    "kernel constants(out: write u16[]) {
      constant x0: u16[2] = 0102feff
      %0: u16 = load x0[index 1]
      out[index 0] = %0
    }"
  `);
  expect(hashKernel(kernel([1, 2, 254, 255]))).toBe(hashKernel(kernel([1, 2, 254, 255])));
  expect(hashKernel(kernel([1, 2, 254, 254]))).not.toBe(hashKernel(kernel([1, 2, 254, 255])));
});

describe('embedding', () => {
  const add = buildKernel('add', (b) => {
    const [x, n, y, out] = [
      b.buffer('x', 'f32'),
      b.scalar('n', 'i32'),
      b.buffer('y', 'f32'),
      b.buffer('out', 'f32', 'write'),
    ];
    b.prefetch(y, 64);
    b.store(out, b.cast(n, 'index'), b.add(b.load(x, 0), b.load(y, 1)));
  });
  test('a buffer becomes a constant, and the other parameters move up', () => {
    const y = new Uint8Array(Float32Array.of(1, 2.5).buffer);
    const kernel = embedConstants(add, new Map([['y', y]]), 'add y');
    verifyKernel(kernel);
    expect(printKernel(kernel)).toMatchInlineSnapshot(`
      "kernel add y(x: read f32[], n: i32, out: write f32[]) {
        constant y0: f32[2] = 0000803f00002040
        %0: i32 = param n
        %1: index = cast %0
        %2: f32 = load x[index 0]
        %3: f32 = load y0[index 1]
        %4: f32 = add %2, %3
        out[%1] = %4
      }"
    `);
  });
  test('what cannot be built in is named', () => {
    const embed = (name: string, bytes: number) => (): unknown =>
      embedConstants(add, new Map([[name, new Uint8Array(bytes)]]));
    expect(embed('z', 4)).toThrow(/kernel add: there is no parameter z/);
    expect(embed('out', 4)).toThrow(/parameter out is no read-only buffer/);
    expect(embed('n', 4)).toThrow(/parameter n is no read-only buffer/);
    expect(embed('x', 5)).toThrow(/5 bytes are no whole elements of x, which are f32/);
  });
});

describe('folding', () => {
  const folded = (build: (b: KernelBuilder) => ReturnType<KernelBuilder['add']>): unknown =>
    build(new KernelBuilder('k')).constant;
  test('arithmetic has the width of its type', () => {
    expect(folded((b) => b.add(b.constant(0x7fffffff, 'i32'), 1))).toBe(-0x80000000);
    expect(folded((b) => b.mul(b.constant(0x10001, 'i32'), 0x10001))).toBe(0x20001);
    expect(folded((b) => b.sub(b.constant(0, 'u8'), 1))).toBe(255);
    expect(folded((b) => b.add(b.constant(2n ** 63n - 1n, 'i64'), 1n))).toBe(-(2n ** 63n));
    expect(folded((b) => b.add(b.constant(0.1, 'f32'), 0.2))).toBe(Math.fround(Math.fround(0.1) + Math.fround(0.2)));
    expect(folded((b) => b.shl(b.constant(1, 'i32'), 33))).toBe(2);
    expect(folded((b) => b.shr(b.constant(-8, 'i8'), 1))).toBe(-4);
    expect(folded((b) => b.shr(b.constant(0x80000000, 'u32'), 31))).toBe(1);
    expect(folded((b) => b.round(b.constant(2.5, 'f64')))).toBe(2);
    expect(folded((b) => b.round(b.constant(-0.5, 'f64')))).toBe(-0);
    expect(folded((b) => b.neg(b.constant(0, 'index')))).toBe(0);
  });
  test('casts do what they do when they run', () => {
    const cast = (
      value: number | bigint | boolean,
      from: 'f32' | 'i32' | 'i64' | 'bool' | 'f64',
      to: Parameters<KernelBuilder['cast']>[1],
    ): unknown => folded((b) => b.cast(b.constant(value, from), to));
    expect(cast(300, 'f32', 'u8')).toBe(255);
    expect(cast(300, 'i32', 'u8')).toBe(44);
    expect(cast(-1, 'f32', 'u32')).toBe(0);
    expect(cast(NaN, 'f32', 'i32')).toBe(0);
    expect(cast(NaN, 'f32', 'bool')).toBe(true);
    expect(cast(Infinity, 'f64', 'i64')).toBe(2n ** 63n - 1n);
    expect(cast(2n ** 53n + 2n ** 30n + 1n, 'i64', 'f32')).toBe(Math.fround(2 ** 53 + 2 ** 30 + 2));
    expect(cast(2049, 'f32', 'f16')).toBe(2048);
    expect(cast(1 + 2 ** -8, 'f32', 'bf16')).toBe(1);
    expect(cast(true, 'bool', 'f32')).toBe(1);
  });
  test('a division by zero is left alone', () => {
    expect(folded((b) => b.div(b.constant(1, 'i32'), 0))).toBeUndefined();
  });
});

describe('simplification keeps what floats distinguish', () => {
  test.each(['f32', 'f64'] as const)('%s: x - 0 and x · 1 are x, x + 0 and x · 0 are not', (type) => {
    const b = new KernelBuilder('k');
    const x = b.scalar('x', type);
    expect(b.sub(x, 0)).toBe(x);
    expect(b.mul(x, 1)).toBe(x);
    expect(b.add(x, 0)).not.toBe(x);
    expect(b.mul(x, 0).op).toBe('mul');
  });
  test('integers: x + 0, x · 1, x · 0, x << 0, x & x', () => {
    const b = new KernelBuilder('k');
    const x = b.scalar('x', 'i32');
    expect([b.add(x, 0), b.mul(1, x), b.shl(x, 0), b.and(x, x)]).toEqual([x, x, x, x]);
    expect(b.mul(x, 0).constant).toBe(0);
  });
  test('select of a constant condition and of equal values is as wide as its condition', () => {
    const b = new KernelBuilder('k');
    const x = b.scalar('x', 'f32');
    const wide = b.splat(b.constant(true, 'bool'), 4);
    expect(b.select(wide, x, b.constant(0, 'f32')).type.lanes).toBe(4);
    const mask = b.lt(b.splat(x, 4), 1);
    expect(b.select(mask, x, x).type.lanes).toBe(4);
  });
});

describe('common subexpressions', () => {
  test('equal values are one value; loads from written memory are not merged', () => {
    expect(
      lines((b) => {
        const x = b.buffer('x', 'f32');
        const y = b.buffer('y', 'f32', 'readwrite');
        b.store(y, 0, b.add(b.load(x, 0), b.load(x, 0)));
        b.store(y, 1, b.add(b.load(y, 0), b.load(y, 0)));
      }),
    ).toEqual([
      '%0: f32 = load x[index 0]',
      '%1: f32 = add %0, %0',
      'y[index 0] = %1',
      '%2: f32 = load y[index 0]',
      '%3: f32 = load y[index 0]',
      '%4: f32 = add %2, %3',
      'y[index 1] = %4',
    ]);
  });
  test('0 and -0 are different constants', () => {
    const b = new KernelBuilder('k');
    expect(b.constant(0, 'f32')).not.toBe(b.constant(-0, 'f32'));
    expect(b.constant(0, 'f32')).toBe(b.constant(0, 'f32'));
  });
});

describe('hoisting', () => {
  test('what does not depend on the loop is computed before it', () => {
    const text = lines((b) => {
      const y = b.buffer('y', 'f32', 'write');
      const a = b.scalar('a', 'f32');
      b.for(0, 10, 1, [], (i) =>
        b.for(0, 10, 1, [], (j) => b.store(y, b.add(i, j), b.sqrt(b.add(a, b.cast(i, 'f32'))))),
      );
    });
    const at = (part: string): number => text.findIndex((line) => line.includes(part));
    expect(text.filter((line) => line.startsWith('for '))).toHaveLength(2);
    expect(at('for ')).toBeLessThan(at('sqrt'));
    expect(at('sqrt')).toBeLessThan(text.findLastIndex((line) => line.startsWith('for ')));
  });
  test('loads and divisions that may fault stay where they are written', () => {
    const text = lines((b) => {
      const x = b.buffer('x', 'i32');
      const y = b.buffer('y', 'i32', 'write');
      const d = b.scalar('d', 'i32');
      b.if(b.ne(d, 0), () => {
        b.store(y, 0, b.div(b.load(x, 5), d));
        b.store(y, 1, b.div(d, 3));
      });
    });
    const branch = text.findIndex((line) => line.startsWith('if'));
    expect(text.findIndex((line) => line.includes('load x'))).toBeGreaterThan(branch);
    expect(text.findIndex((line) => line.includes('div %3, %0') || / div %\d+, %0$/.test(line))).toBeGreaterThan(
      branch,
    );
    expect(text.findIndex((line) => line.includes('div %0, i32 3'))).toBeLessThan(branch);
  });
});

describe('half floats', () => {
  test('a cast to or from f16 goes through f32', () => {
    expect(
      lines((b) => {
        const x = b.buffer('x', 'f16');
        const y = b.buffer('y', 'bf16', 'write');
        b.store(y, 0, b.cast(b.load(x, 0), 'bf16'));
      }),
    ).toEqual(['%0: f16 = load x[index 0]', '%1: f32 = cast %0', '%2: bf16 = cast %1', 'y[index 0] = %2']);
  });
});

describe('shuffles of one lane', () => {
  test('are extracts and splats', () => {
    const b = new KernelBuilder('k');
    const x = b.scalar('x', 'f32');
    const y = b.scalar('y', 'f32');
    expect(b.shuffle(x, y, [1])).toBe(y);
    expect(b.shuffle(x, y, [1, 0]).type.lanes).toBe(2);
    expect(b.shuffle(b.splat(x, 4), b.splat(y, 4), [6])).toBe(y);
  });
});

describe('what the builder refuses', () => {
  const refuses = (build: (b: KernelBuilder) => void, message: RegExp): void =>
    expect(() => buildKernel('bad', build)).toThrow(message);
  test('mixed types, read-only stores, wrong bodies', () => {
    refuses((b) => b.add(b.constant(1, 'f32'), b.constant(1, 'i32')), /kernel bad: add of f32 and i32: cast one/);
    refuses((b) => b.store(b.buffer('x', 'f32'), 0, b.constant(1, 'f32')), /read-only/);
    refuses((b) => b.store(b.buffer('x', 'f32', 'write'), 0, b.constant(1, 'i32')), /store of i32 into x/);
    refuses((b) => b.for(0, 4, 0, [], () => undefined), /loop step 0/);
    refuses((b) => b.for(0, 4, 1, [b.constant(0, 'f32')], () => []), /returns 0 values for 1/);
    refuses((b) => b.for(0, 4, 1, [b.constant(0, 'f32')], () => [b.constant(0, 'i32')]), /carried value 0 is f32/);
    refuses((b) => b.dot4(b.constant(0, 'i32'), b.iota('u8', 8), b.iota('i8', 8)), /dot4/);
    refuses((b) => b.splat(b.iota('i32', 2), 4), /splat/);
    refuses((b) => b.add(1, 2), /bare constants/);
    refuses((b) => b.shuffle(b.iota('i32', 2), b.iota('i32', 2), [0, 4]), /shuffle pattern/);
  });
});

describe('hash', () => {
  const kernel = (name: string, c: number): Kernel =>
    buildKernel(name, (b) => b.store(b.buffer('y', 'f32', 'write'), b.begin, b.constant(c, 'f32')));
  test('is that of the code, not of the name', () => {
    expect(hashKernel(kernel('a', 1))).toBe(hashKernel(kernel('b', 1)));
    expect(hashKernel(kernel('a', 1))).not.toBe(hashKernel(kernel('a', 2)));
    expect(hashKernel(kernel('a', 0))).not.toBe(hashKernel(kernel('a', -0)));
    expect(hashKernel(kernel('a', 1))).toMatch(/^[0-9a-f]{28}$/);
  });
});

describe('vectorLoop', () => {
  test('covers a range with a tail of single elements', () => {
    const text = lines((b) => {
      const y = b.buffer('y', 'f32', 'write');
      vectorLoop(b, 0, 11, 4, (i, lanes) => b.store(y, i, b.splat(b.constant(1, 'f32'), lanes)));
    });
    expect(text[0]).toBe('for %0 = index 0 to index 8 step 4 {');
    expect(text[3]).toBe('for %1 = index 8 to index 11 step 1 {');
  });
});
