import { fromArray, type Tensor } from '@proj/tensor';
import '@proj/autograd';
import { softmax } from '@proj/nn/functional';
const [batch, groups, heads, length, size] = [4, 2, 4, 8, 3];
const numbers = (n: number, f: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(f * i));
const make = (n: number, f: number, shape: number[]): Tensor => fromArray(numbers(n, f), shape, 'float32').requiresGrad_();
const run = (grouped: boolean) => {
  const q = make(batch * heads * length * size, 1.3, [batch, heads, length, size]);
  const k = make(batch * groups * length * size, 0.7, [batch, groups, length, size]);
  const kk = grouped ? k : k.unsqueeze(2).expand([batch, groups, heads / groups, length, size]).reshape([batch, heads, length, size]);
  const qq = grouped ? q.reshape([batch, groups, (heads / groups) * length, size]) : q;
  const scores = qq.matmul(kk.transpose(2, 3)).mul(0.5).div(3).tanh().mul(3).reshape([batch, heads, length, length]);
  const p = softmax(scores, -1);
  const mixed = (grouped ? p.reshape([batch, groups, (heads / groups) * length, length]) : p).matmul(kk).reshape([batch, heads, length, size]);
  mixed.transpose(1, 2).square().sum().backward();
  return [...(q.grad as Tensor).toTypedArray(), ...(k.grad as Tensor).toTypedArray()].map(Number);
};
const [a, b] = [run(true), run(false)];
console.log(a.length, Math.max(...a.map((x, i) => Math.abs(x - b[i]))), a[3], b[3]);
