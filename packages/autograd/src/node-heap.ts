/** A binary heap of nodes, the newest first. */
import type { AnyNode } from '@proj/tensor/graph';

export class NodeHeap {
  readonly #items: AnyNode[] = [];

  push(node: AnyNode): void {
    const items = this.#items;
    let at = items.push(node) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent].id >= node.id) break;
      items[at] = items[parent];
      at = parent;
    }
    items[at] = node;
  }

  pop(): AnyNode | undefined {
    const items = this.#items;
    const [top] = items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      if (child + 1 < items.length && items[child + 1].id > items[child].id) child++;
      if (items[child].id <= last.id) break;
      items[at] = items[child];
      at = child;
    }
    items[at] = last;
    return top;
  }
}
