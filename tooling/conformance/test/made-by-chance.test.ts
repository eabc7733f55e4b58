/**
 * A few programs made by chance of each later kind (`scripts/cases/random_indices.py` and its neighbours), recorded from PyTorch 1.13.1:
 * as the runner runs them, and captured. On JavaScript alone, where they take no compiler; `pnpm conformance` runs thousands on any device.
 */
import { fileURLToPath } from 'node:url';
import { compile, type Tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import { ProjLibrary } from '../src/adapter.ts';
import { findCaseFiles, readCaseFile } from '../src/case-files.ts';
import { compareValue, exactTolerance } from '../src/compare.ts';
import type { CaseRecord, Encoded } from '../src/encoded.ts';
import { familyOf } from '../src/families/index.ts';
import { Interpreter, type Step } from '../src/families/programs.ts';
import { runRecords } from '../src/run-records.ts';

const library = await ProjLibrary.load('js');
const interpreter = new Interpreter(library);
const files = findCaseFiles([fileURLToPath(new URL('made-by-chance', import.meta.url))]);
const named = files.map((path) => [path.split('made-by-chance/')[1], path] as const);

function inputsOf(record: CaseRecord): Map<string, unknown> {
  const inputs = new Map<string, unknown>();
  for (const [name, value] of Object.entries(record.inputs as Record<string, Encoded>))
    inputs.set(name, interpreter.decode(value, inputs));
  return inputs;
}

/** The results of a program that is captured, of its third call; null where its shapes depend on values. */
function captured(record: CaseRecord): readonly unknown[] | null {
  const names = [...inputsOf(record).keys()];
  const program = compile((...tensors: Tensor[]) => {
    const environment = new Map<string, unknown>(names.map((name, i) => [name, tensors[i]]));
    interpreter.run(record.steps as unknown as readonly Step[], environment);
    return (record.ret as readonly string[]).map((name) => environment.get(name));
  });
  const call = (): readonly unknown[] => program(...([...inputsOf(record).values()] as Tensor[]));
  try {
    call();
    call();
    return call();
  } catch (error) {
    if ((error as { code?: string }).code === 'capture') return null;
    throw error;
  }
}

describe.each(named)('%s', (_, path) => {
  const lines = readCaseFile(path);

  it('every record has the answer of PyTorch', { timeout: 300_000 }, async () => {
    expect(lines.length).toBeGreaterThan(15);
    const outcomes = await runRecords(familyOf(path), lines, { library, index: new Map() }, () => {}, false);
    expect(outcomes.filter(({ status }) => status !== 'passed')).toEqual([]);
  });
  // Records of training are captured by the runner itself.
  it.skipIf(familyOf(path) === 'nn/training')('and captured, too', { timeout: 300_000 }, () => {
    let count = 0;
    for (const { record } of lines) {
      const results = captured(record);
      if (results === null) continue;
      count++;
      const tolerance = exactTolerance(Number(record.tolerance ?? 1e-5) + 10 * Number(record.dev ?? 0));
      for (const [i, wanted] of (record.out as readonly Encoded[]).entries())
        expect(compareValue(results[i], wanted, library, { tolerance }, String(i)), String(record.id)).toBeNull();
    }
    expect(count).toBeGreaterThan(lines.length / 2);
  });
});
