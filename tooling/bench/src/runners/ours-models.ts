/** The models of the `train`, `overhead` and `memory` suites on our own packages, with PyTorch's names. */
import '@proj/autograd';
import { arange, compile, fromArray } from '@proj/tensor';
import type { Tensor } from '@proj/tensor';
import {
  Conv2d,
  Embedding,
  Flatten,
  GELU,
  LSTM,
  LayerNorm,
  Linear,
  MaxPool2d,
  Module,
  ModuleList,
  ReLU,
  Sequential,
} from '@proj/nn';
import { crossEntropy, scaledDotProductAttention } from '@proj/nn/functional';
import { Adam } from '@proj/optim';
import type { TrainModel } from '../cases.ts';
import { TRAIN_SHAPES } from '../cases.ts';
import { labels, uniform } from '../inputs.ts';

class Block extends Module {
  readonly n1: LayerNorm;
  readonly qkv: Linear;
  readonly out: Linear;
  readonly n2: LayerNorm;
  readonly mlp: Sequential;
  readonly heads: number;

  constructor(width: number, heads: number) {
    super();
    this.heads = heads;
    this.n1 = new LayerNorm(width);
    this.qkv = new Linear(width, 3 * width);
    this.out = new Linear(width, width);
    this.n2 = new LayerNorm(width);
    this.mlp = new Sequential(new Linear(width, 4 * width), new GELU(), new Linear(4 * width, width));
  }

  override forward(x: Tensor): Tensor {
    const [batch, length, width] = x.shape as [number, number, number];
    const split = (t: Tensor): Tensor => t.reshape([batch, length, this.heads, width / this.heads]).transpose(1, 2);
    const [q, k, v] = this.qkv.call(this.n1.call(x)).split(width, 2).map(split) as [Tensor, Tensor, Tensor];
    const mixed = scaledDotProductAttention(q, k, v, { isCausal: true })
      .transpose(1, 2)
      .reshape([batch, length, width]);
    const attended = x.add(this.out.call(mixed));
    return attended.add(this.mlp.call(this.n2.call(attended)));
  }
}

class Gpt extends Module {
  readonly tokens: Embedding;
  readonly positions: Embedding;
  readonly blocks: ModuleList<Block>;
  readonly last: LayerNorm;
  readonly head: Linear;
  readonly #where: Tensor;

  constructor() {
    super();
    const { vocabulary, width, heads, layers, length } = TRAIN_SHAPES.gpt;
    this.tokens = new Embedding(vocabulary, width);
    this.positions = new Embedding(length, width);
    this.blocks = new ModuleList(Array.from({ length: layers }, () => new Block(width, heads)));
    this.last = new LayerNorm(width);
    this.head = new Linear(width, vocabulary, { bias: false });
    this.#where = arange(length);
  }

  override forward(ids: Tensor): Tensor {
    let x = this.tokens.call(ids).add(this.positions.call(this.#where));
    for (const block of this.blocks) x = block.call(x);
    return this.head.call(this.last.call(x)).reshape([-1, TRAIN_SHAPES.gpt.vocabulary]);
  }
}

class CharLstm extends Module {
  readonly tokens: Embedding;
  readonly lstm: LSTM;
  readonly out: Linear;

  constructor() {
    super();
    const { vocabulary, width } = TRAIN_SHAPES.lstm;
    this.tokens = new Embedding(vocabulary, width);
    this.lstm = new LSTM(width, width, { batchFirst: true });
    this.out = new Linear(width, vocabulary);
  }

  override forward(ids: Tensor): Tensor {
    const [outputs] = this.lstm.call(this.tokens.call(ids));
    return this.out.call(outputs).reshape([-1, TRAIN_SHAPES.lstm.vocabulary]);
  }
}

function mlp(sizes: readonly number[]): Network {
  return new Sequential(
    ...sizes.slice(1).flatMap((outputs, i) => {
      const layer = new Linear(sizes[i] ?? 0, outputs);
      return i + 2 < sizes.length ? [layer, new ReLU()] : [layer];
    }),
  );
}

function cnn(): Network {
  return new Sequential(
    new Conv2d(1, 6, 5, { padding: 2 }),
    new ReLU(),
    new MaxPool2d(2),
    new Conv2d(6, 16, 5),
    new ReLU(),
    new MaxPool2d(2),
    new Flatten(),
    new Linear(400, 120),
    new ReLU(),
    new Linear(120, 84),
    new ReLU(),
    new Linear(84, TRAIN_SHAPES.cnn.classes),
  );
}

type Network = Module & { forward(input: Tensor): Tensor };

interface Task {
  readonly model: Network;
  readonly x: Tensor;
  readonly y: Tensor;
}

const floats = (shape: readonly number[]): Tensor =>
  fromArray(
    uniform(
      shape.reduce((a, b) => a * b, 1),
      9,
    ),
    shape,
  );
const integers = (shape: readonly number[], classes: number, factor = 7): Tensor =>
  fromArray(
    labels(
      shape.reduce((a, b) => a * b, 1),
      classes,
      factor,
    ),
    shape,
    'int64',
  );

const TASKS: Record<TrainModel | 'tiny' | 'small', () => Task> = {
  mlp: () => ({ model: mlp(TRAIN_SHAPES.mlp.sizes), x: floats([128, 784]), y: integers([128], 10) }),
  cnn: () => ({ model: cnn(), x: floats([64, 1, 28, 28]), y: integers([64], 10) }),
  gpt: () => {
    const { batch, length, vocabulary } = TRAIN_SHAPES.gpt;
    return {
      model: new Gpt(),
      x: integers([batch, length], vocabulary, 37),
      y: integers([batch * length], vocabulary, 91),
    };
  },
  lstm: () => {
    const { batch, length, vocabulary } = TRAIN_SHAPES.lstm;
    return {
      model: new CharLstm(),
      x: integers([batch, length], vocabulary, 37),
      y: integers([batch * length], vocabulary, 91),
    };
  },
  tiny: () => ({ model: mlp([4, 8, 2]), x: floats([4, 4]), y: integers([4], 2) }),
  small: () => ({ model: mlp([784, 128, 10]), x: floats([32, 784]), y: integers([32], 10) }),
};

/** A step that trains the named model once and gives the loss; `captured` goes through `compile`. */
export function stepOf(name: TrainModel | 'tiny' | 'small', captured: boolean): () => number {
  const { model, x, y } = TASKS[name]();
  const optimizer = new Adam(model.parameters(), { lr: 1e-3 });
  const step = (input: Tensor, target: Tensor): Tensor => {
    optimizer.zeroGrad();
    const loss = crossEntropy(model.call(input), target);
    loss.backward();
    optimizer.step();
    return loss;
  };
  const run = captured ? compile(step) : step;
  return () => run(x, y).item();
}
