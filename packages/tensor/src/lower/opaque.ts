/** Lowering of the primitives that are not loops over one expression: products, scatters, running reductions, sorting, joining, custom operations. */
import {
  buildKernel,
  type DeviceFeatures,
  DTYPES,
  KernelBuilder,
  type Memory,
  ProjError,
  type Value,
} from '@proj/kernel';
import { type AnyNode, elementCount } from '../graph/node.ts';
import type { CumulateOperation, ScatterMode } from '../graph/primitives.ts';
import { buildContraction } from '../kernels/contraction.ts';
import { BINARY, castValue, storeValue } from './elementwise.ts';
import { computeScalar, Emitter, type Position, scalarOfDType } from './emitter.ts';
import { type KernelArgument, KernelEnvironment, type LoweredKernel } from './environment.ts';
import {
  constantIndex,
  flatten,
  type IndexSymbol,
  loopSymbol,
  reshapePosition,
  sameIndex,
  symbolIndex,
} from './index-expression.ts';
import { type LoopGroup, NotFusable, realStores, type Region, storeOffset, type StoredNode } from './loop-group.ts';
import { lowerLoops } from './loop-nest.ts';
import { operandOf, stridedMemory } from './operand.ts';
import { lowerArgsort } from './sort.ts';

export interface Lowered<N = AnyNode> {
  readonly kernels: readonly LoweredKernel<N>[];
  readonly workspaceBytes: number;
  /** How many of the first kernels only rearrange a constant operand into the workspace, and the memory that they read: they run once if the workspace is kept. */
  readonly prepacked?: { readonly count: number; readonly source: N };
}

interface Context {
  readonly features: DeviceFeatures;
  inMemory(node: AnyNode): boolean;
  /** Whether the memory of a node stays the same from run to run. */
  isConstant(node: AnyNode): boolean;
  /** The node whose memory holds the elements of `node` in order. */
  owner(node: AnyNode): AnyNode;
}

/** In the store of a product: the finished sum stands for the product's node. */
class StoreEnvironment extends KernelEnvironment {
  anchor: AnyNode | null = null;
  at: Position = [];
  readonly operands = new Set<AnyNode>();
  readonly #elsewhere = new Set<AnyNode>();
  override bind(node: AnyNode, constant: number): Memory {
    this.operands.add(node);
    return super.bind(node, constant);
  }
  override memoryOf(node: AnyNode, constant: number, position: Position): Memory | null {
    const isOperand = this.operands.has(node);
    const memory = super.memoryOf(node, constant, position);
    if (memory === null) return null;
    const shape = this.anchor?.shape ?? [];
    if (!sameIndex(flatten(position, node.shape), flatten(this.at, shape))) this.#elsewhere.add(node);
    if (!isOperand) this.operands.delete(node);
    return memory;
  }
  /** Nodes that the store reads at the position it writes, and that are not operands. */
  readInPlace(): AnyNode[] {
    return [...new Set(this.reads.map((read) => read.node))].filter(
      (node) => !this.operands.has(node) && !this.#elsewhere.has(node),
    );
  }
  value: Value | null = null;
  override reducedValue(node: AnyNode, position: Position): Value | null {
    if (node !== this.anchor || this.value === null) return null;
    if (!position.every((e, i) => sameIndex(e, this.at[i])))
      throw new NotFusable('a product is read at another position');
    return this.value;
  }
}

/** Constant right operands are rearranged once where few rows share the work of doing so, and it is not trifling. */
const PREPACK_ROWS = 64;
const PREPACK_ELEMENTS = 1 << 16;

