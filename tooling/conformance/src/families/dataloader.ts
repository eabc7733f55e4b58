// `dataloader/data`: samplers, random_split, default_collate and the order of DataLoader.
import { compareValue, exactTolerance } from '../compare.ts';
import type { Failure } from '../compare.ts';
import { decodeTensorData, decodeValue, hasTag, isTagged } from '../encoded.ts';
import type { CaseRecord, Decoder, Encoded } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { tensorDecoder } from './family.ts';
import type { Context } from './family.ts';

const tolerance = exactTolerance(1e-6);
const data = 'torch.utils.data';

async function collect(iterable: unknown): Promise<unknown[]> {
  if (typeof iterable === 'object' && iterable !== null && Symbol.iterator in iterable)
    return [...(iterable as Iterable<unknown>)];
  if (typeof iterable === 'object' && iterable !== null && Symbol.asyncIterator in iterable) {
    const out: unknown[] = [];
    for await (const item of iterable as AsyncIterable<unknown>) out.push(item);
    return out;
  }
  throw new Error('the result cannot be iterated');
}

function compareLength(object: unknown, expected: Encoded | undefined, library: Library): Failure | null {
  if (typeof expected !== 'number') return null;
  const length = library.property(object, 'length') ?? library.property(object, 'size');
  return length === expected ? null : { kind: 'value', detail: `length ${String(length)}, expected ${expected}` };
}

/** A list as a dataset: what `data_source` of the samplers is. */
const indices = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

async function compareSamples(object: unknown, record: CaseRecord, library: Library): Promise<Failure | null> {
  const failure = compareLength(object, record.len, library);
  if (failure !== null) return failure;
  return compareValue(await collect(object), record.out ?? null, library, { tolerance }, 'out');
}

/** Batches may be namedtuples and NumPy arrays: objects and typed arrays for us. */
function batchDecoder(library: Library): Decoder {
  const decoder = tensorDecoder(library, new Map(), false, (value) => {
    if (value.$ !== 'ndarray') throw new Error(`the encoding "${value.$}" is not known in a batch`);
    return library.tensor(decodeTensorData(value));
  });
  return decoder;
}

function decodeBatch(value: Encoded, decoder: Decoder): unknown {
  if (hasTag(value, 'tuple') && Array.isArray(value.fields)) {
    const entries = value.v as readonly Encoded[];
    return Object.fromEntries(
      (value.fields as readonly string[]).map((field, i) => [field, decodeBatch(entries[i] ?? null, decoder)]),
    );
  }
  if (Array.isArray(value)) return value.map((entry: Encoded) => decodeBatch(entry, decoder));
  if (isTagged(value) && value.$ === 'tuple')
    return (value.v as readonly Encoded[]).map((entry) => decodeBatch(entry, decoder));
  return decodeValue(value, decoder, 'batch');
}

/** Starts a record of `dataloader/data`. */
export function startData(record: CaseRecord, { library }: Context): Prepared {
  const kind = String(record.kind);
  const n = Number(record.n);
  const check = async (): Promise<Failure | null> => {
    switch (kind) {
      case 'SequentialSampler':
        return compareSamples(library.construct(`${data}.SequentialSampler`, [indices(n)], {}), record, library);
      case 'BatchSampler': {
        const inner = library.construct(`${data}.SequentialSampler`, [indices(n)], {});
        return compareSamples(
          library.construct(`${data}.BatchSampler`, [inner, record.batch_size, record.drop_last], {}),
          record,
          library,
        );
      }
      case 'DistributedSampler': {
        const replicas = Number(record.num_replicas);
        const ranks = indices(replicas).map((rank) =>
          library.construct(`${data}.DistributedSampler`, [indices(n)], {
            num_replicas: replicas,
            rank,
            shuffle: record.shuffle === true,
            drop_last: record.drop_last === true,
          }),
        );
        const out = await Promise.all(ranks.map(collect));
        return (
          compareLength(ranks[0], record.len, library) ??
          compareValue(out, record.out ?? null, library, { tolerance }, 'out')
        );
      }
      case 'random_split': {
        const lengths = (record.lengths ?? record.args ?? []) as readonly number[];
        const parts = library.call({
          name: `${data}.random_split`,
          args: [indices(n), lengths],
          kwargs: {},
        }) as readonly unknown[];
        return compareValue(
          parts.map((part) => library.property(part, 'length')),
          record.out ?? null,
          library,
          { tolerance },
          'lengths',
        );
      }
      case 'default_collate':
        return compareValue(collate(record, library), record.out ?? null, library, { tolerance }, 'out');
      case 'default_collate_error':
        try {
          collate(record, library);
        } catch (error) {
          if (error instanceof Error && error.name === 'MissingOperation') throw error;
          return null;
        }
        return { kind: 'no-error', detail: 'nothing was thrown' };
      case 'DataLoader':
        return runLoader(record, library);
      default:
        return { kind: 'unsupported', detail: `the kind "${kind}" is not known` };
    }
  };
  return { pending: [], check };
}

function collate(record: CaseRecord, library: Library): unknown {
  return library.call({
    name: `${data}.default_collate`,
    args: [decodeBatch(record.batch ?? [], batchDecoder(library))],
    kwargs: {},
  });
}

async function runLoader(record: CaseRecord, library: Library): Promise<Failure | null> {
  const decoder = tensorDecoder(library, new Map(), false);
  const tensors = ['X', 'Y']
    .filter((name) => record[name] !== undefined)
    .map((name) => decodeValue(record[name], decoder, name));
  const dataset = library.construct(`${data}.TensorDataset`, tensors, {});
  const loader = library.construct(`${data}.DataLoader`, [dataset], {
    batch_size: record.batch_size,
    shuffle: record.shuffle === true,
    drop_last: record.drop_last === true,
  });
  return compareSamples(loader, record, library);
}
