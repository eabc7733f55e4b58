/**
 * Programs made by chance (`scripts/cases/random_programs.py`), among them those that once found something wrong, run in other ways than the runner runs
 * them: their results read one after the other, every value read as soon as there is one, and captured.
 */
import { fileURLToPath } from 'node:url';
import { compile, fromArray, Tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import { ProjLibrary } from '../src/adapter.ts';
import { readCaseFile } from '../src/case-files.ts';
import { compareValue, exactTolerance } from '../src/compare.ts';
import type { CaseRecord, TensorData } from '../src/encoded.ts';
import { Interpreter, type Step } from '../src/families/programs.ts';

const library = await ProjLibrary.load(undefined);
const interpreter = new Interpreter(library);
const records = readCaseFile(fileURLToPath(new URL('recorded/autograd/programs.jsonl.gz', import.meta.url))).map(
  ({ record }) => record,
);

type Environment = Map<string, unknown>;

function run(record: CaseRecord, inputs: Environment, afterStep: (value: unknown) => void = () => {}): Environment {
  const environment = new Map(inputs);
  for (const step of record.steps as unknown as readonly Step[]) {
    environment.set(step.o, interpreter.step(step, environment));
    afterStep(environment.get(step.o));
  }
  return environment;
}

function inputsOf(record: CaseRecord): Environment {
  const inputs: Environment = new Map();
  for (const [name, value] of Object.entries(record.inputs as Record<string, never>))
    inputs.set(name, interpreter.decode(value, inputs));
  return inputs;
}

function expectAnswers(record: CaseRecord, results: readonly unknown[], order: readonly number[]): void {
  const tolerance = exactTolerance(1e-4 + 10 * Number(record.dev ?? 0));
  const expected = record.out as never[];
  for (const i of order)
    expect(compareValue(results[i], expected[i], library, { tolerance }, String(i)), String(record.id)).toBeNull();
}

describe('programs made by chance', () => {
  const names = (record: CaseRecord): string[] => record.ret as unknown as string[];
  const resultsOf = (record: CaseRecord, environment: Environment): unknown[] =>
    names(record).map((name) => environment.get(name));

  it('give the same whichever result is read first', { timeout: 300_000 }, () => {
    for (const record of records) {
      const order = names(record).map((_, i) => i);
      expectAnswers(record, resultsOf(record, run(record, inputsOf(record))), order);
      expectAnswers(record, resultsOf(record, run(record, inputsOf(record))), order.toReversed());
    }
  });
  it('give the same where every value is read at once', { timeout: 300_000 }, () => {
    const read = (value: unknown): void => {
      if (value instanceof Tensor) value.toTypedArray();
    };
    for (const record of records) {
      const results = resultsOf(record, run(record, inputsOf(record), read));
      expectAnswers(record, results, [...results.keys()]);
    }
  });
  it('give the same where they are captured, at every call', { timeout: 300_000 }, () => {
    for (const record of records) {
      const inputs = [...inputsOf(record)] as [string, Tensor][];
      const captured = compile((...tensors: Tensor[]) =>
        resultsOf(record, run(record, new Map(inputs.map(([name], i) => [name, tensors[i]])))),
      );
      // Other numbers between, which must leave nothing behind.
      for (const factor of [1, 1, -0.7, 1]) {
        const given = inputs.map(([, tensor]) => {
          const { shape, data } = library.read(tensor) as TensorData & { data: Float32Array };
          return fromArray(
            Float32Array.from(data, (v) => factor * v),
            shape,
            'float32',
          ).requiresGrad_();
        });
        const results = captured(...given);
        if (factor === 1) expectAnswers(record, results, [...results.keys()]);
      }
    }
  });
});
