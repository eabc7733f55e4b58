import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CaseRecord, TensorData } from '../src/encoded.ts';
import { modelFolders } from '../src/families/gemma2.ts';
import type { Gemma2UnderTest } from '../src/library.ts';
import { runRecords } from '../src/run-records.ts';
import { FakeLibrary } from './fake-library.ts';

let root: string;
const model = (name: string, config: object, tokenizer = true): void => {
  mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, name, 'config.json'), JSON.stringify(config));
  if (tokenizer) writeFileSync(join(root, name, 'tokenizer.json'), '{}');
};
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'conformance-gemma2-'));
  model('a', { hidden_size: 8, torch_dtype: 'float32' });
  model('a-bf16', { hidden_size: 8, torch_dtype: 'bfloat16' });
  model('a-sharded', { torch_dtype: 'float32', hidden_size: 8, transformers_version: '4' }, false);
  model('b', { hidden_size: 8 });
  model('b-own', { hidden_size: 8 });
  model('alone/x', {});
  for (const name of ['a', 'b', 'b-own']) writeFileSync(join(root, `reference_${name}.jsonl`), '');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const shaped = (data: number[]): TensorData => ({ dtype: 'float32', shape: [1, data.length], data });
const encoded = (data: number[]): object => ({ $: 'tensor', ...shaped(data) });

/** A model that is off by `error` in everything. */
function fake(error: number): Gemma2UnderTest {
  return {
    logits: () => shaped([1, 2 + error]),
    hidden: (_, name) => (name === 'embeddings' ? shaped([3 + error]) : null),
    greedy: (_, count) => Promise.resolve(Array.from({ length: count }, (_, i) => (error > 1 ? 0 : i))),
    lastLogits: () => shaped([1 + error]),
    loss: () => ({ loss: 2 + error, gradients: new Map([['w', shaped([3, 4 + error])]]) }),
    encode: (text, special) => [...(special ? [2] : []), text.length],
    tokens: (text) => [text],
    decode: (ids) => ids.join(),
  };
}

const records: readonly object[] = [
  { kind: 'logits', input_ids: [2], logits: encoded([1, 2]) },
  { kind: 'hidden', name: 'embeddings', input_ids: [2], value: encoded([3]) },
  { kind: 'greedy', input_ids: [2], new_ids: [0, 1, 2], text: '0,1,2' },
  { kind: 'padded_batch', input_ids: encoded([2]), attention_mask: encoded([1]), last_logits: encoded([1]) },
  {
    kind: 'loss',
    input_ids: [2, 3],
    loss: 2,
    grad_stats: { w: { l2: 5, sum: 7, absmax: 4 } },
    grads: { w: encoded([3, 4]) },
  },
  { text: 'abc', ids_with_bos: [2, 3], ids_without_special: [3], tokens: ['abc'], decoded: '2,3' },
];
async function passed(error: number, more: readonly object[] = []): Promise<string[]> {
  const lines = [...records, ...more].map((record, i) => ({ line: i + 1, record: record as CaseRecord }));
  const context = {
    library: new FakeLibrary(),
    index: new Map(),
    file: join(root, 'reference_b.jsonl'),
    openGemma2: () => Promise.resolve(fake(error)),
  };
  const outcomes = await runRecords('gemma2', lines, context, () => undefined, false);
  return outcomes.map(({ status, failure }) => (status === 'passed' ? 'passed' : (failure?.kind ?? status)));
}

describe('gemma2 records', () => {
  it('pass at the tolerances of the format', async () => {
    expect(await passed(0)).toEqual(new Array(6).fill('passed'));
    expect(await passed(9e-5)).toEqual(new Array(6).fill('passed'));
  });
  it('fail beyond them', async () => {
    expect(await passed(1.5e-4)).toEqual(['passed', 'value', 'passed', 'passed', 'passed', 'passed']);
    expect(await passed(3e-3)).toEqual(['value', 'value', 'passed', 'value', 'value', 'passed']);
    expect(await passed(5)).toEqual(['value', 'value', 'value', 'value', 'value', 'passed']);
    expect(await passed(Number.NaN)).toEqual(['value', 'value', 'passed', 'value', 'value', 'passed']);
  });
  it('that nobody knows are said to be so', async () => {
    expect(await passed(0, [{ kind: 'beam' }, { kind: 'hidden', name: 'x', value: encoded([1]) }])).toEqual([
      ...new Array<string>(6).fill('passed'),
      'unsupported',
      'unsupported',
    ]);
  });
});

describe('the folders of a case file', () => {
  const folders = (file: string): string[] => modelFolders(join(root, file)).map((folder) => basename(folder));
  it('are those of its name, in every form of the same weights', () => {
    expect(folders('reference_a.jsonl.gz')).toEqual(['a', 'a-sharded']);
    expect(folders('reference_b.jsonl')).toEqual(['b']);
    expect(folders('reference_none.jsonl')).toEqual([]);
  });
  it('are all with a tokenizer for tokens', () => {
    expect(folders('tokenizer_cases.jsonl.gz')).toEqual(['a', 'a-bf16', 'b', 'b-own']);
    expect(folders('tokenizer_cases_a-bf16.jsonl.gz')).toEqual(['a-bf16']);
  });
  it('are the only one there is, or the one it lies in', () => {
    expect(folders('alone/reference.jsonl')).toEqual(['x']);
    expect(folders('alone/x/reference.jsonl')).toEqual(['x']);
  });
});
