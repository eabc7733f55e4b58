/** The tensors of a converted file under the names that they have in the model: rows of joined constants taken apart again, for programs that join others. */
import { readSync } from 'node:fs';
import { closeSync, openSync } from 'node:fs';
import { ProjError } from '@proj/kernel';
import type { ModelFile, TensorRecord } from '@proj/quant-jit/file';
import { type ConstantDeclaration, type ConstantSource, type NativeCodeILNN, partRow } from '@proj/quant-jit/il';
import { groupCount, type QuantizedMatrix, unpackMatrix } from '@proj/quant-jit/quantize';

interface Part {
  readonly constant: ConstantDeclaration;
  readonly part: number;
}

/** Reads constants of a file, whole or in parts. `rowsOf` says how many rows a tensor of the model has. */
export class FileConstants implements ConstantSource {
  readonly #file: ModelFile;
  readonly #parts = new Map<string, Part>();
  readonly #rowsOf: (tensor: string) => number;
  #last: { readonly name: string; readonly matrix: QuantizedMatrix } | null = null;

  constructor(file: ModelFile, il: NativeCodeILNN, rowsOf: (tensor: string) => number) {
    this.#file = file;
    this.#rowsOf = rowsOf;
    for (const constant of il.constants)
      constant.parts.forEach((tensor, part) => this.#parts.set(tensor, { constant, part }));
  }

  has(name: string): boolean {
    return this.#file.tensors.has(name);
  }

  matrix(name: string): QuantizedMatrix {
    const joined = this.#parts.get(name);
    return joined === undefined ? this.#whole(name) : this.#rows(joined);
  }

  floats(name: string): Float32Array {
    const { values } = this.matrix(name);
    if (values === undefined)
      throw new ProjError('invalid-argument', `"${name}" is not stored as floats`, { op: 'constants' });
    return values;
  }

  #whole(name: string): QuantizedMatrix {
    if (this.#last?.name === name) return this.#last.matrix;
    const record = this.#file.tensors.get(name);
    if (record === undefined)
      throw new ProjError('serialization', `${this.#file.path} has no tensor "${name}"`, {
        op: 'constants',
        cure: 'Convert the model again',
      });
    const matrix = unpackMatrix(this.#bytes(record), record.scheme, record.rows, record.columns);
    this.#last = { name, matrix };
    return matrix;
  }

  #bytes({ offset, bytes }: TensorRecord): Uint8Array {
    const result = new Uint8Array(bytes);
    const descriptor = openSync(this.#file.path, 'r');
    try {
      for (let at = 0; at < bytes;) {
        const count = readSync(descriptor, result, at, bytes - at, offset + at);
        if (count === 0)
          throw new ProjError('io', `${this.#file.path} became shorter while it was read`, { op: 'constants' });
        at += count;
      }
    } finally {
      closeSync(descriptor);
    }
    return result;
  }

  #rows({ constant, part }: Part): QuantizedMatrix {
    const whole = this.#whole(constant.name);
    const { scheme, columns } = whole;
    const counts = constant.parts.map((tensor) => this.#rowsOf(tensor));
    const rows = counts[part];
    const groups = scheme.bits === 32 ? 0 : groupCount(scheme, columns);
    const codes = new Int8Array(scheme.bits === 32 ? 0 : rows * columns);
    const scales = new Float32Array(rows * groups);
    const minimums = whole.minimums === undefined ? undefined : new Float32Array(rows * groups);
    const values = whole.values === undefined ? undefined : new Float32Array(rows * columns);
    for (let from = 0; from < whole.rows; from++) {
      const to = partRow(constant.rows, counts, from);
      if (to.part !== part) continue;
      const [at, end] = [from * columns, (from + 1) * columns];
      if (values !== undefined) values.set(whole.values?.subarray(at, end) ?? [], to.row * columns);
      else codes.set(whole.codes.subarray(at, end), to.row * columns);
      scales.set(whole.scales.subarray(from * groups, (from + 1) * groups), to.row * groups);
      minimums?.set(whole.minimums?.subarray(from * groups, (from + 1) * groups) ?? [], to.row * groups);
    }
    return {
      scheme,
      rows,
      columns,
      codes,
      scales,
      ...(minimums === undefined ? {} : { minimums }),
      ...(values === undefined ? {} : { values }),
    };
  }
}
