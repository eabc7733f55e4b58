// `optim/trajectories` and `optim/schedulers`.
import { close, compareValue, exactTolerance } from '../compare.ts';
import type { Failure, Tolerance } from '../compare.ts';
import { decodeNumber, decodeValue, hasTag } from '../encoded.ts';
import type { CaseRecord, Encoded } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { camelCase } from '../names.ts';
import { deviation, tensorDecoder } from './family.ts';
import type { Context } from './family.ts';

type Tensors = Readonly<Record<string, unknown>>;

/** The loss of a problem, written out as its `formula` says. */
function lossOf(problem: string, p: Tensors, data: Tensors, library: Library): unknown {
  const call = (name: string, args: readonly unknown[], kwargs: Readonly<Record<string, unknown>> = {}): unknown =>
    library.call({ name: `torch.${name}`, args, kwargs });
  switch (problem) {
    case 'rosenbrock4': {
      const head = call('narrow', [p.x, 0, 0, 3]);
      const tail = call('narrow', [p.x, 0, 1, 3]);
      const valley = call('mul', [call('square', [call('sub', [tail, call('square', [head])])]), 5]);
      const slope = call('square', [call('sub', [head, 1])]);
      return call('sum', [call('add', [valley, slope])]);
    }
    case 'linreg':
      return call('mean', [call('square', [call('sub', [call('add', [call('matmul', [data.X, p.w]), p.b]), data.y])])]);
    case 'embed': {
      const rows = library.call({
        name: 'torch.nn.functional.embedding',
        args: [data.idx, p.w],
        kwargs: { sparse: true },
      });
      const weights = library.tensor({ dtype: 'float32', shape: [4, 1], data: [1, 2, 3, 4] });
      return call('sum', [call('mul', [call('square', [rows]), weights])]);
    }
    default:
      throw new Error(`the problem "${problem}" is not known`);
  }
}

/** Starts a record of `optim/trajectories`. */
export function startTrajectory(record: CaseRecord, { library }: Context): Prepared {
  const leaves = tensorDecoder(library, new Map(), true);
  const plain = tensorDecoder(library, new Map(), false);
  const parameters = Object.fromEntries(
    Object.entries(record.init as Readonly<Record<string, Encoded>>).map(([name, value]) => [
      name,
      decodeValue({ ...(value as object), rg: 1 } as Encoded, leaves, name),
    ]),
  );
  const data = decodeValue(record.data ?? {}, plain, 'data') as Tensors;
  const names = record.param_names as readonly string[];
  const kwargs = decodeValue(record.kwargs ?? {}, plain, 'kwargs') as Record<string, unknown>;
  const name = `torch.optim.${String(record.optimizer)}`;
  const groups = record.param_groups as readonly Readonly<Record<string, Encoded>>[] | undefined;
  const params =
    groups === undefined
      ? names.map((key) => parameters[key])
      : groups.map((group) => ({
          ...Object.fromEntries(
            Object.entries(decodeValue(group, plain, 'group') as object).map(([key, value]) => [camelCase(key), value]),
          ),
          params: (group.params as readonly string[]).map((key) => parameters[key]),
        }));
  const optimizer = library.construct(name, [params], kwargs);
  const scheduler =
    record.scheduler === undefined || record.scheduler === null
      ? null
      : buildScheduler(record.scheduler as unknown as SchedulerCase, optimizer, library);
  const tolerance = exactTolerance(1e-4 + 10 * deviation(record)[0]);
  const expected = record.params as readonly (readonly Encoded[])[];
  const losses = record.losses as readonly Encoded[];
  const closure = (): unknown => {
    library.method(optimizer, name, 'zero_grad', [], {});
    const loss = lossOf(String(record.problem), parameters, data, library);
    library.call({ name: 'Tensor.backward', args: [loss], kwargs: {} });
    return loss;
  };
  return {
    pending: [],
    check() {
      for (let step = 0; step < Number(record.steps); step++) {
        const loss = library.method(optimizer, name, 'step', [closure], {});
        if (scheduler !== null) library.method(scheduler, 'torch.optim.lr_scheduler.StepLR', 'step', [], {});
        const number = library.isTensor(loss) ? Number(library.read(loss).data[0]) : Number(loss);
        const wanted = Number(decodeNumber(plainNumber(losses[step])));
        if (!close(number, wanted, tolerance.strict))
          return { kind: 'value', detail: `loss of step ${step}: ${number}, expected ${wanted}` };
        for (const [i, key] of names.entries()) {
          const failure = compareValue(
            parameters[key],
            expected[step + 1]?.[i] ?? null,
            library,
            { tolerance },
            `${key} after step ${step + 1}`,
          );
          if (failure !== null) return failure;
        }
      }
      // The buffers amplify what rounding does to the parameters.
      return compareState(optimizer, name, record, library, exactTolerance(10 * tolerance.strict));
    },
  };
}

