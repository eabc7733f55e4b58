/** Classifying MNIST digits: the last 5,000 training images validate, the 10,000 test images test. */
import { DataLoader, MNIST, Subset } from '@proj/data';
import { ProjError } from '@proj/kernel';
import type { Module } from '@proj/nn';
import { crossEntropy } from '@proj/nn/functional';
import { compile, type Tensor } from '@proj/tensor';
import type { TrainConfig } from '../config.ts';
import { ConvolutionalNetwork, Perceptron } from '../models/image-classifiers.ts';
import { averageOver } from './evaluation.ts';
import type { Batch, Metrics, Task } from './task.ts';

const VALIDATION_IMAGES = 5000;
const EVALUATION_BATCH = 500;
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

export function createDigitModel(config: TrainConfig): Module {
  return config.preset === 'cnn-mnist' ? new ConvolutionalNetwork(config) : new Perceptron(config);
}

export function createDigitTask(config: TrainConfig): Task {
  if (config.data === undefined && !process.env['PROJ_DATA'])
    throw new ProjError('data-loading', `${config.preset} needs MNIST, and no data folder is given`, {
      op: 'train',
      cure: 'Give the folder with train-images-idx3-ubyte (or .gz) and the other three files with --data DIR or PROJ_DATA; docs-gpt needs no data',
    });
  const all = new MNIST(config.data);
  const held = Math.min(VALIDATION_IMAGES, Math.floor(all.length / 10));
  const train = new Subset(all, range(0, all.length - held));
  const validation = new Subset(all, range(all.length - held, all.length));
  const model = createDigitModel(config) as Module & { forward(images: Tensor): Tensor };
  const batchSize = Math.min(config.batchSize, train.length);
  const measure = compile((images: Tensor, labels: Tensor): readonly Tensor[] => {
    const logits = model.call(images);
    return [crossEntropy(logits, labels, { reduction: 'sum' }), logits.argmax(1).eq(labels).sum()];
  });
  const evaluate = (dataset: Subset<unknown> | MNIST, limit: number): [loss: number, accuracy: number] => {
    const loader = new DataLoader<Batch>(dataset, { batchSize: EVALUATION_BATCH });
    const [loss, accuracy] = averageOver(model, loader, limit, ([, labels]) => labels.shape[0], measure);
    return [loss, accuracy];
  };
  return {
    model,
    loader: new DataLoader<Batch>(train, { batchSize, shuffle: true, dropLast: true, seed: config.seed }),
    unit: 'images',
    itemsPerStep: batchSize,
    example: () => all.batch(range(0, batchSize)),
    loss: (images, labels) => crossEntropy(model.call(images), labels),
    validate: (batches): Metrics => {
      const [valLoss, valAccuracy] = evaluate(validation, batches);
      return { valLoss, valAccuracy };
    },
    test: (): Metrics => {
      const [testLoss, testAccuracy] = evaluate(new MNIST(config.data, { train: false }), 0);
      return { testLoss, testAccuracy };
    },
    source: `MNIST (${train.length.toLocaleString('en')} images)`,
    fingerprint: `${all.length} images, labels ${all.labels.subarray(0, 100).join('')}`,
    saved: {},
  };
}
