/**
 * The training steps of the `train`, `overhead` and `memory` suites in TensorFlow.js, with its own Adam. Tokens are one-hot: gather has no
 * gradient on the `wasm` backend. GELU is the tanh form, the cheaper one.
 */
import * as tf from '@tensorflow/tfjs';
import type { TrainModel } from '../cases.ts';
import { TRAIN_SHAPES } from '../cases.ts';
import { labels, uniform } from '../inputs.ts';

let seed = 1;
const normal = (dims: number[], deviation: number): tf.Variable =>
  tf.variable(tf.randomNormal(dims, 0, deviation, 'float32', seed++));
const he = (dims: number[], fanIn: number): tf.Variable => normal(dims, Math.sqrt(2 / fanIn));
const zeros = (...dims: number[]): tf.Variable => tf.variable(tf.zeros(dims));
const input = (dims: number[]): tf.Tensor =>
  tf.tensor(
    uniform(
      dims.reduce((a, b) => a * b, 1),
      9,
    ),
    dims,
  );
const oneHot = (length: number, classes: number, factor: number): tf.Tensor =>
  tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels(length, classes, factor), 'int32'), classes), 'float32'));

interface Dense {
  readonly w: tf.Variable;
  readonly b: tf.Variable;
}
const dense = (inputs: number, outputs: number): Dense => ({ w: he([inputs, outputs], inputs), b: zeros(outputs) });
const apply = ({ w, b }: Dense, x: tf.Tensor): tf.Tensor => tf.add(tf.matMul(x, w), b);

/** Layer normalisation over the last axis. */
export function layerNorm(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-5))), weight), bias);
}

function gelu(x: tf.Tensor): tf.Tensor {
  const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x)))));
  return tf.mul(tf.mul(0.5, x), tf.add(1, tf.tanh(inner)));
}

/** Builds the loss of a model once; each call of the result evaluates it. */
type LossBuilder = () => () => tf.Tensor;

function mlp(sizes: readonly number[], batch: number): () => tf.Tensor {
  const layers = sizes.slice(1).map((outputs, i) => dense(sizes[i] ?? 0, outputs));
  const [x, y] = [input([batch, sizes[0] ?? 0]), oneHot(batch, sizes.at(-1) ?? 0, 7)];
  return () =>
    tf.losses.softmaxCrossEntropy(
      y,
      layers.reduce((h, layer, i) => (i + 1 < layers.length ? tf.relu(apply(layer, h)) : apply(layer, h)), x),
    );
}

function cnn(): () => tf.Tensor {
  const { batch, image, classes } = TRAIN_SHAPES.cnn;
  const [k1, b1, k2, b2] = [he([5, 5, 1, 6], 25), zeros(6), he([5, 5, 6, 16], 150), zeros(16)];
  const [f1, f2, f3] = [dense(400, 120), dense(120, 84), dense(84, classes)];
  const [x, y] = [input([batch, image, image, 1]) as tf.Tensor4D, oneHot(batch, classes, 7)];
  const stage = (value: tf.Tensor4D, k: tf.Variable, b: tf.Variable, padding: number): tf.Tensor4D =>
    tf.maxPool(
      tf.relu(tf.add(tf.conv2d(value, k as unknown as tf.Tensor4D, 1, padding), b)) as tf.Tensor4D,
      2,
      2,
      'valid',
    );
  return () => {
    const features = tf.reshape(stage(stage(x, k1, b1, 2), k2, b2, 0), [batch, 400]);
    return tf.losses.softmaxCrossEntropy(y, apply(f3, tf.relu(apply(f2, tf.relu(apply(f1, features))))));
  };
}

