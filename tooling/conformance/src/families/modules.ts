// `nn/modules`, `nn/losses`, `nn/default_init`: modules built from their constructor arguments, loaded, called and differentiated.
import { compareValue, outputTolerance, sameShape, tensorsIn } from '../compare.ts';
import type { Failure } from '../compare.ts';
import { decodeValue, hasTag } from '../encoded.ts';
import type { CaseRecord, Encoded, Tagged } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { compareMoments, momentsOf } from '../statistics.ts';
import { compareGradients, gradientsOf } from './ops.ts';
import { expectedStatistics, numberField } from './random.ts';
import { decodeArguments, deviation, firstFailure, tensorDecoder } from './family.ts';
import type { Context } from './family.ts';

/** Constructor arguments of a record. */
export type Constructor = { readonly args?: Encoded; readonly kwargs?: Encoded };

/** Builds `torch.nn[cls]`; arguments may be `module` values. */
export function buildModule(cls: string, ctor: Constructor, library: Library): object {
  const nested = (value: Tagged): unknown => {
    if (value.$ !== 'module') throw new Error(`the encoding "${value.$}" is not known in a constructor`);
    return buildModule(
      String(value.cls),
      { args: (value.args as Encoded) ?? [], kwargs: (value.kwargs as Encoded) ?? {} },
      library,
    );
  };
  const { args, kwargs } = decodeArguments(ctor, library, false, nested);
  return library.construct(`torch.nn.${cls}`, args, kwargs);
}

/** Loads a recorded state dict; the names and their order must be the module's own. */
export function loadState(module: object, state: Readonly<Record<string, Encoded>>, library: Library): Failure | null {
  const names = Object.keys(state);
  const own = library.stateDict(module).map(([name]) => name);
  if (own.length !== names.length || own.some((name, i) => name !== names[i])) {
    return { kind: 'structure', detail: `state dict [${own.join(', ')}], expected [${names.join(', ')}]` };
  }
  if (names.length === 0) return null;
  const decoder = tensorDecoder(library, new Map(), false);
  library.loadStateDict(
    module,
    names.map((name) => [name, decodeValue(state[name], decoder, name)] as const),
  );
  return null;
}

/** Starts a record of `nn/modules` or `nn/losses`. */
export function startModule(record: CaseRecord, { library }: Context): Prepared {
  const cls = String(record.class);
  const name = `torch.nn.${cls}`;
  const [devOut, devGrad] = deviation(record);
  const module = buildModule(cls, record.ctor as Constructor, library);
  const bad = loadState(module, (record.state_dict ?? {}) as Readonly<Record<string, Encoded>>, library);
  if (bad !== null) return { pending: [], check: () => bad };
  library.setTraining(module, record.training === true);
  const { args, kwargs, leaves } = decodeArguments(record, library, true);
  const out = library.forward(module, name, args, kwargs);
  const parameters = library.namedParameters(module);
  const all = new Map<string, unknown>([...leaves, ...parameters]);
  const gradients = gradientsOf(record, out, all, library, ['grad', 'param_grad']);
  const after = record.state_after as Readonly<Record<string, Encoded>> | undefined;
  const pending = tensorsIn([out, gradients === null ? [] : [...gradients.values()]], (v) => library.isTensor(v));
  const checks = [
    (): Failure | null => compareValue(out, record.out ?? null, library, { tolerance: outputTolerance(devOut) }, 'out'),
    (): Failure | null =>
      gradients &&
      compareGradients((record.grad ?? {}) as Readonly<Record<string, Encoded>>, gradients, library, devGrad),
    (): Failure | null =>
      gradients &&
      compareGradients((record.param_grad ?? {}) as Readonly<Record<string, Encoded>>, gradients, library, devGrad),
    (): Failure | null => {
      if (after === undefined) return null;
      const state = Object.fromEntries(library.stateDict(module));
      return compareValue(state, after, library, { tolerance: outputTolerance(devOut) }, 'state after');
    },
  ];
  return { pending, check: () => firstFailure(checks) };
}

/** Starts a record of `nn/default_init`: names, shapes and bounds of a fresh module (lazy ones after a first call). */
export function startDefaultInit(record: CaseRecord, { library }: Context): Prepared {
  const cls = String(record.class);
  const name = `torch.nn.${cls}`;
  const module = buildModule(cls, record.ctor as Constructor, library);
  const inputShape = record.input_shape as readonly number[] | undefined;
  const outputShape = record.output_shape as readonly number[] | undefined;
  let out: unknown = null;
  if (inputShape !== undefined) {
    const count = inputShape.reduce((a, b) => a * b, 1);
    out = library.forward(
      module,
      name,
      [library.tensor({ dtype: 'float32', shape: inputShape, data: new Array<number>(count).fill(0) })],
      {},
    );
  }
  return {
    pending: [],
    check() {
      if (outputShape !== undefined && library.isTensor(out)) {
        const { shape } = library.read(out);
        if (!sameShape(shape, outputShape))
          return { kind: 'shape', detail: `out: shape [${shape.join(', ')}], expected [${outputShape.join(', ')}]` };
      }
      const after = module.constructor.name;
      if (typeof record.class_after === 'string' && after !== record.class_after)
        return { kind: 'structure', detail: `the class is ${after}, expected ${record.class_after}` };
      return compareFreshState(
        library.stateDict(module),
        record.state as Readonly<Record<string, Readonly<Record<string, Encoded>>>>,
        library,
      );
    },
  };
}

function compareFreshState(
  state: readonly [string, unknown][],
  expected: Readonly<Record<string, Readonly<Record<string, Encoded>>>>,
  library: Library,
): Failure | null {
  const names = Object.keys(expected);
  const own = state.map(([name]) => name);
  if (own.length !== names.length || own.some((name, i) => name !== names[i])) {
    return { kind: 'structure', detail: `state dict [${own.join(', ')}], expected [${names.join(', ')}]` };
  }
  for (const [name, tensor] of state) {
    const wanted = expected[name] ?? {};
    const { dtype, shape, data } = library.read(tensor);
    const wantedShape = (hasTag(wanted.shape, 'size') ? wanted.shape.v : wanted.shape) as readonly number[];
    if (dtype !== wanted.dtype)
      return { kind: 'dtype', detail: `${name}: dtype ${dtype}, expected ${String(wanted.dtype)}` };
    if (!sameShape(shape, wantedShape))
      return { kind: 'shape', detail: `${name}: shape [${shape.join(', ')}], expected [${wantedShape.join(', ')}]` };
    if (data.length === 0 || numberField(wanted.mean) === undefined) continue;
    const statistics = expectedStatistics(wanted);
    const moments = momentsOf(Array.from(data, Number));
    // Few samples: only the bounds speak, with the width of the range as slack.
    const comparable = data.length >= 30 ? statistics : { ...pickBounds(statistics) };
    const failure = compareMoments(moments, comparable, data.length);
    if (failure !== null) return { ...failure, detail: `${name}: ${failure.detail}` };
  }
  return null;
}

function pickBounds({ min, max }: { readonly min?: number; readonly max?: number }): { min?: number; max?: number } {
  return { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
}
