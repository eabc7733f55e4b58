/** From a configuration to a task. */
import type { TrainConfig } from '../config.ts';
import { createDigitTask } from './digits.ts';
import { createLanguageTask } from './language.ts';
import type { Task } from './task.ts';

export function createTask(config: TrainConfig): Task {
  const { preset } = config;
  switch (preset) {
    case 'docs-gpt':
    case 'char-gpt':
    case 'char-lstm':
      return createLanguageTask(config);
    case 'mlp-mnist':
    case 'cnn-mnist':
      return createDigitTask(config);
    default:
      return preset satisfies never;
  }
}
