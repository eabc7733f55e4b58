/** `tidy`: memory that is given back at a known moment, sooner than the garbage collector would. */
import type { Device, DeviceBuffer } from '@proj/kernel';
import type { AnyNode } from './graph/node.ts';
import type { Storage, Tensor } from './tensor.ts';

interface Scope {
  /** Everything allocated inside. */
  readonly buffers: Set<DeviceBuffer>;
  /** Storages from before whose value was replaced, with the value that they had. */
  readonly replaced: Map<Storage, AnyNode>;
  readonly kept: Set<Storage>;
  readonly firstStorage: number;
}

let scope: Scope | null = null;
let storages = 0;

/** Number of a new storage: those of a scope are numbered from its beginning on. */
export const nextStorageId = (): number => storages++;

/** Memory of a device, known to the scope that is open. */
export function allocate(device: Device, bytes: number): DeviceBuffer {
  const buffer = device.allocate(Math.max(1, bytes));
  scope?.buffers.add(buffer);
  return buffer;
}

export function noteReplaced(storage: Storage, before: AnyNode): void {
  if (scope !== null && storage.id < scope.firstStorage && !scope.replaced.has(storage))
    scope.replaced.set(storage, before);
}

/** Keeps a tensor that is made inside `tidy` beyond its end (state that is made on first use). */
export function keep<T extends Tensor>(tensor: T): T {
  scope?.kept.add(tensor.storage);
  return tensor;
}

/**
 * Runs `fn` and gives back at once all memory that was made inside, except that of the tensors it returns (in arrays and objects too), of
 * tensors made before and changed in place, and of tensors given to `keep`. `evaluateAll` computes what must outlive the scope.
 */
export function runTidy<T>(
  fn: () => T,
  collect: (value: unknown) => Tensor[],
  evaluateAll: (tensors: readonly Tensor[]) => void,
): T {
  const outer = scope;
  const inner: Scope = { buffers: new Set(), replaced: new Map(), kept: new Set(), firstStorage: storages };
  scope = inner;
  let results: readonly Tensor[] = [];
  try {
    const result = fn();
    results = collect(result);
    evaluateAll(results);
    giveBack(inner, outer, results);
    return result;
  } catch (error) {
    // What was written into older tensors before the error may hang on values of the scope: it is computed first.
    try {
      evaluateAll([]);
      giveBack(inner, outer, []);
    } catch {
      for (const buffer of inner.buffers) outer?.buffers.add(buffer);
    }
    throw error;
  } finally {
    scope = outer;
  }
}

function giveBack(inner: Scope, outer: Scope | null, results: readonly Tensor[]): void {
  const alive = new Set<DeviceBuffer>();
  const keepNode = ({ data }: AnyNode): void => {
    if (data !== null) alive.add(data);
  };
  results.forEach((tensor) => keepNode(tensor.node));
  for (const storage of [...inner.replaced.keys(), ...inner.kept]) keepNode(storage.node);
  for (const [storage, before] of inner.replaced) {
    // The value from before the scope, unless something else is the same value.
    if (before.data !== null && !alive.has(before.data) && storage.owned(before)) inner.buffers.add(before.data);
  }
  const survivors = new Set([
    ...results.map((tensor) => tensor.storage.id),
    ...[...inner.kept].map((storage) => storage.id),
  ]);
  for (const storage of inner.replaced.keys())
    storage.forgetOwners((id) => id >= inner.firstStorage && !survivors.has(id));
  for (const buffer of inner.buffers) {
    if (!alive.has(buffer)) buffer.dispose();
    else outer?.buffers.add(buffer);
  }
  if (outer === null) return;
  for (const storage of inner.kept) outer.kept.add(storage);
  for (const [storage, before] of inner.replaced)
    if (storage.id < outer.firstStorage && !outer.replaced.has(storage)) outer.replaced.set(storage, before);
}
