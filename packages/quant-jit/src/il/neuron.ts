/** `NativeCodeNeuron`: one row of a quantised matrix, as the seed sees a network: codes, scales, and for 1-bit rows the packed signs. */
import { groupColumns, type QuantizedMatrix, type Scheme } from '../quantize/scheme.ts';

/** A neuron of a converted layer: a view of one row of its matrix. */
export class NativeCodeNeuron {
  readonly #matrix: QuantizedMatrix;
  readonly row: number;

  constructor(matrix: QuantizedMatrix, row: number) {
    this.#matrix = matrix;
    this.row = row;
  }

  get scheme(): Scheme {
    return this.#matrix.scheme;
  }

  get inputs(): number {
    return this.#matrix.columns;
  }

  get codes(): Int8Array {
    const { codes, columns } = this.#matrix;
    return codes.subarray(this.row * columns, (this.row + 1) * columns);
  }

  #perGroup(values: Float32Array): Float32Array {
    const groups = this.#matrix.scales.length / this.#matrix.rows;
    return values.subarray(this.row * groups, (this.row + 1) * groups);
  }

  get scales(): Float32Array {
    return this.#perGroup(this.#matrix.scales);
  }

  get minimums(): Float32Array | undefined {
    return this.#matrix.minimums === undefined ? undefined : this.#perGroup(this.#matrix.minimums);
  }

  /** Signs of the codes in 32-bit words: bit `8i + s` of word w is column `32w + 4s + i`, 1 for ≥ 0; columns that do not exist are 0. */
  get binaryWeights(): Uint32Array {
    return packSigns(this.codes);
  }

  /** The weights as floats. */
  weights(): Float32Array {
    const { scales, minimums, codes } = this;
    const group = groupColumns(this.scheme, this.inputs);
    return Float32Array.from(codes, (code, i) => {
      const at = Math.floor(i / group);
      return (minimums?.[at] ?? 0) + scales[at] * code;
    });
  }

  /** Its output for one row of inputs, in float64: the definition that fast paths are compared with. */
  forward(inputs: ArrayLike<number>): number {
    return this.weights().reduce((sum, weight, i) => sum + weight * inputs[i], 0);
  }
}

/** All rows of a matrix. */
export const neuronsOf = (matrix: QuantizedMatrix): NativeCodeNeuron[] =>
  Array.from({ length: matrix.rows }, (_, row) => new NativeCodeNeuron(matrix, row));

/** Signs of numbers (1 for ≥ 0) in 32-bit words, in the layout of binary activations. */
export function packSigns(values: ArrayLike<number>): Uint32Array {
  const words = new Uint32Array(Math.ceil(values.length / 32));
  for (let column = 0; column < values.length; column++) {
    const within = column % 32;
    if (values[column] >= 0) words[(column - within) / 32] |= 1 << (8 * (within % 4) + (within >> 2));
  }
  return words;
}