export function lowerContract(
  anchor: AnyNode & { readonly op: 'contract' },
  stores: readonly StoredNode[],
  context: Context,
): Lowered {
  const [left, right] = anchor.sources;
  const [batch, rows, columns] = anchor.shape;
  const environments: StoreEnvironment[] = [];
  const own = new Set(stores.map((s) => s.node));
  const inMemory = (node: AnyNode): boolean => context.inMemory(node) && node !== anchor && !own.has(node);
  const rightMemory = stridedMemory(right, 'right', inMemory);
  const prepackRight =
    rightMemory !== null &&
    context.isConstant(rightMemory) &&
    batch === 1 &&
    rows <= PREPACK_ROWS &&
    left.shape[2] * columns >= PREPACK_ELEMENTS;
  const built = buildContraction({
    prepackRight,
    name: 'contract',
    element: scalarOfDType(anchor.dtype),
    batch,
    rows,
    columns,
    depth: left.shape[2],
    features: context.features,
    simpleStore: stores.length === 1 && stores[0].node === anchor,
    declare: (b) => {
      const environment = new StoreEnvironment(b, inMemory);
      environments.push(environment);
      const outputs = realStores(stores).map(
        (s) => [s, environment.output(s.half?.owner ?? s.node, 'write', storeOffset(s))] as const,
      );
      return {
        left: operandOf(left, 'left', environment, inMemory),
        right: operandOf(right, 'right', environment, inMemory),
        store: (builder, at, value, lanes) => storeProduct(builder, environment, anchor, outputs, at, value, lanes),
      };
    },
  });
  const kernels = built.launches.map((launch): LoweredKernel => {
    // `declare` is called for every kernel (and for probes): the environment that made its parameters knows their bindings.
    const environment = environments.find((e) => e.owns(launch.kernel)) ?? environments[0];
    return {
      ...launch,
      args: environment.argumentsOf(launch.kernel),
      checks: environment.checks,
      inPlace: environment.readInPlace(),
    };
  });
  const prepacked =
    prepackRight && built.prepackedLaunches > 0
      ? { prepacked: { count: built.prepackedLaunches, source: rightMemory } }
      : {};
  return { kernels, workspaceBytes: built.workspaceBytes, ...prepacked };
}

/** Whether everything that the store of a product would compute reads the product where it is being stored: tried out on code that is thrown away. */
export function fitsStore(
  anchor: AnyNode & { readonly op: 'contract' },
  stores: readonly StoredNode[],
  inMemory: (node: AnyNode) => boolean,
): boolean {
  const b = new KernelBuilder('trial');
  const environment = new StoreEnvironment(b, (node) => inMemory(node) && !stores.some((s) => s.node === node));
  const outputs = realStores(stores).map((s) => [s, environment.output(s.half?.owner ?? s.node)] as const);
  const [batch, row, column] = ['batch', 'row', 'column'].map((name) => b.scalar(name, 'index'));
  const value = b.scalar('value', computeScalar(anchor.dtype));
  try {
    b.for(0, 1, 1, [], () => storeProduct(b, environment, anchor, outputs, { batch, row, column }, value, 1));
    return true;
  } catch (error) {
    if (error instanceof NotFusable) return false;
    throw error;
  }
}

function storeProduct(
  b: KernelBuilder,
  environment: StoreEnvironment,
  anchor: AnyNode,
  outputs: readonly (readonly [StoredNode, Memory])[],
  at: { readonly batch: Value; readonly row: Value; readonly column: Value },
  value: Value,
  lanes: number,
): void {
  const symbols = anchor.shape.map((size) => loopSymbol(size));
  const variables = new Map<IndexSymbol, Value>([
    [symbols[0], at.batch],
    [symbols[1], at.row],
    [symbols[2], at.column],
  ]);
  const position = symbols.map((s, i) => (anchor.shape[i] === 1 ? constantIndex(0) : symbolIndex(s)));
  const emitter = new Emitter(environment, null, variables, symbols[2], lanes);
  environment.anchor = anchor;
  environment.at = position;
  environment.value = value;
  const index = flatten(position, anchor.shape);
  const results = outputs.map(([stored]) =>
    stored.node === anchor
      ? value
      : emitter.emit(stored.node, reshapePosition(position, anchor.shape, stored.node.shape)),
  );
  outputs.forEach(([stored, memory], i) =>
    emitter.store(memory, index, b.splat(results[i], lanes), stored.node.dtype, false),
  );
}

