/**
 * Turns nodes into kernel code: the value of a node at a position, by recursion through its sources until memory is reached. One emitter
 * stands for one loop level; what does not depend on that level's variables is emitted one level up.
 */
import {
  type Block,
  DTYPES,
  type DType,
  type KernelBuilder,
  type Memory,
  ProjError,
  SCALARS,
  type ScalarType,
  type Value,
} from '@proj/kernel';
import { type AnyNode, elementCount, isComplexType, operandsOf } from '../graph/node.ts';
import { BINARY, castValue, storeValue, UNARY } from './elementwise.ts';
import { randomBits } from './random.ts';
import {
  addIndex,
  coefficientOf,
  constantIndex,
  dependsOn,
  divIndex,
  expandWithin,
  flatten,
  type IndexExpression,
  type IndexSymbol,
  keyOf,
  modIndex,
  offsetIndex,
  rangeOf,
  reshapePosition,
  runtimeSymbol,
  sameIndex,
  scaleIndex,
  symbolIndex,
  withinIndex,
} from './index-expression.ts';

export type Position = readonly IndexExpression[];

const CACHE_LINE = 64;
/** Below this, numbers and their negatives are apart in 32 bits. */
const SHORT = 2 ** 31;

/** Where an emitter finds what it cannot compute: memory, constants, values of earlier loops. */
export interface Environment {
  readonly b: KernelBuilder;
  /** How many elements ahead of what it reads a contiguous vector load asks for; 0 for not. */
  readonly ahead: number;
  /** The buffer that holds `node`, or null when it is to be computed in place. `constant` elements have been taken out of the index. */
  memoryOf(node: AnyNode, constant: number, position: Position): Memory | null;
  /** A constant that is not part of the code. */
  scalarOf(node: AnyNode): Value;
  /** The value of a reduction of an earlier phase at `position`, null when it is not one. Throws when the position does not fit. */
  reducedValue(node: AnyNode, position: Position): Value | null;
  /** A value kept from an earlier phase of the row. */
  spilled(node: AnyNode, position: Position, level: Emitter): Value | null;
  /** Memory in which a kernel notes an index that is out of range, and the number of this check. */
  boundsCheck(node: AnyNode): { readonly memory: Memory; readonly slot: number };
  /** Tells the analysis which index expressions occur. */
  onAccess(expression: IndexExpression): void;
}

export const scalarOfDType = (dtype: DType): ScalarType => DTYPES[dtype].scalar;
/** The type that arithmetic happens in. */
export const computeScalar = (dtype: DType): ScalarType => {
  const scalar = DTYPES[dtype].scalar;
  return scalar === 'f16' || scalar === 'bf16' ? 'f32' : scalar;
};

/** Numbers that become part of the code, because simplifications and speed hang on them. Others are arguments. */
export const isStructuralConstant = (value: number | bigint | boolean): boolean =>
  typeof value === 'boolean' ||
  [0, 1, -1, 2, 0.5, Infinity, -Infinity].includes(Number(value)) ||
  Number.isNaN(Number(value));

export class Emitter {
  readonly b: KernelBuilder;
  readonly environment: Environment;
  readonly parent: Emitter | null;
  readonly block: Block;
  /** Loop variables that this level opens, with their values. */
  readonly variables: ReadonlyMap<IndexSymbol, Value>;
  readonly vector: IndexSymbol | null;
  readonly lanes: number;
  #memo = new Map<string, Value>();

  constructor(
    environment: Environment,
    parent: Emitter | null,
    variables: ReadonlyMap<IndexSymbol, Value>,
    vector: IndexSymbol | null = null,
    lanes = 1,
  ) {
    this.b = environment.b;
    this.environment = environment;
    this.parent = parent;
    this.block = environment.b.block;
    this.variables = variables;
    this.vector = lanes > 1 ? vector : null;
    this.lanes = lanes;
  }

