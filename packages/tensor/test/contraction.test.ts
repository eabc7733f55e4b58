/** Contractions against sums in float64 (or exact integers), on every device that works here, for shapes that reach each way of cutting the work. */
import '@proj/device-native';
import {
  type Argument,
  type Device,
  type DeviceFeatures,
  getDevice,
  type KernelBuilder,
  type Memory,
  type ScalarType,
  SCALARS,
  type Value,
} from '@proj/kernel';
import { JsDevice } from '@proj/kernel';
import { describe, expect, it } from 'vitest';
import { buildPlanned, buildContraction, planOf } from '../src/kernels/contraction.ts';
import type { ContractionPlan, OuterPlan } from '../src/kernels/contraction-plan.ts';
import type { ContractionOperand, ContractionSpec } from '../src/kernels/contraction-types.ts';

interface Case {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly batch?: number;
  /** Store the left operand as [depth, rows], the right one as [columns, depth]. */
  readonly leftTransposed?: boolean;
  readonly rightTransposed?: boolean;
  /** All batches share the right operand. */
  readonly rightShared?: boolean;
  readonly element?: ScalarType;
  /** The scheduler's simple stores are written out, others are a loop over the tile. */
  readonly simpleStore?: boolean;
  readonly prepackRight?: boolean;
  /** Split into bfloat16, in groups of this many panels. */
  readonly group?: number;
  /** The operands are reachable through `load` only. */
  readonly opaque?: boolean;
}

const splitPlan = (c: Case, group: number): ContractionPlan => ({
  kind: 'split',
  rowTiles: Math.ceil(c.rows / 32),
  panels: Math.ceil(c.columns / 32),
  group,
});

const nameOf = (c: Case): string =>
  [
    `${c.batch === undefined ? '' : `${c.batch} × `}${c.rows}×${c.columns}×${c.depth}`,
    c.element,
    c.leftTransposed && 'Aᵀ',
    c.rightTransposed && 'Bᵀ',
    c.rightShared && 'shared B',
    c.simpleStore === false && 'looped store',
    c.prepackRight && 'prepacked',
    c.opaque && 'opaque',
    c.group !== undefined && `split, groups of ${c.group}`,
  ]
    .filter(Boolean)
    .join(' ');

function operand(
  memory: Memory,
  outer: number,
  depth: number,
  size: number,
  c: Case,
  shared: boolean,
): ContractionOperand {
  const base = (b: KernelBuilder, batch: Value): Value =>
    shared || c.batch === undefined ? b.index(0) : b.mul(batch, size);
  return {
    contiguous: outer === 1 ? 'outer' : depth === 1 ? 'depth' : 'none',
    load: (b, at, axis, lanes) => {
      const index = b.add(b.add(base(b, at.batch), b.mul(at.outer, outer)), b.mul(at.depth, depth));
      const stride = axis === 'outer' ? outer : depth;
      return stride === 1
        ? b.load(memory, index, lanes)
        : b.gather(memory, b.add(b.splat(index, lanes), b.mul(b.iota('index', lanes), stride)));
    },
    strided: c.opaque === true ? null : { memory, base, outer, depth },
    windows: null,
  };
}

/** Result elements are doubled and added to what is there, so that one stored twice, or not at all, shows. */
function specOf(c: Case, features: DeviceFeatures): ContractionSpec {
  const { rows, columns, depth, batch = 1, element = 'f32' } = c;
  return {
    name: 'contraction',
    element,
    batch,
    rows,
    columns,
    depth,
    features,
    simpleStore: c.simpleStore ?? true,
    prepackRight: c.prepackRight ?? false,
    declare(b) {
      const left = b.buffer('left', element);
      const right = b.buffer('right', element);
      const result = b.buffer('result', element, 'readwrite');
      return {
        left: operand(
          left,
          c.leftTransposed === true ? 1 : depth,
          c.leftTransposed === true ? rows : 1,
          rows * depth,
          c,
          false,
        ),
        right: operand(
          right,
          c.rightTransposed === true ? depth : 1,
          c.rightTransposed === true ? 1 : columns,
          depth * columns,
          c,
          c.rightShared === true,
        ),
        store(b, at, value, lanes) {
          const index = b.add(b.mul(b.add(b.mul(at.batch, rows), at.row), columns), at.column);
          b.store(result, index, b.add(b.load(result, index, lanes), b.add(value, value)));
        },
      };
    },
  };
}

