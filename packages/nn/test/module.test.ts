// Module: what it finds in its fields, state dicts, modes, hooks and copies.
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as t from '@proj/tensor';
import type { Tensor } from '@proj/tensor';
import {
  AdaptiveAvgPool2d,
  BatchNorm1d,
  BatchNorm2d,
  Bilinear,
  Conv2d,
  ConvTranspose2d,
  CrossEntropyLoss,
  Dropout,
  ELU,
  Embedding,
  Flatten,
  GroupNorm,
  LayerNorm,
  LazyLinear,
  LeakyReLU,
  Linear,
  LSTM,
  MaxPool2d,
  Module,
  ModuleDict,
  ModuleList,
  MultiheadAttention,
  Parameter,
  ReLU,
  Sequential,
  Softmax,
  TransformerEncoderLayer,
} from '@proj/nn';
import { conv2d, crossEntropy } from '@proj/nn/functional';

class Net extends Module {
  tokenEmbedding = new Linear(3, 4);
  scale = new Parameter(t.ones([4]));
  norm = new BatchNorm1d(4);
  plain = t.ones([2]);
  constructor() {
    super();
    this.registerBuffer('mask', t.zeros([2]));
    this.registerBuffer('scratch', t.zeros([2]), { persistent: false });
  }
  override forward(x: Tensor): Tensor {
    return this.norm.call(this.tokenEmbedding.call(x)).mul(this.scale);
  }
}

describe('state', () => {
  it('has the names and the order of PyTorch', () => {
    expect(Object.keys(new Net().stateDict())).toEqual([
      'scale',
      'mask',
      'token_embedding.weight',
      'token_embedding.bias',
      'norm.weight',
      'norm.bias',
      'norm.running_mean',
      'norm.running_var',
      'norm.num_batches_tracked',
    ]);
    expect(Object.keys(new LSTM(2, 3, { bidirectional: true, projSize: 1 }).stateDict())).toEqual(
      ['', '_reverse'].flatMap((suffix) =>
        ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh', 'weight_hr'].map((name) => `${name}_l0${suffix}`),
      ),
    );
    expect(Object.keys(new MultiheadAttention(4, 2, { addBiasKv: true }).stateDict())).toEqual([
      'in_proj_weight',
      'in_proj_bias',
      'bias_k',
      'bias_v',
      'out_proj.weight',
      'out_proj.bias',
    ]);
    expect(
      Object.keys(
        new Sequential(
          new Linear(1, 1),
          new ReLU(),
          new Sequential({ last: new Linear(1, 1, { bias: false }) }),
        ).stateDict(),
      ),
    ).toEqual(['0.weight', '0.bias', '2.last.weight']);
  });
  it('lists every missing, unexpected and unfitting key', () => {
    const net = new Linear(2, 3);
    expect(() => net.loadStateDict({ bias: t.zeros([4]), other: t.zeros([1]) })).toThrow(
      /Unexpected key\(s\) in state_dict: "other".*Missing key\(s\) in state_dict: "weight".*size mismatch for bias/s,
    );
    expect(net.loadStateDict({ bias: t.ones([3]), other: t.zeros([1]) }, { strict: false })).toEqual({
      missingKeys: ['weight'],
      unexpectedKeys: ['other'],
    });
    expect(net.bias?.toArray()).toEqual([1, 1, 1]);
  });
  it('shares memory with the parameters', () => {
    const net = new Linear(2, 1);
    const state = net.stateDict();
    t.evaluate([net.weight]);
    state.weight.fill_(7);
    expect(net.weight.toArray()).toEqual([[7, 7]]);
    expect(net.weight.requiresGrad).toBe(true);
  });
  it('a failed load changes nothing', () => {
    const net = new Linear(2, 1);
    const before = net.weight.toArray();
    expect(() => net.loadStateDict({ weight: t.ones([1, 2]) })).toThrow(/Missing/);
    expect(net.weight.toArray()).toEqual(before);
  });
});

