/** What the code of a loop nest looks values up in: totals of rows, and values that an earlier phase kept. */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';
import type { AnyNode } from '../graph/node.ts';
import { castValue } from './elementwise.ts';
import type { Emitter, Position } from './emitter.ts';
import { KernelEnvironment } from './environment.ts';
import { type IndexExpression, sameIndex } from './index-expression.ts';
import { type Iteration, type LoopGroup, NotFusable } from './loop-group.ts';

/** Values of a nest that are neither in memory nor computed anew. */
export class NestEnvironment extends KernelEnvironment {
  readonly rowValues = new Map<AnyNode, Value>();
  readonly spills = new Map<AnyNode, { memory: Memory; index: IndexExpression }>();
  readonly #group: LoopGroup;
  readonly #it: Iteration;

  constructor(b: KernelBuilder, group: LoopGroup, it: Iteration) {
    super(b, (node) => group.inMemory(node));
    this.#group = group;
    this.#it = it;
  }

  override reducedValue(node: AnyNode, position: Position): Value | null {
    const value = this.rowValues.get(node);
    if (value === undefined) {
      if ((node.op === 'reduce' || node.op === 'fold') && !this.#group.inMemory(node))
        throw new NotFusable('a reduction is read before it is complete');
      return null;
    }
    if (!position.every((e, i) => sameIndex(e, this.#it.keptPosition[i])))
      throw new NotFusable('a reduction is read at another row');
    return value;
  }

  override spilled(node: AnyNode, position: Position, level: Emitter): Value | null {
    const spill = this.spills.get(node);
    if (spill === undefined) return null;
    const here = [...this.#it.keptPosition, ...this.#it.reducedPosition];
    if (position.length !== here.length || !position.every((e, i) => sameIndex(e, here[i]))) return null;
    return castValue(
      this.b,
      this.b.load(spill.memory, level.indexValueOfFirstLane(spill.index), level.lanes),
      node.dtype,
      node.dtype,
    );
  }
}