type Numbers = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;
const ARRAYS: Partial<Record<ScalarType, (n: number) => Numbers>> = {
  f32: (n) => new Float32Array(n),
  f64: (n) => new Float64Array(n),
  i32: (n) => new Int32Array(n),
  i64: (n) => new BigInt64Array(n),
  u8: (n) => new Uint8Array(n),
};

const arrayOf = (element: ScalarType, n: number): Numbers => {
  const make = ARRAYS[element];
  if (make === undefined) throw new Error(`no array for ${element}`);
  return make(n);
};

/** Numbers in [-1, 1) (small integers for integer types), the same each time. */
function fill(element: ScalarType, n: number, seed: number): Numbers {
  const array = arrayOf(element, n);
  let state = seed;
  for (let i = 0; i < n; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const x = state / 2 ** 31;
    array[i] =
      element === 'i64' ? BigInt(Math.round(x * 9)) : element === 'i32' || element === 'u8' ? Math.round(x * 9) : x;
  }
  return array;
}

/** Twice the product, summed in float64, and the sum of magnitudes that bounds its error. */
function reference(c: Case, left: Numbers, right: Numbers): { values: Float64Array; magnitudes: Float64Array } {
  const { rows, columns, depth, batch = 1 } = c;
  const values = new Float64Array(batch * rows * columns);
  const magnitudes = new Float64Array(values.length);
  const [ro, rd] = c.leftTransposed === true ? [1, rows] : [depth, 1];
  const [co, cd] = c.rightTransposed === true ? [depth, 1] : [1, columns];
  for (let g = 0; g < batch; g++) {
    const leftBase = g * rows * depth;
    const rightBase = c.rightShared === true ? 0 : g * depth * columns;
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        let sum = 0;
        let magnitude = 0;
        for (let k = 0; k < depth; k++) {
          const product = Number(left[leftBase + i * ro + k * rd]) * Number(right[rightBase + j * co + k * cd]);
          sum += product;
          magnitude += Math.abs(product);
        }
        values[(g * rows + i) * columns + j] = 2 * sum;
        magnitudes[(g * rows + i) * columns + j] = 2 * magnitude;
      }
    }
  }
  return { values, magnitudes };
}

const GUARD = 64;

/** Runs the contraction on `device`, built for `features`, with each number of threads; gives the bytes of the results. */
function run(
  device: Device,
  c: Case,
  features: DeviceFeatures,
  left: Numbers,
  right: Numbers,
  threads: readonly number[],
): Numbers[] {
  const element = c.element ?? 'f32';
  const size = (c.batch ?? 1) * c.rows * c.columns;
  const spec = specOf(c, features);
  const built = c.group === undefined ? buildContraction(spec) : buildPlanned(spec, splitPlan(c, c.group));
  const compiled = device.compile(built.launches.map((launch) => launch.kernel));
  const bindings = built.workspaceBytes > 0 ? 4 : 3;
  const args = Array.from({ length: bindings }, (_, binding): Argument => ({ kind: 'buffer', binding, offset: 0 }));
  // One item for each thread is enough to split: the smallest shapes run on several threads here.
  const program = device.program(
    built.launches.map(({ begin, end, align }, i) => ({ kernel: compiled[i]!, args, begin, end, grain: 1, align })),
    bindings,
  );
  const bytesOf = (array: Numbers): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const buffers = [left, right].map((array) => {
    const buffer = device.allocate(Math.max(1, array.byteLength));
    device.write(buffer, 0, bytesOf(array));
    return buffer;
  });
  const results = threads.map((count) => {
    const result = device.allocate((size + GUARD) * SCALARS[element].bytes);
    device.write(result, 0, bytesOf(arrayOf(element, size + GUARD)));
    const workspace = device.allocate(Math.max(64, built.workspaceBytes));
    device.write(workspace, 0, new Uint8Array(workspace.bytes).fill(0xff));
    device.setThreads(count);
    program.run([...buffers, result, ...(bindings === 4 ? [workspace] : [])], []);
    const array = arrayOf(element, size + GUARD);
    bytesOf(array).set(device.read(result, 0, array.byteLength));
    result.dispose();
    workspace.dispose();
    return array;
  });
  program.dispose();
  buffers.forEach((buffer) => buffer.dispose());
  return results;
}

