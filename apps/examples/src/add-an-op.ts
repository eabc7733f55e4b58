/** New operations on tensors: one composed of others, one with a kernel and a gradient of its own (docs/tutorials/add-an-op.md). */
import { buildKernel, math, vectorLoop } from '@proj/kernel';
import '@proj/device-native';
import { gradcheck, gradgradcheck } from '@proj/autograd';
import { defineOp, explain, type Tensor, tensor } from '@proj/tensor';

const show = (x: Tensor | null | undefined): string =>
  (x?.toFlatArray() ?? []).map((value) => value.toFixed(4)).join(' ');

/** The Mish activation: x · tanh(ln(1 + exp(x))). */
function mish(x: Tensor): Tensor {
  return x.mul(x.exp().log1p().tanh());
}

const x = tensor([-2, -0.5, 0.5, 2], { requiresGrad: true });
const y = mish(x);
console.log(explain(y).split('\n')[0].split(' on ')[0]);
y.sum().backward();
console.log(show(y));
console.log(show(x.grad));

/** Softplus with a sharpness: ln(1 + exp(beta · x)) / beta. */
const sharpSoftplus = defineOp<{ beta: number }>({
  name: 'sharpSoftplus',
  outputs: ([input]) => [{ shape: input.shape, dtype: input.dtype }],
  launches: ([input], _outputs, { beta }, features) => {
    const element = input.dtype === 'float64' ? 'f64' : 'f32';
    const lanes = Math.max(1, features.vectorBytes / (element === 'f64' ? 8 : 4));
    const kernel = buildKernel('sharpSoftplus', (b) => {
      const source = b.buffer('source', element);
      const target = b.buffer('target', element, 'write');
      vectorLoop(b, b.begin, b.end, lanes, (i, width) => {
        const scaled = b.mul(b.load(source, i, width), beta);
        const soft = b.add(b.max(scaled, 0), math.log1p(b, math.exp(b, b.neg(b.abs(scaled)))));
        b.store(target, i, b.mul(soft, 1 / beta));
      });
    });
    const count = input.shape.reduce((product, size) => product * size, 1);
    return { launches: [{ kernel, begin: 0, end: count, grain: 4096, align: 16 }], workspaceBytes: 0 };
  },
  vjp: ([gradient], [input], _outputs, { beta }) => [
    gradient === null ? null : gradient.mul(input.mul(beta).sigmoid()),
  ],
});

x.grad = null;
const [sharp] = sharpSoftplus([x], { beta: 2 });
sharp.sum().backward();
console.log(show(sharp));
console.log(show(x.grad));

// Gradients against finite differences, and the gradients of the gradients.
const point = tensor([-1.5, -0.1, 0.3, 2], { dtype: 'float64', requiresGrad: true });
const sharpThree = (input: Tensor): Tensor => sharpSoftplus([input], { beta: 3 })[0];
console.log(gradcheck(mish, [point]) && gradgradcheck(mish, [point]));
console.log(gradcheck(sharpThree, [point]) && gradgradcheck(sharpThree, [point]));
