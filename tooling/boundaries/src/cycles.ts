// Finds import cycles: strongly connected components by Tarjan's algorithm, then the shortest cycle inside each.

export type Graph = ReadonlyMap<string, readonly string[]>;

/** One shortest cycle for each group of nodes that reach each other, as `[a, b, …, a]`. */
export function findCycles(graph: Graph): string[][] {
  return components(graph).flatMap((members) => {
    const inside = new Set(members);
    const cycles = members.map((start) => shortestCycle(graph, start, inside)).filter((cycle) => cycle !== undefined);
    return cycles.length === 0 ? [] : [cycles.reduce((best, cycle) => (cycle.length < best.length ? cycle : best))];
  });
}

function shortestCycle(graph: Graph, start: string, inside: ReadonlySet<string>): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const node of queue) {
    for (const next of graph.get(node) ?? []) {
      if (next === start) {
        const chain = [start];
        for (let at = node; at !== start; at = cameFrom.get(at) ?? start) chain.unshift(at);
        return [start, ...chain];
      }
      if (inside.has(next) && !cameFrom.has(next)) {
        cameFrom.set(next, node);
        queue.push(next);
      }
    }
  }
  return undefined;
}

function components(graph: Graph): string[][] {
  const order = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const found: string[][] = [];

  const visit = (node: string): number => {
    const own = order.size;
    let low = own;
    order.set(node, own);
    stack.push(node);
    onStack.add(node);
    for (const next of graph.get(node) ?? []) {
      const seen = order.get(next);
      if (seen === undefined) low = Math.min(low, visit(next));
      else if (onStack.has(next)) low = Math.min(low, seen);
    }
    if (low === own) {
      const members = stack.splice(stack.lastIndexOf(node));
      for (const member of members) onStack.delete(member);
      found.push(members);
    }
    return low;
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return found;
}
