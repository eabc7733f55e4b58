// Which family a case file belongs to, and how its records are started.
import { basename, dirname } from 'node:path';
import type { CaseRecord } from '../encoded.ts';
import { startData } from './dataloader.ts';
import type { Context, StartRecord } from './family.ts';
import { startGemma2 } from './gemma2.ts';
import { startDefaultInit, startModule } from './modules.ts';
import { startInit, startUtils } from './nn-rest.ts';
import { startError, startOperation } from './ops.ts';
import { startScheduler, startTrajectory } from './optim.ts';
import { startProgram } from './programs.ts';
import { startPromotion } from './promotion.ts';
import { startObserver } from './quant.ts';
import { startModuleRandom, startRandom } from './random.ts';
import { startTraining } from './training.ts';

const skip: StartRecord = () => null;

const families: Readonly<Record<string, StartRecord>> = {
  'ops/complex': startOperation,
  'ops/core': startOperation,
  'ops/errors': startError,
  'ops/extra': startOperation,
  'ops/fft': startOperation,
  'ops/linalg': startOperation,
  'ops/masked': startOperation,
  'ops/nn_functional': startOperation,
  'ops/random': startRandom,
  'ops/random_extra': startRandom,
  'ops/special': startOperation,
  'tensor/promotion': startPromotion,
  'tensor/repr': skip,
  'tensor/rng_exact': skip,
  'nn/default_init': startDefaultInit,
  'nn/init': startInit,
  'nn/losses': startModule,
  'nn/modules': startModule,
  'nn/random': startModuleRandom,
  'nn/training': startTraining,
  'nn/utils': startUtils,
  'autograd/programs': startProgram,
  'sparse/programs': startProgram,
  'quant/observers': startObserver,
  'quant/programs': startProgram,
  'optim/schedulers': startScheduler,
  'optim/trajectories': startTrajectory,
  'dataloader/data': startData,
  gemma2: startGemma2,
};

/** The family of a case file, told by its folder and name; a lone file by its name, or else by the fields of its records. */
export function familyOf(path: string, record?: CaseRecord): string {
  const folder = basename(dirname(path));
  const base = basename(path).replace(/\.jsonl(\.gz)?$/, '');
  if (folder === 'gemma2') return 'gemma2';
  const full = `${folder}/${base}`;
  if (full in families || folder === 'ops') return full;
  const programs =
    record !== undefined && Array.isArray(record.steps) && typeof record.family === 'string'
      ? `${record.family}/programs`
      : undefined;
  if (programs !== undefined && programs in families) return programs;
  const byName = Object.keys(families).filter((family) => family.endsWith(`/${base}`));
  if (byName.length === 1 && byName[0] !== undefined) return byName[0];
  if (/^reference_|^tokenizer_cases/.test(base)) return 'gemma2';
  if (record !== undefined && 'call' in record)
    return 'error_type' in record ? 'ops/errors' : 'stats' in record ? 'ops/random' : 'ops/core';
  return full;
}

/** How records of a family are started; null for a family that is not known. */
export function starterOf(family: string): StartRecord | null {
  return families[family] ?? (family.startsWith('ops/') ? startOperation : null);
}

/** A stable name for a record. */
export function recordId(record: CaseRecord, line: number): string {
  if (typeof record.id === 'string') return record.id;
  const name = record.fn ?? record.class ?? record.kind ?? record.code ?? 'record';
  const parts = [name, record.op, record.name, record.a, record.a_dim, record.b, record.b_dim, record.scalar].filter(
    (x) => typeof x === 'string' || typeof x === 'number',
  );
  return `${parts.join(' ')}#${line}`;
}

/** The operation a record tests, for the report. */
export function operationOf(record: CaseRecord): string {
  const { call, fn, op } = record;
  if (typeof call === 'string') return call;
  if (typeof fn === 'string') return typeof op === 'string' ? `${fn} ${op}` : fn;
  for (const name of [record.class, record.optimizer, record.kind, record.id, record.code])
    if (typeof name === 'string') return name.replace(/#\d+$/, '');
  return 'record';
}

export type { Context };
