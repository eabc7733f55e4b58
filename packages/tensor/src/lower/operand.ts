/** Operands of a contraction as strided views of memory. */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';
import { type AnyNode, elementCount, isComplexType, operandsOf } from '../graph/node.ts';
import type { ContractionOperand } from '../kernels/contraction-types.ts';
import { Emitter } from './emitter.ts';
import type { KernelEnvironment } from './environment.ts';
import {
  addIndex,
  coefficientOf,
  constantIndex,
  dependsOn,
  flatten,
  type IndexExpression,
  type IndexSymbol,
  loopSymbol,
  offsetIndex,
  reshapePosition,
  scaleIndex,
  symbolIndex,
} from './index-expression.ts';

export type Side = 'left' | 'right';

interface View {
  /** The node that is in memory. */
  readonly base: AnyNode;
  readonly index: IndexExpression;
  readonly batch: IndexSymbol;
  readonly outer: number;
  readonly depth: number;
}

/** The element (batch, outer, depth) of an operand, followed through movement to memory; null when it is not a strided view. */
export function viewOf(node: AnyNode, side: Side, inMemory: (node: AnyNode) => boolean): View | null {
  const symbols = node.shape.map((size) => loopSymbol(size));
  const [batch, first, second] = symbols;
  const [outer, depth] = side === 'left' ? [first, second] : [second, first];
  let position: IndexExpression[] = symbols.map((s, i) => (node.shape[i] === 1 ? constantIndex(0) : symbolIndex(s)));
  let base = node;
  let start = 0;
  while (!inMemory(base)) {
    const [next] = operandsOf(base);
    switch (base.op) {
      case 'reshape':
        position = reshapePosition(position, base.shape, base.sources[0].shape);
        break;
      case 'part':
        position = reshapePosition(position, base.shape, next.shape);
        if (isComplexType(next.dtype) && base.attr.imaginary) start = elementCount(next.shape);
        break;
      case 'permute': {
        const source = new Array<IndexExpression>(position.length);
        base.attr.order.forEach((dim, i) => (source[dim] = position[i]));
        position = source;
        break;
      }
      case 'expand': {
        const { shape } = base.sources[0];
        position = position.map((e, i) => (shape[i] === 1 ? constantIndex(0) : e));
        break;
      }
      case 'slice': {
        const { starts, steps } = base.attr;
        position = position.map((e, i) => offsetIndex(scaleIndex(e, steps[i]), starts[i]));
        break;
      }
      case 'detach':
      case 'leaf':
      case 'contiguous':
        break;
      default:
        return null;
    }
    base = next;
  }
  const index = offsetIndex(flatten(position, base.shape), start);
  const outerStride = coefficientOf(index, outer);
  const depthStride = coefficientOf(index, depth);
  if (outerStride === null || depthStride === null || outerStride < 0 || depthStride < 0) return null;
  const rest = addIndex(
    index,
    addIndex(scaleIndex(symbolIndex(outer), -outerStride), scaleIndex(symbolIndex(depth), -depthStride)),
  );
  if (dependsOn(rest, outer) || dependsOn(rest, depth)) return null;
  return { base, index: rest, batch, outer: outerStride, depth: depthStride };
}

export const isStrided = (node: AnyNode, side: Side, stored: ReadonlySet<AnyNode>): boolean =>
  viewOf(node, side, (n) => n.data !== null || stored.has(n)) !== null;

/** The operand for the contraction template; the memory is bound in `environment`. */
export function operandOf(
  node: AnyNode,
  side: Side,
  environment: KernelEnvironment,
  inMemory: (node: AnyNode) => boolean,
): ContractionOperand {
  const view = viewOf(node, side, inMemory);
  if (view === null) throw new Error('unreachable: the scheduler stores operands that are not strided');
  const hoisted = Math.max(0, view.index.constant);
  const memory: Memory = environment.bind(view.base, hoisted);
  const index = offsetIndex(view.index, -hoisted);
  const base = (b: KernelBuilder, batch: Value): Value => {
    const emitter = new Emitter(environment, null, new Map([[view.batch, batch]]));
    void b;
    return emitter.indexValueOfFirstLane(index);
  };
  const { outer, depth } = view;
  return {
    contiguous: outer === 1 ? 'outer' : depth === 1 ? 'depth' : 'none',
    strided: { memory, base, outer, depth },
    load: (b, at, axis, lanes) => {
      const start = b.add(base(b, at.batch), b.add(b.mul(at.outer, b.index(outer)), b.mul(at.depth, b.index(depth))));
      const stride = axis === 'outer' ? outer : depth;
      if (lanes === 1 || stride === 1) return b.load(memory, start, lanes);
      return b.gather(memory, b.add(start, b.mul(b.iota('index', lanes), b.index(stride))));
    },
  };
}
