/** The training loop for other programs. */
export { type ConfigSources, readConfigFile, resolveConfig, type TrainConfig } from './config.ts';
export { PRESET_SETTINGS, PRESETS, type PresetName } from './presets.ts';
export {
  BEST_FILE,
  CHECKPOINT_FILE,
  formatMetrics,
  type RunOptions,
  type Summary,
  trainModel,
  useDevice,
} from './training/run.ts';
export { type Checkpoint, loadCheckpoint, saveCheckpoint, type TrainingState } from './training/checkpoint.ts';
export { learningRateFactor, Trainer } from './training/step.ts';
export { createTask } from './tasks/index.ts';
export type { Batch, GenerateOptions, Metrics, Task } from './tasks/task.ts';
export { EventMessage, frame, TensorBoardWriter } from './reporting/tensorboard.ts';
export { type LogEntry, readLog, RunLog } from './reporting/run-log.ts';
export { curves, lossSeries, terminalChart } from './reporting/curves.ts';