const COMBINE: Record<ScatterMode, 'add' | 'mul' | 'maximum' | 'minimum' | null> = {
  set: null,
  add: 'add',
  mul: 'mul',
  max: 'maximum',
  min: 'minimum',
};

/** A group that copies (or adds) `node` into a region of `owner`'s memory. */
function regionGroup(node: AnyNode, region: Region, context: Context, owner: AnyNode): LoopGroup {
  return {
    name: 'place',
    kept: node.shape,
    reduced: [],
    reductions: [],
    stores: [{ node, level: 'row', region }],
    inMemory: (n) => n !== owner && context.inMemory(n),
  };
}

const wholeRegion = (owner: AnyNode): Region => ({
  owner,
  starts: owner.shape.map(() => 0),
  steps: owner.shape.map(() => 1),
  accumulate: false,
});

export function lowerOpaque(anchor: AnyNode, outputs: readonly AnyNode[], context: Context): Lowered {
  const place = (node: AnyNode, region: Region): LoweredKernel[] =>
    elementCount(node.shape) === 0 ? [] : [lowerLoops(regionGroup(node, region, context, anchor), context.features)];
  switch (anchor.op) {
    case 'concat': {
      let start = 0;
      const kernels: LoweredKernel[] = [];
      for (const part of anchor.sources) {
        kernels.push(
          ...place(part, {
            ...wholeRegion(anchor),
            starts: anchor.shape.map((_, i) => (i === anchor.attr.dim ? start : 0)),
          }),
        );
        start += part.shape[anchor.attr.dim];
      }
      return { kernels, workspaceBytes: 0 };
    }
    case 'accumulateSlices': {
      const [base, ...parts] = anchor.sources;
      const kernels = place(base, wholeRegion(anchor));
      parts.forEach((part, i) =>
        kernels.push(...place(part, { owner: anchor, ...anchor.attr.regions[i], accumulate: true })),
      );
      return { kernels, workspaceBytes: 0 };
    }
    case 'scatter':
      return {
        kernels: [...place(anchor.sources[0], wholeRegion(anchor)), scatterKernel(anchor, anchor.attr.mode, context)],
        workspaceBytes: 0,
      };
    case 'cumulate':
      return { kernels: [cumulateKernel(anchor, anchor.attr.fn, context)], workspaceBytes: 0 };
    case 'argsort':
      return lowerArgsort(anchor, context.owner(anchor.sources[0]), anchor.attr.descending, context.features);
    case 'custom': {
      const { operation, options } = anchor.attr;
      const inputs = anchor.sources.map((source) => context.owner(source));
      const made = operation.outputs(anchor.sources, options);
      const results = made.map(
        (_, i) => outputs.find((node) => node.op === 'custom' && node.attr.output === i) ?? null,
      );
      const { launches, workspaceBytes } = operation.launches(anchor.sources, made, options, context.features);
      // An output that nobody reads goes to scratch memory behind the workspace.
      let scratch = Math.ceil(workspaceBytes / 64) * 64;
      const place = (node: AnyNode | null, i: number): KernelArgument => {
        if (node !== null) return { kind: 'node', node, offset: 0 };
        const offset = scratch;
        scratch += Math.ceil((elementCount(made[i].shape) * DTYPES[made[i].dtype].bytes) / 64) * 64;
        return { kind: 'workspace', offset };
      };
      const bindings: KernelArgument[] = [...inputs.map((node) => place(node, 0)), ...results.map(place)];
      return {
        workspaceBytes: scratch,
        kernels: launches.map((launch) => ({
          ...launch,
          checks: [],
          inPlace: [],
          args: launch.kernel.parameters.map((_, i) => bindings[i] ?? { kind: 'workspace' as const, offset: 0 }),
        })),
      };
    }
    default:
      throw new ProjError('kernel-compilation', `${anchor.op} has no lowering of its own`, { op: anchor.op });
  }
}

