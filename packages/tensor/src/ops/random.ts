/** Random tensors of many distributions; the numbers come from the streams of `generator.ts`. */
import { checkOptions, type Defaults, type Device, type DType, ProjError, withDefaults } from '@proj/kernel';
import { binaryNode, castNode, complexNode, constantNode, whereNode } from '../graph/build.ts';
import type { AnyNode, Shape } from '../graph/node.ts';
import { FloatScalar, getDefaultDtype, isComplexDType, isFloatingPoint, isIntegral, toReal } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { broadcastShapes, deviceArgument, leading, shapeArgument } from './arguments.ts';
import { fromArray, TENSOR, type TensorOptions } from './creation.ts';
import {
  defaultGenerator,
  type Generator,
  getRngState,
  initialSeed,
  manualSeed,
  seed,
  setRngState,
} from './generator.ts';
import { argsortAlong, topk } from './ordering.ts';
import { poissonSample } from './poisson-sample.ts';
import { type OpRow, row } from './table.ts';

export interface RandomOptions {
  readonly generator?: Generator | null;
}
export type RandomTensorOptions = TensorOptions & RandomOptions;

/** What a new random tensor may be told. */
const RANDOM_TENSOR: Defaults<RandomTensorOptions> = { ...TENSOR, generator: null };

const generatorOf = (options: RandomOptions): Generator => options.generator ?? defaultGenerator;
const constantLike = (x: AnyNode, value: number): AnyNode => constantNode(x.device, x.dtype, x.shape, value);

/** Uniform numbers in [0, 1) with all the bits that the dtype can hold; `open` moves them to (0, 1]. */
function unit(shape: Shape, device: Device, dtype: DType, generator: Generator, open = false): AnyNode {
  if (isComplexDType(dtype))
    return complexNode(
      unit(shape, device, toReal(dtype), generator, open),
      unit(shape, device, toReal(dtype), generator, open),
    );
  const bits = generator.bits(shape, device);
  if (dtype === 'float64') {
    const high = binaryNode('shiftRight', bits, constantLike(bits, 5));
    const low = binaryNode('shiftRight', generator.bits(shape, device), constantLike(bits, 6));
    const whole = castNode(binaryNode('add', binaryNode('mul', high, constantLike(bits, 2 ** 26)), low), 'float64');
    return binaryNode(
      'mul',
      open ? binaryNode('add', whole, constantLike(whole, 1)) : whole,
      constantLike(whole, 2 ** -53),
    );
  }
  const width = dtype === 'float16' ? 11 : dtype === 'bfloat16' ? 8 : 24;
  const whole = castNode(binaryNode('shiftRight', bits, constantLike(bits, 32 - width)), 'float32');
  return castNode(
    binaryNode(
      'mul',
      open ? binaryNode('add', whole, constantLike(whole, 1)) : whole,
      constantLike(whole, 2 ** -width),
    ),
    dtype,
  );
}
/** Normal numbers by Box and Muller; of complex ones the parts share the variance. */
function gaussian(shape: Shape, device: Device, dtype: DType, generator: Generator): AnyNode {
  if (isComplexDType(dtype)) {
    const part = (): Tensor => wrap(gaussian(shape, device, toReal(dtype), generator)).mul(Math.SQRT1_2);
    return complexNode(part().node, part().node);
  }
  const work = dtype === 'float64' ? 'float64' : 'float32';
  const radius = wrap(unit(shape, device, work, generator, true))
    .log()
    .mul(-2)
    .sqrt();
  const angle = wrap(unit(shape, device, work, generator)).mul(new FloatScalar(2 * Math.PI));
  return castNode(radius.mul(angle.cos()).node, dtype);
}

const finish = (node: AnyNode, { requiresGrad = false }: TensorOptions): Tensor =>
  requiresGrad ? wrap(node).requiresGrad_() : wrap(node);
