// `nn/training`: small nets trained for a few rounds, as they are and captured. A record has modules with their state, the forward pass as steps of a
// program (`module:NAME` calls a module), two batches that take turns, the optimizer with groups and scheduler, and what must come out.
import { close, compareValue, exactTolerance } from '../compare.ts';
import type { Failure } from '../compare.ts';
import { decodeNumber, decodeValue, hasTag } from '../encoded.ts';
import type { CaseRecord, Encoded } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { camelCase } from '../names.ts';
import { deviation, tensorDecoder } from './family.ts';
import type { Context } from './family.ts';
import { buildModule, loadState } from './modules.ts';
import type { Constructor } from './modules.ts';
import { buildScheduler } from './optim.ts';
import type { SchedulerCase } from './optim.ts';
import { Interpreter } from './programs.ts';
import type { Step } from './programs.ts';

type Bag = Readonly<Record<string, Encoded>>;

interface TrainingRecord {
  readonly modules: Readonly<Record<string, Constructor & { readonly cls: string }>>;
  readonly state: Readonly<Record<string, Bag>>;
  readonly batches: readonly Bag[];
  readonly steps: readonly Step[];
  readonly loss: string;
  readonly output: string;
  readonly optimizer: string;
  readonly kwargs: Encoded;
  readonly groups: readonly Bag[];
  readonly scheduler: SchedulerCase | null;
  /** Parameters that are not trained. */
  readonly frozen: readonly string[];
  /** Whether the modules are in training mode, by round. */
  readonly training: readonly boolean[];
  /** Before which round everything is saved and loaded into new objects. */
  readonly reload: number | null;
  readonly clip: Bag | null;
  /** How often a round calls backward before it steps. */
  readonly backwards: number;
  readonly set_to_none: boolean;
  readonly losses: readonly Encoded[];
  readonly gradients: Bag;
  readonly after: Bag;
  readonly out: Encoded;
  readonly rates: readonly Encoded[];
}

const numberOf = (value: Encoded | undefined): number => Number(decodeNumber(hasTag(value, 'float') ? value.v : value));

/** What is trained: new for each run, and again where all is loaded from what was saved. */
class Training {
  readonly #record: TrainingRecord;
  readonly #library: Library;
  readonly #interpreter: Interpreter;
  readonly modules: ReadonlyMap<string, object>;
  readonly parameters: ReadonlyMap<string, unknown>;
  readonly optimizer: object;
  readonly scheduler: object | null;
  /** The gradients of the last round, before the optimizer stepped. */
  gradients: ReadonlyMap<string, unknown> = new Map();

  constructor(record: TrainingRecord, library: Library) {
    this.#record = record;
    this.#library = library;
    this.#interpreter = new Interpreter(library);
    this.modules = new Map(
      Object.entries(record.modules).map(([name, ctor]) => [name, buildModule(ctor.cls, ctor, library)]),
    );
    const named = [...this.modules].flatMap(([name, module]) =>
      library.namedParameters(module).map(([key, value]) => [`${name}.${key}`, value] as const),
    );
    for (const [name, value] of named)
      if (record.frozen.includes(name))
        library.call({ name: 'Tensor.requires_grad_', args: [value, false], kwargs: {} });
    this.parameters = new Map(named.filter(([name]) => !record.frozen.includes(name)));
    const plain = tensorDecoder(library, new Map(), false);
    const groups = record.groups.map((group) => ({
      ...Object.fromEntries(
        Object.entries(decodeValue(group, plain, 'group') as object).map(([key, value]) => [camelCase(key), value]),
      ),
      params: (group.params as readonly string[]).map((key) => this.parameters.get(key)),
    }));
    const kwargs = decodeValue(record.kwargs, plain, 'kwargs') as Record<string, unknown>;
    this.optimizer = library.construct(`torch.optim.${record.optimizer}`, [groups], kwargs);
    this.scheduler = record.scheduler === null ? null : buildScheduler(record.scheduler, this.optimizer, library);
  }

  /** The state dicts of all modules in one. */
  state(): Map<string, unknown> {
    return new Map(
      [...this.modules].flatMap(([name, module]) =>
        this.#library.stateDict(module).map(([key, value]) => [`${name}.${key}`, value] as const),
      ),
    );
  }

  /** What `other` has learnt, taken over through the state dicts. */
  load(other: Training): void {
    const library = this.#library;
    const copy = (object: object, from: object, cls: string): void => {
      const saved = library.method(from, cls, 'state_dict', [], {});
      library.method(object, cls, 'load_state_dict', [saved], {});
    };
    for (const [name, module] of this.modules) copy(module, other.modules.get(name) ?? {}, 'torch.nn.Module');
    copy(this.optimizer, other.optimizer, 'torch.optim.Optimizer');
    if (this.scheduler !== null) copy(this.scheduler, other.scheduler ?? {}, 'torch.optim.lr_scheduler.StepLR');
  }

  setTraining(training: boolean): void {
    for (const module of this.modules.values()) this.#library.setTraining(module, training);
  }