describe('traversal', () => {
  it('finds each shared parameter once', () => {
    const shared = new Linear(2, 2);
    const net = new ModuleList([shared, shared]);
    expect([...net.namedParameters()].map(([name]) => name)).toEqual(['0.weight', '0.bias']);
    expect(Object.keys(net.stateDict())).toHaveLength(4);
  });
  it('paths reach what is shared by each of its names, and say where they end', () => {
    const net = new Sequential(new Linear(2, 2), new Linear(2, 2), new ReLU());
    const [first, second] = [net.get(0) as Linear, net.get(1) as Linear];
    second.weight = first.weight;
    expect(net.getParameter('1.weight')).toBe(first.weight);
    net.append(first);
    expect(net.getSubmodule('3')).toBe(first);
    expect(net.getSubmodule('')).toBe(net);
    expect(() => net.getParameter('1.wight')).toThrow(
      /Linear has no parameter "wight" \(of "1.wight"\). It has weight, bias/,
    );
    expect(() => net.getSubmodule('0.inner')).toThrow(/Linear has no module "inner"/);
  });
  it('paths reach children, parameters and buffers', () => {
    const net = new Net();
    expect(net.getSubmodule('norm')).toBe(net.norm);
    expect(net.getParameter('token_embedding.weight')).toBe(net.tokenEmbedding.weight);
    expect(net.getBuffer('norm.running_mean').toArray()).toEqual([0, 0, 0, 0]);
    expect(() => net.getSubmodule('nothing')).toThrow(/no module/);
    expect([...net.namedModules()].map(([name]) => name)).toEqual(['', 'token_embedding', 'norm']);
  });
  it('a dictionary keeps its keys as they are', () => {
    expect(Object.keys(new ModuleDict({ fooBar: new Linear(1, 1, { bias: false }) }).stateDict())).toEqual([
      'fooBar.weight',
    ]);
  });
});

