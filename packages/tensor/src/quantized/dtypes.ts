/** The quantised dtypes of PyTorch: a range of integers, and the dtype that stores them. */
import { type DType, ProjError } from '@proj/kernel';

/** Element types of a quantised tensor, under PyTorch's names. */
export type QuantizedDType = 'qint8' | 'quint8' | 'qint32';

/** How scale and zero point belong to the elements, under PyTorch's names. */
export type QuantizationScheme =
  | 'per_tensor_affine'
  | 'per_tensor_symmetric'
  | 'per_channel_affine'
  | 'per_channel_symmetric'
  | 'per_channel_affine_float_qparams';

export interface QuantizedDTypeInfo {
  /** What `intRepr` gives. */
  readonly stored: DType;
  readonly min: number;
  readonly max: number;
}

/** Every quantised dtype: where its integers are stored and which they are. */
export const QUANTIZED_DTYPES: Record<QuantizedDType, QuantizedDTypeInfo> = {
  qint8: { stored: 'int8', min: -128, max: 127 },
  quint8: { stored: 'uint8', min: 0, max: 255 },
  qint32: { stored: 'int32', min: -(2 ** 31), max: 2 ** 31 - 1 },
};

/** Whether `name` is the name of a quantised dtype. */
export const isQuantizedDType = (name: string): name is QuantizedDType => Object.hasOwn(QUANTIZED_DTYPES, name);

/** The facts of a quantised dtype. Errors: no such dtype. */
export function quantizedDType(name: string, op: string): QuantizedDTypeInfo {
  if (isQuantizedDType(name)) return QUANTIZED_DTYPES[name];
  throw new ProjError('dtype', `${name} is no quantised dtype`, { op, cure: "Use 'qint8', 'quint8' or 'qint32'" });
}
