/** Gradients with complex numbers: PyTorch's convention and figures, leaves and values between, what is refused. */
import { grad, gradcheck, gradgradcheck, noGrad } from '@proj/autograd';
import { complexScalar as c, evaluate, setDefaultDevice, tensor, type Tensor } from '@proj/tensor';
import { fft, irfft } from '@proj/tensor/fft';
import { beforeAll, describe, expect, it } from 'vitest';

beforeAll(() => setDefaultDevice('js'));

const leaf = (...values: readonly (readonly [number, number])[]): Tensor =>
  tensor(
    values.map(([re, im]) => c(re, im)),
    { dtype: 'complex128', requiresGrad: true },
  );
const expectClose = (actual: Tensor | null, expected: readonly number[]): void => {
  const found = actual?.toFlatArray() ?? [];
  expect(found).toHaveLength(expected.length);
  found.forEach((x, i) => expect(x).toBeCloseTo(expected[i], 9));
};

describe('the gradient of a real loss is that of the real part plus i times that of the imaginary part', () => {
  it('equals the one of PyTorch', () => {
    const w = leaf([1, 2], [-3, 0.5], [0.1, -0.7], [-2, 0]);
    w.sqrt().mul(w.conj()).add(w.tanh()).abs().sum().backward();
    expectClose(
      w.grad,
      [
        0.535723933614, 1.594152095535, -2.570426759926, 0.257095310795, 1.63632132382, -1.425580513887, -2.03068936748,
        -0.294993861899,
      ],
    );
  });
  it('leads downhill', () => {
    const z = tensor([c(1, 0.3)], { requiresGrad: true });
    for (let i = 0; i < 150; i++) {
      z.grad = null;
      z.square().sub(c(3, 4)).abs().square().sum().backward();
      noGrad(() => z.sub_((z.grad as Tensor).mul(0.01)));
      evaluate([z]);
    }
    const [re, im] = z.toFlatArray();
    expect(re).toBeCloseTo(2, 4);
    expect(im).toBeCloseTo(1, 4);
  });
  it('is real for real inputs of complex operations', () => {
    const x = tensor([1, 2], { dtype: 'float64', requiresGrad: true });
    x.mul(c(2, 1)).abs().square().sum().backward();
    expect(x.grad?.dtype).toBe('float64');
    expectClose(x.grad, [10, 20]);
  });
  it('exists for values between, also when views of their parts are read', () => {
    const y = leaf([1, 2]);
    const m = y.mul(c(2, 1));
    m.retainGrad();
    m.real().add(m.imag().mul(3)).sum().backward();
    expectClose(m.grad, [1, 3]);
    expectClose(y.grad, [5, 5]);
    const n = y.mul(c(2, 1));
    const [g] = grad(n.mul(n).real().sum(), n);
    expectClose(g, [0, -10]);
  });
  it('is zero where a length or a direction is zero', () => {
    const z = leaf([0, 0]);
    z.abs().add(z.angle()).add(z.sgn().real()).sum().backward();
    expectClose(z.grad, [0, 0]);
  });
});

it('a complex value needs a gradient to start from', () => {
  const z = leaf([1, 2]);
  expect(() => z.mul(z).sum().backward()).toThrow(/real values only/);
  z.mul(z).backward(tensor([c(0, 1)], { dtype: 'complex128' }));
  expectClose(z.grad, [4, 2]);
});

it('finite differences of both parts agree with first and second derivatives', () => {
  const [z, w] = [leaf([0.4, -1.1], [1.3, 0.2]), leaf([-0.6, 0.8], [0.9, 1.5])];
  const values = (a: Tensor, b: Tensor): Tensor => a.pow(b).add(a.div(b)).mul(fft(a)).sub(b.conj().exp());
  expect(gradcheck(values, [z, w])).toBe(true);
  expect(gradgradcheck(values, [z, w])).toBe(true);
  const toReal = (a: Tensor): Tensor => irfft(a.mul(a.abs()), { n: 3 });
  expect(gradcheck(toReal, [z])).toBe(true);
  expect(gradgradcheck(toReal, [z])).toBe(true);
});