function check(device: Device, c: Case, features: DeviceFeatures, threads: readonly number[]): void {
  const { rows, columns, depth, batch = 1, element = 'f32' } = c;
  const left = fill(element, batch * rows * depth, 1);
  const right = fill(element, (c.rightShared === true ? 1 : batch) * depth * columns, 2);
  const results = run(device, c, features, left, right, threads);
  const { values, magnitudes } = reference(c, left, right);
  const unit = element === 'f32' ? 2 ** -24 : element === 'f64' ? 2 ** -53 : 0;
  const first = results[0]!;
  for (let i = 0; i < values.length; i++) {
    const got = Number(first[i]);
    const want = element === 'u8' ? ((values[i]! % 256) + 256) % 256 : values[i]!;
    // A sum of n products in any order is within n units of the sum of magnitudes; a random walk stays far below.
    const bound = unit * (8 + 2 * Math.sqrt(depth)) * magnitudes[i]!;
    if (!(Math.abs(got - want) <= bound))
      expect.fail(`element ${i} of ${nameOf(c)}: ${got}, expected ${want} ± ${bound}`);
  }
  for (let i = values.length; i < first.length; i++) expect(Number(first[i])).toBe(0);
  for (const other of results.slice(1)) expect(Buffer.from(other.buffer).equals(Buffer.from(first.buffer))).toBe(true);
}

const LAYOUTS: readonly Partial<Case>[] = [
  {},
  { leftTransposed: true },
  { rightTransposed: true },
  { leftTransposed: true, rightTransposed: true },
];

const SMALL: readonly Case[] = [
  ...[
    [1, 1, 1],
    [4, 8, 2],
    [5, 3, 7],
    [1, 40, 9],
    [40, 1, 9],
    [13, 17, 1],
    [7, 35, 19],
    [16, 16, 16],
    [33, 65, 31],
    [6, 25, 100],
    [20, 10, 70],
  ].flatMap(([rows, columns, depth]) =>
    LAYOUTS.map((layout): Case => ({ rows: rows!, columns: columns!, depth: depth!, ...layout })),
  ),
  ...LAYOUTS.map((layout): Case => ({ rows: 9, columns: 21, depth: 18, batch: 3, ...layout })),
  { rows: 9, columns: 21, depth: 18, batch: 3, rightShared: true },
  { rows: 9, columns: 21, depth: 18, batch: 3, rightShared: true, prepackRight: true },
  { rows: 9, columns: 21, depth: 18, batch: 3, prepackRight: true, rightTransposed: true },
  ...LAYOUTS.map((layout): Case => ({ rows: 9, columns: 37, depth: 18, simpleStore: false, ...layout })),
  ...LAYOUTS.map((layout): Case => ({ rows: 9, columns: 37, depth: 18, opaque: true, batch: 2, ...layout })),
  { rows: 5, columns: 6, depth: 0 },
  { rows: 0, columns: 6, depth: 3 },
  ...(['f64', 'i32', 'i64', 'u8'] as const).flatMap((element) =>
    LAYOUTS.map((layout): Case => ({ rows: 11, columns: 21, depth: 37, element, ...layout })),
  ),
];

const LARGE: readonly Case[] = [
  { rows: 130, columns: 300, depth: 257 },
  { rows: 100, columns: 700, depth: 300, leftTransposed: true },
  { rows: 100, columns: 700, depth: 300, rightTransposed: true },
  { rows: 64, columns: 64, depth: 64 },
  { rows: 16, columns: 1003, depth: 601 },
  { rows: 3, columns: 1000, depth: 700, simpleStore: false },
  { rows: 300, columns: 400, depth: 600, leftTransposed: true },
  { rows: 2100, columns: 70, depth: 300, leftTransposed: true },
  { rows: 16, columns: 1000, depth: 700, prepackRight: true },
  { rows: 16, columns: 900, depth: 701, prepackRight: true },
  { rows: 32, columns: 1000, depth: 334, prepackRight: true, simpleStore: false },
  { rows: 23, columns: 777, depth: 400, prepackRight: true, rightTransposed: true },
  { rows: 15, columns: 530, depth: 540, prepackRight: true, leftTransposed: true },
  { rows: 3, columns: 70, depth: 8196, prepackRight: true },
  { rows: 1, columns: 1000, depth: 700 },
  { rows: 1, columns: 1000, depth: 700, rightTransposed: true },
  { rows: 50, columns: 70, depth: 5001 },
  { rows: 50, columns: 70, depth: 5000, rightTransposed: true, simpleStore: false },
  { rows: 6, columns: 25, depth: 50_000 },
  { rows: 6, columns: 25, depth: 50_000, rightTransposed: true },
  { rows: 6, columns: 25, depth: 50_000, leftTransposed: true },
  { rows: 128, columns: 128, depth: 32, batch: 8, rightTransposed: true },
  { rows: 128, columns: 32, depth: 128, batch: 8 },
  { rows: 128, columns: 32, depth: 128, batch: 8, leftTransposed: true },
  { rows: 60, columns: 90, depth: 130, element: 'f64' },
  ...LAYOUTS.map((layout): Case => ({ rows: 130, columns: 330, depth: 211, group: 4, ...layout })),
];

