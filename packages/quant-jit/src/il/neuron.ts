/** The neurons of a converted layer: rows of its matrix. (The neuron that learns is `NativeCodeNeuron` of `quantize/`.) */
import { signWords } from '../quantize/binary.ts';
import { groupColumns, type QuantizedMatrix, type Scheme } from '../quantize/scheme.ts';

/** One neuron of a converted layer: a view of one row of its matrix. */
export class ConvertedNeuron {
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

  /** Signs of the codes in 32-bit words, as `signWords` packs them. */
  get binaryWeights(): Int32Array {
    return signWords(Float32Array.from(this.codes));
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
export const neuronsOf = (matrix: QuantizedMatrix): ConvertedNeuron[] =>
  Array.from({ length: matrix.rows }, (_, row) => new ConvertedNeuron(matrix, row));