  /** The value of `node` at `position`, in the compute type of its dtype; a scalar when all lanes are equal. Where `mask` is false it is undefined and memory is not touched. */
  emit(node: AnyNode, position: Position, mask: Value | null = null): Value {
    if (this.parent !== null && !this.#belongsHere(position, mask)) {
      const { parent } = this;
      return this.b.within(parent.block, () => parent.emit(node, position, mask));
    }
    const key = `${node.id}|${position.map(keyOf).join(',')}|${mask?.id ?? ''}`;
    let value = this.#memo.get(key);
    if (value === undefined) this.#memo.set(key, (value = this.#compute(node, position, mask)));
    return value;
  }

  #belongsHere(position: Position, mask: Value | null): boolean {
    const outer = this.parent?.block.depth ?? -1;
    if (mask !== null && (mask.type.lanes > 1 || mask.block.depth > outer)) return true;
    return position.some((e) => this.#dependsOnLevel(e, outer));
  }

  #dependsOnLevel(e: IndexExpression, outer: number): boolean {
    for (const [symbol] of e.terms) {
      const d = symbol.definition;
      if (
        d.kind === 'loop'
          ? this.variables.has(symbol)
          : d.kind === 'runtime'
            ? d.value.type.lanes > 1 || d.value.block.depth > outer
            : this.#dependsOnLevel(d.of, outer)
      )
        return true;
    }
    return false;
  }

  #compute(node: AnyNode, position: Position, mask: Value | null): Value {
    const { b, environment } = this;
    const reduced = environment.reducedValue(node, position);
    if (reduced !== null) return reduced;
    const kept = environment.spilled(node, position, this);
    if (kept !== null) return kept;
    const stored = this.#load(node, position, mask);
    if (stored !== null) return stored;
    switch (node.op) {
      case 'constant': {
        const { value, provider } = node.attr;
        if (provider === null && isStructuralConstant(value)) return b.constant(value, computeScalar(node.dtype));
        return environment.scalarOf(node);
      }
      case 'iota': {
        const e = offsetIndex(scaleIndex(position[0], node.attr.step), node.attr.start);
        environment.onAccess(e);
        return castValue(b, b.cast(this.indexValue(e), 'i64'), 'int64', node.dtype);
      }
      case 'reshape':
        return this.emit(node.sources[0], reshapePosition(position, node.shape, node.sources[0].shape), mask);
      case 'part': {
        const [source] = operandsOf(node);
        const inner = reshapePosition(position, node.shape, source.shape);
        if (!isComplexType(source.dtype)) return this.emit(source, inner, mask);
        const part = this.#load(source, inner, mask, node.attr.imaginary ? elementCount(source.shape) : 0);
        if (part === null) throw new Error('unreachable: a complex value is in memory or made of parts');
        return part;
      }
      case 'permute': {
        const source = new Array<IndexExpression>(position.length);
        node.attr.order.forEach((dim, i) => (source[dim] = position[i]));
        return this.emit(node.sources[0], source, mask);
      }
      case 'expand': {
        const { shape } = node.sources[0];
        return this.emit(
          node.sources[0],
          position.map((e, i) => (shape[i] === 1 ? constantIndex(0) : e)),
          mask,
        );
      }
      case 'slice': {
        const { starts, steps } = node.attr;
        return this.emit(
          node.sources[0],
          position.map((e, i) => offsetIndex(scaleIndex(e, steps[i]), starts[i])),
          mask,
        );
      }
      case 'pad': {
        const [source] = node.sources;
        const { before, value } = node.attr;
        const inner = position.map((e, i) => offsetIndex(e, -before[i]));
        const inside = this.#within(inner, source.shape, null);
        const padding = b.constant(value, computeScalar(node.dtype));
        if (inside === null) return this.emit(source, inner, mask);
        const both = mask === null ? inside : b.and(mask, inside);
        return b.select(
          inside,
          this.emit(
            source,
            inner.map((e, i) => withinIndex(e, source.shape[i])),
            both,
          ),
          padding,
        );
      }
      case 'window': {
        const [source] = node.sources;
        const { dim, stride, dilation, padding } = node.attr;
        const inner = position.slice(0, -1);
        inner[dim] = offsetIndex(
          addIndex(scaleIndex(position[dim], stride), scaleIndex(position[position.length - 1], dilation)),
          -padding,
        );
        const inside = this.#within([inner[dim]], [source.shape[dim]], null);
        if (inside === null) return this.emit(source, inner, mask);
        const both = mask === null ? inside : b.and(mask, inside);
        inner[dim] = withinIndex(inner[dim], source.shape[dim]);
        return b.select(inside, this.emit(source, inner, both), b.constant(0, computeScalar(node.dtype)));
      }
      case 'take': {
        const [source, index] = node.sources;
        const rank = index.shape.length;
        const at = this.emit(index, position.slice(0, rank), mask);
        const size = source.shape[0];
        const asIndex = b.cast(at, 'index');
        const ok = b.and(b.ge(asIndex, 0), b.lt(asIndex, size));
        this.#check(node, asIndex, ok, mask);
        const both = mask === null ? ok : b.and(mask, ok);
        return this.emit(source, [symbolIndex(runtimeSymbol(asIndex, size)), ...position.slice(rank)], both);
      }
      case 'unary':
        return UNARY[node.attr.fn](b, this.emit(node.sources[0], position, mask), node.dtype);
      case 'binary': {
        const [x, y] = node.sources;
        return BINARY[node.attr.fn](b, this.emit(x, position, mask), this.emit(y, position, mask), x.dtype);
      }
      case 'where': {
        const [condition, x, y] = node.sources;
        return b.select(
          this.emit(condition, position, mask),
          this.emit(x, position, mask),
          this.emit(y, position, mask),
        );
      }
      case 'cast':
        return castValue(b, this.emit(node.sources[0], position, mask), node.sources[0].dtype, node.dtype);
      case 'bitcast':
        return b.bitcast(this.emit(node.sources[0], position, mask), scalarOfDType(node.dtype));
      case 'random': {
        const [seed, offset] = node.sources;
        const at = flatten(position, node.shape);
        environment.onAccess(at);
        return randomBits(b, this.emit(seed, []), this.emit(offset, []), this.indexValue(at));
      }
      case 'contiguous':
      case 'detach':
      case 'leaf':
        return this.emit(node.sources[0], position, mask);
      case 'buffer':
      case 'fold':
      case 'reduce':
      case 'contract':
      case 'scatter':
      case 'concat':
      case 'accumulateSlices':
      case 'cumulate':
      case 'argsort':
      case 'custom':
        throw new ProjError('kernel-compilation', `${node.op} was not put into memory before it was read`, {
          op: node.op,
          shapes: [node.shape],
          dtypes: [node.dtype],
        });
      case 'complex':
        throw new Error('unreachable: complex values are stored and read by parts');
      default:
        return node satisfies never;
    }
  }

  /** One element of the sum that `fold` is, for window element `k` (an expression): its value, 0 where no window reaches. */
  emitFold(node: AnyNode & { readonly op: 'fold' }, position: Position, k: IndexExpression): Value {
    const { b } = this;
    const [source] = node.sources;
    const { dim, stride, dilation, padding } = node.attr;
    const reach = offsetIndex(addIndex(position[dim], scaleIndex(k, -dilation)), padding);
    const at = divIndex(reach, stride);
    const conditions: Value[] = [];
    if (stride > 1) {
      const rest = modIndex(reach, stride);
      this.environment.onAccess(rest);
      conditions.push(b.eq(this.indexValue(rest), 0), b.ge(this.indexValue(reach), 0));
    }
    const inside = this.#within([at], [source.shape[dim]], null);
    if (inside !== null) conditions.push(inside);
    const inner = [...position, k];
    inner[dim] = withinIndex(at, source.shape[dim]);
    const zero = b.constant(0, computeScalar(node.dtype));
    if (conditions.length === 0) return this.emit(source, inner);
    const all = conditions.reduce((x, y) => b.and(x, y));
    return b.select(all, this.emit(source, inner, all), zero);
  }

  /** Condition that every coordinate lies inside `shape`, null when that is always so. */
  #within(position: Position, shape: readonly number[], before: Value | null): Value | null {
    const { b } = this;
    let condition = before;
    position.forEach((e, i) => {
      const { min, max } = rangeOf(e);
      if (min >= 0 && max < shape[i]) return;
      this.environment.onAccess(e);
      const lanes = this.#lanesInside(e, shape[i]);
      if (lanes !== null) {
        condition = condition === null ? lanes : b.and(condition, lanes);
        return;
      }
      const value = this.indexValue(e);
      for (const part of [min < 0 ? b.ge(value, 0) : null, max >= shape[i] ? b.lt(value, shape[i]) : null]) {
        if (part !== null) condition = condition === null ? part : b.and(condition, part);
      }
    });
    return condition;
  }

  /** Whether each lane of `e` lies in [0, size): one comparison of short numbers, where lanes are a constant apart; null elsewhere. */
  #lanesInside(e: IndexExpression, size: number): Value | null {
    const { b, vector, lanes } = this;
    const { min, max } = rangeOf(e);
    if (vector === null || !dependsOn(e, vector) || min < -SHORT || max >= SHORT || size > SHORT) return null;
    const stride = this.#laneStride(e);
    if (stride === null || stride < 0) return null;
    const first = b.splat(b.cast(this.#scalarIndex(e), 'u32'), lanes);
    const steps = b.mul(b.iota('u32', lanes), b.constant(stride, 'u32'));
    return b.lt(b.add(first, steps), b.splat(b.constant(size, 'u32'), lanes));
  }

  #check(node: AnyNode, index: Value, ok: Value, mask: Value | null): void {
    const { b } = this;
    const { memory, slot } = this.environment.boundsCheck(node);
    let bad = b.not(ok);
    if (mask !== null) bad = b.and(mask, bad);
    const worst = b.horizontal('reduceMax', b.select(bad, b.constant(1, 'i32'), b.constant(0, 'i32')));
    b.if(b.ne(worst, 0), () => {
      b.store(memory, 2 * slot, b.constant(1, 'i32'));
      const shown = b.select(bad, b.cast(index, 'i32'), b.constant(-(2 ** 31), 'i32'));
      b.store(memory, 2 * slot + 1, b.horizontal('reduceMax', shown));
    });
  }

  /** `start`: where the values begin in the memory of the node. */
  #load(node: AnyNode, position: Position, mask: Value | null, start = 0): Value | null {
    const { b, environment } = this;
    const full = offsetIndex(expandWithin(flatten(position, node.shape)), start);
    // What a mask keeps from being read may lie behind the memory as a whole.
    const isInside = full.constant > 0 && full.constant < start + elementCount(node.shape);
    const hoisted = isInside && full.terms.every(([s, c]) => c > 0 && s.min >= 0) ? full.constant : 0;
    const memory = environment.memoryOf(node, hoisted, position);
    if (memory === null) return null;
    const e = offsetIndex(full, -hoisted);
    environment.onAccess(e);
    const stride = this.#laneStride(e);
    let value: Value;
    if (stride === 0) value = b.load(memory, this.#scalarIndex(e), 1, scalarMask(b, mask));
    else if (stride === 1) {
      const index = this.#scalarIndex(e);
      value = b.load(memory, index, this.lanes, mask);
      const { ahead } = this.environment;
      const line = CACHE_LINE / SCALARS[memory.element].bytes;
      if (ahead > 0 && this.lanes >= line)
        for (let at = 0; at < this.lanes; at += line) b.prefetch(memory, b.add(index, ahead + at));
    } else value = b.gather(memory, this.indexValue(e), mask);
    return castValue(b, value, node.dtype, node.dtype);
  }

  /** How far apart the lanes are: 0 when equal, null when irregular. */
  #laneStride(e: IndexExpression): number | null {
    for (const [symbol] of e.terms) if (isVectorRuntime(symbol)) return null;
    return this.vector === null ? 0 : coefficientOf(e, this.vector);
  }

  /** The index of the first lane. */
  #scalarIndex(e: IndexExpression): Value {
    return this.#sum(e, (symbol) => this.#symbolValue(symbol));
  }

  /** Stores `value` (in compute type, this level's lanes) at `index`, or adds it to what is there. */
  store(memory: Memory, index: IndexExpression, value: Value, dtype: DType, accumulate: boolean): void {
    const { b } = this;
    const contiguous = this.lanes === 1 || this.#laneStride(index) === 1;
    const at = contiguous ? this.#scalarIndex(index) : this.indexValue(index);
    let stored = value;
    if (accumulate) {
      const before = contiguous ? b.load(memory, at, this.lanes) : b.gather(memory, at);
      stored = BINARY.add(b, castValue(b, before, dtype, dtype), value, dtype);
    }
    if (contiguous) b.store(memory, at, storeValue(b, stored, dtype));
    else b.scatter(memory, at, storeValue(b, stored, dtype));
  }

  /** The index of the first lane: where a contiguous store begins. */
  indexValueOfFirstLane(e: IndexExpression): Value {
    return this.#scalarIndex(e);
  }

  /** The index, a vector when lanes differ. */
  indexValue(e: IndexExpression): Value {
    const { b, vector, lanes } = this;
    if (vector === null || !dependsOn(e, vector)) return this.#scalarIndex(e);
    const stride = this.#laneStride(e);
    if (stride !== null) return b.add(this.#scalarIndex(e), b.mul(b.iota('index', lanes), b.index(stride)));
    return this.#sum(e, (symbol) => this.#symbolVector(symbol));
  }

  #sum(e: IndexExpression, valueOf: (symbol: IndexSymbol) => Value): Value {
    const { b } = this;
    let sum: Value | null = null;
    for (const [symbol, c] of e.terms) {
      const term = b.mul(valueOf(symbol), b.index(c));
      sum = sum === null ? term : b.add(sum, term);
    }
    if (sum === null) return b.index(e.constant);
    return e.constant === 0 ? sum : b.add(sum, b.index(e.constant));
  }

  #symbolValue(symbol: IndexSymbol): Value {
    const { b } = this;
    const d = symbol.definition;
    switch (d.kind) {
      case 'loop':
        return this.loopValue(symbol);
      case 'runtime':
        return d.value;
      case 'within':
        return this.#scalarIndex(d.of);
      case 'div':
        return b.div(this.#scalarIndex(d.of), b.index(d.by));
      case 'mod':
        return b.rem(this.#scalarIndex(d.of), b.index(d.by));
      default:
        return d satisfies never;
    }
  }

  #symbolVector(symbol: IndexSymbol): Value {
    const { b, vector, lanes } = this;
    if (symbol === vector) return b.add(this.loopValue(symbol), b.iota('index', lanes));
    const d = symbol.definition;
    if (d.kind === 'within') return this.indexValue(d.of);
    if (d.kind === 'div') return b.div(this.indexValue(d.of), b.index(d.by));
    if (d.kind === 'mod') return b.rem(this.indexValue(d.of), b.index(d.by));
    return this.#symbolValue(symbol);
  }

  /** The value of a loop variable of this level or an outer one. */
  loopValue(symbol: IndexSymbol): Value {
    const value = this.variables.get(symbol);
    if (value !== undefined) return value;
    if (this.parent === null) throw new ProjError('kernel-compilation', 'a loop variable is used outside its loop');
    return this.parent.loopValue(symbol);
  }
}

const isVectorRuntime = (symbol: IndexSymbol): boolean => {
  const d = symbol.definition;
  if (d.kind === 'runtime') return d.value.type.lanes > 1;
  if (d.kind === 'loop') return false;
  return d.of.terms.some(([s]) => isVectorRuntime(s));
};

/** A load that all lanes share happens when any lane wants it. */
function scalarMask(b: KernelBuilder, mask: Value | null): Value | null {
  if (mask === null || mask.type.lanes === 1) return mask;
  const any = b.horizontal('reduceMax', b.select(mask, b.constant(1, 'i32'), b.constant(0, 'i32')));
  return b.ne(any, 0);
}

export { sameIndex };
