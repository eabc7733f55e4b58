/** Training steps of a small classifier without modules: what docs/architecture.md follows through the layers. Run it with PROJ_DEBUG=2. */
import '@proj/device-native';
import '@proj/autograd';
import { crossEntropy, linear } from '@proj/nn/functional';
import { Adam } from '@proj/optim';
import { manualSeed, randint, randn } from '@proj/tensor';

manualSeed(0);
const parameter = (...shape: number[]) => randn(shape).mul(0.03).realize().requiresGrad_();
const [w1, b1, w2, b2] = [parameter(512, 784), parameter(512), parameter(10, 512), parameter(10)];
const images = randn([128, 784]).realize();
const labels = randint(0, 10, [128]).realize();
const optimizer = new Adam([w1, b1, w2, b2]);

for (let step = 0; step < 3; step++) {
  const hidden = linear(images, w1, b1).relu();
  const loss = crossEntropy(linear(hidden, w2, b2), labels);
  optimizer.zeroGrad();
  loss.backward();
  optimizer.step();
  console.log(loss.item().toFixed(3));
}
