import { describe, expect, it } from 'vitest';
import { compareFactorisation } from '../src/compare-modes.ts';
import { exactTolerance } from '../src/compare.ts';
import { PyValue } from '../src/encoded.ts';
import { camelCase } from '../src/names.ts';
import { jsParameters } from '../src/js-parameters.ts';
import { bindCall, parseSignature, toCallForm } from '../src/signature.ts';

class T {}
const isTensor = (value: unknown): boolean => value instanceof T;
const x = new T();
const y = new T();
const form = (
  overloads: string[],
  args: unknown[],
  kwargs: Record<string, unknown> = {},
  ours: string | null = null,
  fn: object | null = null,
): unknown => {
  const bound = bindCall(overloads, args, kwargs, isTensor);
  if (bound === null) return null;
  const own = fn === null ? null : jsParameters(fn as (...args: never[]) => unknown);
  const { positional, options } = toCallForm(bound, ours === null ? null : parseSignature(ours), own);
  return {
    positional: positional.map((entry) => entry?.value),
    options: Object.fromEntries(options.map(({ parameter, value }) => [parameter.name, value])),
  };
};

describe('names', () => {
  it('become camelCase and keep the underscore of in-place operations', () => {
    expect(
      [
        'masked_fill_',
        'log_softmax',
        'conv_transpose2d',
        'atleast_1d',
        'T',
        '_version',
        '__getitem__',
        'LSTM',
        'i0e',
      ].map(camelCase),
    ).toEqual(['maskedFill_', 'logSoftmax', 'convTranspose2d', 'atleast1d', 'T', 'version', 'index', 'LSTM', 'i0e']);
  });
});

describe('the mapping of arguments', () => {
  const sum = [
    'Tensor input, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None',
    'Tensor input, *, ScalarType? dtype=None',
  ];
  const max = ['Tensor input, Tensor other', 'Tensor input', 'Tensor input, int dim, bool keepdim=False'];
  it('puts parameters with defaults into options', () => {
    expect(form(sum, [x, 1, true])).toEqual({ positional: [x, 1], options: { keepdim: true } });
    expect(form(sum, [x], { dtype: new PyValue('dtype', 'float64') })).toEqual({
      positional: [x],
      options: { dtype: new PyValue('dtype', 'float64') },
    });
    const conv = [
      'Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, int[2] dilation=1, int groups=1',
    ];
    expect(form(conv, [x, y, null, 2], { padding: [1, 0] })).toEqual({
      positional: [x, y],
      options: { stride: 2, padding: [1, 0] },
    });
  });

  it('chooses the overload by types', () => {
    expect(form(max, [x, y])).toEqual({ positional: [x, y], options: {} });
    expect(form(max, [x, 1, true])).toEqual({ positional: [x, 1], options: { keepdim: true } });
    const std = [
      'Tensor input, bool unbiased=True',
      'Tensor input, int[1]? dim, bool unbiased=True, bool keepdim=False',
      'Tensor input, int[1]? dim, *, int? correction, bool keepdim=False',
    ];
    expect(form(std, [x, false])).toEqual({ positional: [x], options: { unbiased: false } });
    expect(form(std, [x], { dim: [1], correction: 2 })).toEqual({ positional: [x, [1]], options: { correction: 2 } });
  });

  it('gathers sizes given one by one', () => {
    const view = ['Tensor input, SymInt[] size', 'Tensor input, ScalarType dtype'];
    expect(form(view, [x, 2, 3])).toEqual({ positional: [x, [2, 3]], options: {} });
    expect(form(view, [x, [6]])).toEqual({ positional: [x, [6]], options: {} });
    expect(form(view, [x, new PyValue('dtype', 'int32')])).toEqual({
      positional: [x, new PyValue('dtype', 'int32')],
      options: {},
    });
  });

  it('leaves out None, takes keywords for required parameters, and our own row for what is positional', () => {
    const clamp = [
      'Tensor input, Scalar? min=None, Scalar? max=None',
      'Tensor input, Tensor? min=None, Tensor? max=None',
    ];
    expect(form(clamp, [x, null, 3])).toEqual({ positional: [x], options: { max: 3 } });
    expect(form(['input, kernel_size, stride=None, padding=0'], [x], { padding: 1, kernel_size: 3 })).toEqual({
      positional: [x, 3],
      options: { padding: 1 },
    });
    expect(form(['input, dim=None, dtype=None'], [x, 1], {}, 'input, dim, *, dtype=None')).toEqual({
      positional: [x, 1],
      options: {},
    });
  });

  it('takes requires_grad everywhere and leaves the device out', () => {
    const eye = [
      'int n, *, ScalarType? dtype=None, Device? device=None',
      'int n, int m, *, ScalarType? dtype=None, Device? device=None',
    ];
    expect(form(eye, [2], { device: 'cpu', requires_grad: false })).toEqual({ positional: [2], options: {} });
    expect(form(eye, [2, 3], { requires_grad: true })).toEqual({
      positional: [2, 3],
      options: { requires_grad: true },
    });
    const to = ['Tensor input, Device device, ScalarType dtype, bool copy=False'];
    expect(form(to, [x, 'cpu', new PyValue('dtype', 'int8'), true])).toEqual({
      positional: [x, new PyValue('dtype', 'int8')],
      options: { copy: true },
    });
  });

  it('obeys the parameters of the function itself', () => {
    const sumLike = (input: T, dim: number | null = null, { keepdim = false } = {}): unknown => [input, dim, keepdim];
    expect(form(sum, [x, 1, true], {}, null, sumLike)).toEqual({ positional: [x, 1], options: { keepdim: true } });
    expect(
      form(['Tensor input, int? dim=None, bool keepdim=False'], [x], { keepdim: true, dim: -1 }, null, sumLike),
    ).toEqual({ positional: [x, -1], options: { keepdim: true } });
    const clampLike = (input: T, min?: number, max?: number): unknown => [input, min, max];
    const clamp = ['Tensor input, Scalar? min=None, Scalar? max=None'];
    expect(form(clamp, [x, null, 3], {}, null, clampLike)).toEqual({ positional: [x, null, 3], options: {} });
    const optionsOnly = (input: T, options: object = {}): unknown => [input, options];
    expect(form(clamp, [x, null, 3], {}, null, optionsOnly)).toEqual({ positional: [x], options: { max: 3 } });
    const shifted = (input1: T, input2: T, target: T): unknown => [input1, input2, target];
    expect(form(['input, target, var'], [x, y, 3], {}, null, shifted)).toEqual({ positional: [x, y, 3], options: {} });
    const renamed = (input: T, shape: number[]): unknown => [input, shape];
    expect(form(['Tensor input, SymInt[] size'], [x, 2, 3], {}, null, renamed)).toEqual({
      positional: [x, [2, 3]],
      options: {},
    });
  });

  it('reads parameters from functions, arrows and classes', () => {
    class Base {
      readonly sizes: unknown[];
      constructor(a: number, b = ',)', { bias = true, eps: small = 1e-5 } = {}) {
        this.sizes = [a, b, bias, small];
      }
    }
    class Derived extends Base {}
    const kinds = (fn: unknown): unknown =>
      jsParameters(fn as (...args: never[]) => unknown)?.map(({ name, kind, keys }) =>
        kind === 'plain' ? name : [kind, ...keys],
      );
    expect(kinds(Derived)).toEqual(['a', 'b', ['options', 'bias', 'eps']]);
    expect(kinds((q: number) => q)).toEqual(['q']);
    expect(kinds((first: number, ...others: number[]) => [first, others])).toEqual(['first', ['rest']]);
    expect(jsParameters(Math.max)).toBeNull();
  });

  it('spreads variadic parameters and refuses what does not fit', () => {
    expect(form(['str equation, *operands'], ['ij->i', x, y])).toEqual({ positional: ['ij->i', x, y], options: {} });
    expect(form(['Tensor input'], [x, y])).toBeNull();
    expect(form(['Tensor input'], [x], { wrong: 1 })).toBeNull();
  });
});

