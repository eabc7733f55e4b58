/** Options that do not exist are errors: in every row of the op table, and in what stands in no table. */
import '@proj/autograd';
import { attempt, defineOp, getDevice, opTable, Tensor, tensor, zeros } from '@proj/tensor';
import * as quantized from '@proj/tensor/quantized';
import * as sparse from '@proj/tensor/sparse';
import { SampleMaker, samplesOf } from '@proj/tensor/testing';
import { describe, expect, it } from 'vitest';
import { GLU, LeakyReLU, Linear, LogSoftmax, Softmax, Softmin } from '../src/index.ts';
import * as quantization from '../src/quantization/index.ts';

const ODD = { noSuchOption: 1 } as never;
/** What is said when `act` runs; null when it runs. */
function complaint(act: () => unknown): string | null {
  const result = attempt(act);
  return result.ok ? null : `${result.error.code}: ${result.error.message}`;
}
const namesTheOption = /^invalid-argument: .*unknown option 'noSuchOption'/;

describe('rows of the op table that have parameters with defaults', () => {
  const rows = opTable.filter((row) => row.signature.includes('=') && (samplesOf(row)?.samples.length ?? 0) > 0);
  const said = new Map(
    rows.map((row) => {
      const [positional] = row.signature.replaceAll(/\([^)]*\)/g, '()').split('*,');
      const variadic = /\*\w/.test(positional);
      const required = positional.split(',').filter((part) => part.trim() !== '' && !part.includes('=')).length;
      const calls = samplesOf(row)?.samples.flatMap((sample) => {
        const args = sample.args(new SampleMaker(getDevice('js'), sample.dtypes[0]));
        if (!variadic && args.length < required) return [];
        const given = variadic
          ? args.filter((arg) => arg instanceof Tensor || typeof arg === 'number')
          : args.slice(0, required);
        return complaint(() => row.fn(...([...given, ODD] as never[])));
      });
      return [`${row.name}(${row.signature})`, calls ?? []] as const;
    }),
  );
  it('refuse an object with another name', () => {
    expect(said.size).toBeGreaterThan(240);
    const silent = [...said].filter(([, answers]) => answers.length === 0 || answers.includes(null));
    expect(silent.map(([row]) => row)).toEqual([]);
  });
  it('name it, where an object of options may stand in that place', () => {
    const named = [...said].filter(([, answers]) => answers.some((answer) => namesTheOption.test(answer ?? '')));
    expect(named.length).toBeGreaterThan(200);
    // A number or a dim alone may stand there.
    const others = [...said].flatMap(([row, answers]) =>
      named.some(([name]) => name === row)
        ? []
        : answers.filter((answer) => !/an object|got object|\[object Object\]/.test(answer ?? '')),
    );
    expect(others).toEqual([]);
  });
});

const coo = sparse.sparseCooTensor([[0, 1]], [1, 2], [3]);
const matrix = sparse.sparseCooTensor(
  [
    [0, 1],
    [1, 0],
  ],
  [1, 2],
  [2, 2],
);
const square = zeros(2, 2);
const weight = quantized.quantizePerTensor(zeros(2, 2), 0.1, 0, 'qint8');
const one = tensor([1], { dtype: 'float32' });
const model = (): Linear => new Linear(2, 2);

describe('what stands in no table', () => {
  it.each<[string, () => unknown]>([
    ['sparseCooTensor', () => sparse.sparseCooTensor([[0]], [1], [2], ODD)],
    ['an empty sparseCooTensor', () => sparse.sparseCooTensor([2], ODD)],
    ['sparseCsrTensor', () => sparse.sparseCsrTensor([0, 1], [0], [1], [1, 1], ODD)],
    ['sparseCscTensor', () => sparse.sparseCscTensor([0, 1], [0], [1], [1, 1], ODD)],
    ['sparseBsrTensor', () => sparse.sparseBsrTensor([0, 1], [0], [[[1]]], [1, 1], ODD)],
    ['sparseBscTensor', () => sparse.sparseBscTensor([0, 1], [0], [[[1]]], [1, 1], ODD)],
    ['sparseCompressedTensor', () => sparse.sparseCompressedTensor([0, 1], [0], [1], [1, 1], ODD)],
    ['spdiags', () => sparse.spdiags(one, tensor([0]), [1, 1], ODD)],
    ['sparse add', () => sparse.add(coo, coo, ODD)],
    ['sparse sub', () => sparse.sub(coo, coo, ODD)],
    ['sparse div', () => sparse.div(coo, 2, ODD)],
    ['sparse sum', () => sparse.sum(coo, 0, ODD)],
    ['sparse softmax', () => sparse.softmax(coo, 0, ODD)],
    ['sparse logSoftmax', () => sparse.logSoftmax(coo, 0, ODD)],
    ['sparse addmm', () => sparse.addmm(square, matrix, square, ODD)],
    ['sampledAddmm', () => sparse.sampledAddmm(matrix, square, square, ODD)],
    ['linearDynamic', () => quantized.linearDynamic(square, weight, null, ODD)],
    ['chooseQuantizationParameters', () => quantized.chooseQuantizationParameters(one, one, 0, 255, ODD)],
    [
      'fakeQuantizeLearnablePerTensorAffine',
      () => quantized.fakeQuantizeLearnablePerTensorAffine(square, one, one, 0, 255, ODD),
    ],
    [
      'fakeQuantizeLearnablePerChannelAffine',
      () => quantized.fakeQuantizeLearnablePerChannelAffine(zeros(1, 2), one, one, 0, 0, 255, ODD),
    ],
    ['LeakyReLU', () => new LeakyReLU(ODD)],
    ['GLU', () => new GLU(ODD)],
    ['Softmax', () => new Softmax(ODD)],
    ['Softmin', () => new Softmin(ODD)],
    ['LogSoftmax', () => new LogSoftmax(ODD)],
    ['prepare', () => quantization.prepare(model(), ODD)],
    ['prepareQat', () => quantization.prepareQat(model(), ODD)],
    ['convert', () => quantization.convert(quantization.prepare(model()), ODD)],
    ['quantizeDynamic', () => quantization.quantizeDynamic(model(), ODD)],
    ['FixedQParamsObserver', () => new quantization.FixedQParamsObserver(1, 0, ODD)],
    [
      'defineOp',
      () =>
        defineOp({
          name: 'x',
          outputs: () => [],
          launches: () => ({ launches: [], workspaceBytes: 0 }),
          ...(ODD as object),
        }),
    ],
  ])('%s refuse them', (_, act) => {
    expect(complaint(act)).toMatch(namesTheOption);
  });

  const observers = Object.entries(quantization).filter(
    ([name]) => /(Observer|FakeQuantize)$/.test(name) && /^[A-Z]/.test(name),
  );
  const abstract = ['Observer', 'UniformObserver', 'FakeQuantizeBase'];
  const fixed = ['FixedQParamsObserver', 'FixedQParamsFakeQuantize'];
  it.each(observers.filter(([name]) => !abstract.includes(name) && !fixed.includes(name)))(
    'the class %s refuses them',
    (name, made) => {
      const Observer = made as unknown as new (options: object) => unknown;
      expect(complaint(() => new Observer(ODD))).toMatch(new RegExp(`${name}: unknown option 'noSuchOption'`));
      expect(complaint(() => new Observer({}))).toBe(null);
    },
  );
});
