/** Rotary position embeddings (Su et al. 2021), in the half-split layout of the reference: element i of a head turns with element i + headDim / 2. */
import { cat, fromArray, type Tensor } from '@proj/tensor';

/** Cosines and sines of every position: [B, T, 1, headDim / 2] each. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Angle a position adds to each pair: theta^(-2i / headDim), rounded step by step to float32, as the reference does for every dtype of model. */
export function inverseFrequencies(headDim: number, theta: number): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headDim))),
  );
}

/** The rotation of positions [B, T], with the dtype of `like`. */
export function rotationOf(positions: Tensor, headDim: number, theta: number, like: Tensor): Rotation {
  const frequencies = inverseFrequencies(headDim, theta);
  const angles = positions
    .to('float32')
    .unsqueeze(-1)
    .unsqueeze(-1)
    .mul(fromArray(frequencies, [frequencies.length], 'float32', { device: like.device }));
  return { cos: angles.cos().to(like.dtype), sin: angles.sin().to(like.dtype) };
}

/** [B, T, heads, headDim] turned by its positions. */
export function rotate(x: Tensor, { cos, sin }: Rotation): Tensor {
  const half = x.shape[3] / 2;
  const [a, b] = x.split(half, 3);
  return cat([a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin))], 3);
}
