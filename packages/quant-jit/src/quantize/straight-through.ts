/**
 * Training through rounding: forward the value that the converted model will compute with, backward as if nothing had been rounded (the straight-through
 * estimator, Bengio et al. 2013; with the bound |x| ≤ 1 for signs, Hubara et al. 2016).
 */
import { customGradient } from '@proj/autograd';
import { ProjError } from '@proj/kernel';
import { cat, type Tensor, where } from '@proj/tensor';
import { ACTIVATION_GROUP } from './layout.ts';
import { type ActivationScheme, scheme as schemeOf, type Scheme, type SchemeName } from './scheme.ts';

const signOf = (x: Tensor): Tensor => where(x.ge(0), x.mul(0).add(1), x.mul(0).sub(1));

/** +1 where x ≥ 0, -1 elsewhere; the gradient passes where |x| ≤ 1. */
export const straightThroughSign: (x: Tensor) => Tensor = customGradient((x) => ({
  value: signOf(x),
  gradFunc: (gradient) => gradient.mul(x.detach().abs().le(1).to(gradient.dtype)),
}));

/** Nearest integer, half away from zero as in the quantisers. */
const roundAway = (x: Tensor): Tensor => x.abs().add(0.5).floor().mul(x.sign());

/** Groups of a tensor's last dimension as a dimension of their own. */
const inGroups = (x: Tensor, width: number): Tensor => x.reshape([-1, width]);

interface Rounded {
  readonly value: Tensor;
  /** 1 where the gradient passes; null where it does everywhere. */
  readonly passes: Tensor | null;
}

/** Weights in groups `[groups, width]` as they come back from the scheme's codes. */
function roundWeights(groups: Tensor, scheme: Scheme): Rounded {
  const store = (x: Tensor): Tensor => (scheme.scaleType === 'f16' ? x.to('float16').to(groups.dtype) : x);
  const keep = { keepdim: true };
  const { lowest, highest } = scheme;
  if (scheme.bits === 1) {
    const scale = store(groups.abs().mean(-1, keep));
    return { value: signOf(groups).mul(scale), passes: groups.abs().le(1) };
  }
  // A group of zeros has scale 0; any divisor gives its codes 0.
  const units = (x: Tensor, scale: Tensor): Tensor => x.div(where(scale.eq(0), scale.add(1), scale));
  if (scheme.bits === 2) {
    const scale = store(groups.abs().mean(-1, keep));
    return { value: roundAway(units(groups, scale).clamp(lowest, highest)).mul(scale), passes: null };
  }
  const largest = groups.amax(-1, keep);
  const smallest = groups.amin(-1, keep);
  if (scheme.asymmetric) {
    const minimum = store(smallest);
    const scale = store(largest.sub(minimum).clamp(0).div(highest));
    const codes = roundAway(units(groups.sub(minimum), scale).clamp(lowest, highest));
    return { value: codes.mul(scale).add(minimum), passes: null };
  }
  const extreme = where(largest.ge(smallest.neg()), largest, smallest);
  const scale = store(lowest === -highest ? extreme.abs().div(highest) : extreme.div(lowest));
  const exact = units(groups, scale);
  const passes = exact.le(highest + 0.5).logicalAnd(exact.ge(lowest - 0.5));
  return { value: roundAway(exact.clamp(lowest, highest)).mul(scale), passes };
}

/** Activations in groups as they come back from int8 codes or signs. */
function roundInputs(groups: Tensor, scheme: ActivationScheme): Rounded {
  const keep = { keepdim: true };
  if (scheme === 'a1') return { value: signOf(groups).mul(groups.abs().mean(-1, keep)), passes: groups.abs().le(1) };
  const scale = groups.abs().amax(-1, keep).div(127);
  const codes = groups.div(where(scale.eq(0), scale.add(1), scale)).round();
  return { value: codes.mul(scale), passes: null };
}

/** `round` over groups of `width` columns of the last dimension, the last group perhaps shorter, with the gradient passed straight through. */
function throughGroups(op: string, x: Tensor, width: number, round: (groups: Tensor) => Rounded): Tensor {
  const columns = x.shape.at(-1) ?? 0;
  if (columns === 0)
    throw new ProjError('shape-mismatch', 'a tensor without columns', {
      op,
      shapes: [x.shape],
      cure: 'Give [..., columns]',
    });
  const whole = columns - (columns % width);
  if (whole > 0 && whole < columns) {
    const parts = [x.narrow(-1, 0, whole), x.narrow(-1, whole, columns - whole)];
    return cat([throughGroups(op, parts[0], width, round), throughGroups(op, parts[1], columns - whole, round)], -1);
  }
  return customGradient((input) => {
    const { value, passes } = round(inGroups(input, Math.min(width, columns)));
    return {
      value: value.reshape(input.shape),
      gradFunc: (gradient) =>
        passes === null ? gradient : gradient.mul(passes.reshape(input.shape).to(gradient.dtype)),
    };
  })(x);
}

/**
 * Weights `[..., columns]` as they come back from a scheme's codes, by its rule (absmax calibration). The gradient passes as it is, except to weights that
 * are clipped: further than half a step beyond the codes (4 and 8 bits), or |w| > 1 (1 bit, whose latent weights live in [-1, 1]).
 */
export function fakeQuantize(x: Tensor, scheme: Scheme | SchemeName): Tensor {
  const target = typeof scheme === 'string' ? schemeOf(scheme) : scheme;
  if (target.bits === 32) return x;
  const width = target.group === 'row' ? (x.shape.at(-1) ?? 0) : target.group;
  return throughGroups('fakeQuantize', x, width, (groups) => roundWeights(groups, target));
}

/** Activations `[..., columns]` as they come back from int8 codes or signs, with the gradient passed straight through (of signs: where |x| ≤ 1). */
export function fakeQuantizeInput(x: Tensor, scheme: ActivationScheme): Tensor {
  const width = scheme === 'a8g32' ? ACTIVATION_GROUP : (x.shape.at(-1) ?? 0);
  return throughGroups('fakeQuantizeInput', x, width, (groups) => roundInputs(groups, scheme));
}
