/** Complex numbers: figures of PyTorch 1.13, views and writing through them, what is refused, how much is launched. */
import {
  cat,
  complex,
  ComplexScalar,
  complexScalar as c,
  explain,
  fromArray,
  full,
  ones,
  polar,
  randn,
  resultType,
  setDefaultDevice,
  tensor,
  type Tensor,
  viewAsComplex,
  viewAsReal,
  where,
  zeros,
} from '@proj/tensor';
import { fft, fft2, fftfreq, fftshift, hfft, ifft, irfft, rfft } from '@proj/tensor/fft';
import { npyBytes, parseNpy, loadSafetensors, safetensorsBytes } from '@proj/tensor/io';
import { beforeAll, describe, expect, it } from 'vitest';

beforeAll(() => setDefaultDevice('js'));

const numbers = (): Tensor => tensor([c(1, 2), c(-3, 0.5), c(0.1, -0.7), c(-2, 0)], { dtype: 'complex128' });
const close = (actual: Tensor, expected: readonly number[]): void => {
  const found = actual.toFlatArray();
  expect(found).toHaveLength(expected.length);
  found.forEach((x, i) => expect(Math.abs(x - expected[i])).toBeLessThan(2e-11 * (1 + Math.abs(expected[i]))));
};

describe('values', () => {
  const figures = {
    sqrt: [
      1.272019649514, 0.786151377757, 0.143842387962, 1.738013415534, 0.635258522645, -0.550956795578, 0,
      1.414213562373,
    ],
    log: [
      0.804718956217, 1.107148717794, 1.112311775762, 2.976443976175, -0.34657359028, -1.428899272191, 0.69314718056,
      3.14159265359,
    ],
    asin: [
      0.427078586392, 1.528570919481, -1.396149861709, 1.778990493827, 0.081924137075, -0.654595309238, -1.570796326795,
      1.316957896925,
    ],
    acosh: [
      1.528570919481, 1.143717740402, 1.778990493827, 2.966946188504, 0.654595309238, -1.48887218972, 1.316957896925,
      3.14159265359,
    ],
    atanh: [
      0.17328679514, 1.178097245096, -0.33529348146, 1.510484492505, 0.067065996649, -0.613886193187, -0.549306144334,
      1.570796326795,
    ],
    tan: [
      0.03381282608, 1.014793616147, 0.111621050772, 0.469469993426, 0.063453065765, -0.608215510284, 2.185039863262, 0,
    ],
    tanh: [
      1.166736257241, -0.243458201186, -0.997316365283, 0.004160426593, 0.16918509867, -0.828085427831, -0.964027580076,
      0,
    ],
    sgn: [0.4472135955, 0.894427191, -0.986393923832, 0.164398987305, 0.141421356237, -0.989949493661, -1, 0],
  };
  it.each(Object.keys(figures) as (keyof typeof figures)[])('%s', (name) => close(numbers()[name](), figures[name]));

  it('of powers, quotients, statistics and products', () => {
    const z = numbers();
    close(
      z.pow(c(0.5, -1)),
      [
        4.382565059863, -1.124397477361, 31.823852588702, 12.560180708147, 0.187976907901, -0.072450377905,
        20.91057092482, 25.174021026598,
      ],
    );
    close(z.div(c(2, -1)), [0, 1, -1.3, -0.4, 0.18, -0.26, -0.8, -0.4]);
    close(z.cumprod(0), [1, 2, -4, -5.5, -4.25, 2.25, 8.5, -4.5]);
    close(z.prod(), [8.5, -4.5]);
    close(z.std(), [2.170829334609241]);
    close(z.norm(), [4.330127018922194]);
    close(z.reshape([2, 2]).matmul(z.reshape([2, 2])), [-2.95, 6.15, 2, -6.5, 1.3, 0.9, 4.05, 2.15]);
  });
  it('do not overflow on the way', () => {
    const z = tensor([c(3e200, 4e200)], { dtype: 'complex128' });
    expect(z.abs().item()).toBeCloseTo(5e200, -190);
    expect(
      tensor([c(5, 12), c(-8, 15)])
        .abs()
        .toFlatArray(),
    ).toEqual([13, 17]);
    expect(z.div(z).item<ComplexScalar>()).toEqual(new ComplexScalar(1, 0));
    expect(
      tensor([c(800, 1)])
        .tanh()
        .item<ComplexScalar>().re,
    ).toBe(1);
  });
  it('keep their digits near the singular points, and overflow where the result does (mpmath)', () => {
    const parts = (z: Tensor): readonly number[] => z.toFlatArray().map(Number);
    const at = (re: number, im: number): Tensor => tensor([c(re, im)], { dtype: 'complex128' });
    const cases: readonly (readonly [Tensor, number, number])[] = [
      [at(1.0000000074505806, 2 ** -26).log(), 7.450580680190553e-9, 1.4901161082825354e-8],
      [at(1, 2 ** -13).log(), 7.450580541412678e-9, 0.00012207031189367021],
      [at(899.25, 2 ** -400).sinh(), Infinity, 6.703237241384747e269],
      [at(-7.34375, -711).sin(), -Infinity, -1.4828730304462949e308],
      [at(-710.75, 7.5).cosh(), 8.196828091624222e307, -Infinity],
      [at(-(2 ** -10), -1 + 2 ** -20).atan(), -0.7851540230246814, -3.8123090758472924],
      [at(-1 + 2 ** -14, -(2 ** -7)).atanh(), -2.7725620197954632, -0.7834451675389356],
      [at(1e308, 1.2e308).sqrt(), 1.1318237352126282e154, 5.301178808441245e153],
      [at(-1, Infinity).sqrt(), Infinity, Infinity],
    ];
    cases.forEach(([z, re, im], i) => {
      const found = parts(z);
      [re, im].forEach((expected, part) => {
        const close = Math.abs(found[part] - expected) <= 2e-15 * Math.abs(expected) || found[part] === expected;
        expect(close, `case ${i}: ${found.join(', ')}`).toBe(true);
      });
    });
  });
  it('are promoted as in PyTorch', () => {
    expect(resultType(ones([2], { dtype: 'float64' }), c(0, 1))).toBe('complex128');
    expect(resultType(ones([2]), ones([], { dtype: 'complex128' }))).toBe('complex64');
    expect(resultType(ones([2], { dtype: 'int64' }), ones([], { dtype: 'complex128' }))).toBe('complex128');
    expect(ones([2]).add(c(0, 1)).dtype).toBe('complex64');
    expect(cat([ones([1]), full([1], c(1, 2))]).dtype).toBe('complex64');
  });
  it('are read as complex numbers, or as pairs', () => {
    const z = full([2], c(1, -2));
    expect(z.toArray()).toEqual([c(1, -2), c(1, -2)]);
    expect([...z.toFlatArray()]).toEqual([1, -2, 1, -2]);
    expect(String(z)).toBe('tensor([1.-2.j, 1.-2.j])');
    expect(where(tensor([true, false]), z, 0).toArray()).toEqual([c(1, -2), c(0, 0)]);
  });
  it('have parts that are read, and used again', () => {
    const part = full([2], c(1, -2)).imag();
    expect(part.toFlatArray()).toEqual([-2, -2]);
    expect(part.add(1).toFlatArray()).toEqual([-1, -1]);
  });
  it('of random numbers share their variance between both parts', () => {
    const z = randn([4000], { dtype: 'complex64' });
    expect(z.real().square().mean().item()).toBeCloseTo(0.5, 1);
    expect(z.imag().square().mean().item()).toBeCloseTo(0.5, 1);
  });
  it('come back from files', () => {
    const z = numbers().reshape([2, 2]);
    expect(parseNpy(npyBytes(z)).toArray()).toEqual(z.toArray());
    expect(loadSafetensors(safetensorsBytes({ z })).z.toArray()).toEqual(z.toArray());
  });
});