/** Compares the optimizer's final state: `[[index, { name: value }], …]`, under PyTorch's names. */
function compareState(
  optimizer: object,
  name: string,
  record: CaseRecord,
  library: Library,
  tolerance: Tolerance,
): Failure | null {
  const expected = (record.state_dict as { readonly state?: readonly (readonly [number, Encoded])[] } | undefined)
    ?.state;
  if (expected === undefined) return null;
  const own = library.method(optimizer, name, 'state_dict', [], {}) as { readonly state?: object };
  const state = own.state instanceof Map ? (Object.fromEntries(own.state) as object) : (own.state ?? {});
  for (const [index, entries] of expected) {
    const actual = (state as Readonly<Record<string, unknown>>)[index];
    const failure = compareValue(
      actual,
      entries,
      library,
      { tolerance, denseForSparse: true },
      `state of parameter ${index}`,
    );
    if (failure !== null) return failure;
  }
  return null;
}

/** A scheduler of a record. */
export interface SchedulerCase {
  readonly class: string;
  readonly args?: readonly Encoded[];
  readonly kwargs?: Readonly<Record<string, Encoded>>;
  readonly lambda?: string | readonly string[];
  readonly lambda_table?: Readonly<Record<string, readonly Encoded[]>>;
  readonly schedulers?: readonly SchedulerCase[];
  readonly milestones?: readonly number[];
}

/** Builds a scheduler of `torch.optim.lr_scheduler`. */
export function buildScheduler(scheduler: SchedulerCase, optimizer: object, library: Library): object {
  const name = `torch.optim.lr_scheduler.${scheduler.class}`;
  const kwargs = decodeValue(
    (scheduler.kwargs ?? {}) as Encoded,
    tensorDecoder(library, new Map(), false),
    'kwargs',
  ) as Record<string, unknown>;
  if (scheduler.schedulers !== undefined) {
    const inner = scheduler.schedulers.map((entry) => buildScheduler(entry, optimizer, library));
    if (scheduler.class === 'ChainedScheduler') return library.construct(name, [inner], kwargs);
    return library.construct(name, [optimizer, inner, scheduler.milestones ?? kwargs.milestones], {});
  }
  if (scheduler.lambda !== undefined) {
    const factor = (key: string) => (epoch: number) =>
      Number(decodeNumber(plainNumber(scheduler.lambda_table?.[key]?.[epoch])));
    const lambdas = typeof scheduler.lambda === 'string' ? factor(scheduler.lambda) : scheduler.lambda.map(factor);
    return library.construct(name, [optimizer, lambdas], kwargs);
  }
  return library.construct(name, [optimizer, ...(scheduler.args ?? [])], kwargs);
}

const plainNumber = (value: Encoded | undefined): unknown => (hasTag(value, 'float') ? value.v : value);

/** Starts a record of `optim/schedulers`: the learning rates of every group over the steps. */
export function startScheduler(record: CaseRecord, { library }: Context): Prepared {
  const name = `torch.optim.${String(record.optimizer)}`;
  const kwargs = decodeValue(
    record.optimizer_kwargs ?? {},
    tensorDecoder(library, new Map(), false),
    'kwargs',
  ) as Record<string, unknown>;
  const rates = (record.group_lrs as readonly Encoded[]).map((value) => Number(decodeNumber(plainNumber(value))));
  const groups = rates.map((lr) => ({
    params: [library.tensor({ dtype: 'float32', shape: [1], data: [0] }, true)],
    lr,
  }));
  const optimizer = library.construct(name, [groups], { lr: rates[0], ...kwargs });
  const scheduler = buildScheduler(record.scheduler as unknown as SchedulerCase, optimizer, library);
  const cls = `torch.optim.lr_scheduler.${(record.scheduler as unknown as SchedulerCase).class}`;
  const metric = record.metric as readonly Encoded[] | undefined;
  const expected = record.lr as readonly (readonly Encoded[])[];
  const momentum = record.momentum_or_beta1 as readonly (readonly Encoded[])[] | undefined;
  const check = (k: number): Failure | null => {
    const own = library.property(optimizer, 'param_groups') as readonly object[];
    for (const [i, value] of (expected[k] ?? []).entries()) {
      const wanted = Number(decodeNumber(plainNumber(value)));
      const lr = Number(library.property(own[i], 'lr'));
      if (!close(lr, wanted, 1e-9))
        return { kind: 'value', detail: `lr of group ${i} after ${k} steps: ${lr}, expected ${wanted}` };
      const m = momentum?.[k]?.[i];
      if (m === undefined || m === null) continue;
      const betas = library.property(own[i], 'betas') as readonly number[] | undefined;
      const actual = Number(betas?.[0] ?? library.property(own[i], 'momentum'));
      if (!close(actual, Number(decodeNumber(plainNumber(m))), 1e-9))
        return { kind: 'value', detail: `momentum of group ${i} after ${k} steps: ${actual}` };
    }
    return null;
  };
  return {
    pending: [],
    check() {
      for (let k = 0; k < expected.length; k++) {
        const failure = check(k);
        if (failure !== null || k === expected.length - 1) return failure;
        library.method(optimizer, name, 'step', [], {});
        library.method(
          scheduler,
          cls,
          'step',
          metric === undefined ? [] : [Number(decodeNumber(plainNumber(metric[k] ?? metric.at(-1))))],
          {},
        );
      }
      return null;
    },
  };
}