  forward(batch: ReadonlyMap<string, unknown>): ReadonlyMap<string, unknown> {
    const environment = new Map(batch);
    for (const step of this.#record.steps) environment.set(step.o, this.#step(step, environment));
    return environment;
  }

  #step(step: Step, environment: Map<string, unknown>): unknown {
    if (!step.call.startsWith('module:')) return this.#interpreter.step(step, environment);
    const name = step.call.slice('module:'.length);
    const args = (step.args ?? []).map((value) => this.#interpreter.decode(value, environment));
    const kwargs = Object.fromEntries(
      Object.entries(step.kwargs ?? {}).map(([key, value]) => [key, this.#interpreter.decode(value, environment)]),
    );
    const module = this.modules.get(name) ?? {};
    return this.#library.forward(module, `torch.nn.${this.#record.modules[name]?.cls ?? ''}`, args, kwargs);
  }

  /** A round up to the scheduler; gives the loss. */
  round(batch: ReadonlyMap<string, unknown>): unknown {
    const { optimizer, clip, backwards, loss, set_to_none } = this.#record;
    const cls = `torch.optim.${optimizer}`;
    const library = this.#library;
    const closure = (): unknown => {
      library.method(this.optimizer, cls, 'zero_grad', [], { set_to_none });
      let value: unknown;
      for (let i = 0; i < backwards; i++) {
        value = this.forward(batch).get(loss);
        library.call({ name: 'Tensor.backward', args: [value], kwargs: {} });
      }
      return value;
    };
    if (optimizer === 'LBFGS') return library.method(this.optimizer, cls, 'step', [closure], {});
    const value = closure();
    const parameters = [...this.parameters.values()];
    if (clip?.norm !== undefined)
      library.call({
        name: 'torch.nn.utils.clip_grad_norm_',
        args: [parameters, numberOf(clip.norm)],
        kwargs: { norm_type: numberOf(clip.norm_type) },
      });
    else if (clip !== null)
      library.call({ name: 'torch.nn.utils.clip_grad_value_', args: [parameters, numberOf(clip.value)], kwargs: {} });
    this.gradients = new Map([...this.parameters].map(([name, p]) => [name, library.property(p, 'grad')]));
    library.method(this.optimizer, cls, 'step', [], {});
    return value;
  }

  schedule(): void {
    if (this.scheduler !== null)
      this.#library.method(this.scheduler, 'torch.optim.lr_scheduler.StepLR', 'step', [], {});
  }
}

/** Trains and compares. `captured`: each round as one program, made anew where modes or objects change. */
function train(record: TrainingRecord, library: Library, dev: number, captured: boolean): Failure | null {
  const tolerance = exactTolerance(5e-5 + 10 * dev);
  const plain = tensorDecoder(library, new Map(), false);
  const batches = record.batches.map(
    (batch) => new Map(Object.entries(batch).map(([name, value]) => [name, decodeValue(value, plain, name)])),
  );
  const names = [...(batches[0]?.keys() ?? [])];
  let training = new Training(record, library);
  for (const [name, module] of training.modules) {
    const bad = loadState(module, record.state[name] ?? {}, library);
    if (bad !== null) return bad;
  }
  const programOf = (current: Training): ((...tensors: unknown[]) => unknown) => {
    const round = (...tensors: unknown[]): unknown =>
      current.round(new Map(names.map((name, i) => [name, tensors[i]])));
    return captured ? library.capture(round) : round;
  };
  let program = programOf(training);
  for (const [i, mode] of record.training.entries()) {
    if (i === record.reload) {
      const next = new Training(record, library);
      next.load(training);
      training = next;
    }
    if (i === record.reload || (i > 0 && mode !== record.training[i - 1])) program = programOf(training);
    training.setTraining(mode);
    const loss = program(...names.map((name) => batches[i % 2]?.get(name)));
    const value = library.isTensor(loss) ? Number(library.read(loss).data[0]) : Number(loss);
    const wanted = numberOf(record.losses[i]);
    if (!close(value, wanted, tolerance.strict))
      return { kind: 'value', detail: `loss of round ${i}: ${value}, expected ${wanted}` };
    training.schedule();
  }
  const options = { tolerance };
  // What is captured keeps its gradients to itself.
  for (const [name, wanted] of captured ? [] : Object.entries(record.gradients)) {
    const failure = compareValue(training.gradients.get(name) ?? null, wanted, library, options, `gradient of ${name}`);
    if (failure !== null) return failure;
  }
  const failure = compareValue(
    training.state(),
    { $: 'map', v: Object.entries(record.after) },
    library,
    options,
    'state',
  );
  if (failure !== null) return failure;
  for (const [i, wanted] of record.rates.entries()) {
    const groups = library.property(training.optimizer, 'param_groups') as readonly object[];
    const rate = Number(library.property(groups[i], 'lr'));
    if (!close(rate, numberOf(wanted), 1e-9)) return { kind: 'value', detail: `lr of group ${i}: ${rate}` };
  }
  training.setTraining(false);
  const out = training.forward(batches[0] ?? new Map()).get(record.output);
  return compareValue(out, record.out, library, options, 'output');
}

/** Starts a record of `nn/training`. */
export function startTraining(record: CaseRecord, { library }: Context): Prepared {
  const [dev] = deviation(record);
  const ways = record.captured === true ? [false, true] : [false];
  return {
    pending: [],
    check() {
      for (const captured of ways) {
        const failure = train(record as unknown as TrainingRecord, library, dev, captured);
        if (failure !== null) return captured ? { ...failure, detail: `captured: ${failure.detail}` } : failure;
      }
      return null;
    },
  };
}