type SizeArguments = readonly (number | readonly number[] | RandomTensorOptions)[];
function sizeAndOptions(args: SizeArguments, op: string): { shape: number[]; options: RandomTensorOptions } {
  const last = args.at(-1);
  const hasOptions = typeof last === 'object' && !Array.isArray(last);
  if (hasOptions) checkOptions(op, RANDOM_TENSOR, last);
  return {
    shape: shapeArgument((hasOptions ? args.slice(0, -1) : args) as readonly (number | readonly number[])[], op),
    options: (hasOptions ? last : {}) as RandomTensorOptions,
  };
}
function floatDType(op: string, dtype: DType | null | undefined): DType {
  const chosen = dtype ?? getDefaultDtype();
  if (isIntegral(chosen)) throw new ProjError('dtype', `${op} of ${chosen}`, { op, cure: 'Use a float dtype' });
  return chosen;
}

/** Uniform numbers in [0, 1). */
export function rand(...size: SizeArguments): Tensor {
  const { shape, options } = sizeAndOptions(size, 'rand');
  return finish(
    unit(shape, deviceArgument(options.device), floatDType('rand', options.dtype), generatorOf(options)),
    options,
  );
}
/** Numbers from the standard normal distribution. */
export function randn(...size: SizeArguments): Tensor {
  const { shape, options } = sizeAndOptions(size, 'randn');
  return finish(
    gaussian(shape, deviceArgument(options.device), floatDType('randn', options.dtype), generatorOf(options)),
    options,
  );
}
/** Uniform numbers in [0, 1), shaped as another tensor. */
export function randLike(input: Tensor, options: RandomTensorOptions = {}): Tensor {
  checkOptions('randLike', RANDOM_TENSOR, options);
  return rand(input.shape, { device: input.device, ...options, dtype: options.dtype ?? input.dtype });
}
/** Numbers from the standard normal distribution, shaped as another tensor. */
export function randnLike(input: Tensor, options: RandomTensorOptions = {}): Tensor {
  checkOptions('randnLike', RANDOM_TENSOR, options);
  return randn(input.shape, { device: input.device, ...options, dtype: options.dtype ?? input.dtype });
}

/** Integers in [low, high). */
function integers(
  low: number,
  high: number,
  shape: Shape,
  device: Device,
  dtype: DType,
  generator: Generator,
): AnyNode {
  if (!(low < high)) throw new ProjError('invalid-argument', `no integers in [${low}, ${high})`, { op: 'randint' });
  const bits = generator.bits(shape, device);
  const range = high - low;
  // Up to 2^31 the product of bits and range fits 64 bits; its upper half is uniform to within range / 2^32.
  const offset =
    range <= 2 ** 31
      ? binaryNode('shiftRight', binaryNode('mul', bits, constantLike(bits, range)), constantLike(bits, 32))
      : binaryNode(
          'remainder',
          binaryNode(
            'add',
            binaryNode('mul', binaryNode('shiftRight', bits, constantLike(bits, 1)), constantLike(bits, 2 ** 32)),
            generator.bits(shape, device),
          ),
          constantLike(bits, range),
        );
  return castNode(binaryNode('add', offset, constantLike(bits, low)), dtype);
}
type IntegerArguments = readonly (number | readonly number[] | RandomTensorOptions)[];
/** Integers in [0, high) or [low, high): `randint(high, size)`, `randint(low, high, size)`. */
export function randint(...args: IntegerArguments): Tensor {
  const { options, rest } = splitOptions(args);
  checkOptions('randint', { ...RANDOM_TENSOR, size: null }, options);
  const size =
    rest.find((x): x is readonly number[] => Array.isArray(x)) ?? (options as { size?: readonly number[] }).size;
  const numbers = rest.filter((x): x is number => typeof x === 'number');
  if (size === undefined || numbers.length === 0)
    throw new ProjError('invalid-argument', 'randint(high, size) or randint(low, high, size)', { op: 'randint' });
  const [low, high] = numbers.length === 1 ? [0, numbers[0]] : numbers;
  return finish(
    integers(low, high, size, deviceArgument(options.device), options.dtype ?? 'int64', generatorOf(options)),
    options,
  );
}
function splitOptions(args: IntegerArguments): {
  options: RandomTensorOptions;
  rest: readonly (number | readonly number[])[];
} {
  const last = args.at(-1);
  const hasOptions = typeof last === 'object' && !Array.isArray(last);
  return {
    options: (hasOptions ? last : {}) as RandomTensorOptions,
    rest: (hasOptions ? args.slice(0, -1) : args) as readonly (number | readonly number[])[],
  };
}
/** Integers in [0, high) or [low, high), shaped as another tensor. */
export function randintLike(input: Tensor, ...args: IntegerArguments): Tensor {
  const { options, rest } = splitOptions(args);
  checkOptions('randintLike', { ...RANDOM_TENSOR, low: 0, high: 1 }, options);
  const named = options as { low?: number; high?: number };
  const numbers = rest.filter((x): x is number => typeof x === 'number');
  const [low, high] =
    numbers.length > 1
      ? numbers
      : numbers.length === 1
        ? named.high === undefined
          ? [named.low ?? 0, numbers[0]]
          : [numbers[0], named.high]
        : [named.low ?? 0, named.high ?? 1];
  return finish(
    integers(low, high, input.shape, input.device, options.dtype ?? input.dtype, generatorOf(options)),
    options,
  );
}
/** The numbers 0 … n-1 in random order. */
export function randperm(n: number, options: RandomTensorOptions = {}): Tensor {
  checkOptions('randperm', RANDOM_TENSOR, options);
  const device = deviceArgument(options.device);
  const generator = generatorOf(options);
  const bits = generator.bits([n], device);
  const keys = binaryNode(
    'add',
    binaryNode('mul', binaryNode('shiftRight', bits, constantLike(bits, 1)), constantLike(bits, 2 ** 32)),
    generator.bits([n], device),
  );
  return finish(castNode(argsortAlong(keys, 0, false), options.dtype ?? 'int64'), options);
}

