// The records of `nn/utils` that change modules: weights that are normalised, parametrised or pruned, layers that are fused, and calls with other
// values. A record has the module (`cls`, `ctor`, or several in `modules`), its state dict before or after the change (which, the names tell), the
// options of the change, further ones (`then`), the inputs, and what must come out: outputs, gradients, the state after, and after `removal`.
import { compareValue, outputTolerance, tensorsIn } from '../compare.ts';
import type { Failure } from '../compare.ts';
import { decodeValue } from '../encoded.ts';
import type { CaseRecord, Encoded } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { decodeArguments, deviation, firstFailure, tensorDecoder } from './family.ts';
import { buildModule, loadState } from './modules.ts';
import type { Constructor } from './modules.ts';
import { compareGradients, gradientsOf } from './ops.ts';

type State = Readonly<Record<string, Encoded>>;
interface Step {
  readonly fn: string;
  readonly kwargs?: Encoded;
}
interface ModuleRecord {
  readonly cls: string;
  readonly ctor: Constructor;
  readonly state_dict: State;
}

/** A fresh module in evaluation mode, with a state. */
function moduleOf({ cls, ctor, state_dict: state }: ModuleRecord, library: Library): object {
  const module = buildModule(cls, ctor, library);
  library.setTraining(module, false);
  if (loadState(module, state, library) !== null) throw new Error('the state dict has other names than the module');
  return module;
}
const change = ({ fn, kwargs }: Step, module: object, library: Library): unknown =>
  library.call({
    name: `torch.nn.utils.${fn}`,
    args: [module],
    kwargs: decodeValue(kwargs ?? {}, tensorDecoder(library, new Map(), false), 'kwargs') as Record<string, unknown>,
  });

/** Whether the record changes one module. */
export const changesModule = (record: CaseRecord): boolean =>
  typeof record.cls === 'string' && record.fn !== 'packed_recurrent' && record.fn !== 'stateless.functional_call';

/** Starts a record that changes one module. */
export function startChange(record: CaseRecord, library: Library): Prepared {
  const cls = String(record.cls);
  const [devOut, devGrad] = deviation(record);
  const tolerance = outputTolerance(devOut);
  const module = buildModule(cls, record.ctor as Constructor, library);
  library.setTraining(module, record.training === true);
  const state = record.state_dict as State;
  const before =
    Object.keys(state).join() ===
    library
      .stateDict(module)
      .map(([name]) => name)
      .join();
  const steps = [record as unknown as Step, ...((record.then ?? []) as unknown as readonly Step[])];
  if (before) loadState(module, state, library);
  for (const step of steps) change(step, module, library);
  const bad = before ? null : loadState(module, state, library);
  if (bad !== null) return { pending: [], check: () => bad };
  const { args } = decodeArguments({ args: record.args ?? [] }, library, false);
  let out: unknown;
  for (let call = 0; call < Number(record.calls ?? 1); call++)
    out = library.forward(module, `torch.nn.${cls}`, args, {});
  const parameters = new Map(library.namedParameters(module));
  const gradients = gradientsOf(record, out, parameters, library, ['param_grad']);
  const sameState = (wanted: Encoded | undefined, what: string): Failure | null => {
    if (wanted === undefined) return null;
    const actual = library.stateDict(module);
    const names = [actual.map(([name]) => name), Object.keys(wanted as State)].map((list) => list.join(', '));
    if (names[0] !== names[1])
      return { kind: 'structure', detail: `${what}: names [${names[0]}], expected [${names[1]}]` };
    return compareValue(Object.fromEntries(actual), wanted, library, { tolerance }, what);
  };
  return {
    pending: tensorsIn([out, [...(gradients?.values() ?? [])]], (v) => library.isTensor(v)),
    check: () =>
      firstFailure([
        () => compareValue(out, record.out ?? null, library, { tolerance }, 'out'),
        () => sameState(record.state_after, 'state after'),
        () => gradients && compareGradients((record.param_grad ?? {}) as State, gradients, library, devGrad),
        () => {
          const removal = record.removal as unknown as (Step & { readonly state: Encoded }) | undefined;
          if (removal === undefined) return null;
          library.setTraining(module, false);
          change(removal, module, library);
          return sameState(removal.state, 'state after removal');
        },
      ]),
  };
}

/** Starts a record that makes one module of several. */
export function startFusion(record: CaseRecord, library: Library): Prepared {
  const tolerance = outputTolerance(deviation(record)[0]);
  const modules = (record.modules as unknown as readonly ModuleRecord[]).map((one) => moduleOf(one, library));
  const { args, kwargs } = decodeArguments(record, library, false);
  const fused = library.call({ name: `torch.nn.utils.${String(record.fn)}`, args: modules, kwargs }) as object;
  const out = library.forward(fused, 'torch.nn.Module', args, {});
  return {
    pending: tensorsIn(out, (v) => library.isTensor(v)),
    check: () =>
      firstFailure([
        () => compareValue(out, record.out ?? null, library, { tolerance }, 'out'),
        () =>
          record.state === undefined
            ? null
            : compareValue(Object.fromEntries(library.stateDict(fused)), record.state, library, { tolerance }, 'state'),
      ]),
  };
}

/** The result of a call with other values than the module's own. */
export function runFunctionalCall(record: CaseRecord, library: Library): unknown {
  const module = moduleOf(record as unknown as ModuleRecord, library);
  library.setTraining(module, record.training === true);
  const { args, kwargs } = decodeArguments(record, library, false);
  return library.call({ name: 'torch.nn.utils.stateless.functional_call', args: [module, ...args], kwargs });
}
