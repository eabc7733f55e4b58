// Programs (`autograd`, `sparse`, `quant`): an interpreter of steps over an environment of variables, with function values for the functional
// transforms (conformance.md, "Programs").
import { compareValue, exactTolerance, tensorsIn, tupleEntry } from '../compare.ts';
import { decodeValue } from '../encoded.ts';
import type { CaseRecord, Encoded, Tagged } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { deviation, tensorDecoder } from './family.ts';
import type { Context } from './family.ts';

/** One step: call something, store the result. */
export interface Step {
  readonly o: string;
  readonly call: string;
  readonly args?: readonly Encoded[];
  readonly kwargs?: Readonly<Record<string, Encoded>>;
}

type Environment = Map<string, unknown>;

const properties: ReadonlySet<string> = new Set([
  'grad',
  'is_leaf',
  'requires_grad',
  'shape',
  'dtype',
  'data',
  'layout',
  'is_sparse',
  'is_quantized',
  'ndim',
  'retains_grad',
  '_version',
]);

/** Interprets steps; the tests run it over a fake library. */
export class Interpreter {
  readonly #library: Library;

  constructor(library: Library) {
    this.#library = library;
  }

  /** Decodes a value in an environment: variables are read, functions closed over it. */
  decode(value: Encoded | undefined, environment: Environment): unknown {
    const decoder = tensorDecoder(this.#library, new Map(), true, (tagged) => this.#special(tagged, environment));
    return decodeValue(value, decoder, 'value');
  }

  #special(value: Tagged, environment: Environment): unknown {
    if (value.$ === 'var') {
      const name = String(value.v);
      if (!environment.has(name)) throw new Error(`the variable ${name} has no value`);
      return environment.get(name);
    }
    if (value.$ === 'fn') return this.#closure(value, environment);
    throw new Error(`the encoding "${value.$}" is not known in a program`);
  }

  #closure(fn: Tagged, outer: Environment): (...args: unknown[]) => unknown {
    const parameters = fn.params as readonly string[];
    return (...args) => {
      const local: Environment = new Map(outer);
      const values =
        args.length === 1 && parameters.length > 1 && Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
      for (const [i, name] of parameters.entries()) local.set(name, values[i]);
      this.run(fn.steps as unknown as readonly Step[], local);
      return Array.isArray(fn.ret)
        ? (fn.ret as readonly string[]).map((name) => local.get(name))
        : local.get(String(fn.ret));
    };
  }

  /** Runs steps in order. */
  run(steps: readonly Step[], environment: Environment): void {
    for (const step of steps) environment.set(step.o, this.step(step, environment));
  }

  /** Runs one step and returns its result. */
  step(step: Step, environment: Environment): unknown {
    const args = (step.args ?? []).map((value) => this.decode(value, environment));
    const kwargs = Object.fromEntries(
      Object.entries(step.kwargs ?? {}).map(([key, value]) => [key, this.decode(value, environment)]),
    );
    switch (step.call) {
      case 'item':
        return tupleEntry(args[0], Number(args[1]), undefined);
      case 'list':
        return args;
      case 'grad_mode':
        this.#library.setGradEnabled(args[0] === true);
        return null;
    }
    const property = /^Tensor\.(\w+)$/.exec(step.call)?.[1];
    if (property !== undefined && properties.has(property) && args.length === 1)
      return this.#library.property(args[0], property) ?? null;
    return this.#library.call({ name: step.call, args, kwargs });
  }
}

/** Third derivatives are compared more loosely: programs that differentiate three times or more. */
const differentiatesThrice = (steps: readonly Step[]): boolean =>
  steps.filter((step) => step.call === 'torch.autograd.grad').length >= 3;

/** Starts a program. */
export function startProgram(record: CaseRecord, { library }: Context): Prepared {
  const interpreter = new Interpreter(library);
  const environment: Environment = new Map();
  const steps = record.steps as unknown as readonly Step[];
  const error = record.error as Readonly<Record<string, Encoded>> | undefined;
  const [dev] = deviation(record);
  const restore = (): void => {
    if (steps.some((step) => step.call === 'grad_mode')) library.setGradEnabled(true);
  };
  const leaveDualLevels = (): void => {
    const entered = steps.filter((step) => step.call.endsWith('enter_dual_level') && environment.has(step.o)).length;
    const left = steps.filter((step) => step.call.endsWith('exit_dual_level') && environment.has(step.o)).length;
    for (let level = left; level < entered; level++)
      library.call({ name: 'torch.autograd.forward_ad.exit_dual_level', args: [], kwargs: {} });
  };
  for (const [name, value] of Object.entries(record.inputs as Readonly<Record<string, Encoded>>))
    environment.set(name, interpreter.decode(value, environment));
  if (error !== undefined) {
    return {
      pending: [],
      check() {
        const at = String(error.at);
        const guarded = steps.findIndex((step) => step.o === at);
        interpreter.run(steps.slice(0, guarded), environment);
        const step = steps[guarded];
        if (step === undefined) return { kind: 'unsupported', detail: `the step ${at} does not exist` };
        try {
          const result = interpreter.step(step, environment);
          for (const t of tensorsIn(result, (v) => library.isTensor(v))) library.read(t);
        } catch (thrown) {
          if (thrown instanceof Error && thrown.name === 'MissingOperation') throw thrown;
          return null;
        } finally {
          restore();
        }
        return {
          kind: 'no-error',
          detail: `step ${at} (${step.call}) did not throw; PyTorch: ${String(error.message)}`,
        };
      },
    };
  }
  try {
    interpreter.run(steps, environment);
  } finally {
    restore();
    leaveDualLevels();
  }
  const names = (record.ret as readonly string[] | undefined) ?? [];
  const expected = (record.out as readonly Encoded[] | undefined) ?? [];
  const results = names.map((name) => environment.get(name));
  const least = Number(record.tolerance ?? (differentiatesThrice(steps) ? 1e-4 : 1e-5));
  const tolerance = exactTolerance(least + 10 * dev);
  return {
    pending: tensorsIn(results, (v) => library.isTensor(v)),
    check() {
      for (const [i, wanted] of expected.entries()) {
        const failure = compareValue(results[i], wanted, library, { tolerance }, names[i] ?? `ret.${i}`);
        if (failure !== null) return failure;
      }
      return null;
    },
  };
}
