/** Runs that do not fit into memory: which settings to change. */
import { ProjError } from '@proj/kernel';
import { flagOf } from 'app-support';
import type { TrainConfig } from '../config.ts';
import { PRESET_SETTINGS } from '../presets.ts';

/** Settings that decide how much memory a run takes. */
const SIZE_FIELDS = ['batchSize', 'context', 'width', 'layers'] as const;

/** An error for lack of memory as one about the settings that ask for it; any other as it is. */
export function tooLarge(error: unknown, config: TrainConfig): unknown {
  if (!(error instanceof ProjError) || error.code !== 'out-of-memory') return error;
  const { unused } = PRESET_SETTINGS[config.preset];
  const fields = SIZE_FIELDS.filter((field) => !unused.includes(field));
  const [lack] = error.message.replace(/^\w+: /, '').split('. ');
  return new ProjError(
    'out-of-memory',
    `the run does not fit into memory with ${fields.map((field) => `${flagOf(field)} ${config[field]}`).join(', ')} (${lack})`,
    { op: 'train', cure: `Make ${fields.map(flagOf).join(' or ')} smaller`, cause: error },
  );
}
