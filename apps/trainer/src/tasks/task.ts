/** What the training loop needs to know about a model and its data. */
import type { DataLoader } from '@proj/data';
import type { Module } from '@proj/nn';
import type { Tensor } from '@proj/tensor';
import type { State } from '@proj/tensor/io';

export type Batch = [inputs: Tensor, targets: Tensor];
export type Metrics = Record<string, number>;

export interface Task {
  readonly model: Module;
  /** Batches of the training data, epoch by epoch, all of one size. */
  readonly loader: DataLoader<Batch>;
  /** What an item is called: images, characters. */
  readonly unit: string;
  readonly itemsPerStep: number;
  /** A batch of the shape of the training batches, for the first run. */
  example(): Batch;
  /** The mean loss of a batch. */
  loss(inputs: Tensor, targets: Tensor): Tensor;
  /** `valLoss` and others, from the first `batches` batches of the validation data, or from all (0). */
  validate(batches: number): Metrics;
  /** Metrics of the finished model on data that took no part; `validation` is what `validate(0)` gave for it. */
  test(validation: Metrics): Metrics;
  /** What is trained on, for people. */
  readonly source: string;
  /** Tells data sets apart: a run goes on only with the data it began with. */
  readonly fingerprint: string;
  /** What else a checkpoint must hold for the model to be of use. */
  readonly saved: { readonly [key: string]: State };
  /** Continues a text, for language models. */
  generate?(options: GenerateOptions): string;
}

export interface GenerateOptions {
  /** Default: a new line, or the first character of the vocabulary. */
  readonly prompt?: string;
  readonly length: number;
  /** Divides the logits (default 0.8); 0 takes the likeliest character. */
  readonly temperature?: number;
  /** Only the likeliest characters; 0: all. */
  readonly topK?: number;
  readonly seed?: number;
}
