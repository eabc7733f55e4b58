/** Complex tensors: making them of parts, their parts as views, conjugation, phase. */
import { ProjError } from '@proj/kernel';
import { binaryNode, castNode, complexNode, constantNode, partNode, reshapeNode, sliceNode } from '../graph/build.ts';
import { conjNode } from '../graph/complex.ts';
import type { AnyNode } from '../graph/node.ts';
import { isComplexDType, toFloat } from '../promotion.ts';
import { type Tensor, type ViewStep, wrap } from '../tensor.ts';
import { unify } from './arguments.ts';
import { abs, constantLike, cos, div, eq, isnan, logicalAnd, mul, sign, sin, where } from './elementwise.ts';
import { concatNode } from '../graph/build.ts';
import { matrixTranspose, reverseDims } from './layout.ts';
import { type OpRow, row } from './table.ts';

function partsOf(op: string, a: Tensor, b: Tensor): [AnyNode, AnyNode] {
  if (a.dtype !== b.dtype || (a.dtype !== 'float32' && a.dtype !== 'float64'))
    throw new ProjError('dtype', `parts of ${a.dtype} and ${b.dtype}`, { op, cure: 'Both must be float32 or float64' });
  const [x, y] = unify(op, [a, b]);
  return [x, y];
}
/** real + i·imag. Errors: parts that are not both float32 or both float64. */
export function complex(real_: Tensor, imag_: Tensor): Tensor {
  return wrap(complexNode(...partsOf('complex', real_, imag_)));
}
/** The complex number of this length and angle. */
export function polar(abs_: Tensor, angle_: Tensor): Tensor {
  const [length, phase] = partsOf('polar', abs_, angle_).map(wrap);
  return wrap(complexNode(mul(length, cos(phase)).node, mul(length, sin(phase)).node));
}

const requireComplex = (op: string, input: Tensor): void => {
  if (!isComplexDType(input.dtype))
    throw new ProjError('dtype', `${op} of ${input.dtype}`, { op, cure: 'A complex tensor is needed' });
};
const partStep = (imaginary: boolean): ViewStep => ({
  apply: (base) => partNode(base, imaginary),
  write: (base, value) =>
    imaginary ? complexNode(partNode(base, false), value) : complexNode(value, partNode(base, true)),
  layout: ({ shape, strides, offset }) => ({
    shape,
    strides: strides.map((stride) => 2 * stride),
    offset: 2 * offset + Number(imaginary),
  }),
});
/** The real parts, as a view; a real tensor itself. */
export function real(input: Tensor): Tensor {
  return isComplexDType(input.dtype) ? input.view_(partStep(false)) : input;
}
/** The imaginary parts, as a view. Errors: a real tensor. */
export function imag(input: Tensor): Tensor {
  requireComplex('imag', input);
  return input.view_(partStep(true));
}

const paired = (z: AnyNode): AnyNode => {
  const shape = [...z.shape, 1];
  return concatNode([reshapeNode(partNode(z, false), shape), reshapeNode(partNode(z, true), shape)], z.shape.length);
};
const joined = (x: AnyNode): AnyNode => {
  const shape = x.shape.slice(0, -1);
  const part = (at: 0 | 1): AnyNode =>
    reshapeNode(
      sliceNode(
        x,
        [...shape.map(() => 0), at],
        [...shape, 1],
        x.shape.map(() => 1),
      ),
      shape,
    );
  return complexNode(part(0), part(1));
};
/** Real and imaginary part side by side in a last dimension of 2. A view. */
export function viewAsReal(input: Tensor): Tensor {
  requireComplex('viewAsReal', input);
  return input.view_({
    apply: paired,
    write: (_, value) => joined(value),
    layout: ({ shape, strides, offset }) => ({
      shape: [...shape, 2],
      strides: [...strides.map((stride) => 2 * stride), 1],
      offset: 2 * offset,
    }),
  });
}
/** The pairs of the last dimension as complex numbers. A view. */
export function viewAsComplex(input: Tensor): Tensor {
  if (input.shape.at(-1) !== 2 || (input.dtype !== 'float32' && input.dtype !== 'float64'))
    throw new ProjError('shape-mismatch', 'a last dimension of 2, of float32 or float64, is needed', {
      op: 'viewAsComplex',
      shapes: [input.shape],
      dtypes: [input.dtype],
    });
  return input.view_({
    apply: joined,
    write: (_, value) => paired(value),
    layout: ({ shape, strides, offset }) => ({
      shape: shape.slice(0, -1),
      strides: strides.slice(0, -1).map((stride) => stride / 2),
      offset: offset / 2,
    }),
  });
}

