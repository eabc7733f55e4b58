// What a family of cases gives the runner: a way to start one record. Records are started together, evaluated together, then checked.
import type { Failure } from '../compare.ts';
import { decodeValue, hasTag } from '../encoded.ts';
import type { CaseRecord, Decoder, Encoded, Tagged } from '../encoded.ts';
import type { Gemma2UnderTest, Library, Prepared } from '../library.ts';

/** An entry of `ops/index.json`. */
export interface IndexEntry {
  readonly op: string;
  readonly variant: string;
  readonly call: string;
  readonly aliases: readonly string[];
  readonly internal?: boolean;
  readonly prototype?: boolean;
  readonly signatures: readonly string[];
}

/** What a record runs in. */
export interface Context {
  readonly library: Library;
  /** The entry of the index beside the case file, by `op/variant` and by call. */
  readonly index: ReadonlyMap<string, IndexEntry>;
  /** The case file, for records that speak of what lies beside it. */
  readonly file?: string;
  readonly openGemma2?: (folder: string) => Promise<Gemma2UnderTest>;
}

/** Starts a record; throws (or returns null for a skipped record). */
export type StartRecord = (record: CaseRecord, context: Context) => Prepared | null;

/** The leaves of a case that require gradients, by path (`args.0`, `kwargs.weight`). */
export type Leaves = Map<string, unknown>;

/** A decoder that makes tensors of the library and notes those that require gradients. */
export function tensorDecoder(library: Library, leaves: Leaves, gradients = true, other?: Decoder['other']): Decoder {
  const decoder: Decoder = {
    tensor(data, requiresGrad, path) {
      const t = library.tensor(data, requiresGrad && gradients);
      if (requiresGrad) leaves.set(path, t);
      return t;
    },
    other(value, path) {
      const sparse = decodeSparse(value, library, decoder, path);
      if (sparse !== undefined) return sparse;
      if (other !== undefined) return other(value, path);
      throw new Error(`the encoding "${value.$}" is not known here (at ${path})`);
    },
  };
  return decoder;
}

function decodeSparse(value: Tagged, library: Library, decoder: Decoder, path: string): unknown {
  const part = (name: string): unknown => decodeValue(value[name], decoder, `${path}.${name}`);
  const shape = hasTag(value.shape, 'size')
    ? (value.shape.v as readonly number[])
    : (value.shape as readonly number[] | undefined);
  if (value.$ === 'sparse_coo')
    return library.sparseCoo(
      part('indices'),
      part('values'),
      shape ?? [],
      String(value.dtype),
      value.coalesced === true,
    );
  if (value.$ === 'sparse_csr')
    return library.sparseCompressed('csr', part('crow'), part('col'), part('values'), shape ?? []);
  if (value.$ === 'sparse_csc')
    return library.sparseCompressed('csc', part('ccol'), part('row'), part('values'), shape ?? []);
  return undefined;
}

/** Decoded arguments of a record. */
export interface Arguments {
  readonly args: unknown[];
  readonly kwargs: Record<string, unknown>;
  readonly leaves: Leaves;
}

/** Decodes `args` and `kwargs`. */
export function decodeArguments(
  record: { readonly args?: Encoded; readonly kwargs?: Encoded },
  library: Library,
  gradients: boolean,
  other?: Decoder['other'],
): Arguments {
  const leaves: Leaves = new Map();
  const decoder = tensorDecoder(library, leaves, gradients, other);
  return {
    args: decodeValue(record.args ?? [], decoder, 'args') as unknown[],
    kwargs: decodeValue(record.kwargs ?? {}, decoder, 'kwargs') as Record<string, unknown>,
    leaves,
  };
}

/** Runs checks in order; the first failure is the record's. */
export function firstFailure(checks: Iterable<() => Failure | null>): Failure | null {
  for (const check of checks) {
    const failure = check();
    if (failure !== null) return failure;
  }
  return null;
}

/** A record's `dev` field: [outputs, gradients] or one number. */
export function deviation(record: CaseRecord): readonly [number, number] {
  const dev = record.dev;
  if (typeof dev === 'number') return [dev, dev];
  if (hasTag(dev, 'float')) return [Number(dev.v), Number(dev.v)];
  if (!Array.isArray(dev)) return [0, 0];
  const [out, grad] = dev.map((x) => (typeof x === 'number' ? x : hasTag(x, 'float') ? Number(x.v) : 0));
  return [out ?? 0, grad ?? 0];
}
