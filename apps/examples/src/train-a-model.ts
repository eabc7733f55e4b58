/** A model, a data loader, a compiled step, a checkpoint, and going on from it (docs/tutorials/train-a-model.md). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '@proj/device-native';
import { noGrad } from '@proj/autograd';
import { DataLoader, TensorDataset } from '@proj/data';
import { Dropout, Linear, Module, type StateDict } from '@proj/nn';
import { crossEntropy } from '@proj/nn/functional';
import { AdamW, CosineAnnealingLR, type OptimizerStateDict } from '@proj/optim';
import { compile, getRngState, manualSeed, randn, setRngState, type Tensor, tensor } from '@proj/tensor';
import { load, save, type State } from '@proj/tensor/io';

// Three noisy arms of a spiral, 300 points each.
manualSeed(1);
const places = Array.from({ length: 900 }, (_, i) => ({ arm: Math.floor(i / 300), radius: (i % 300) / 300 }));
const spiral = places.map(({ arm, radius }) => [
  radius * Math.cos(2.1 * arm + 3.5 * radius),
  radius * Math.sin(2.1 * arm + 3.5 * radius),
]);
const points = tensor(spiral, { dtype: 'float32' })
  .add(randn([900, 2]).mul(0.03))
  .realize();
const arms = tensor(places.map(({ arm }) => arm));

class Classifier extends Module {
  readonly hidden = new Linear(2, 64);
  readonly dropout = new Dropout(0.1);
  readonly output = new Linear(64, 3);

  override forward(x: Tensor): Tensor {
    return this.output.call(this.dropout.call(this.hidden.call(x).relu()));
  }
}

function createRun() {
  const model = new Classifier();
  const optimizer = new AdamW(model.parameters(), { lr: 0.02, weightDecay: 0.001 });
  const scheduler = new CosineAnnealingLR(optimizer, 30);
  const loader = new DataLoader<[Tensor, Tensor]>(new TensorDataset(points, arms), {
    batchSize: 100,
    shuffle: true,
    seed: 7,
  });
  const step = compile((inputs: Tensor, targets: Tensor) => {
    optimizer.zeroGrad();
    const loss = crossEntropy(model.call(inputs), targets);
    loss.backward();
    optimizer.step();
    return loss;
  });
  return { model, optimizer, scheduler, loader, step };
}
type Run = ReturnType<typeof createRun>;

async function trainEpoch({ model, scheduler, loader, step }: Run): Promise<number> {
  model.train();
  let total = 0;
  for await (const [inputs, targets] of loader) total += step(inputs, targets).item();
  scheduler.step();
  return total / loader.length;
}

function accuracy({ model }: Run): number {
  model.eval();
  return noGrad(() => model.call(points).argmax(1).eq(arms).float().mean().item());
}

function saveCheckpoint({ model, optimizer, scheduler, loader }: Run, path: string): void {
  const checkpoint = {
    model: model.stateDict(),
    optimizer: optimizer.stateDict(),
    scheduler: scheduler.stateDict(),
    loader: loader.state(),
    random: getRngState(),
  };
  save(checkpoint as unknown as State, path);
}

interface Checkpoint {
  readonly model: StateDict;
  readonly optimizer: OptimizerStateDict;
  readonly scheduler: ReturnType<CosineAnnealingLR['stateDict']>;
  readonly loader: ReturnType<DataLoader['state']>;
  readonly random: Tensor;
}

function loadCheckpoint({ model, optimizer, scheduler, loader }: Run, path: string): void {
  const checkpoint = load(path) as unknown as Checkpoint;
  model.loadStateDict(checkpoint.model);
  optimizer.loadStateDict(checkpoint.optimizer);
  scheduler.loadStateDict(checkpoint.scheduler);
  loader.loadState(checkpoint.loader);
  setRngState(checkpoint.random);
}

const folder = mkdtempSync(join(tmpdir(), 'tutorial-'));
const path = join(folder, 'checkpoint.safetensors');

const first = createRun();
for (let epoch = 0; epoch < 15; epoch++) await trainEpoch(first);
saveCheckpoint(first, path);

const second = createRun();
loadCheckpoint(second, path);
let loss = 0;
for (let epoch = 15; epoch < 30; epoch++) loss = await trainEpoch(second);
console.log(`loss below 0.2: ${loss < 0.2}`);
console.log(`accuracy above 0.95: ${accuracy(second) > 0.95}`);
console.log(Object.keys(second.model.stateDict()).join(', '));

rmSync(folder, { recursive: true });
