// `quant/observers`: observers and fake-quantisers fed with batches.
import { compareValue, exactTolerance } from '../compare.ts';
import type { Failure } from '../compare.ts';
import { decodeValue, hasTag } from '../encoded.ts';
import type { CaseRecord, Encoded } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { tensorDecoder } from './family.ts';
import type { Context } from './family.ts';

function options(record: CaseRecord, library: Library): Record<string, unknown> {
  const kwargs = decodeValue(record.kwargs ?? {}, tensorDecoder(library, new Map(), false), 'kwargs') as Record<
    string,
    unknown
  >;
  if (typeof kwargs.qscheme === 'string') kwargs.qscheme = kwargs.qscheme.replace('torch.', '');
  const nested = kwargs.observer;
  if (typeof nested === 'string')
    kwargs.observer = library.construct(`torch.ao.quantization.${nested}`, [], {}).constructor;
  return kwargs;
}

function oneBatch(
  module: object,
  name: string,
  batch: Encoded,
  wanted: Readonly<Record<string, Encoded>>,
  library: Library,
  where: string,
): Failure | null {
  const input = decodeValue(
    hasTag(batch, 'tensor') ? { ...batch, rg: wanted.out === undefined ? 0 : 1 } : batch,
    tensorDecoder(library, new Map(), true),
    where,
  );
  const out = library.forward(module, name, [input], {});
  const parameters = library.method(module, name, 'calculate_qparams', [], {});
  const [scale, zeroPoint] = Array.isArray(parameters) ? parameters : Object.values(parameters as object);
  const actual: Record<string, unknown> = { out, scale, zero_point: zeroPoint };
  if (wanted.grad_of_sum_of_squares !== undefined) {
    const squares = library.call({ name: 'torch.square', args: [out], kwargs: {} });
    const sum = library.call({ name: 'torch.sum', args: [squares], kwargs: {} });
    actual.grad_of_sum_of_squares = library.grad(
      [sum],
      [input],
      [library.tensor({ dtype: 'float32', shape: [], data: [1] })],
    )[0];
  }
  for (const [key, value] of Object.entries(wanted)) {
    const failure = compareValue(
      actual[key],
      value,
      library,
      { tolerance: exactTolerance(key === 'scale' ? 1e-6 : 1e-5) },
      `${where}.${key}`,
    );
    if (failure !== null) return failure;
  }
  return null;
}

/** Starts a record of `quant/observers`. */
export function startObserver(record: CaseRecord, { library }: Context): Prepared {
  if (record.kind !== 'observer' && record.kind !== 'fake_quantize')
    throw new Error(`the kind "${String(record.kind)}" is not known`);
  const name = `torch.ao.quantization.${String(record.class)}`;
  const module = library.construct(name, [], options(record, library));
  const batches = record.batches as readonly Encoded[];
  const wanted = record.after_each as readonly Readonly<Record<string, Encoded>>[];
  return {
    pending: [],
    check() {
      for (const [i, batch] of batches.entries()) {
        const failure = oneBatch(module, name, batch, wanted[i] ?? {}, library, `batch ${i}`);
        if (failure !== null) return failure;
      }
      return record.state_dict === undefined ? null : compareState(module, record.state_dict, library);
    },
  };
}

/** The buffers at the end, under PyTorch's names. */
function compareState(module: object, wanted: Encoded, library: Library): Failure | null {
  const actual = Object.fromEntries(library.stateDict(module));
  return compareValue(actual, wanted, library, { tolerance: exactTolerance(1e-6) }, 'state');
}
