/** Programs of sparse and quantised tensors, sequences of observers, and changes of modules (`nn.utils`), recorded from PyTorch 1.13.1 (`recorded/`), against our packages. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ProjLibrary } from '../src/adapter.ts';
import { findCaseFiles, readCaseFile } from '../src/case-files.ts';
import { familyOf } from '../src/families/index.ts';
import { runRecords } from '../src/run-records.ts';

const files = findCaseFiles([fileURLToPath(new URL('recorded', import.meta.url))]);

it.each(files.map((path) => [familyOf(path), path] as const))(
  '%s: every record has the answer of PyTorch',
  async (family, path) => {
    const library = await ProjLibrary.load(undefined);
    const lines = readCaseFile(path);
    expect(lines.length).toBeGreaterThan(50);
    const outcomes = await runRecords(family, lines, { library, index: new Map() }, () => {}, false);
    expect(outcomes.filter(({ status }) => status !== 'passed')).toEqual([]);
  },
  120_000,
);
