import '@proj/device-native'; // optional: machine code where LLVM is installed
import { Linear, Sequential, Tanh } from '@proj/nn';
import { binaryCrossEntropyWithLogits } from '@proj/nn/functional';
import { Adam } from '@proj/optim';
import { compile, manualSeed, rand } from '@proj/tensor';

manualSeed(0);
const points = rand([1024, 2]).mul(4).sub(2);
const inside = points.square().sum(1, { keepdim: true }).lt(1.5).float(); // of a circle
const model = new Sequential(new Linear(2, 32), new Tanh(), new Linear(32, 32), new Tanh(), new Linear(32, 1));
const optimizer = new Adam(model.parameters(), { lr: 0.01 });
const step = compile(() => {
  optimizer.zeroGrad();
  const loss = binaryCrossEntropyWithLogits(model.call(points), inside);
  loss.backward();
  optimizer.step();
  return loss;
});
for (let i = 0; i <= 300; i++) {
  const loss = step();
  if (i % 100 === 0) console.log(`step ${i}: loss ${loss.item().toFixed(3)}`);
}
const right = model.call(points).gt(0).eq(inside.bool()).float().mean();
console.log(right.item() > 0.98 ? 'learned' : 'not learned');
