// `gemma2`: recorded answers of a reference Gemma 2 for Hugging Face folders beside the case file. Tolerances are absolute (conformance.md): logits
// 2e-3, hidden states 1e-4, greedy ids exactly. For gradients, which it leaves open: 1e-3 of the largest.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Failure } from '../compare.ts';
import { decodeTensorData, isPlainObject, isTagged } from '../encoded.ts';
import type { CaseRecord, Encoded, TensorData } from '../encoded.ts';
import type { Gemma2UnderTest, Prepared } from '../library.ts';
import type { Context } from './family.ts';

const LOGITS = 2e-3;
const HIDDEN = 1e-4;
const LOSS = 1e-4;
const GRADIENT = 1e-3;

const isModel = (folder: string): boolean => existsSync(join(folder, 'config.json'));

/** The configuration of a model folder in one form, to tell whether two folders hold one model. */
function configOf(folder: string): string {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Readonly<Record<string, unknown>>;
  const entries = Object.entries(config).filter(([key]) => key !== 'transformers_version' && key !== '_name_or_path');
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * The model folders that the records of a case file are about. `reference_NAME` speaks of the folder NAME and of folders NAME-… with the same
 * configuration and no reference of their own (the same weights in another form); `tokenizer_cases` of all folders with a tokenizer; either, inside a model's
 * folder or without a folder of its name, of the models that are there.
 */
export function modelFolders(file: string): string[] {
  const here = dirname(file);
  const base = basename(file).replace(/\.jsonl(\.gz)?$/, '');
  const models = readdirSync(here)
    .map((name) => join(here, name))
    .filter(isModel)
    .sort();
  const wanted = /^(?:reference|tokenizer_cases)[_-](.+)$/.exec(base)?.[1];
  if (wanted !== undefined) {
    const hasOwn = (name: string): boolean =>
      readdirSync(here).some((entry) => /^(?:reference|tokenizer_cases)[_-]/.test(entry) && entry.includes(`${name}.`));
    const own = models.find((folder) => basename(folder) === wanted);
    const named = models.filter((folder) => {
      const name = basename(folder);
      if (own === undefined || folder === own) return folder === own;
      return name.startsWith(`${wanted}-`) && !hasOwn(name) && configOf(folder) === configOf(own);
    });
    if (named.length > 0) return named;
  }
  if (isModel(here)) return [here];
  if (base.startsWith('tokenizer_cases')) return models.filter((folder) => existsSync(join(folder, 'tokenizer.json')));
  return models.length === 1 ? models : [];
}

const numbers = (value: Encoded | undefined): number[] => (Array.isArray(value) ? value.map(Number) : []);

function tensor(value: Encoded | undefined): TensorData {
  if (!isTagged(value)) throw new Error('the record has no tensor where one is expected');
  return decodeTensorData(value);
}

/** Largest absolute difference; a failure where it is above `limit` or the shapes differ. */
function within(actual: TensorData, expected: TensorData, limit: number, what: string): Failure | null {
  if (actual.shape.join() !== expected.shape.join())
    return { kind: 'shape', detail: `${what}: [${actual.shape.join(', ')}], expected [${expected.shape.join(', ')}]` };
  let worst = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const difference = Math.abs(Number(actual.data[i]) - Number(expected.data[i]));
    if (!(difference <= worst)) worst = difference;
    if (Number.isNaN(worst)) break;
  }
  return worst <= limit
    ? null
    : { kind: 'value', detail: `${what}: off by ${worst.toExponential(2)}, ${limit} allowed` };
}

function same(actual: unknown, expected: unknown, what: string): Failure | null {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  return found === wanted ? null : { kind: 'value', detail: `${what}: ${found}, expected ${wanted}` };
}

const largest = ({ data }: TensorData): number => {
  let most = 0;
  for (let i = 0; i < data.length; i++) most = Math.max(most, Math.abs(Number(data[i])));
  return most;
};

