/** From a configuration to a task. */
import type { State } from '@proj/tensor/io';
import type { TrainConfig } from '../config.ts';
import { createDigitTask } from './digits.ts';
import { createLanguageTask } from './language.ts';
import type { Task } from './task.ts';

/** `saved` is what a checkpoint holds of the task that its model was trained on. */
export function createTask(config: TrainConfig, saved: { readonly [key: string]: State } = {}): Task {
  const { preset } = config;
  switch (preset) {
    case 'docs-gpt':
    case 'char-gpt':
    case 'char-lstm':
      return createLanguageTask(config, typeof saved['vocabulary'] === 'string' ? saved['vocabulary'] : undefined);
    case 'mlp-mnist':
    case 'cnn-mnist':
      return createDigitTask(config);
    default:
      return preset satisfies never;
  }
}
