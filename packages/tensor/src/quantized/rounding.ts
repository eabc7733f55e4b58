/** The arithmetic that all of quantisation shares: nearest integers, half to even, as PyTorch's reference kernels compute them. */
import { DTYPES, ProjError } from '@proj/kernel';
import { scalarNode } from '../graph/build.ts';
import { Tensor, wrap } from '../tensor.ts';
import { alongAxis } from './quantized-tensor.ts';

/** A number or a tensor of one element as a 0-dim tensor on the device of `x`. */
export function scalarBeside(x: Tensor, value: number | Tensor, dtype: 'float64' | 'int64', op: string): Tensor {
  if (!(value instanceof Tensor)) return wrap(scalarNode(x.device, dtype, [], value));
  if (value.numel() !== 1)
    throw new ProjError('shape-mismatch', 'scale and zero point need one element each', { op, shapes: [value.shape] });
  return value.detach().reshape([]).to(dtype);
}

/** round(x / scale) in the dtype of `x`, computed as PyTorch does: times the reciprocal of the scale in float32. */
export function scaled(x: Tensor, scale: Tensor, axis: number | null): Tensor {
  const inverse = scale.to('float32').reciprocal();
  return x.mul(alongAxis(inverse, axis, x.ndim).to(x.dtype)).round();
}

/** Errors: scales or zero points that are no vectors along dimension `axis` of `x`. */
export function checkChannels(x: Tensor, scales: Tensor, zeroPoints: Tensor, axis: number, op: string): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= x.ndim)
    throw new ProjError('invalid-argument', `axis ${axis} of a tensor of ${x.ndim} dimensions`, {
      op,
      shapes: [x.shape],
      cure: `Use an axis from 0 to ${x.ndim - 1}`,
    });
  for (const vector of [scales, zeroPoints])
    if (vector.ndim !== 1 || vector.shape[0] !== x.shape[axis])
      throw new ProjError('shape-mismatch', `scales and zero points must be vectors of ${x.shape[axis]} elements`, {
        op,
        shapes: [x.shape, scales.shape, zeroPoints.shape],
        cure: `Give one of each for every index of dimension ${axis}`,
      });
}

/** Errors: another dtype than float32. */
export function requireFloat32(x: Tensor, op: string): void {
  if (x.dtype !== 'float32')
    throw new ProjError('dtype', `a tensor of ${x.dtype}`, {
      op,
      shapes: [x.shape],
      dtypes: [x.dtype],
      cure: "Use x.to('float32')",
    });
}

/** Errors: a dtype that is not a real floating-point one. */
export function requireFloat(x: Tensor, op: string): void {
  if (DTYPES[x.dtype].category !== 'float')
    throw new ProjError('dtype', `a tensor of ${x.dtype}`, { op, dtypes: [x.dtype], cure: 'Use a float32 tensor' });
}
