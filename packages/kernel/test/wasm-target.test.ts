import { describe, expect, it } from 'vitest';
import {
  type BinaryOp,
  buildKernel,
  type CompareOp,
  type HorizontalOp,
  JsDevice,
  type Kernel,
  type KernelBuilder,
  type ScalarType,
  SCALARS,
  type UnaryOp,
  type Value,
  WasmDevice,
  vectorLoop,
} from '../src/index.ts';
import { randomElements, randomNumbers } from '../src/testing/index.ts';
import { difference } from './cross-device.ts';

const wasm = new WasmDevice();
const plain = new WasmDevice({ without: { relaxed: true }, shared: false });
const js = new JsDevice({ mulAdd: wasm.features.fused ? 'fused' : 'separate' });
const jsSeparate = new JsDevice({ mulAdd: 'separate' });

const INTEGERS: ScalarType[] = ['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'i64'];
const FLOATS: ScalarType[] = ['f32', 'f64'];
const LANES = [1, 2, 4, 8, 16, 32];
const COUNT = 128;

/** A kernel that applies `body` to vectors of inputs `types` and stores its result. */
function elementwise(
  types: readonly ScalarType[],
  result: ScalarType,
  lanes: number,
  body: (b: KernelBuilder, ...inputs: Value[]) => Value,
): Kernel {
  return buildKernel('elementwise', (b) => {
    const inputs = types.map((type, i) => b.buffer(`in${i}`, type));
    const out = b.buffer('out', result, 'write');
    b.for(b.begin, b.end, lanes, [], (i) =>
      b.store(out, i, body(b, ...inputs.map((input) => b.load(input, i, lanes)))),
    );
  });
}

function check(kernel: Kernel, seed: number, count = COUNT): void {
  const random = randomNumbers(seed);
  const data = kernel.parameters.map((p) =>
    p.kind === 'buffer'
      ? p.access === 'write'
        ? new Uint8Array(count * SCALARS[p.element].bytes)
        : randomElements(p.element, count, random)
      : new Uint8Array(0),
  );
  const one = { kernel, data, end: count };
  expect(difference(js, wasm, one)).toBeNull();
  expect(difference(jsSeparate, plain, one)).toBeNull();
}

describe('the wasm target gives the bits of the js target', () => {
  const unary: Record<UnaryOp, readonly ScalarType[]> = {
    neg: [...INTEGERS, ...FLOATS],
    abs: [...INTEGERS, ...FLOATS],
    not: [...INTEGERS, 'bool'],
    popcount: INTEGERS,
    sqrt: FLOATS,
    floor: FLOATS,
    ceil: FLOATS,
    trunc: FLOATS,
    round: FLOATS,
  };
  for (const op of Object.keys(unary) as UnaryOp[]) {
    it(`unary ${op}`, () => {
      for (const type of unary[op])
        for (const lanes of LANES)
          check(
            elementwise([type], type, lanes, (b, x) => b.unary(op, x)),
            1,
          );
    });
  }

  const arithmetic = [...INTEGERS, ...FLOATS];
  const binary: Record<BinaryOp, readonly ScalarType[]> = {
    add: arithmetic,
    sub: arithmetic,
    mul: arithmetic,
    div: arithmetic,
    rem: INTEGERS,
    min: arithmetic,
    max: arithmetic,
    and: [...INTEGERS, 'bool'],
    or: [...INTEGERS, 'bool'],
    xor: [...INTEGERS, 'bool'],
    shl: INTEGERS,
    shr: INTEGERS,
  };
  for (const op of Object.keys(binary) as BinaryOp[]) {
    it(`binary ${op}`, () => {
      for (const type of binary[op]) {
        for (const lanes of LANES) {
          const guarded = (b: KernelBuilder, y: Value): Value =>
            (op === 'div' || op === 'rem') && INTEGERS.includes(type) ? b.select(b.eq(y, 0), 3, y) : y;
          check(
            elementwise([type, type], type, lanes, (b, x, y) => b.binary(op, x, guarded(b, y))),
            2,
          );
          if (type !== 'bool')
            check(
              elementwise([type], type, lanes, (b, x) => b.binary(op, x, type === 'i64' ? 5n : 5)),
              3,
            );
          if (op === 'div' || op === 'rem')
            check(
              elementwise([type], type, lanes, (b, x) =>
                b.binary(op, x, type === 'i64' ? -1n : type.startsWith('u') ? 7 : -1),
              ),
              3,
            );
        }
      }
    });
  }

  it('comparisons and selection', () => {
    const ops: CompareOp[] = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'];
    for (const type of [...arithmetic, 'bool'] as const) {
      for (const lanes of LANES) {
        for (const op of ops) {
          if (type === 'bool' && op !== 'eq' && op !== 'ne') continue;
          check(
            elementwise([type, type], 'bool', lanes, (b, x, y) => b.compare(op, x, y)),
            4,
          );
          check(
            elementwise([type, type, type], type, lanes, (b, x, y, z) => b.select(b.compare(op, x, y), z, x)),
            5,
          );
          check(
            elementwise([type, type, 'i16'], 'i16', lanes, (b, x, y, z) => b.select(b.compare(op, x, y), z, b.neg(z))),
            6,
          );
        }
      }
    }
  });

  it('masks of different widths together', () => {
    for (const lanes of LANES) {
      check(
        elementwise(['i8', 'f64', 'f32', 'i16'], 'f32', lanes, (b, p, q, r, s) => {
          const mask = b.or(b.and(b.gt(p, 3), b.lt(q, 0)), b.xor(b.ge(r, 1), b.ne(s, 0)));
          return b.select(b.not(mask), r, b.cast(mask, 'f32'));
        }),
        7,
      );
      check(
        elementwise(['bool', 'f64', 'u8'], 'u8', lanes, (b, p, q, r) =>
          b.select(b.eq(p, b.le(q, 0)), b.cast(b.select(p, b.gt(q, 1), b.eq(r, 0)), 'u8'), r),
        ),
        8,
      );
      check(
        elementwise(['bool', 'i64'], 'i64', lanes, (b, p, q) => b.select(p, q, b.not(q))),
        9,
      );
    }
  });

  it('mulAdd, rounded once where the engine does so', () => {
    for (const type of arithmetic)
      for (const lanes of LANES)
        check(
          elementwise([type, type, type], type, lanes, (b, x, y, z) => b.mulAdd(x, y, z)),
          10,
        );
  });

  it('casts between all types', () => {
    const all: ScalarType[] = ['bool', ...INTEGERS, 'f16', 'bf16', ...FLOATS];
    for (const from of all) {
      for (const to of all) {
        if (from === to) continue;
        for (const lanes of LANES)
          check(
            elementwise([from], to, lanes, (b, x) => b.cast(x, to)),
            11,
          );
      }
    }
  });

  it('bit casts', () => {
    const pairs: [ScalarType, ScalarType][] = [
      ['i8', 'u8'],
      ['i16', 'u16'],
      ['i32', 'u32'],
      ['f32', 'i32'],
      ['u32', 'f32'],
      ['f64', 'i64'],
      ['f16', 'u16'],
      ['i16', 'bf16'],
    ];
    for (const [p, q] of pairs) {
      for (const lanes of LANES) {
        check(
          elementwise([p], q, lanes, (b, x) => b.bitcast(x, q)),
          12,
        );
        check(
          elementwise([q], p, lanes, (b, x) => b.bitcast(x, p)),
          13,
        );
      }
    }
  });

  it('horizontal reductions in the stated order', () => {
    const ops: HorizontalOp[] = ['reduceAdd', 'reduceMul', 'reduceMin', 'reduceMax'];
    for (const type of arithmetic) {
      for (const lanes of LANES.slice(1)) {
        for (const op of ops)
          check(
            elementwise([type, type], type, lanes, (b, x, y) => b.add(b.splat(b.horizontal(op, x), lanes), y)),
            14,
          );
      }
    }
  });

  it('splat, iota, extract, shuffle', () => {
    const random = randomNumbers(99);
    for (const type of [...arithmetic, 'bool', 'f16'] as const) {
      for (const lanes of LANES.slice(1)) {
        const pattern = Array.from({ length: lanes }, () => Math.floor(random() * 2 * lanes));
        const half = Array.from({ length: lanes / 2 }, (_, i) => 2 * i + 1);
        check(
          elementwise([type, type], type, lanes, (b, x, y) => b.shuffle(x, y, pattern)),
          15,
        );
        check(
          elementwise([type], type, lanes, (b, x) => {
            const odd = b.shuffle(x, x, half);
            return lanes === 2
              ? b.splat(odd, 2)
              : b.shuffle(
                  odd,
                  odd,
                  Array.from({ length: lanes }, (_, i) => i % (lanes / 2)),
                );
          }),
          16,
        );
        check(
          elementwise([type], type, lanes, (b, x) => b.splat(b.extract(x, lanes - 1), lanes)),
          17,
        );
        if (type !== 'bool' && type !== 'f16')
          check(
            elementwise([type], type, lanes, (b, x) => b.add(x, b.iota(type, lanes))),
            18,
          );
      }
    }
  });

  it('dot4 of all u8 and i8', () => {
    for (const lanes of [1, 2, 4, 8, 16]) {
      const kernel = buildKernel('dot', (b) => {
        const acc = b.buffer('acc', 'i32', 'readwrite');
        const x = b.buffer('x', 'u8');
        const y = b.buffer('y', 'i8');
        b.for(b.begin, b.end, lanes, [], (i) =>
          b.store(
            acc,
            i,
            b.dot4(b.load(acc, i, lanes), b.load(x, b.mul(i, 4), 4 * lanes), b.load(y, b.mul(i, 4), 4 * lanes)),
          ),
        );
      });
      const random = randomNumbers(19);
      const one = {
        kernel,
        data: [randomElements('i32', 64, random), randomElements('u8', 256, random), randomElements('i8', 256, random)],
        end: 64,
      };
      expect(difference(js, wasm, one)).toBeNull();
      expect(difference(js, plain, one)).toBeNull();
    }
  });

  it('bitcasts between lanes of different widths', () => {
    const integers = ['i8', 'u8', 'i16', 'u16', 'i32', 'u32'] as const;
    for (const from of integers) {
      for (const to of integers) {
        for (const bytes of [4, 8, 16, 32, 64]) {
          const [wide, narrow] = [bytes / SCALARS[from].bytes, bytes / SCALARS[to].bytes];
          if (from === to || wide < 2 || narrow < 2) continue;
          const kernel = buildKernel('relane', (b) => {
            const x = b.buffer('x', from);
            const out = b.buffer('out', to, 'write');
            b.for(b.begin, b.end, 1, [], (i) =>
              b.store(out, b.mul(i, narrow), b.bitcast(b.load(x, b.mul(i, wide), wide), to)),
            );
          });
          const random = randomNumbers(23);
          const one = {
            kernel,
            data: [randomElements(from, 4 * wide, random), randomElements(to, 4 * narrow, random)],
            end: 4,
          };
          expect(difference(js, wasm, one)).toBeNull();
          expect(difference(js, plain, one)).toBeNull();
        }
      }
    }
  });

  it('dot4 of bytes and a broadcast word', () => {
    const kernel = buildKernel('broadcast', (b) => {
      const acc = b.buffer('acc', 'i32', 'readwrite');
      const x = b.buffer('x', 'u8');
      const y = b.buffer('y', 'i32');
      b.for(b.begin, b.end, 1, [], (i) => {
        const word = b.bitcast(b.splat(b.load(y, i), 16), 'i8');
        const low = b.and(b.load(x, b.mul(i, 64), 64), 15);
        b.store(acc, b.mul(i, 16), b.dot4(b.load(acc, b.mul(i, 16), 16), low, word));
      });
    });
    const random = randomNumbers(29);
    const one = {
      kernel,
      data: [randomElements('i32', 64, random), randomElements('u8', 256, random), randomElements('i32', 4, random)],
      end: 4,
    };
    expect(difference(js, wasm, one)).toBeNull();
    expect(difference(js, plain, one)).toBeNull();
  });

  it('gathers and scatters, masked or not', () => {
    for (const type of [...arithmetic, 'bool', 'f16'] as const) {
      for (const lanes of LANES) {
        for (const masked of [false, true]) {
          const kernel = buildKernel('gather', (b) => {
            const at = b.buffer('at', 'i32');
            const x = b.buffer('x', type);
            const where = b.buffer('where', 'bool');
            const out = b.buffer('out', type, 'write');
            b.for(b.begin, b.end, lanes, [], (i) => {
              const indices = b.cast(b.and(b.load(at, i, lanes), 63), 'index');
              const mask = masked ? b.load(where, i, lanes) : null;
              const found = b.gather(x, indices, mask);
              b.scatter(out, b.cast(b.and(b.load(at, b.add(i, 1), lanes), 63), 'index'), found, mask);
            });
          });
          const random = randomNumbers(20);
          const data = [
            randomElements('i32', COUNT + 33, random),
            randomElements(type, 64, random),
            randomElements('bool', COUNT, random),
            new Uint8Array(64 * SCALARS[type].bytes),
          ];
          expect(difference(js, wasm, { kernel, data, end: COUNT })).toBeNull();
        }
      }
    }
  });

  it('masked loads and stores touch nothing where the mask is off, at all tails', () => {
    for (const type of [...arithmetic, 'bool', 'f16'] as const) {
      for (const lanes of LANES) {
        const kernel = buildKernel('tail', (b) => {
          const x = b.buffer('x', type);
          const out = b.buffer('out', type, 'readwrite');
          const n = b.scalar('n', 'index');
          b.for(b.begin, b.end, lanes, [], (i) => {
            const lane = lanes === 1 ? i : b.add(b.splat(i, lanes), b.iota('index', lanes));
            const inside = b.lt(lane, n);
            b.store(out, i, b.load(x, i, lanes, inside), inside);
            b.store(out, b.add(i, 64), b.load(x, i, lanes, inside), b.not(inside));
          });
        });
        for (const n of [0, 1, 5, 31, 33, 64]) {
          const random = randomNumbers(21);
          const data = [randomElements(type, 64, random), randomElements(type, 128, random)];
          expect(difference(js, wasm, { kernel, data, scalars: [n], end: 64 })).toBeNull();
        }
      }
    }
  });
});

describe('constant memories', () => {
  const TYPES = [...INTEGERS, ...FLOATS, 'bool', 'f16', 'bf16'] as const;
  /** Reads a table whole, at an index that the range gives, and lane by lane. */
  const reads = (type: ScalarType, lanes: number, seed: number): Kernel =>
    buildKernel('table', (b) => {
      const x = b.table('x', type, randomElements(type, COUNT, randomNumbers(seed)));
      const outputs = [0, 1, 2].map((i) => b.buffer(`out${i}`, type, 'write'));
      b.for(b.begin, b.end, lanes, [], (i) => {
        const back = b.sub(COUNT - 1, b.add(b.iota('index', lanes), i));
        b.store(outputs[0], i, b.load(x, i, lanes));
        b.store(outputs[1], i, b.gather(x, back));
        b.store(outputs[2], i, b.load(x, 3, lanes, b.lt(back, 50)));
      });
    });

  it('are read as buffers are, on every type', () => {
    for (const type of TYPES) for (const lanes of [1, 4, 16]) check(reads(type, lanes, 3), 1);
  });

  it('of many kernels of one module do not touch each other, also where workers run', async () => {
    const device = new WasmDevice({ threads: 2 });
    const kernels = TYPES.map((type, i) => reads(type, 4, i));
    device.compile(kernels);
    for (const kernel of kernels) {
      const data = kernel.parameters.map(
        (p) => new Uint8Array(COUNT * (p.kind === 'buffer' ? SCALARS[p.element].bytes : 0)),
      );
      for (let run = 0; run < 3; run++) {
        expect(difference(js, device, { kernel, data, end: COUNT, grain: 16, align: 16 })).toBeNull();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    device.dispose();
  });
});

describe('control flow', () => {
  it('loops carry values of every kind, branches choose, locals keep', () => {
    for (const lanes of [1, 4, 16]) {
      const kernel = buildKernel('control', (b) => {
        const x = b.buffer('x', 'f32');
        const out = b.buffer('out', 'f32', 'readwrite');
        const n = b.scalar('n', 'i32');
        const scratch = b.local('scratch', 'f32', 64);
        const count = b.cast(n, 'index');
        b.for(b.begin, b.end, lanes, [], (i) => {
          const [sum, seen, k] = b.for(
            0,
            count,
            1,
            [b.splat(b.constant(0, 'f32'), lanes), b.splat(b.constant(false, 'bool'), lanes), b.constant(7n, 'i64')],
            (j, s, m, q) => {
              const v = b.load(x, b.add(i, b.mul(j, 2)), lanes);
              b.store(scratch, b.and(b.mul(j, lanes), 63), v);
              return [b.add(s, b.select(m, v, b.neg(v))), b.or(m, b.gt(v, 2)), b.add(b.mul(q, 3n), b.cast(j, 'i64'))];
            },
          );
          b.if(
            b.gt(k, 100n),
            () => {
              b.store(out, i, b.add(sum, b.cast(seen, 'f32')));
              b.if(b.lt(count, 3), () => b.store(out, i, b.splat(b.constant(1, 'f32'), lanes)));
            },
            () => b.store(out, i, b.add(b.load(scratch, 0, lanes), b.cast(b.splat(k, lanes), 'f32'))),
          );
        });
      });
      for (const n of [1, 2, 3, 9]) {
        const random = randomNumbers(22 + n);
        const data = [
          Uint8Array.from(new Uint8Array(Float32Array.from({ length: 96 }, () => random() * 8 - 4).buffer)),
          randomElements('f32', 64, random),
        ];
        expect(difference(js, wasm, { kernel, data, scalars: [n], end: 64 })).toBeNull();
      }
    }
  });

  it('vectorLoop covers every size', () => {
    const kernel = buildKernel('triple', (b) => {
      const x = b.buffer('x', 'f32');
      const out = b.buffer('out', 'f32', 'write');
      vectorLoop(b, b.begin, b.end, 16, (i, lanes) => b.store(out, i, b.mul(b.load(x, i, lanes), 3)));
    });
    for (let n = 0; n < 70; n++) {
      const data = [randomElements('f32', 70, randomNumbers(n)), new Uint8Array(280)];
      expect(difference(js, wasm, { kernel, data, end: n })).toBeNull();
    }
  });

  it('addresses: strides, constant offsets on both sides, in-place and overlapping stores', () => {
    for (const lanes of [1, 4, 8, 16]) {
      const kernel = buildKernel('addresses', (b) => {
        const x = b.buffer('x', 'f32', 'readwrite');
        const out = b.buffer('out', 'f32', 'write');
        const stride = b.scalar('stride', 'index');
        b.for(b.begin, b.end, 1, [], (row) => {
          b.for(0, 32, lanes, [], (j) => {
            const at = b.add(b.mul(b.add(row, 1), stride), b.sub(j, 3));
            const sum = b.add(b.load(x, b.add(at, 3), lanes), b.load(x, b.sub(b.add(at, b.mul(stride, 2)), 1), lanes));
            b.store(out, b.add(b.mul(row, 32), b.add(j, 20000)), sum);
            b.store(x, b.add(at, 4), b.load(x, b.add(at, 3), lanes));
          });
        });
      });
      const data = [randomElements('f32', 1024, randomNumbers(5)), new Uint8Array(4 * 20256)];
      expect(difference(js, wasm, { kernel, data, scalars: [48], end: 8 })).toBeNull();
    }
  });
});