type Parameter = Tensor | number;
type NormalTensorOptions = RandomTensorOptions & { readonly std?: Parameter; readonly size?: Shape | null };
/** Normal numbers: `normal(mean, std)` with at least one tensor, or `normal(mean, std, size)`. */
export function normal(
  mean: Parameter,
  std: Parameter | NormalTensorOptions = 1,
  size: Shape | null | NormalTensorOptions = null,
  options: RandomTensorOptions = {},
): Tensor {
  const placed = size !== null && 'length' in size ? { size } : (size ?? {});
  const opts = leading<NormalTensorOptions>('normal', { ...RANDOM_TENSOR, std: 1, size: null }, 'std', std, {
    ...placed,
    ...options,
  });
  const deviation = opts.std;
  const parameters = [mean, deviation];
  const shape = opts.size ?? broadcastShapes('normal', ...parameters.map((x) => (x instanceof Tensor ? x.shape : [])));
  if (typeof deviation === 'number' && deviation < 0)
    throw new ProjError('invalid-argument', `std ${deviation}`, { op: 'normal' });
  const like = parameters.find((x) => x instanceof Tensor) ?? null;
  const dtype = floatDType('normal', opts.dtype ?? like?.dtype);
  const z = wrap(gaussian(shape, like?.device ?? deviceArgument(opts.device), dtype, generatorOf(opts)));
  const parameter = (x: Parameter): Tensor | FloatScalar => (x instanceof Tensor ? x.detach() : new FloatScalar(x));
  return z.mul(parameter(deviation)).add(parameter(mean));
}
/** 1 with the probability that each element gives, else 0; with `p`, that probability for all. */
export function bernoulli(
  input: Tensor,
  p: number | null | (RandomOptions & { p?: number | null }) = null,
  options: RandomOptions = {},
): Tensor {
  const opts = leading<RandomOptions & { p?: number | null }>(
    'bernoulli',
    { p: null, generator: null },
    'p',
    p,
    options,
  );
  const probability = opts.p;
  if (probability === null && !isFloatingPoint(input.dtype))
    throw new ProjError('dtype', `probabilities of ${input.dtype}`, { op: 'bernoulli', cure: 'Use a float dtype' });
  const work = input.dtype === 'float64' ? 'float64' : 'float32';
  const u = unit(input.shape, input.device, work, generatorOf(opts));
  const limit = probability === null ? castNode(input.detach().node, work) : constantLike(u, probability);
  const drawn = castNode(binaryNode('lt', u, limit), input.dtype);
  // The draw has gradient zero, as in PyTorch.
  return input.requiresGrad
    ? wrap(whereNode(constantNode(input.device, 'bool', input.shape, true), drawn, input.node))
    : wrap(drawn);
}
export interface MultinomialOptions extends RandomOptions {
  readonly replacement?: boolean;
}
/** Indices drawn in proportion to the weights in each row. */
export function multinomial(input: Tensor, numSamples: number, options: MultinomialOptions = {}): Tensor {
  const { replacement, generator } = withDefaults('multinomial', { replacement: false, generator: null }, options);
  if (input.ndim < 1 || input.ndim > 2)
    throw new ProjError('shape-mismatch', 'a vector or a matrix of weights is needed', {
      op: 'multinomial',
      shapes: [input.shape],
    });
  if (!isFloatingPoint(input.dtype))
    throw new ProjError('dtype', `weights of ${input.dtype}`, { op: 'multinomial', cure: 'Use a float dtype' });
  const categories = input.shape[input.ndim - 1];
  if (!(numSamples > 0)) throw new ProjError('invalid-argument', `${numSamples} samples`, { op: 'multinomial' });
  const weights = wrap(input.detach().node);
  const flat = weights.toFlatArray();
  if (flat.some((w) => !(w >= 0) || w === Infinity))
    throw new ProjError('invalid-argument', 'weights must be finite and not negative', { op: 'multinomial' });
  for (let i = 0; i < flat.length; i += categories) {
    const positive = flat.slice(i, i + categories).filter((w) => w > 0).length;
    if (positive === 0)
      throw new ProjError('invalid-argument', 'the weights of a row are all zero', { op: 'multinomial' });
    if (!replacement && numSamples > categories)
      throw new ProjError('invalid-argument', `${numSamples} samples of ${categories} without replacement`, {
        op: 'multinomial',
        cure: 'Use replacement: true',
      });
  }
  const source = generator ?? defaultGenerator;
  if (!replacement) {
    // Exponential races: the k smallest of e_i / w_i are a sample without replacement.
    const race = wrap(unit(input.shape, input.device, 'float64', source, true))
      .log()
      .neg()
      .div(weights.double());
    return topk(race, numSamples, { largest: false }).indices;
  }
  const shape = [...input.shape.slice(0, -1), numSamples];
  const running = weights.double().cumsum(-1);
  const u = wrap(unit(shape, input.device, 'float64', source)).mul(running.narrow(-1, categories - 1, 1));
  return running.unsqueeze(-2).le(u.unsqueeze(-1)).sum(-1);
}
/** Numbers from Poisson distributions with the given rates. Reads the rates. */
export function poisson(input: Tensor, options: RandomOptions = {}): Tensor {
  const { generator } = withDefaults('poisson', { generator: null }, options);
  if (!isFloatingPoint(input.dtype))
    throw new ProjError('dtype', `rates of ${input.dtype}`, { op: 'poisson', cure: 'Use a float dtype' });
  const rates = input.detach().toFlatArray();
  if (rates.some((rate) => !(rate >= 0)))
    throw new ProjError('invalid-argument', 'rates must not be negative', { op: 'poisson' });
  const seeds = wrap((generator ?? defaultGenerator).bits([rates.length], input.device)).toFlatArray();
  return fromArray(
    Float64Array.from(rates, (rate, i) => poissonSample(rate, seeds[i])),
    input.shape,
    input.dtype,
    { device: input.device },
  );
}
// In place

