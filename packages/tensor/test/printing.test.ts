/** Printed tensors against what PyTorch 1.13.1 prints. */
import { readFileSync } from 'node:fs';
import {
  arange,
  ComplexScalar,
  type DType,
  type PrintOptions,
  setPrintoptions,
  tensor,
  type Tensor,
  zeros,
} from '@proj/tensor';
import { afterEach, describe, expect, it, vi } from 'vitest';

interface Case {
  readonly dtype: DType;
  readonly shape: number[];
  readonly options: Record<string, unknown>;
  readonly text: string;
  readonly data?: (number | string | boolean)[];
  /** First value and step. */
  readonly arange?: [number, number];
}
const cases = JSON.parse(
  readFileSync(new URL('fixtures/printed-pytorch-1.13.json', import.meta.url), 'utf8'),
) as Case[];

const PYTHON: Readonly<Record<string, number>> = { inf: Infinity, '-inf': -Infinity, nan: NaN, '-0': -0 };
function build({ dtype, shape, data, arange: series }: Case): Tensor {
  if (series !== undefined) {
    const count = shape.reduce((a, b) => a * b, 1);
    return arange(count, { dtype: 'float64' }).mul(series[1]).add(series[0]).to(dtype).reshape(shape);
  }
  const numbers = (data ?? []).map((x) => (typeof x === 'string' ? PYTHON[x] : x));
  if (!dtype.startsWith('complex')) return tensor(numbers, { dtype }).reshape(shape);
  const pairs = Array.from(
    { length: numbers.length / 2 },
    (_, i) => new ComplexScalar(Number(numbers[2 * i]), Number(numbers[2 * i + 1])),
  );
  return tensor(pairs, { dtype }).reshape(shape);
}
/** Python's names as ours. */
const ours = (text: string): string =>
  text
    .replaceAll('torch.', '')
    .replaceAll('True', 'true')
    .replaceAll('False', 'false')
    .replace(/size=\((.*?),?\)/, 'size=[$1]');
/** Shorter names break lines elsewhere. */
const oneLine = (text: string): string => text.replace(/,\n +(?=dtype)/, ', ');
const camel = (options: Case['options']): PrintOptions =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [name === 'sci_mode' ? 'sciMode' : name, value]));

afterEach(() => setPrintoptions({ profile: 'default' }));

describe('tensors are printed as PyTorch prints them', () => {
  it.each(
    cases.map(
      (c) => [`${c.dtype} [${c.shape.join()}] ${JSON.stringify(c.options)} ${c.text.slice(0, 40)}`, c] as const,
    ),
  )('%s', (_, c) => {
    setPrintoptions(camel(c.options));
    expect(oneLine(String(build(c)))).toBe(oneLine(ours(c.text)));
  });

  it('integers of 64 bits exactly, and whether gradients are recorded', () => {
    expect(String(tensor([2n ** 60n + 1n, -3]))).toBe('tensor([1152921504606846977,                  -3])');
    expect(String(zeros([2]).requiresGrad_())).toBe('tensor([0., 0.], requiresGrad)');
  });

  it('of a large tensor only what is shown is read', () => {
    const large = arange(30_000).reshape([300, 100]).realize();
    const read = vi.spyOn(large.device, 'read');
    expect(String(large)).toContain('[29900, 29901, 29902,  ..., 29997, 29998, 29999]');
    expect(read.mock.calls.reduce((sum, [, , bytes]) => sum + bytes, 0)).toBe(36 * 8);
    read.mockRestore();
  });
});

describe('setPrintoptions', () => {
  it('keeps what it is not given, except sciMode', () => {
    setPrintoptions({ precision: 1, sciMode: true });
    expect(String(tensor([1.25, 3]))).toBe('tensor([1.2e+00, 3.0e+00])');
    setPrintoptions({ linewidth: 12 });
    expect(String(tensor([1.25, 3]))).toBe('tensor([1.2,\n        3.0])');
    setPrintoptions({ profile: 'full' });
    expect(String(arange(1002)).includes('...')).toBe(false);
  });
  it('refuses what has no meaning', () => {
    expect(() => setPrintoptions({ precison: 2 } as PrintOptions)).toThrow(/Did you mean 'precision'/);
    expect(() => setPrintoptions({ precision: -1 })).toThrow(/precision is -1/);
    expect(() => setPrintoptions({ edgeitems: 0.5 })).toThrow(/edgeitems is 0.5/);
    expect(() => setPrintoptions({ profile: 'long' as 'full' })).toThrow(/profile is "long".*default, short, full/);
  });
});