/** The conjugate; a real tensor itself. Writing to it writes to the tensor. */
export function conj(input: Tensor): Tensor {
  if (!isComplexDType(input.dtype)) return input;
  return input.view_({ apply: conjNode, write: (_, value) => conjNode(value), layout: (base) => base });
}
/** The conjugate, as a new value. */
export function conjPhysical(input: Tensor): Tensor {
  return isComplexDType(input.dtype) ? wrap(conjNode(input.node)) : input;
}
/** Whether the conjugation of the value is still to be carried out: never, since it is part of the value's graph. */
export const isConj = (_input: Tensor): boolean => false;
/** Whether the tensor is a negated view: never. */
export const isNeg = (_input: Tensor): boolean => false;
/** The value with conjugation carried out. */
export const resolveConj = (input: Tensor): Tensor => input;
/** The value with negation carried out. */
export const resolveNeg = (input: Tensor): Tensor => input;
/** The transposed matrix, conjugated. A view. */
export function adjoint(input: Tensor): Tensor {
  return conj(matrixTranspose(input));
}
/** A matrix transposed and conjugated: `x.H`. */
export function conjugateTranspose(input: Tensor): Tensor {
  if (input.ndim > 2)
    throw new ProjError('shape-mismatch', 'H is for matrices', {
      op: 'H',
      shapes: [input.shape],
      cure: 'Use mH for batches',
    });
  return conj(reverseDims(input));
}

/** The angle of complex numbers, in (-π, π]; of real ones 0, or π for negative ones. */
export function angle(input: Tensor): Tensor {
  if (isComplexDType(input.dtype)) {
    const [x, y] = [partNode(input.node, false), partNode(input.node, true)];
    if (!input.requiresGrad) return wrap(binaryNode('atan2', y, x));
    // The gradient at zero is zero.
    const zero = logicalAnd(eq(wrap(x), 0), eq(wrap(y), 0));
    const safe = where(zero, constantLike(x, 1) && wrap(constantLike(x, 1)), wrap(x));
    const phase = wrap(binaryNode('atan2', y, safe.node));
    return where(zero, wrap(binaryNode('atan2', y, x)).detach(), phase);
  }
  const x = wrap(castNode(input.node, toFloat(input.dtype)));
  const phase = where(x.lt(0), wrap(constantLike(x.node, Math.PI)), wrap(constantLike(x.node, 0)));
  return where(isnan(x), x, phase);
}
/** The direction z / |z|, 0 at zero; the sign of real numbers. */
export function sgn(input: Tensor): Tensor {
  if (!isComplexDType(input.dtype)) return sign(input);
  const length = abs(input);
  const zero = eq(length, 0);
  return where(
    zero,
    wrap(constantLike(input.node, 0)),
    div(input, where(zero, wrap(constantLike(length.node, 1)), length)),
  );
}
/** Elements without imaginary part: all of a real tensor. */
export function isreal(input: Tensor): Tensor {
  return isComplexDType(input.dtype)
    ? eq(wrap(partNode(input.node, true)), 0)
    : wrap(constantNode(input.device, 'bool', input.shape, true));
}

export const COMPLEX: readonly OpRow[] = [
  row('complex', complex, 'real, imag', { method: false }),
  row('polar', polar, 'abs, angle', { method: false }),
  row('real', real, 'input'),
  row('imag', imag, 'input'),
  row('viewAsReal', viewAsReal, 'input', { torch: ['torch.view_as_real'] }),
  row('viewAsComplex', viewAsComplex, 'input', { torch: ['torch.view_as_complex'] }),
  row('conj', conj, 'input'),
  row('conjPhysical', conjPhysical, 'input', { inPlace: true }),
  row('isConj', isConj, 'input', { differentiable: false }),
  row('isNeg', isNeg, 'input', { differentiable: false }),
  row('resolveConj', resolveConj, 'input'),
  row('resolveNeg', resolveNeg, 'input'),
  row('adjoint', adjoint, 'input'),
  row('angle', angle, 'input'),
  row('sgn', sgn, 'input', { inPlace: true }),
  row('isreal', isreal, 'input', { differentiable: false }),
];
