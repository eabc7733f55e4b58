/** Classifiers of 28×28 grey images with 10 classes. */
import { Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential } from '@proj/nn';
import type { Tensor } from '@proj/tensor';

export interface ClassifierOptions {
  readonly width: number;
  readonly dropout: number;
}

const CLASSES = 10;

/** 784 - width - width - 10. */
export class Perceptron extends Module {
  readonly layers: Sequential;
  constructor({ width, dropout }: ClassifierOptions) {
    super();
    this.layers = new Sequential(
      new Flatten(),
      new Linear(784, width),
      new ReLU(),
      new Dropout(dropout),
      new Linear(width, width),
      new ReLU(),
      new Dropout(dropout),
      new Linear(width, CLASSES),
    );
  }
  override forward(images: Tensor): Tensor {
    return this.layers.call(images);
  }
}

/** Convolutions 5×5 to 16 and 32 channels, each with pooling, then linear layers, after LeNet (LeCun et al. 1998). */
export class ConvolutionalNetwork extends Module {
  readonly layers: Sequential;
  constructor({ width, dropout }: ClassifierOptions) {
    super();
    this.layers = new Sequential(
      new Conv2d(1, 16, 5, { padding: 2 }),
      new ReLU(),
      new MaxPool2d(2),
      new Conv2d(16, 32, 5),
      new ReLU(),
      new MaxPool2d(2),
      new Flatten(),
      new Linear(800, width),
      new ReLU(),
      new Dropout(dropout),
      new Linear(width, CLASSES),
    );
  }
  override forward(images: Tensor): Tensor {
    return this.layers.call(images);
  }
}
