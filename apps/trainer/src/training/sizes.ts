/** What decides how much memory a run takes. */
import type { TrainConfig } from '../config.ts';
import { PRESET_SETTINGS } from '../presets.ts';

const SIZE_FIELDS = ['batchSize', 'context', 'width', 'layers'] as const;

/** The settings that the preset uses of those that decide about memory. */
export function sizesOf(config: TrainConfig): Readonly<Record<string, number>> {
  const { unused } = PRESET_SETTINGS[config.preset];
  return Object.fromEntries(
    SIZE_FIELDS.filter((field) => !unused.includes(field)).map((field) => [field, config[field]]),
  );
}