describe('views', () => {
  it('of the parts, the conjugate and the pairs write to the tensor', () => {
    const z = zeros([2], { dtype: 'complex64' });
    z.real().add_(1);
    z.imag().assign(tensor([2, 3], { dtype: 'float32' }).node);
    expect(z.toArray()).toEqual([c(1, 2), c(1, 3)]);
    z.conj().mul_(c(0, 1));
    expect(z.toArray()).toEqual([c(2, -1), c(3, -1)]);
    viewAsReal(z).select(-1, 0).zero_();
    expect(z.toArray()).toEqual([c(0, -1), c(0, -1)]);
    expect(viewAsReal(z).stride()).toEqual([2, 1]);
  });
  it('of pairs as complex numbers write to the pairs', () => {
    const pairs = tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { dtype: 'float32' },
    );
    viewAsComplex(pairs).mul_(c(0, 1));
    expect(pairs.toArray()).toEqual([
      [-2, 1],
      [-4, 3],
    ]);
  });
  it('made of parts and of length and angle agree', () => {
    const [length, angle] = [tensor([2, 3], { dtype: 'float64' }), tensor([0.5, -1], { dtype: 'float64' })];
    close(polar(length, angle).sub(complex(length.mul(angle.cos()), length.mul(angle.sin()))), [0, 0, 0, 0]);
  });
});