/** Rows in the order of the index: each thread works on its own columns, so that equal indices combine in order. */
function scatterKernel(
  anchor: AnyNode & { readonly op: 'scatter' },
  mode: ScatterMode,
  context: Context,
): LoweredKernel {
  const [, index, updates] = anchor.sources;
  const rest = elementCount(anchor.shape.slice(1));
  const count = elementCount(index.shape);
  const lanes = Math.max(1, context.features.vectorBytes / 4);
  let environment: KernelEnvironment | null = null;
  const kernel = buildKernel('scatter', (b) => {
    environment = new KernelEnvironment(b, () => true);
    const out = environment.output(anchor, 'readwrite');
    const indices = environment.bind(context.owner(index), 0);
    const values = environment.bind(context.owner(updates), 0);
    const { memory: status, slot } = environment.boundsCheck(anchor);
    b.for(0, count, 1, [], (i) => {
      const row = b.cast(b.load(indices, i), 'index');
      const inside = b.and(b.ge(row, 0), b.lt(row, anchor.shape[0]));
      b.if(
        inside,
        () => {
          const target = b.mul(row, b.index(rest));
          const source = b.mul(i, b.index(rest));
          const one = (j: Value, width: number): void => {
            const value = castValue(b, b.load(values, b.add(source, j), width), updates.dtype, updates.dtype);
            const fn = COMBINE[mode];
            const combined =
              fn === null
                ? value
                : BINARY[fn](
                    b,
                    castValue(b, b.load(out, b.add(target, j), width), anchor.dtype, anchor.dtype),
                    value,
                    anchor.dtype,
                  );
            b.store(out, b.add(target, j), storeValue(b, combined, anchor.dtype));
          };
          const whole = b.add(b.begin, b.mul(b.div(b.sub(b.end, b.begin), b.index(lanes)), b.index(lanes)));
          if (lanes > 1) b.for(b.begin, whole, lanes, [], (j) => one(j, lanes));
          b.for(lanes > 1 ? whole : b.begin, b.end, 1, [], (j) => one(j, 1));
        },
        () => {
          b.store(status, 2 * slot, b.constant(1, 'i32'));
          b.store(status, 2 * slot + 1, b.cast(row, 'i32'));
        },
      );
    });
  });
  return finishKernel(kernel, environment, rest, Math.max(16, Math.ceil(200_000 / Math.max(1, count))), 16);
}

const finishKernel = (
  kernel: LoweredKernel['kernel'],
  environment: KernelEnvironment | null,
  end: number,
  grain: number,
  align: number,
): LoweredKernel => {
  if (environment === null) throw new Error('unreachable');
  return {
    kernel,
    args: environment.argumentsOf(kernel),
    begin: 0,
    end,
    grain,
    align,
    checks: environment.checks,
    inPlace: [],
  };
};

const CUMULATE: Record<CumulateOperation, 'add' | 'mul' | 'maximum' | 'minimum'> = {
  sum: 'add',
  prod: 'mul',
  max: 'maximum',
  min: 'minimum',
};

function cumulateKernel(anchor: AnyNode, fn: CumulateOperation, context: Context): LoweredKernel {
  const source = context.owner(anchor.sources[0]);
  const length = anchor.shape.at(-1) ?? 1;
  let environment: KernelEnvironment | null = null;
  const kernel = buildKernel('cumulate', (b) => {
    environment = new KernelEnvironment(b, () => true);
    const out = environment.output(anchor);
    const input = environment.bind(source, 0);
    const read = (i: Value): Value => castValue(b, b.load(input, i), anchor.dtype, anchor.dtype);
    b.for(b.begin, b.end, 1, [], (row) => {
      const start = b.mul(row, b.index(length));
      const first = read(start);
      b.store(out, start, storeValue(b, first, anchor.dtype));
      b.for(1, length, 1, [first], (i, before) => {
        const at = b.add(start, i);
        const next = BINARY[CUMULATE[fn]](b, before, read(at), anchor.dtype);
        b.store(out, at, storeValue(b, next, anchor.dtype));
        return [next];
      });
    });
  });
  return finishKernel(
    kernel,
    environment,
    elementCount(anchor.shape) / Math.max(1, length),
    Math.max(1, Math.ceil(20_000 / Math.max(1, length))),
    1,
  );
}