function deviceOrNull(name: string): Device | null {
  try {
    return getDevice(name);
  } catch {
    return null;
  }
}

const WIDE: DeviceFeatures = {
  vectorBytes: 64,
  vectorRegisters: 32,
  tiles: [],
  fused: true,
  threads: 2,
  description: 'wide vectors',
};
const NARROW: DeviceFeatures = {
  vectorBytes: 16,
  vectorRegisters: 16,
  tiles: [],
  fused: false,
  threads: 2,
  description: 'narrow vectors',
};

/** Edges of all kinds of tiles of bfloat16. */
const SPLIT: readonly Case[] = LAYOUTS.flatMap((layout): Case[] => [
  { rows: 32, columns: 64, depth: 64, group: 2, ...layout },
  { rows: 33, columns: 69, depth: 33, group: 2, ...layout },
  { rows: 40, columns: 47, depth: 17, group: 1, simpleStore: false, ...layout },
  { rows: 50, columns: 100, depth: 70, batch: 2, group: 3, rightShared: true, ...layout },
]);

describe('contraction, bounds checked, on js', () => {
  const device = new JsDevice({ bounds: true });
  for (const features of [device.features, NARROW, WIDE]) {
    describe(`with ${features.description}`, () => {
      for (const c of SMALL) it(nameOf(c), () => check(device, c, features, [1]));
    });
  }
  // Squares of 16 by 16 turned lane by lane are too much code for one function of JavaScript.
  for (const c of SPLIT.filter((c) => c.leftTransposed !== true && c.rightTransposed !== true))
    it(nameOf(c), () => check(device, c, WIDE, [1]));
});

for (const name of ['wasm', 'native']) {
  const device = deviceOrNull(name);
  describe.skipIf(device === null)(`contraction on ${name}`, () => {
    if (device === null) return;
    for (const c of [...SMALL, ...SPLIT, ...LARGE]) {
      it(nameOf(c), () => {
        // Workspaces are sized for the threads that the device has when the kernels are built.
        device.setThreads(2);
        const { threads } = device.features;
        check(device, c, device.features, [1, threads, 1, threads]);
      });
    }
  });
}

/** What is put into operands of numbers around 1, and multiplied in bfloat16 and in floats beside each other. */
const RANGES: Readonly<Record<string, (left: Float32Array, right: Float32Array) => void>> = {
  'an infinity': (left) => void (left[40] = Infinity),
  'a NaN': (_, right) => void (right[100] = NaN),
  'all bits set': (left) => void new Uint32Array(left.buffer).fill(0xffffffff, 70, 72),
  'the largest number': (left, right) => void ((left[3] = 3.4028234e38), (right[69] = -3.4028234e38)),
  'large times small': (left, right) =>
    [left, right].forEach((x, i) => x.forEach((v, at) => (x[at] = v * [1e30, 1e-30][i]!))),
  'products that vanish': (left, right) => [left, right].forEach((x) => x.forEach((v, at) => (x[at] = v * 1e-20))),
  'subnormal rows': (left) => left.fill(1e-42, 0, 66),
  'rows of zeros': (left) => left.fill(0, 33, 330),
  'rows of every size': (left) => left.forEach((v, at) => (left[at] = v * 10 ** (Math.floor(at / 33) * 2 - 40))),
  'elements of every size': (left) => left.forEach((v, at) => (left[at] = v * 10 ** (-at % 33))),
};

