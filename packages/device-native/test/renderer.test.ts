/** Every operation of the kernel language, on every type and on every processor level of this machine, against the `js` reference. */
import {
  buildKernel,
  isFloat,
  JsDevice,
  SCALARS,
  valueType,
  verifyKernel,
  type BinaryOp,
  type CompareOp,
  type Kernel,
  type KernelBuilder,
  type ScalarType,
  type UnaryOp,
  type Value,
} from '@proj/kernel';
import { describe, expect, test } from 'vitest';
import type { NativeDevice } from '../src/index.ts';
import { describeNative, hasLlvm, levels, nativeDevice, random, runKernel } from './support.ts';

const COUNT = 64;
const NUMBERS = ['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'i64', 'f32', 'f64'] as const;
const FLOAT_UNARY: readonly UnaryOp[] = ['neg', 'abs', 'sqrt', 'floor', 'ceil', 'trunc', 'round'];
const INTEGER_UNARY: readonly UnaryOp[] = ['neg', 'abs', 'not', 'popcount'];
const FLOAT_BINARY: readonly BinaryOp[] = ['add', 'sub', 'mul', 'div', 'min', 'max'];
const INTEGER_BINARY: readonly BinaryOp[] = [
  'add',
  'sub',
  'mul',
  'div',
  'rem',
  'min',
  'max',
  'and',
  'or',
  'xor',
  'shl',
  'shr',
];
const COMPARES: readonly CompareOp[] = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'];

/** Awkward numbers first, then random ones over the whole range of the type. */
function samples(type: ScalarType, count: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(count * SCALARS[type].bytes);
  const view = new DataView(bytes.buffer);
  const next = random(seed);
  const floats = [
    0,
    -0,
    1,
    -1,
    0.5,
    1.5,
    2.5,
    -2.5,
    NaN,
    Infinity,
    -Infinity,
    1e-42,
    2147483648,
    -2147483649,
    4294967296,
    3e38,
    255.7,
    -128.9,
    65504,
    1e10,
  ];
  for (let i = 0; i < count; i++) {
    const float = floats[(i * 7 + seed) % floats.length] ?? 0;
    switch (type) {
      case 'f32':
        view.setFloat32(i * 4, i % 3 === 0 ? float : (next() - 0.5) * 2 ** Math.floor(next() * 40 - 8), true);
        break;
      case 'f64':
        view.setFloat64(i * 8, i % 3 === 0 ? float : (next() - 0.5) * 2 ** Math.floor(next() * 70 - 8), true);
        break;
      case 'bool':
        bytes[i] = next() < 0.5 ? 0 : 1;
        break;
      case 'f16':
      case 'bf16':
        view.setUint16(i * 2, next() * 65536, true);
        break;
      default:
        for (let at = 0; at < SCALARS[type].bytes; at++)
          bytes[i * SCALARS[type].bytes + at] = i % 5 === 0 ? 0 : i % 5 === 1 ? 255 : next() * 256;
    }
  }
  return bytes;
}

/** Every NaN as one NaN: which one comes out is nobody's promise. */
function canonical(type: ScalarType, bytes: Uint8Array): (number | bigint)[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = SCALARS[type].bytes;
  return Array.from({ length: bytes.length / size }, (_, i) => {
    switch (type) {
      case 'f32':
        return view.getFloat32(i * 4, true);
      case 'f64':
        return view.getFloat64(i * 8, true);
      case 'f16': {
        const bits = view.getUint16(i * 2, true);
        return (bits & 0x7fff) > 0x7c00 ? NaN : bits;
      }
      case 'bf16': {
        const bits = view.getUint16(i * 2, true);
        return (bits & 0x7fff) > 0x7f80 ? NaN : bits;
      }
      case 'i64':
        return view.getBigInt64(i * 8, true);
      case 'i32':
        return view.getInt32(i * 4, true);
      default:
        return size === 1 ? (bytes[i] ?? 0) : size === 2 ? view.getUint16(i * 2, true) : view.getUint32(i * 4, true);
    }
  });
}

/** A kernel that writes result r of item i at `r · COUNT + i`; gives it with the types of its results. */
function table(
  name: string,
  inputs: readonly ScalarType[],
  lanes: number,
  rows: (b: KernelBuilder, inputs: readonly Value[], at: Value) => Value[],
): { kernel: Kernel; results: ScalarType[] } {
  const results: ScalarType[] = [];
  const kernel = buildKernel(name, (b) => {
    const memories = inputs.map((type, i) => b.buffer(`in${i}`, type));
    const types = probe(inputs, lanes, rows);
    const outputs = types.map((type, i) => b.buffer(`out${i}`, type, 'write'));
    b.for(b.begin, b.end, lanes, [], (i) => {
      const values = rows(
        b,
        memories.map((memory) => b.load(memory, i, lanes)),
        i,
      );
      values.forEach((value, r) => b.store(outputs[r] ?? outputs[0]!, i, value)); // one output for each row
    });
    results.push(...types);
  });
  verifyKernel(kernel);
  return { kernel, results };
}

function probe(
  inputs: readonly ScalarType[],
  lanes: number,
  rows: (b: KernelBuilder, inputs: readonly Value[], at: Value) => Value[],
): ScalarType[] {
  const types: ScalarType[] = [];
  buildKernel('probe', (b) => {
    const memories = inputs.map((type, i) => b.buffer(`in${i}`, type));
    types.push(
      ...rows(
        b,
        memories.map((memory) => b.load(memory, b.begin, lanes)),
        b.begin,
      ).map((value) => value.type.scalar),
    );
  });
  return types;
}

function expectSame(
  native: NativeDevice,
  js: JsDevice,
  { kernel, results }: { kernel: Kernel; results: ScalarType[] },
  inputs: readonly ScalarType[],
): void {
  const memories = [
    ...inputs.map((type, i) => samples(type, COUNT, i * 17 + 3)),
    ...results.map((type) => new Uint8Array(COUNT * SCALARS[type].bytes)),
  ];
  const expected = runKernel(js, kernel, memories, [], COUNT);
  const actual = runKernel(native, kernel, memories, [], COUNT);
  results.forEach((type, r) => {
    expect(canonical(type, actual[inputs.length + r] ?? new Uint8Array()), `${kernel.name}, result ${r}`).toEqual(
      canonical(type, expected[inputs.length + r] ?? new Uint8Array()),
    );
  });
}

if (!hasLlvm) describeNative('the llvm target', () => undefined);
describe.each(hasLlvm ? levels : [])('the llvm target on %s', (level) => {
  const native = nativeDevice({ PROJ_CPU_FEATURES: level });
  const js = new JsDevice({ mulAdd: native.features.fused ? 'fused' : 'separate' });

  test('the device has the level', () => {
    expect(native.cpu.level).toBe(level);
    expect(native.features.vectorBytes).toBe({ avx512: 64, avx2: 32, baseline: 16, neon: 16 }[level]);
  });

  describe.each([1, 4, 16])('%i lanes', (lanes) => {
    test.each(NUMBERS)('arithmetic of %s', (type) => {
      const float = isFloat(type);
      const one = (b: KernelBuilder): Value => b.constant(1, type);
      expectSame(
        native,
        js,
        table(`arithmetic ${type}`, [type, type, type], lanes, (b, [x, y, z]) => {
          if (x === undefined || y === undefined || z === undefined) return [];
          const guarded = float ? y : b.select(b.eq(y, 0), one(b), y);
          return [
            ...(float ? FLOAT_UNARY : INTEGER_UNARY).map((op) => b.unary(op, x)),
            ...(float ? FLOAT_BINARY : INTEGER_BINARY).map((op) =>
              b.binary(op, x, op === 'div' || op === 'rem' ? guarded : y),
            ),
            ...COMPARES.map((op) => b.compare(op, x, y)),
            b.compare('eq', x, x),
            b.mulAdd(x, y, z),
            b.select(b.lt(x, y), z, x),
            b.select(b.and(b.lt(x, y), b.not(b.gt(z, x))), z, y),
            b.binary('div', x, 3),
          ];
        }),
        [type, type, type],
      );
    });

    test.each([...NUMBERS, 'bool', 'f16', 'bf16'] as const)('casts of %s to every type', (type) => {
      const targets: readonly ScalarType[] = [...NUMBERS, 'bool', 'f16', 'bf16'];
      expectSame(
        native,
        js,
        table(`casts ${type}`, [type], lanes, (b, [x]) =>
          x === undefined ? [] : targets.map((target) => b.cast(x, target)),
        ),
        [type],
      );
    });

    test('bit casts, splats, sequences, lanes and shuffles', () => {
      expectSame(
        native,
        js,
        table('lanes', ['f32', 'f64', 'u32', 'i32'], lanes, (b, [x, y, z, w]) => {
          if (x === undefined || y === undefined || z === undefined || w === undefined) return [];
          const reversed = Array.from({ length: lanes }, (_, lane) => lanes - 1 - lane);
          const zipped = Array.from({ length: lanes }, (_, lane) => (lane % 2 === 0 ? lane : lanes + lane));
          return [
            b.bitcast(x, 'u32'),
            b.bitcast(x, 'i32'),
            b.bitcast(z, 'f32'),
            b.bitcast(y, 'i64'),
            b.bitcast(w, 'u32'),
            b.add(b.iota('i32', lanes), w),
            b.mul(b.iota('f32', lanes), x),
            b.splat(b.extract(x, lanes - 1), lanes),
            b.shuffle(x, x, reversed),
            b.shuffle(z, b.not(z), zipped),
          ];
        }),
        ['f32', 'f64', 'u32', 'i32'],
      );
    });
  });

  test.each(['i32', 'u8', 'i64', 'f32', 'f64'] as const)('horizontal reductions of %s combine halves', (type) => {
    for (const lanes of [2, 4, 8, 16, 32]) {
      expectSame(
        native,
        js,
        table(`reduce ${type} ${lanes}`, [type], lanes, (b, [x]) =>
          x === undefined
            ? []
            : (['reduceAdd', 'reduceMul', 'reduceMin', 'reduceMax'] as const).map((op) =>
                b.splat(b.horizontal(op, x), lanes),
              ),
        ),
        [type],
      );
    }
  });

  test('dot4 is exact at the extremes of its bytes', () => {
    for (const lanes of [1, 2, 4, 8, 16]) {
      const kernel = buildKernel(`dot${lanes}`, (b) => {
        const [acc, x, y, out] = [
          b.buffer('acc', 'i32'),
          b.buffer('x', 'u8'),
          b.buffer('y', 'i8'),
          b.buffer('out', 'i32', 'write'),
        ];
        b.for(b.begin, b.end, lanes, [], (i) => {
          const at = b.mul(i, 4);
          b.store(out, i, b.dot4(b.load(acc, i, lanes), b.load(x, at, 4 * lanes), b.load(y, at, 4 * lanes)));
        });
      });
      const a = new Int32Array(COUNT).map((_, i) => i * 1000003);
      const x = new Uint8Array(COUNT * 4).map((_, i) => (i < 64 ? 255 : i * 37));
      const y = new Int8Array(COUNT * 4).map((_, i) => (i < 32 ? -128 : i < 64 ? 127 : i * 91));
      const [, , , out] = runKernel(
        native,
        kernel,
        [new Uint8Array(a.buffer), x, new Uint8Array(y.buffer), new Uint8Array(COUNT * 4)],
        [],
        COUNT,
      );
      const expected = Array.from(a, (start, i) =>
        [0, 1, 2, 3].reduce((sum, k) => (sum + (x[i * 4 + k] ?? 0) * (y[i * 4 + k] ?? 0)) | 0, start),
      );
      expect(canonical('i32', out ?? new Uint8Array())).toEqual(expected);
    }
  });

  test('multiply-adds with an operand in memory address it by one register', () => {
    const [rows, depth] = [6, 40];
    const kernel = buildKernel('column', (b) => {
      const [x, y, out] = [b.buffer('x', 'f32'), b.buffer('y', 'f32'), b.buffer('out', 'f32', 'write')];
      const zero = b.splat(b.constant(0, 'f32'), 16);
      b.for(b.begin, b.end, 1, [], (n) => {
        const sums = b.for(
          0,
          depth,
          2,
          Array.from({ length: rows }, () => zero),
          (k, ...entering) => {
            let current: Value[] = entering;
            for (let u = 0; u < 2; u++) {
              const vector = b.load(y, b.add(b.mul(b.add(b.mul(n, depth), k), 16), u * 16), 16);
              const row = b.mul(b.add(b.mul(n, depth), k), rows);
              current = current.map((sum, i) =>
                b.mulAdd(b.splat(b.load(x, b.add(row, u * rows + i)), 16), vector, sum),
              );
            }
            return current;
          },
        );
        sums.forEach((sum, i) => b.store(out, b.add(b.mul(n, 16 * rows), i * 16), sum));
      });
    });
    const x = new Float32Array(2 * depth * rows).map((_, i) => (i % 13) - 6);
    const y = new Float32Array(2 * depth * 16).map((_, i) => (i % 7) - 3);
    const [, , out] = runKernel(
      native,
      kernel,
      [new Uint8Array(x.buffer), new Uint8Array(y.buffer), new Uint8Array(2 * rows * 16 * 4)],
      [],
      2,
    );
    const expected = Array.from({ length: 2 * rows * 16 }, (_, at) => {
      const [n, i, lane] = [Math.floor(at / (16 * rows)), Math.floor(at / 16) % rows, at % 16];
      let sum = 0;
      for (let k = 0; k < depth; k++)
        sum += (x[(n * depth + k) * rows + i] ?? 0) * (y[(n * depth + k) * 16 + lane] ?? 0);
      return sum;
    });
    expect(canonical('f32', out ?? new Uint8Array())).toEqual(
      canonical('f32', new Uint8Array(Float32Array.from(expected).buffer)),
    );
    if (level === 'avx512') {
      const { assembly } = native.inspect(kernel);
      expect(assembly).toMatch(/vfmadd\w+\s+-?\d*\(%\w+\)\{1to16\}/);
      expect(assembly).not.toMatch(/vfmadd\w+\s+-?\d*\(%\w+,%\w+/);
    }
  });

  test('a word broadcast and seen as bytes', () => {
    const kernel = buildKernel('relane', (b) => {
      const [x, y, out] = [b.buffer('x', 'u8'), b.buffer('y', 'i32'), b.buffer('out', 'i32', 'write')];
      const zero = b.splat(b.constant(0, 'i32'), 16);
      b.for(b.begin, b.end, 1, [], (i) => {
        const word = b.bitcast(b.splat(b.load(y, i), 16), 'i8');
        b.store(out, b.mul(i, 16), b.dot4(zero, b.load(x, b.mul(i, 64), 64), word));
      });
    });
    const x = new Uint8Array(256).map((_, i) => i * 37);
    const y = new Int32Array(4).map((_, i) => i * 1234567891);
    const [, , out] = runKernel(native, kernel, [x, new Uint8Array(y.buffer), new Uint8Array(256)], [], 4);
    const bytes = new Int8Array(y.buffer);
    const expected = Array.from({ length: 64 }, (_, r) =>
      [0, 1, 2, 3].reduce((sum, k) => sum + (x[r * 4 + k] ?? 0) * (bytes[(r >> 4) * 4 + k] ?? 0), 0),
    );
    expect(canonical('i32', out ?? new Uint8Array())).toEqual(expected);
  });

  test.each(['f32', 'f64', 'i32', 'u8', 'i64', 'bool', 'f16'] as const)('masked and gathered access to %s', (type) => {
    for (const lanes of [1, 4, 16]) {
      const kernel = buildKernel(`access ${type} ${lanes}`, (b) => {
        const input = b.buffer('in', type);
        const outputs = [0, 1, 2, 3].map((i) => b.buffer(`out${i}`, type, 'readwrite'));
        const [plain, gathered, scattered, masked] = outputs;
        if (plain === undefined || gathered === undefined || scattered === undefined || masked === undefined) return;
        b.for(b.begin, b.end, lanes, [], (i) => {
          const lane = b.add(b.iota('index', lanes), i);
          const odd = b.eq(b.and(lane, 1), 1);
          const reversed = b.sub(COUNT - 1, lane);
          b.store(plain, i, b.load(input, i, lanes, odd));
          b.store(gathered, i, b.gather(input, reversed, b.lt(lane, 50)));
          b.scatter(scattered, reversed, b.gather(input, lane), odd);
          b.store(masked, i, b.load(input, i, lanes), odd);
          b.prefetch(input, b.add(i, 64));
        });
      });
      const memories = [0, 1, 2, 3, 4].map((seed) => samples(type, COUNT, seed + 11));
      const expected = runKernel(js, kernel, memories, [], COUNT);
      const actual = runKernel(native, kernel, memories, [], COUNT);
      for (let m = 1; m < 5; m++)
        expect(canonical(type, actual[m] ?? new Uint8Array()), `output ${m}`).toEqual(
          canonical(type, expected[m] ?? new Uint8Array()),
        );
    }
  });

  test('constant memories are part of the code', () => {
    for (const type of [...NUMBERS, 'bool', 'f16', 'bf16'] as const)
      for (const lanes of [1, 16]) {
        const contents = samples(type, COUNT, 31);
        const kernel = buildKernel(`table ${type} ${lanes}`, (b) => {
          const x = b.table('x', type, contents);
          const [plain, gathered] = [b.buffer('plain', type, 'write'), b.buffer('gathered', type, 'write')];
          b.for(b.begin, b.end, lanes, [], (i) => {
            b.store(plain, i, b.load(x, i, lanes));
            b.store(gathered, i, b.gather(x, b.sub(COUNT - 1, b.add(b.iota('index', lanes), i))));
          });
        });
        const empty = new Uint8Array(contents.length);
        const [plain, gathered] = runKernel(native, kernel, [empty, empty], [], COUNT);
        expect(plain).toEqual(contents);
        expect(canonical(type, gathered ?? empty)).toEqual(canonical(type, contents).reverse());
      }
  });

  test('nested loops carry values, branches and locals keep theirs', () => {
    const kernel = buildKernel('control', (b) => {
      const [input, out] = [b.buffer('in', 'i32'), b.buffer('out', 'i32', 'write')];
      const limit = b.scalar('limit', 'index');
      const factor = b.scalar('factor', 'i32');
      const scratch = b.local('t', 'i32', 8);
      b.for(b.begin, b.end, 1, [], (i) => {
        const x = b.load(input, i);
        b.for(0, 8, 1, [], (j) => b.store(scratch, j, b.mul(x, b.cast(j, 'i32'))));
        const [sum, last] = b.for(0, limit, 3, [b.constant(0, 'i32'), x], (j, total, previous) => {
          const [inner] = b.for(j, b.add(j, 2), 1, [total], (k, t) => [
            b.add(t, b.mul(b.load(scratch, b.and(k, 7)), factor)),
          ]);
          return [inner ?? total, b.xor(previous, total)];
        });
        b.if(
          b.gt(x, 0),
          () =>
            b.if(
              b.gt(x, 1000),
              () => b.store(out, i, sum ?? x),
              () => b.store(out, i, last ?? x),
            ),
          () => b.store(out, i, b.sub(sum ?? x, last ?? x)),
        );
      });
    });
    const input = samples('i32', COUNT, 5);
    for (const limit of [0, 1, 10]) {
      const memories = [input, new Uint8Array(COUNT * 4)];
      expect(runKernel(native, kernel, memories, [limit, -7], COUNT)[1]).toEqual(
        runKernel(js, kernel, memories, [limit, -7], COUNT)[1],
      );
    }
  });

  test('scalars of every type arrive', () => {
    const types = [...NUMBERS, 'bool', 'index'] as const;
    const kernel = buildKernel('scalars', (b) => {
      const outs = types.map((type) => b.buffer(`out_${type}`, type === 'index' ? 'i64' : type, 'write'));
      types.forEach((type, i) => {
        const value = b.scalar(type, type);
        const out = outs[i];
        if (out !== undefined) b.store(out, 0, type === 'index' ? b.cast(value, 'i64') : value);
      });
    });
    const given = [-5, 250, -30000, 65000, -2000000000, 4000000000, -(2n ** 60n), 0.1, 1e300, 1, -(2 ** 40)];
    const out = runKernel(
      native,
      kernel,
      types.map(() => new Uint8Array(8)),
      given,
      1,
    );
    const read = types.map((type, i) => {
      const view = new DataView((out[i] ?? new Uint8Array(8)).buffer);
      switch (type) {
        case 'i8':
          return view.getInt8(0);
        case 'i16':
          return view.getInt16(0, true);
        case 'index':
          return Number(view.getBigInt64(0, true));
        default:
          return canonical(type, (out[i] ?? new Uint8Array(8)).subarray(0, SCALARS[type].bytes))[0];
      }
    });
    expect(read).toEqual([...given.slice(0, 7), Math.fround(0.1), ...given.slice(8)]);
  });

  test('a division by zero, and of the least number by -1, does not end the process', () => {
    for (const type of ['i32', 'i64', 'u8'] as const) {
      for (const lanes of [1, 16]) {
        const kernel = buildKernel(`division ${type} ${lanes}`, (b) => {
          const [x, y, q, r] = [
            b.buffer('x', type),
            b.buffer('y', type),
            b.buffer('q', type, 'write'),
            b.buffer('r', type, 'write'),
          ];
          b.for(b.begin, b.end, lanes, [], (i) => {
            b.store(q, i, b.div(b.load(x, i, lanes), b.load(y, i, lanes)));
            b.store(r, i, b.rem(b.load(x, i, lanes), b.load(y, i, lanes)));
          });
        });
        const bytes = SCALARS[type].bytes;
        const least = new Uint8Array(16 * bytes).map((_, i) => (i % bytes === bytes - 1 ? 128 : 0));
        const divisor = new Uint8Array(16 * bytes).fill(255, 8 * bytes);
        const [, , q, r] = runKernel(
          native,
          kernel,
          [least, divisor, new Uint8Array(16 * bytes), new Uint8Array(16 * bytes)],
          [],
          16,
        );
        if (type === 'u8') continue;
        expect(q?.subarray(8 * bytes)).toEqual(least.subarray(8 * bytes));
        expect(r?.subarray(8 * bytes)).toEqual(new Uint8Array(8 * bytes));
      }
    }
  });

  test('uses the vectors of its level', () => {
    const lanes = native.features.vectorBytes / 4;
    const kernel = buildKernel('width', (b) => {
      const [x, y] = [b.buffer('x', 'f32'), b.buffer('y', 'f32', 'write')];
      b.for(b.begin, b.end, lanes, [], (i) =>
        b.store(y, i, b.mulAdd(b.load(x, i, lanes), b.load(x, i, lanes), b.constant(1, valueType('f32', lanes)))),
      );
    });
    const { assembly } = native.inspect(kernel);
    expect(assembly).toMatch(
      { avx512: /vfmadd\w+ps.*zmm/, avx2: /vfmadd\w+ps.*ymm/, baseline: /mulps.*xmm/, neon: /fmla.*\.4s/ }[level],
    );
    expect(/zmm/.test(assembly)).toBe(level === 'avx512');
  });

  test('converts vectors of floats to integers as vectors', () => {
    const lanes = native.features.vectorBytes / 4;
    const kernel = buildKernel('integers', (b) => {
      const [x, y] = [b.buffer('x', 'f32'), b.buffer('y', 'i32', 'write')];
      b.for(b.begin, b.end, lanes, [], (i) => b.store(y, i, b.cast(b.load(x, i, lanes), 'i32')));
    });
    expect(native.inspect(kernel).assembly).toMatch(level === 'neon' ? /fcvtzs.*\.4s/ : /cvttps2dq/);
  });

  test('prefetches into the cache that is asked for', () => {
    const into = (cache: 1 | 2): string =>
      native.inspect(
        buildKernel('ahead', (b) => {
          const [x, y] = [b.buffer('x', 'f32'), b.buffer('y', 'f32', 'write')];
          b.for(b.begin, b.end, 1, [], (i) => {
            b.prefetch(x, b.add(i, 1024), cache);
            b.store(y, i, b.load(x, i));
          });
        }),
      ).assembly;
    expect(into(1)).toMatch(level === 'neon' ? /pldl1keep/ : /prefetcht0/);
    expect(into(2)).toMatch(level === 'neon' ? /pldl2keep/ : /prefetcht1/);
  });
});
