/** Checkpoints of a distillation: all that decides how it goes on, in one safetensors file that is replaced as a whole. */
import { existsSync } from 'node:fs';
import { ProjError } from '@proj/kernel';
import { load, save, type State } from '@proj/tensor/io';
import type { DistillationEntry } from './distill.ts';
import type { TrainingState } from './training.ts';

const FORMAT = 'proj-distillation';
const VERSION = 1;

export interface DistillationCheckpoint {
  /** Tells runs apart: model, text, and every option that decides about the result. */
  readonly fingerprint: string;
  /** Time that was spent. */
  readonly seconds: number;
  readonly history: readonly DistillationEntry[];
  readonly training: TrainingState;
}

/** @throws ProjError `io` for a full or read-only disk; the old checkpoint stays. */
export function saveDistillation(path: string, checkpoint: DistillationCheckpoint): void {
  save({ format: FORMAT, version: VERSION, ...checkpoint } as unknown as State, path);
}

/** The checkpoint, or null where there is none. @throws ProjError `serialization` for a damaged file or one of another run. */
export function loadDistillation(path: string, fingerprint: string): DistillationCheckpoint | null {
  if (!existsSync(path)) return null;
  const { format, version, ...rest } = load(path) as { format?: unknown; version?: unknown };
  if (format !== FORMAT || version !== VERSION)
    throw new ProjError('serialization', `${path} is not a checkpoint of a distillation`, {
      op: 'distillAndBinarize',
      cure: 'Give another path',
    });
  const checkpoint = rest as unknown as DistillationCheckpoint;
  if (checkpoint.fingerprint !== fingerprint)
    throw new ProjError('serialization', `${path} is of a run with another model, text or other options`, {
      op: 'distillAndBinarize',
      cure: 'Repeat the options of that run, or remove the file to begin anew',
    });
  return checkpoint;
}
