// `nn/init` and `nn/utils`.
import { compareValue, outputTolerance, tensorsIn } from '../compare.ts';
import type { CaseRecord, Encoded } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { compareMoments, momentsOf } from '../statistics.ts';
import { decodeArguments } from './family.ts';
import type { Context } from './family.ts';
import { buildModule, loadState } from './modules.ts';
import type { Constructor } from './modules.ts';
import { expectedStatistics } from './random.ts';
import { changesModule, runFunctionalCall, startChange, startFusion } from './utilities.ts';

const tolerance = outputTolerance(1e-6);

/** Starts a record of `nn/init`: an exact result, or statistics of a filled tensor. */
export function startInit(record: CaseRecord, { library }: Context): Prepared {
  const name = `torch.nn.init.${String(record.fn)}`;
  const { args, kwargs } = decodeArguments(record, library, false);
  const shape = record.shape as readonly number[] | undefined;
  const count = (shape ?? []).reduce((a, b) => a * b, 1);
  const target =
    shape === undefined ? [] : [library.tensor({ dtype: 'float32', shape, data: new Array<number>(count).fill(0) })];
  const result = library.call({ name, args: [...target, ...args], kwargs });
  const value = target[0] ?? result;
  return {
    pending: tensorsIn(value, (v) => library.isTensor(v)),
    check() {
      if (record.out !== undefined) return compareValue(result, record.out, library, { tolerance }, 'out');
      if (record.exact !== undefined) return compareValue(value, record.exact, library, { tolerance }, 'the tensor');
      const data = Array.from(library.read(value).data, Number);
      return compareMoments(
        momentsOf(data),
        expectedStatistics(record.stats as Readonly<Record<string, Encoded>>),
        data.length,
      );
    },
  };
}

function packedParts(packed: unknown, library: Library): unknown[] {
  return ['data', 'batch_sizes', 'sorted_indices', 'unsorted_indices'].map(
    (name) => library.property(packed, name) ?? null,
  );
}

function runPackedRecurrent(record: CaseRecord, library: Library): unknown {
  const cls = String(record.cls);
  const module = buildModule(cls, record.ctor as Constructor, library);
  loadState(module, record.state_dict as Readonly<Record<string, Encoded>>, library);
  library.setTraining(module, false);
  const { args, kwargs } = decodeArguments(record, library, false);
  const call = (name: string, positional: readonly unknown[], options: Readonly<Record<string, unknown>>): unknown =>
    library.call({ name: `torch.nn.utils.rnn.${name}`, args: positional, kwargs: options });
  const packed = call('pack_padded_sequence', [args[0], args[1]], { enforce_sorted: false, ...kwargs });
  const [output, ...states] = library.forward(module, `torch.nn.${cls}`, [packed], {}) as unknown[];
  const [padded] = call('pad_packed_sequence', [output], {}) as unknown[];
  return [padded, ...states.flat()];
}

function runClipping(record: CaseRecord, library: Library, name: string): unknown {
  const { args, kwargs } = decodeArguments(record, library, false);
  const gradients = args[0] as unknown[];
  const parameters = gradients.map((gradient) => {
    const { shape, data } = library.read(gradient);
    const parameter = library.tensor({ dtype: 'float32', shape, data: new Array<number>(data.length).fill(0) }, true);
    library.setProperty(parameter, 'grad', gradient);
    return parameter;
  });
  const result = library.call({ name, args: [parameters, ...args.slice(1)], kwargs });
  const after = parameters.map((parameter) => library.property(parameter, 'grad'));
  const expected = record.out as readonly unknown[];
  return expected.length === after.length ? after : [result, ...after];
}

/** Starts a record of `nn/utils`. */
export function startUtils(record: CaseRecord, { library }: Context): Prepared {
  const fn = String(record.fn);
  const name = `torch.nn.utils.${fn}`;
  if (Array.isArray(record.modules)) return startFusion(record, library);
  if (changesModule(record)) return startChange(record, library);
  const run = (): unknown => {
    if (fn === 'packed_recurrent') return runPackedRecurrent(record, library);
    if (fn === 'stateless.functional_call') return runFunctionalCall(record, library);
    if (fn.startsWith('clip_grad')) return runClipping(record, library, name);
    const { args, kwargs } = decodeArguments(record, library, false);
    const result = library.call({ name, args, kwargs });
    return fn.includes('pack_') ? (fn.includes('pad_packed') ? result : packedParts(result, library)) : result;
  };
  const result = run();
  return {
    pending: tensorsIn(result, (v) => library.isTensor(v)),
    check: () => compareValue(flatStates(result, record.out), record.out ?? null, library, { tolerance }, 'out'),
  };
}

/** The recorded list of a packed recurrent run is flat; a single nested tail is flattened to match. */
function flatStates(result: unknown, expected: Encoded | undefined): unknown {
  return Array.isArray(result) && Array.isArray(expected) && result.length !== expected.length ? result.flat() : result;
}