function gpt(): () => tf.Tensor {
  const { layers, width, heads, length, batch, vocabulary } = TRAIN_SHAPES.gpt;
  const linear = (inputs: number, outputs: number): Dense => ({
    w: normal([inputs, outputs], 0.02),
    b: zeros(outputs),
  });
  const norm = () => ({ g: tf.variable(tf.ones([width])), h: zeros(width) });
  const [tokens, positions, last, head] = [
    normal([vocabulary, width], 0.02),
    normal([length, width], 0.02),
    norm(),
    normal([width, vocabulary], 0.02),
  ];
  const blocks = Array.from({ length: layers }, () => ({
    n1: norm(),
    qkv: linear(width, 3 * width),
    out: linear(width, width),
    n2: norm(),
    up: linear(width, 4 * width),
    down: linear(4 * width, width),
  }));
  const [ids, targets] = [oneHot(batch * length, vocabulary, 37), oneHot(batch * length, vocabulary, 91)];
  const mask = tf.tidy(() => tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([length, length]), -1, 0)), -1e9));
  const split = (x: tf.Tensor): tf.Tensor =>
    tf.transpose(tf.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
  return () => {
    let x = tf.reshape(tf.add(tf.reshape(tf.matMul(ids, tokens), [batch, length, width]), positions), [
      batch * length,
      width,
    ]);
    for (const block of blocks) {
      const projected = apply(block.qkv, layerNorm(x, block.n1.g, block.n1.h));
      const [q, k, v] = tf.split(projected, 3, 1).map(split) as [tf.Tensor, tf.Tensor, tf.Tensor];
      const weights = tf.softmax(tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(width / heads)), mask));
      x = tf.add(
        x,
        apply(block.out, tf.reshape(tf.transpose(tf.matMul(weights, v), [0, 2, 1, 3]), [batch * length, width])),
      );
      x = tf.add(x, apply(block.down, gelu(apply(block.up, layerNorm(x, block.n2.g, block.n2.h)))));
    }
    return tf.losses.softmaxCrossEntropy(targets, tf.matMul(layerNorm(x, last.g, last.h), head));
  };
}

function lstm(): () => tf.Tensor {
  const { width, length, batch, vocabulary } = TRAIN_SHAPES.lstm;
  const [tokens, entry, state, out] = [
    normal([vocabulary, width], 1),
    dense(width, 4 * width),
    dense(width, 4 * width),
    dense(width, vocabulary),
  ];
  const [ids, targets] = [oneHot(length * batch, vocabulary, 37), oneHot(length * batch, vocabulary, 91)];
  return () => {
    const steps = tf.split(apply(entry, tf.matMul(ids, tokens)), length, 0);
    let hidden: tf.Tensor = tf.zeros([batch, width]);
    let cell: tf.Tensor = tf.zeros([batch, width]);
    const outputs = steps.map((step) => {
      const [i, f, g, o] = tf.split(tf.add(step, apply(state, hidden)), 4, 1) as [
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
      ];
      cell = tf.add(tf.mul(tf.sigmoid(f), cell), tf.mul(tf.sigmoid(i), tf.tanh(g)));
      hidden = tf.mul(tf.sigmoid(o), tf.tanh(cell));
      return hidden;
    });
    return tf.losses.softmaxCrossEntropy(targets, apply(out, tf.concat(outputs, 0)));
  };
}

const MODELS: Record<TrainModel | 'tiny' | 'small', LossBuilder> = {
  mlp: () => mlp(TRAIN_SHAPES.mlp.sizes, TRAIN_SHAPES.mlp.batch),
  cnn,
  gpt,
  lstm,
  tiny: () => mlp([4, 8, 2], 4),
  small: () => mlp([784, 128, 10], 32),
};

/** A step that trains the named model once and gives the loss. */
export function tfStep(name: TrainModel | 'tiny' | 'small'): () => number {
  const loss = MODELS[name]();
  const optimizer = tf.train.adam(1e-3);
  return () => {
    const value = optimizer.minimize(() => loss() as tf.Scalar, true);
    const number = value?.dataSync()[0] ?? Number.NaN;
    value?.dispose();
    return number;
  };
}
