/** Linear maps of the last dimension. */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { matmul, Tensor } from '@proj/tensor';
import { isOptions, type OpRow, row } from './support.ts';

interface BiasOption {
  readonly bias?: Tensor | null;
}
const BIAS: Required<BiasOption> = { bias: null };

/** input · weightᵀ + bias: [..., in] and [out, in] give [..., out]. */
export function linear(input: Tensor, weight: Tensor, bias: Tensor | BiasOption | null = null): Tensor {
  if (isOptions(bias)) return linear(input, weight, withDefaults('linear', BIAS, bias).bias);
  if (!(input instanceof Tensor))
    throw new ProjError('invalid-argument', `the input is ${describeValue(input)}`, {
      op: 'linear',
      cure: 'Give a tensor',
    });
  if (weight.ndim > 2 || weight.ndim === 0)
    throw new ProjError('shape-mismatch', 'the weight must have 1 or 2 dimensions', {
      op: 'linear',
      shapes: [input.shape, weight.shape],
    });
  if (input.ndim === 0 || input.shape[input.ndim - 1] !== weight.shape[weight.ndim - 1]) {
    throw new ProjError(
      'shape-mismatch',
      'the last dimension of the input is not the number of input features of the weight',
      { op: 'linear', shapes: [input.shape, weight.shape], dtypes: [input.dtype, weight.dtype] },
    );
  }
  const product = matmul(input, weight.ndim === 1 ? weight : weight.transpose(0, 1));
  return bias === null ? product : product.add(bias);
}
/** input1 · weight[k] · input2ᵀ for each output feature k: [..., in1], [..., in2], [out, in1, in2] give [..., out]. */
export function bilinear(
  input1: Tensor,
  input2: Tensor,
  weight: Tensor,
  bias: Tensor | BiasOption | null = null,
): Tensor {
  if (isOptions(bias)) return bilinear(input1, input2, weight, withDefaults('bilinear', BIAS, bias).bias);
  const lead = input1.shape.slice(0, -1);
  if (
    lead.join() !== input2.shape.slice(0, -1).join() ||
    weight.ndim !== 3 ||
    input1.shape[input1.ndim - 1] !== weight.shape[1] ||
    input2.shape[input2.ndim - 1] !== weight.shape[2]
  ) {
    throw new ProjError('shape-mismatch', 'inputs [..., in1] and [..., in2] and a weight [out, in1, in2] are needed', {
      op: 'bilinear',
      shapes: [input1.shape, input2.shape, weight.shape],
    });
  }
  const [outFeatures, in1, in2] = weight.shape;
  const rows = lead.reduce((product, size) => product * size, 1);
  const half = matmul(input1.reshape([rows, in1]), weight.permute([1, 0, 2]).reshape([in1, outFeatures * in2])).reshape(
    [rows, outFeatures, in2],
  );
  const result = half
    .mul(input2.reshape([rows, 1, in2]))
    .sum(2)
    .reshape([...lead, outFeatures]);
  return bias === null ? result : result.add(bias);
}

export const LINEAR: readonly OpRow[] = [
  row('linear', linear, 'input, weight, bias=None'),
  row('bilinear', bilinear, 'input1, input2, weight, bias=None', { torch: ['torch.bilinear'] }),
];
