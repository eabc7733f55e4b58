/** Checkpoints: everything that decides how a run goes on, in one safetensors file that is replaced as a whole. */
import { existsSync } from 'node:fs';
import { ProjError } from '@proj/kernel';
import type { LoaderState } from '@proj/data';
import type { StateDict } from '@proj/nn';
import type { OptimizerStateDict } from '@proj/optim';
import type { Tensor } from '@proj/tensor';
import { load, save, type State } from '@proj/tensor/io';
import type { TrainConfig } from '../config.ts';

const FORMAT = 'proj-trainer';
const VERSION = 1;

/** What changes from step to step. */
export interface TrainingState {
  readonly step: number;
  readonly model: StateDict;
  readonly optimizer: OptimizerStateDict;
  readonly scheduler: { readonly [key: string]: State };
  /** The state of the random generator. */
  readonly random: Tensor;
  readonly loader: LoaderState;
}

export interface Progression {
  readonly seconds: number;
  readonly bestLoss: number;
  readonly bestStep: number;
  readonly validationsWithoutImprovement: number;
  readonly lastTrainLoss: number;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface Checkpoint {
  readonly config: TrainConfig;
  readonly fingerprint: string;
  readonly saved: { readonly [key: string]: State };
  readonly progression: Progression;
  readonly training: TrainingState;
}

/** Writes a checkpoint. Errors: a full or read-only disk; the old checkpoint stays. */
export function saveCheckpoint(path: string, checkpoint: Checkpoint): void {
  save({ format: FORMAT, version: VERSION, ...checkpoint } as unknown as State, path);
}

/** Reads a checkpoint. Errors: missing; damaged; written by something else. */
export function loadCheckpoint(path: string): Checkpoint {
  if (!existsSync(path))
    throw new ProjError('io', `there is no checkpoint ${path}`, {
      op: 'loadCheckpoint',
      cure: 'Check --out or --checkpoint; a run writes its first checkpoint after --checkpoint-every steps',
    });
  const { format, version, ...checkpoint } = load(path) as { format?: unknown; version?: unknown };
  if (format !== FORMAT || version !== VERSION)
    throw new ProjError(
      'serialization',
      `${path} is not a checkpoint of this trainer (format ${JSON.stringify(format)}, version ${JSON.stringify(version)})`,
      { op: 'loadCheckpoint', cure: 'Give the checkpoint.safetensors or best.safetensors of a run' },
    );
  return checkpoint as unknown as Checkpoint;
}