describe.each(['wasm', 'native'])('what three bfloat16 cannot stand for is multiplied as floats, on %s', (name) => {
  const device = deviceOrNull(name);
  it.skipIf(device === null).each(Object.entries(RANGES))('%s', (_, change) => {
    if (device === null) return;
    const c: Case = { rows: 33, columns: 69, depth: 33, group: 2 };
    const [left, right] = [
      Float32Array.from(fill('f32', 33 * 33, 1), Number),
      Float32Array.from(fill('f32', 33 * 69, 2), Number),
    ];
    change(left, right);
    const [result] = run(device, c, device.features, left, right, [1]);
    const { values, magnitudes } = reference(c, left, right);
    const largest = (x: Numbers, start: number, stride: number): number =>
      Math.max(...Array.from({ length: 33 }, (_, k) => Math.abs(Number(x[start + k * stride]))));
    values.forEach((wanted, at) => {
      const got = Number(result![at]);
      if (!Number.isFinite(wanted)) expect(got).toBe(wanted);
      // Where only float32 overflows, the order of the sum decides.
      else if (!Number.isFinite(Math.fround(magnitudes[at]!)))
        expect(Number.isFinite(got) ? got / wanted : 1).toBeCloseTo(1, 6);
      else {
        const scale = largest(left, Math.floor(at / 69) * 33, 1) * largest(right, at % 69, 69);
        expect(Math.abs(got - wanted)).toBeLessThanOrEqual(2 ** -24 * 20 * (magnitudes[at]! + scale) + 2 ** -148 * 33);
      }
    });
  });
});

describe('plans', () => {
  it('split a long depth into parts that do not depend on the number of threads', () => {
    const c: Case = { rows: 6, columns: 25, depth: 50_000, rightTransposed: true };
    const plan = planOf(specOf(c, WIDE));
    expect(plan).toEqual(planOf(specOf(c, { ...WIDE, threads: 64 })));
    expect(plan).toMatchObject({ kind: 'inner' });
    expect(plan?.kind === 'inner' ? plan.parts : 0).toBeGreaterThan(4);
    expect(plan === null ? 0 : buildPlanned(specOf(c, WIDE), plan).launches.length).toBe(2);
  });

  it('take tile registers where they pay, never for a depth that would have to be packed in pieces', () => {
    const tiles: DeviceFeatures = { ...WIDE, tiles: ['bf16'] };
    const kindOf = (rows: number, columns: number, depth: number, features = tiles): string | undefined =>
      planOf(specOf({ rows, columns, depth }, features))?.kind;
    expect(kindOf(1024, 1024, 1024)).toBe('split');
    expect(kindOf(1024, 1024, 1024, WIDE)).toBe('outer');
    expect(kindOf(32, 4096, 1024)).toBe('outer');
    expect(kindOf(64, 64, 1_000_000)).not.toBe('split');
    expect(kindOf(1024, 1024, 4096)).toBe('outer');
    const { workspaceBytes } = buildContraction(specOf({ rows: 1024, columns: 1024, depth: 4095 }, tiles));
    expect(workspaceBytes).toBeLessThan(8 << 20);
  });

  it('let row tiles take turns at pieces of packed panels that stay in the first-level cache, in few rows but more than wait for memory', () => {
    const planFor = (rows: number, features: DeviceFeatures): OuterPlan => {
      const plan = planOf(specOf({ rows, columns: 4096, depth: 4096, prepackRight: true }, features));
      if (plan?.kind !== 'outer') throw new Error('not a plan of outer products');
      return plan;
    };
    for (const rows of [16, 20, 32]) {
      const plan = planFor(rows, WIDE);
      expect(plan.rowTiles).toBeGreaterThan(1);
      expect(plan.prefetchTiles).toBe(plan.rowTiles);
      // The pieces of all panels of a group, in 48 KiB.
      expect(plan.group).toBe(rows === 16 ? 1 : 2);
      expect(plan.group * plan.depthBlock * plan.width * 4).toBeLessThanOrEqual(24 * 1024);
      expect(plan.tileVectors).toBeGreaterThan(1);
    }
    for (const rows of [1, 4, 8, 12]) expect(planFor(rows, WIDE)).toMatchObject({ rowTiles: 1, prefetchTiles: 1 });
    for (const rows of [16, 32]) expect(planFor(rows, NARROW).depthBlock).toBe(4096);
  });

  it('keep the register tile inside the registers', () => {
    for (const rows of [1, 5, 64, 1000]) {
      for (const columns of [1, 16, 100, 1000]) {
        const plan = planOf(specOf({ rows, columns, depth: 64 }, NARROW));
        if (plan?.kind === 'outer') expect(plan.tileRows * plan.tileVectors).toBeLessThanOrEqual(12);
      }
    }
  });
});
