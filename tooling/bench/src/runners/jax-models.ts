/** The training steps of the `train`, `overhead` and `memory` suites in jax-js: pure functions over a tree of parameters, Adam by hand. */
import { blockUntilReady, jit, lax, nn, numpy as np, random, tree, valueAndGrad } from '@jax-js/jax';
import type { numpy } from '@jax-js/jax';
import type { TrainModel } from '../cases.ts';
import { TRAIN_SHAPES } from '../cases.ts';
import { labels, uniform } from '../inputs.ts';

type Value = numpy.Array;
type Parameters = { [name: string]: Value | Parameters | Parameters[] };
type Loss = (parameters: never, ...data: Value[]) => Value;

interface Model {
  readonly parameters: Parameters;
  readonly data: readonly Value[];
  readonly loss: (parameters: Parameters, ...data: Value[]) => Value;
}

let seed = 1;
const normal = (dims: number[], deviation: number): Value => random.normal(random.key(seed++), dims).mul(deviation);
const he = (dims: number[], fanIn: number): Value => normal(dims, Math.sqrt(2 / fanIn));
const input = (dims: number[]): Value =>
  np
    .array(
      uniform(
        dims.reduce((a, b) => a * b, 1),
        9,
      ),
    )
    .reshape(dims);
const oneHot = (length: number, classes: number, factor: number): Value =>
  nn.oneHot(np.array(labels(length, classes, factor)), classes);

/** Mean cross-entropy against one-hot targets. */
export function crossEntropy(logits: Value, targets: Value): Value {
  return nn.logSoftmax(logits, -1).mul(targets).sum(-1).mean().neg();
}

/** Layer normalisation over the last axis. */
export function layerNorm(x: Value, weight: Value, bias: Value): Value {
  const centred = x.ref.sub(x.mean(-1, { keepdims: true }));
  const variance = np.square(centred.ref).mean(-1, { keepdims: true });
  return centred
    .div(np.sqrt(variance.add(1e-5)))
    .mul(weight)
    .add(bias);
}

interface Dense {
  w: Value;
  b: Value;
}
const dense = (inputs: number, outputs: number): Dense & Parameters => ({
  w: he([inputs, outputs], inputs),
  b: np.zeros([outputs]),
});
const apply = (layer: Dense, x: Value): Value => np.matmul(x, layer.w).add(layer.b);

function mlp(sizes: readonly number[], batch: number, activation: (x: Value) => Value = nn.relu): Model {
  const layers = sizes.slice(1).map((outputs, i) => dense(sizes[i] ?? 0, outputs));
  const [inputs, classes] = [sizes[0] ?? 0, sizes.at(-1) ?? 0];
  const loss = ({ layers }: { layers: Dense[] }, x: Value, y: Value): Value => {
    const logits = layers.reduce(
      (value, layer, i) => (i + 1 < layers.length ? activation(apply(layer, value)) : apply(layer, value)),
      x,
    );
    return crossEntropy(logits, y);
  };
  return {
    parameters: { layers },
    data: [input([batch, inputs]), oneHot(batch, classes, 7)],
    loss: loss as Loss as Model['loss'],
  };
}

function cnn(): Model {
  const { batch, image, classes } = TRAIN_SHAPES.cnn;
  const parameters = {
    k1: he([6, 1, 5, 5], 25),
    b1: np.zeros([6, 1, 1]),
    k2: he([16, 6, 5, 5], 150),
    b2: np.zeros([16, 1, 1]),
    f1: dense(400, 120),
    f2: dense(120, 84),
    f3: dense(84, classes),
  };
  // Pooling windows do not overlap, so a maximum over split axes does it, with a gradient.
  const pool = (x: Value): Value => {
    const [n = 0, c = 0, h = 0, w = 0] = x.shape;
    return np.max(x.reshape([n, c, h / 2, 2, w / 2, 2]), [3, 5]);
  };
  const loss = (p: typeof parameters, x: Value, y: Value): Value => {
    const first = pool(nn.relu(lax.convGeneralDilated(x, p.k1, [1, 1], [[2, 2], [2, 2]]).add(p.b1))); // prettier-ignore
    const second = pool(nn.relu(lax.convGeneralDilated(first, p.k2, [1, 1], 'VALID').add(p.b2)));
    const hidden = nn.relu(apply(p.f2, nn.relu(apply(p.f1, second.reshape([batch, 400])))));
    return crossEntropy(apply(p.f3, hidden), y);
  };
  return {
    parameters,
    data: [input([batch, 1, image, image]), oneHot(batch, classes, 7)],
    loss: loss as Loss as Model['loss'],
  };
}