describe('behaviour', () => {
  it('train and eval reach all modules', () => {
    const net = new Sequential(new Dropout(0.9), new Sequential(new Dropout(0.9))).eval();
    const x = t.ones([50]);
    expect(net.call(x).toArray()).toEqual(x.toArray());
    expect(net.train().call(x).sum().item()).not.toBe(50);
  });
  it('hooks come before and after forward', () => {
    const net = new Linear(1, 1);
    const seen: string[] = [];
    const handles = [
      net.registerForwardPreHook((_, [x]) => {
        seen.push('before');
        return [(x as Tensor).mul(0)];
      }),
      net.registerForwardHook((_, __, y) => {
        seen.push('after');
        return (y as Tensor).add(100);
      }),
    ];
    expect(net.call(t.ones([1, 1])).item()).toBeCloseTo(100 + (net.bias?.item() ?? 0), 5);
    expect(seen).toEqual(['before', 'after']);
    for (const handle of handles) handle.remove();
    net.call(t.ones([1, 1]));
    expect(seen).toHaveLength(2);
  });
  it('a hook that is registered twice is called twice, until one is removed', () => {
    const layer = new ReLU();
    let calls = 0;
    const hook = (): void => void calls++;
    const one = layer.registerForwardHook(hook);
    layer.registerForwardHook(hook);
    layer.call(t.ones([1]));
    one.remove();
    layer.call(t.ones([1]));
    expect(calls).toBe(3);
  });
  it('a copy has parameters of its own, and works', () => {
    const layer = new TransformerEncoderLayer(4, 2, { dimFeedforward: 8, dropout: 0 });
    const copy = layer.copy();
    const x = t.rand(3, 1, 4);
    expect(copy.call(x).toArray()).toEqual(layer.call(x).toArray());
    copy.linear1.weight.detach().fill_(0);
    expect(layer.linear1.weight.toFlatArray().some((w) => w !== 0)).toBe(true);
    expect(copy.linear1).not.toBe(layer.linear1);
  });
  it('converts float parameters and leaves integers', () => {
    const net = new BatchNorm1d(2).double();
    expect(net.weight?.dtype).toBe('float64');
    expect(net.weight?.requiresGrad).toBe(true);
    expect(net.numBatchesTracked?.dtype).toBe('int64');
  });
  it('a lazy layer becomes the ordinary one', () => {
    const net = new LazyLinear(3);
    expect(net.call(t.rand(2, 5)).shape).toEqual([2, 3]);
    expect(net).toBeInstanceOf(Linear);
    expect(Object.keys(net.stateDict())).toEqual(['weight', 'bias']);
  });
  it('zeroGrad and resetRunningStats give zeros where there was no number', () => {
    const norm = new BatchNorm1d(1);
    if (norm.weight !== null) norm.weight.grad = t.tensor([Number.NaN]);
    norm.zeroGrad({ setToNone: false });
    expect(norm.weight?.grad?.toArray()).toEqual([0]);
    norm.call(t.tensor([[Number.NaN], [1]]));
    norm.resetRunningStats();
    expect([norm.runningMean, norm.runningVar].map((x) => x?.toArray())).toEqual([[0], [1]]);
  });
  it('a lazy layer does not hide from an optimiser', () => {
    const net = new Sequential(new Linear(2, 3), new LazyLinear(1));
    for (const ask of [() => [...net.parameters()], () => net.stateDict(), () => net.double()])
      expect(ask).toThrow(/a LazyLinear has no parameters before its first call\. Call the model once/);
    net.zeroGrad();
    net.eval().call(t.ones([1, 2]));
    expect([...net.parameters()]).toHaveLength(4);
  });
  it('a module without forward says so', () => {
    expect(() => new (class Empty extends Module {})().call()).toThrow(/Empty has no forward/);
  });
  it('starts within the bounds of PyTorch', () => {
    t.manualSeed(3);
    const conv = new Conv2d(16, 20, 5);
    const bound = 1 / Math.sqrt(16 * 25);
    const values = conv.weight.toFlatArray();
    expect(Math.max(...values)).toBeLessThanOrEqual(bound);
    expect(Math.max(...values)).toBeGreaterThan(0.98 * bound);
    expect(Math.min(...values)).toBeLessThan(-0.98 * bound);
    const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(variance / ((bound * bound) / 3)).toBeCloseTo(1, 1);
  });
  it('refuses what cannot be a layer', () => {
    expect(() => new LSTM(3, 0)).toThrow(/hiddenSize is 0/);
    expect(() => new LSTM(3, 2, { numLayers: 0 })).toThrow(/numLayers is 0/);
    expect(() => new Conv2d(1, 1, 3, { padding: 'full' as 'same' })).toThrow(/padding is "full"/);
    expect(() => new Conv2d(1, 1, 3, { padding: 'same', stride: 2 })).toThrow(/'same' with a stride/);
    expect(() => new Sequential(3 as unknown as Module)).toThrow(/number 3 is not a module/);
    expect(() => new ModuleList([() => 1] as unknown as Module[])).toThrow(/is not a module/);
    expect(() => new Linear(1, 1).to('int32')).toThrow(/cannot be int32/);
    expect(() => new Linear(1, 1).loadStateDict({ weight: [[1]], bias: t.ones([1]) } as never)).toThrow(
      /weight is not a tensor/,
    );
  });
  it('prints as PyTorch does', () => {
    expect(new Sequential(new Linear(2, 3), new ReLU()).toString()).toBe(
      'Sequential(\n  (0): Linear(in_features=2, out_features=3, bias=True)\n  (1): ReLU()\n)',
    );
    expect(inspect(new ReLU())).toBe('ReLU()');
  });
  it.each<[Module, string]>([
    [new Bilinear(1, 2, 3), 'Bilinear(in1_features=1, in2_features=2, out_features=3, bias=True)'],
    [new Flatten(), 'Flatten(start_dim=1, end_dim=-1)'],
    [
      new Conv2d(1, 2, 3, { padding: 1, stride: 2, bias: false, dilation: 2 }),
      'Conv2d(1, 2, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 2), bias=False)',
    ],
    [
      new Conv2d(4, 4, 3, { groups: 2, paddingMode: 'reflect', padding: 'same' }),
      'Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), padding=same, groups=2, padding_mode=reflect)',
    ],
    [
      new ConvTranspose2d(1, 2, 3, { outputPadding: 1, stride: 2 }),
      'ConvTranspose2d(1, 2, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))',
    ],
    [new Embedding(5, 3, { paddingIdx: 0 }), 'Embedding(5, 3, padding_idx=0)'],
    [new LayerNorm(4), 'LayerNorm((4,), eps=1e-05, elementwise_affine=True)'],
    [new GroupNorm(2, 4), 'GroupNorm(2, 4, eps=1e-05, affine=True)'],
    [new BatchNorm1d(3), 'BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)'],
    [
      new LSTM(2, 3, { numLayers: 2, batchFirst: true, dropout: 0.1, bidirectional: true }),
      'LSTM(2, 3, num_layers=2, batch_first=True, dropout=0.1, bidirectional=True)',
    ],
    [new LeakyReLU(0.1), 'LeakyReLU(negative_slope=0.1)'],
    [new ELU(0.5), 'ELU(alpha=0.5)'],
    [new Softmax(1), 'Softmax(dim=1)'],
    [new AdaptiveAvgPool2d([1, 2]), 'AdaptiveAvgPool2d(output_size=(1, 2))'],
    [new MaxPool2d(2), 'MaxPool2d(kernel_size=2, stride=2)'],
  ])('prints %s', (layer, text) => {
    expect(String(layer)).toBe(text);
  });
});