describe('the comparison of factorisations', () => {
  const t = (
    data: number[],
    shape: number[],
    dtype = 'float32',
  ): { dtype: string; shape: number[]; data: number[] } => ({ dtype, shape, data });
  const base = { call: 'torch.linalg.qr', kwargs: {}, tolerance: exactTolerance(1e-5) };
  it('allows the signs of Q and R to differ, but not their product', () => {
    // A = [[3, 1], [4, 2]]: Q = [[.6, -.8], [.8, .6]], R = [[5, 2.2], [0, .4]].
    const input = t([3, 1, 4, 2], [2, 2]);
    const expected = [t([-0.6, -0.8, -0.8, 0.6], [2, 2]), t([-5, -2.2, 0, 0.4], [2, 2])];
    const actual = [t([0.6, -0.8, 0.8, 0.6], [2, 2]), t([5, 2.2, 0, 0.4], [2, 2])];
    expect(compareFactorisation({ ...base, mode: 'qr', input, actual, expected })).toBeNull();
    const wrong = [t([0.6, 0.8, 0.8, 0.6], [2, 2]), t([5, 2.2, 0, 0.4], [2, 2])];
    expect(compareFactorisation({ ...base, mode: 'qr', input, actual: wrong, expected })?.kind).toBe('value');
  });

  it('compares eigenvalues as a multiset and checks A V = V L', () => {
    // A rotation by 90°: eigenvalues ±i, vectors (1, ∓i)/√2.
    const s = Math.SQRT1_2;
    const input = t([0, -1, 1, 0], [2, 2]);
    const expected = [t([0, 1, 0, -1], [2], 'complex64'), t([s, 0, s, 0, 0, -s, 0, s], [2, 2], 'complex64')];
    const swapped = [t([0, -1, 0, 1], [2], 'complex64'), t([s, 0, s, 0, 0, s, 0, -s], [2, 2], 'complex64')];
    expect(compareFactorisation({ ...base, mode: 'eig', input, actual: swapped, expected })).toBeNull();
    const unswapped = [swapped[0] as never, expected[1] as never];
    expect(compareFactorisation({ ...base, mode: 'eig', input, actual: unswapped, expected })?.kind).toBe('value');
    const twice = [t([0, 1, 0, 1], [2], 'complex64'), expected[1] as never];
    expect(compareFactorisation({ ...base, mode: 'eig', input, actual: twice, expected })?.detail).toMatch(
      /other eigenvalues/,
    );
  });

  it('multiplies the singular value decomposition back', () => {
    const input = t([0, 2, 3, 0], [2, 2]);
    const values = t([3, 2], [2]);
    const u = t([0, 1, 1, 0], [2, 2]);
    const vh = t([1, 0, 0, 1], [2, 2]);
    const run = (left: typeof u): unknown =>
      compareFactorisation({
        ...base,
        call: 'torch.linalg.svd',
        mode: 'svd',
        input,
        actual: [left, values, vh],
        expected: [u, values, vh],
      });
    expect(run(u)).toBeNull();
    expect(run(t([1, 0, 0, 1], [2, 2]))).toMatchObject({ kind: 'value' });
  });
});