const write = (input: Tensor, node: AnyNode, op: string): Tensor => input.assign(castNode(node, input.dtype), op);
const requireFloat = (op: string, input: Tensor): void => void (isIntegral(input.dtype) && floatDType(op, input.dtype));
type RangeOptions<To = number> = RandomOptions & { readonly from?: number; readonly to?: To };
type NormalOptions = RandomOptions & { readonly mean?: number; readonly std?: number };

/** Uniform numbers in [from, to), in place. */
export function uniform_(
  input: Tensor,
  from: number | RangeOptions = 0,
  to: number = 1,
  options: RandomOptions = {},
): Tensor {
  requireFloat('uniform_', input);
  const given = leading<RangeOptions>('uniform_', { from: 0, to: 1, generator: null }, 'from', from, {
    to,
    ...options,
  });
  const { from: low, to: high } = given;
  if (low > high) throw new ProjError('invalid-argument', `a range from ${low} to ${high}`, { op: 'uniform_' });
  return write(
    input,
    wrap(unit(input.shape, input.device, input.dtype, generatorOf(given)))
      .mul(new FloatScalar(high - low))
      .add(new FloatScalar(low)).node,
    'uniform_',
  );
}
/** Normal numbers, in place. */
export function normal_(
  input: Tensor,
  mean: number | NormalOptions = 0,
  std: number = 1,
  options: RandomOptions = {},
): Tensor {
  requireFloat('normal_', input);
  const given = leading<NormalOptions>('normal_', { mean: 0, std: 1, generator: null }, 'mean', mean, {
    std,
    ...options,
  });
  const { mean: m, std: s } = given;
  if (s < 0) throw new ProjError('invalid-argument', `std ${s}`, { op: 'normal_' });
  return write(
    input,
    wrap(gaussian(input.shape, input.device, input.dtype, generatorOf(given)))
      .mul(new FloatScalar(s))
      .add(new FloatScalar(m)).node,
    'normal_',
  );
}
/** 1 with probability p (a number, or a tensor of them), else 0, in place. */
export function bernoulli_(
  input: Tensor,
  p: Parameter | (RandomOptions & { p?: Parameter }) = 0.5,
  options: RandomOptions = {},
): Tensor {
  const opts = leading<RandomOptions & { p?: Parameter }>('bernoulli_', { p: 0.5, generator: null }, 'p', p, options);
  const probability = opts.p;
  const u = wrap(unit(input.shape, input.device, 'float32', generatorOf(opts)));
  return write(
    input,
    u.lt(probability instanceof Tensor ? probability.detach() : new FloatScalar(probability)).node,
    'bernoulli_',
  );
}
/** Numbers from the exponential distribution of rate `lambd`, in place. */
export function exponential_(
  input: Tensor,
  lambd: number | (RandomOptions & { readonly lambd?: number }) = 1,
  options: RandomOptions = {},
): Tensor {
  requireFloat('exponential_', input);
  const { lambd: rate, ...opts } = leading<RandomOptions & { lambd?: number }>(
    'exponential_',
    { lambd: 1, generator: null },
    'lambd',
    lambd,
    options,
  );
  return write(
    input,
    wrap(unit(input.shape, input.device, input.dtype, generatorOf(opts), true))
      .log()
      .mul(new FloatScalar(-1 / rate)).node,
    'exponential_',
  );
}
/** Numbers of trials until the first success of probability `p`, in place. */
export function geometric_(input: Tensor, p: number, options: RandomOptions = {}): Tensor {
  checkOptions('geometric_', { generator: null }, options);
  if (!(p > 0 && p < 1)) throw new ProjError('invalid-argument', `p = ${p}`, { op: 'geometric_' });
  return write(
    input,
    wrap(unit(input.shape, input.device, 'float64', generatorOf(options), true))
      .log()
      .div(Math.log1p(-p))
      .ceil()
      .clamp(1).node,
    'geometric_',
  );
}
type CauchyOptions = RandomOptions & { readonly median?: number; readonly sigma?: number };
/** Numbers from the Cauchy distribution, in place. */
export function cauchy_(
  input: Tensor,
  median: number | CauchyOptions = 0,
  sigma: number = 1,
  options: RandomOptions = {},
): Tensor {
  requireFloat('cauchy_', input);
  const given = leading<CauchyOptions>('cauchy_', { median: 0, sigma: 1, generator: null }, 'median', median, {
    sigma,
    ...options,
  });
  const { median: m, sigma: s } = given;
  const u = wrap(unit(input.shape, input.device, 'float64', generatorOf(given)));
  return write(
    input,
    u.sub(0.5).mul(new FloatScalar(Math.PI)).tan().mul(new FloatScalar(s)).add(new FloatScalar(m)).node,
    'cauchy_',
  );
}
/** Numbers whose logarithms are normal, in place. */
export function logNormal_(
  input: Tensor,
  mean: number | NormalOptions = 1,
  std: number = 2,
  options: RandomOptions = {},
): Tensor {
  requireFloat('logNormal_', input);
  const given = leading<NormalOptions>('logNormal_', { mean: 1, std: 2, generator: null }, 'mean', mean, {
    std,
    ...options,
  });
  const { mean: m, std: s } = given;
  return write(
    input,
    wrap(gaussian(input.shape, input.device, input.dtype, generatorOf(given)))
      .mul(new FloatScalar(s))
      .add(new FloatScalar(m))
      .exp().node,
    'logNormal_',
  );
}
const LARGEST_INTEGER: Partial<Record<DType, number>> = {
  uint8: 256,
  int8: 128,
  int16: 2 ** 15,
  int32: 2 ** 31,
  int64: 2 ** 53,
  bool: 2,
  float32: 2 ** 24,
  float64: 2 ** 53,
  float16: 2 ** 11,
  bfloat16: 2 ** 8,
};
/** Integers in [from, to), or in all that the dtype can hold exactly, in place. */
export function random_(
  input: Tensor,
  from: number | RangeOptions<number | null> = 0,
  to: number | null = null,
  options: RandomOptions = {},
): Tensor {
  const given = leading<RangeOptions<number | null>>('random_', { from: 0, to: null, generator: null }, 'from', from, {
    to,
    ...options,
  });
  // One number is the end.
  const [low, high] = typeof from === 'number' && to === null && from !== 0 ? [0, from] : [given.from, given.to];
  return write(
    input,
    integers(
      low,
      high ?? (LARGEST_INTEGER[input.dtype] as number),
      input.shape,
      input.device,
      'int64',
      generatorOf(given),
    ),
    'random_',
  );
}