function compareLoss(record: CaseRecord, model: Gemma2UnderTest): Failure | null {
  const { loss, gradients } = model.loss(numbers(record.input_ids));
  const expected = Number(record.loss);
  if (!(Math.abs(loss - expected) <= LOSS * (1 + Math.abs(expected))))
    return { kind: 'value', detail: `loss ${loss}, expected ${expected}` };
  const statistics = isPlainObject(record.grad_stats) ? record.grad_stats : {};
  for (const [name, value] of Object.entries(statistics)) {
    const gradient = gradients.get(name);
    if (gradient === undefined) return { kind: 'gradient', detail: `no gradient of ${name}` };
    const { l2 = 0, sum = 0, absmax = 0 } = value as { l2?: number; sum?: number; absmax?: number };
    let squares = 0;
    let total = 0;
    for (let i = 0; i < gradient.data.length; i++) {
      squares += Number(gradient.data[i]) ** 2;
      total += Number(gradient.data[i]);
    }
    const differences = [Math.sqrt(squares) - l2, total - sum, largest(gradient) - absmax];
    if (!differences.every((difference) => Math.abs(difference) <= GRADIENT * l2))
      return { kind: 'gradient', detail: `${name}: l2, sum, absmax off by ${differences.join(', ')} of ${l2}` };
  }
  for (const [name, value] of Object.entries(isPlainObject(record.grads) ? record.grads : {})) {
    const gradient = gradients.get(name);
    if (gradient === undefined) return { kind: 'gradient', detail: `no gradient of ${name}` };
    const wanted = tensor(value);
    const failure = within(gradient, wanted, GRADIENT * largest(wanted), name);
    if (failure !== null) return { ...failure, kind: 'gradient' };
  }
  return null;
}

function compareTokens(record: CaseRecord, model: Gemma2UnderTest): Failure | null {
  const ids = numbers(record.decode_only ?? record.ids_with_bos);
  const checks: (readonly [actual: () => unknown, field: string])[] = [
    [() => model.decode(ids, false), 'decoded'],
    [() => model.decode(ids, true), 'decoded_skip_special'],
  ];
  if (typeof record.text === 'string') {
    const { text } = record;
    checks.push(
      [() => model.encode(text, true), 'ids_with_bos'],
      [() => model.encode(text, false), 'ids_without_special'],
      [() => model.tokens(text), 'tokens'],
    );
  }
  for (const [actual, field] of checks) {
    const failure = record[field] === undefined ? null : same(actual(), record[field], field);
    if (failure !== null) return failure;
  }
  return null;
}

async function compareRecord(record: CaseRecord, model: Gemma2UnderTest): Promise<Failure | null> {
  if (record.kind === undefined) return compareTokens(record, model);
  const ids = numbers(record.input_ids);
  switch (record.kind) {
    case 'logits':
      return within(model.logits(ids), tensor(record.logits), LOGITS, 'logits');
    case 'hidden': {
      const name = String(record.name);
      const found = model.hidden(ids, name);
      return found === null
        ? { kind: 'unsupported', detail: `the hidden state "${name}" is not known` }
        : within(found, tensor(record.value), HIDDEN, name);
    }
    case 'greedy': {
      const expected = numbers(record.new_ids);
      const found = await model.greedy(ids, expected.length);
      return (
        same(found, expected, 'greedy') ??
        (typeof record.text === 'string' ? same(model.decode(found, false), record.text, 'text') : null)
      );
    }
    case 'padded_batch':
      return within(
        model.lastLogits(tensor(record.input_ids), tensor(record.attention_mask)),
        tensor(record.last_logits),
        LOGITS,
        'last logits',
      );
    case 'loss':
      return compareLoss(record, model);
    default:
      return { kind: 'unsupported', detail: `records of kind ${JSON.stringify(record.kind)} are not known` };
  }
}

/** Starts a record of `gemma2`: it passes when every model folder that it is about agrees. */
export function startGemma2(record: CaseRecord, { file, openGemma2 }: Context): Prepared {
  const check = async (): Promise<Failure | null> => {
    if (file === undefined || openGemma2 === undefined)
      throw new Error('a gemma2 record needs its case file and a loader');
    const folders = modelFolders(file);
    if (folders.length === 0) return { kind: 'unsupported', detail: `no model folder beside ${basename(file)}` };
    for (const folder of folders) {
      const failure = await compareRecord(record, await openGemma2(folder));
      if (failure !== null) return { ...failure, detail: `${basename(folder)}: ${failure.detail}` };
    }
    return null;
  };
  return { pending: [], check };
}