it('complex numbers have no order', () => {
  const z = numbers();
  for (const refused of [
    () => z.lt(z),
    () => z.max(),
    () => z.sort(),
    () => z.clamp(0, 1),
    () => z.sign(),
    () => z.floor(),
    () => z.relu(),
  ])
    expect(refused).toThrow(/complex|order/);
  expect(() => ones([2]).imag()).toThrow(/imag of float32/);
  expect(() => ones([2]).add_(c(0, 1))).toThrow(/complex64 cannot be stored/);
});

it('a chain of complex operations is one launch', () => {
  const z = fromArray(
    Float32Array.from({ length: 128 }, (_, i) => i / 64),
    [64],
    'complex64',
  ).realize();
  expect(explain(z.mul(z).add(z).exp().mul(c(0, 1)).conj())).toMatch(/^1 launches/);
});

describe('Fourier transforms', () => {
  const x = tensor([1, 2, 3, 4, 5], { dtype: 'float64' });
  it('equal those of PyTorch', () => {
    close(rfft(x), [15, 0, -2.5, 3.440954801178, -2.5, 0.812299240582]);
    close(
      irfft(numbers(), { n: 5 }),
      [-0.96, -0.22881250564207303, 0.7993281980037973, 1.5670339480460724, -0.1775496404077966],
    );
    close(
      hfft(numbers()),
      [-6.8, -0.44641016151377544, 3.9784609690826525, 9.2, -0.17846096908265263, 0.2464101615137757],
    );
    close(fft2(numbers().reshape([2, 2])), [-3.9, 1.8, 6.1, 0.8, -0.1, 3.2, 1.9, 2.2]);
    close(
      fft(numbers(), { n: 6, norm: 'ortho' }),
      [
        -1.592168332809, 0.734846922835, 0.521249343054, 2.086750387927, 0.607975799421, 1.953336920813, 2.49031457183,
        0.326598632371, -0.240552338003, -0.238694100865, 0.662670699291, 0.036140722486,
      ],
    );
    expect(fftfreq(5, { d: 0.5, dtype: 'float64' }).toFlatArray()).toEqual([0, 0.4, 0.8, -0.8, -0.4]);
    expect(fftshift(x).toFlatArray()).toEqual([4, 5, 1, 2, 3]);
  });
  it.each([64, 96, 131, 144, 262, 1000])('of %i numbers equal the sum that defines them', (n) => {
    const z = randn([2, n], { dtype: 'complex128' }).realize();
    const [found, input] = [fft(z).toFlatArray(), z.toFlatArray()];
    for (const k of [0, 1, 5, n - 1]) {
      let [re, im] = [0, 0];
      for (let j = 0; j < n; j++) {
        const turn = (-2 * Math.PI * ((j * k) % n)) / n;
        const [a, b] = [input[2 * (n + j)], input[2 * (n + j) + 1]];
        re += a * Math.cos(turn) - b * Math.sin(turn);
        im += a * Math.sin(turn) + b * Math.cos(turn);
      }
      expect(found[2 * (n + k)]).toBeCloseTo(re, 10);
      expect(found[2 * (n + k) + 1]).toBeCloseTo(im, 10);
    }
    expect(ifft(fft(z)).sub(z).abs().amax().item()).toBeLessThan(1e-13);
  });
});