function gpt(): Model {
  const { layers, width, heads, length, batch, vocabulary } = TRAIN_SHAPES.gpt;
  const linear = (inputs: number, outputs: number): Dense & Parameters => ({
    w: normal([inputs, outputs], 0.02),
    b: np.zeros([outputs]),
  });
  const norm = (): { g: Value; h: Value } => ({ g: np.ones([width]), h: np.zeros([width]) });
  const block = () => ({
    n1: norm(),
    qkv: linear(width, 3 * width),
    out: linear(width, width),
    n2: norm(),
    up: linear(width, 4 * width),
    down: linear(4 * width, width),
  });
  const parameters = {
    tokens: normal([vocabulary, width], 0.02),
    positions: normal([length, width], 0.02),
    blocks: Array.from({ length: layers }, block),
    last: norm(),
    head: normal([width, vocabulary], 0.02),
  };
  const mask = new Float32Array(length * length);
  for (let i = 0; i < length; i++) mask.fill(-1e9, i * length + i + 1, (i + 1) * length);
  const loss = (p: typeof parameters, tokens: Value, targets: Value, causal: Value): Value => {
    let x = np
      .matmul(tokens, p.tokens)
      .reshape([batch, length, width])
      .add(p.positions)
      .reshape([batch * length, width]);
    for (const layer of p.blocks) {
      const projected = apply(layer.qkv, layerNorm(x.ref, layer.n1.g, layer.n1.h));
      const [q, k, v] = np
        .split(projected, 3, 1)
        .map((part) => np.transpose(part.reshape([batch, length, heads, width / heads]), [0, 2, 1, 3])) as [
        Value,
        Value,
        Value,
      ];
      const scores = np.matmul(q, np.transpose(k, [0, 1, 3, 2])).mul(1 / Math.sqrt(width / heads)).add(causal.ref); // prettier-ignore
      const mixed = np.transpose(np.matmul(nn.softmax(scores, -1), v), [0, 2, 1, 3]).reshape([batch * length, width]);
      x = x.add(apply(layer.out, mixed));
      x = x.ref.add(apply(layer.down, nn.gelu(apply(layer.up, layerNorm(x, layer.n2.g, layer.n2.h)))));
    }
    causal.dispose();
    return crossEntropy(np.matmul(layerNorm(x, p.last.g, p.last.h), p.head), targets);
  };
  return {
    parameters,
    data: [
      oneHot(batch * length, vocabulary, 37),
      oneHot(batch * length, vocabulary, 91),
      np.array(mask).reshape([length, length]),
    ],
    loss: loss as Loss as Model['loss'],
  };
}

function lstm(): Model {
  const { width, length, batch, vocabulary } = TRAIN_SHAPES.lstm;
  const parameters = {
    tokens: normal([vocabulary, width], 1),
    input: dense(width, 4 * width),
    state: dense(width, 4 * width),
    out: dense(width, vocabulary),
  };
  // The library has no scan: the steps are unrolled. Tokens are time-major, so that a step is a slice of rows.
  const loss = (p: typeof parameters, tokens: Value, targets: Value): Value => {
    const projected = apply(p.input, np.matmul(tokens, p.tokens));
    let hidden: Value = np.zeros([batch, width]);
    let cell: Value = np.zeros([batch, width]);
    const outputs: Value[] = [];
    const steps = np.split(projected, length, 0);
    steps.forEach((step) => {
      const gates = step.add(np.matmul(hidden, p.state.w.ref)).add(p.state.b.ref);
      const [i, f, g, o] = np.split(gates, 4, 1) as [Value, Value, Value, Value];
      cell = nn
        .sigmoid(f)
        .mul(cell)
        .add(nn.sigmoid(i).mul(np.tanh(g)));
      hidden = nn.sigmoid(o).mul(np.tanh(cell.ref));
      outputs.push(hidden.ref);
    });
    hidden.dispose();
    cell.dispose();
    p.state.w.dispose();
    p.state.b.dispose();
    return crossEntropy(apply(p.out, np.concatenate(outputs, 0)), targets);
  };
  return {
    parameters,
    data: [oneHot(length * batch, vocabulary, 37), oneHot(length * batch, vocabulary, 91)],
    loss: loss as Loss as Model['loss'],
  };
}

const MODELS: Record<TrainModel | 'tiny' | 'small', () => Model> = {
  mlp: () => mlp(TRAIN_SHAPES.mlp.sizes, TRAIN_SHAPES.mlp.batch),
  cnn,
  gpt,
  lstm,
  tiny: () => mlp([4, 8, 2], 4),
  small: () => mlp([784, 128, 10], 32),
};

const [BETA1, BETA2, RATE, EPSILON] = [0.9, 0.999, 1e-3, 1e-8];

type State = [Parameters, Parameters, Parameters, Value];

/** A step that trains the named model once and gives the loss. */
export async function trainStep(
  name: TrainModel | 'tiny' | 'small',
  compiled: boolean,
): Promise<() => Promise<number>> {
  const { parameters, data, loss } = MODELS[name]();
  const adam = (p: Parameters, m: Parameters, v: Parameters, time: Value, ...inputs: Value[]): [Value, ...State] => {
    const [value, gradient] = valueAndGrad(loss as (p: Parameters, ...data: Value[]) => Value)(
      tree.ref(p) as Parameters,
      ...inputs,
    ) as [Value, Parameters];
    const first = tree.map(
      (a: Value, g: Value) => a.mul(BETA1).add(g.mul(1 - BETA1)),
      m,
      tree.ref(gradient),
    ) as Parameters;
    const second = tree.map(
      (a: Value, g: Value) => a.mul(BETA2).add(np.square(g).mul(1 - BETA2)),
      v,
      gradient,
    ) as Parameters;
    const correction1 = np.subtract(1, np.power(BETA1, time.ref));
    const correction2 = np.subtract(1, np.power(BETA2, time.ref));
    const update = (old: Value, a: Value, b: Value): Value =>
      old.sub(
        a
          .div(correction1.ref)
          .mul(RATE)
          .div(np.sqrt(b.div(correction2.ref)).add(EPSILON)),
      );
    const next = tree.map(update, p, tree.ref(first), tree.ref(second)) as Parameters;
    correction1.dispose();
    correction2.dispose();
    return [value, next, first, second, time.add(1)];
  };
  const step = (compiled ? jit(adam as never) : adam) as typeof adam;
  const zeros = (): Parameters => tree.map((x: Value) => np.zerosLike(x), tree.ref(parameters)) as Parameters;
  let state: State = [parameters, zeros(), zeros(), np.array(1)];
  await blockUntilReady([state, data]);
  return async () => {
    const [value, ...next] = step(...state, ...data.map((x) => x.ref));
    state = next;
    const [result] = await value.data();
    await blockUntilReady(state);
    return result ?? Number.NaN;
  };
}