const random = (
  name: string,
  fn: unknown,
  signature: string,
  options: { torch?: readonly string[]; method?: boolean } = {},
): OpRow => row(name, fn as never, signature, { differentiable: false, ...options });
const inPlace = (name: string, fn: unknown, signature: string): OpRow =>
  random(name, fn, signature, { torch: [`Tensor.${name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)}`] });

export const RANDOM: readonly OpRow[] = [
  random('manualSeed', manualSeed, 'seed'),
  random('seed', seed, ''),
  random('initialSeed', initialSeed, ''),
  random('getRngState', getRngState, ''),
  random('setRngState', setRngState, 'new_state'),
  random('rand', rand, 'size, *, generator=None, dtype=None'),
  random('randn', randn, 'size, *, generator=None, dtype=None'),
  random('randLike', randLike, 'input, *, dtype=None', { method: false }),
  random('randnLike', randnLike, 'input, *, dtype=None', { method: false }),
  random('randint', randint, 'low, high, size, *, generator=None, dtype=None'),
  random('randintLike', randintLike, 'input, low, high, *, dtype=None', { method: false }),
  random('randperm', randperm, 'n, *, generator=None, dtype=None'),
  random('normal', normal, 'mean, std=1, size=None, *, generator=None', { method: false }),
  random('bernoulli', bernoulli, 'input, p=None, *, generator=None'),
  random('multinomial', multinomial, 'input, num_samples, replacement=False, *, generator=None'),
  random('poisson', poisson, 'input, generator=None', { method: false }),
  inPlace('uniform_', uniform_, 'input, from=0, to=1, *, generator=None'),
  inPlace('normal_', normal_, 'input, mean=0, std=1, *, generator=None'),
  inPlace('bernoulli_', bernoulli_, 'input, p=0.5, *, generator=None'),
  inPlace('exponential_', exponential_, 'input, lambd=1, *, generator=None'),
  inPlace('geometric_', geometric_, 'input, p, *, generator=None'),
  inPlace('cauchy_', cauchy_, 'input, median=0, sigma=1, *, generator=None'),
  inPlace('logNormal_', logNormal_, 'input, mean=1, std=2, *, generator=None'),
  inPlace('random_', random_, 'input, from=0, to=None, *, generator=None'),
];
