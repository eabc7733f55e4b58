// Runs a batch of records in this process: start all, evaluate their tensors together, check each. One record never takes another down.
import { failureOf } from './compare.ts';
import type { Failure } from './compare.ts';
import type { CaseLine } from './case-files.ts';
import { operationOf, recordId, starterOf } from './families/index.ts';
import type { Context } from './families/family.ts';
import type { Prepared } from './library.ts';

/** What became of one record. */
export interface Outcome {
  readonly line: number;
  readonly id: string;
  readonly operation: string;
  readonly status: 'passed' | 'failed' | 'skipped';
  readonly failure?: Failure;
}

/** An outcome from a check's answer. */
export function outcomeOf({ line, record }: CaseLine, failure: Failure | null | 'skipped'): Outcome {
  const base = { line, id: recordId(record, line), operation: operationOf(record) };
  if (failure === 'skipped') return { ...base, status: 'skipped' };
  return failure === null ? { ...base, status: 'passed' } : { ...base, status: 'failed', failure };
}

/** Runs the records of one family. `started` is told the line before anything of a record runs. */
export async function runRecords(
  family: string,
  lines: readonly CaseLine[],
  context: Context,
  started: (line: number) => void,
  lenient: boolean,
): Promise<Outcome[]> {
  const start = starterOf(family);
  if (start === null)
    return lines.map((line) => outcomeOf(line, { kind: 'unsupported', detail: `the family "${family}" is not known` }));
  const running: { readonly line: CaseLine; readonly prepared: Prepared }[] = [];
  const outcomes: Outcome[] = [];
  for (const line of lines) {
    started(line.line);
    try {
      const prepared = start(line.record, context);
      if (prepared === null) outcomes.push(outcomeOf(line, 'skipped'));
      else running.push({ line, prepared });
    } catch (error) {
      outcomes.push(outcomeOf(line, failureOf(error)));
    }
  }
  if (running.length > 1) {
    try {
      context.library.evaluate(running.flatMap(({ prepared }) => prepared.pending));
    } catch {
      // One of them fails to compute: each is computed (and judged) on its own below.
    }
  }
  for (const { line, prepared } of running) {
    started(line.line);
    let failure: Failure | null;
    try {
      failure = await prepared.check();
    } catch (error) {
      failure = failureOf(error);
    }
    outcomes.push(outcomeOf(line, lenient && failure?.lenient === true ? null : failure));
  }
  return outcomes;
}