describe('options that do not exist', () => {
  const odd = (options: object): never => options as never;
  it.each<[string, () => unknown, RegExp]>([
    ['Linear', () => new Linear(2, 3, odd({ biass: false })), /Linear: unknown option 'biass'. Did you mean 'bias'/],
    ['Linear', () => new Linear(odd(undefined as never), 3), /Linear: inFeatures is undefined. Write new Linear\(in/],
    ['Conv2d', () => new Conv2d(1, 2.5, 3), /Conv2d: outChannels is 2.5/],
    ['linear', () => new Linear(2, 3).call([1, 2] as never), /linear: the input is an array. Give a tensor/],
    ['Linear', () => new Linear(2, 3, false as never), /Linear: false where an object of options belongs/],
    ['Conv2d', () => new Conv2d(1, 2, 3, odd({ strides: 2 })), /Conv2d: .*Did you mean 'stride'/],
    ['MaxPool2d', () => new MaxPool2d(2, odd({ ceil_mode: true })), /MaxPool2d: .*'ceilMode'/],
    ['MaxPool2d', () => new MaxPool2d(2, 2, odd({ stride: 1 })), /MaxPool2d: unknown option 'stride'/],
    ['LSTM', () => new LSTM(2, 3, odd({ batch_first: true })), /LSTM: .*'batchFirst'/],
    ['Dropout', () => new Dropout(0.5, odd({ inPlace: true })), /Dropout: .*'inplace'/],
    ['CrossEntropyLoss', () => new CrossEntropyLoss(odd({ label_smoothing: 0.1 })), /'labelSmoothing'/],
    ['BatchNorm2d', () => new BatchNorm2d(3, odd({ epsilon: 1 })), /BatchNorm2d: .*'eps'/],
    ['conv2d', () => conv2d(t.zeros(1, 1, 4, 4), t.zeros(1, 1, 3, 3), odd({ pad: 1 })), /conv2d: .*'padding'/],
    ['conv2d', () => conv2d(t.zeros(1, 1, 4, 4), t.zeros(1, 1, 3, 3), null, 2 as never), /conv2d: 2 where an object/],
    [
      'crossEntropy',
      () => crossEntropy(t.zeros(1, 2), t.tensor([0]), odd({ label_smoothing: 0.1 })),
      /'labelSmoothing'/,
    ],
  ])('are refused by %s', (_, act, message) => {
    expect(act).toThrow(message);
  });
});
