/** The tensors of a converted file under the names that they have in the model: rows of joined constants taken apart again, for programs that join others. */
import { readSync } from 'node:fs';
import { closeSync, openSync } from 'node:fs';
import { ProjError } from '@proj/kernel';
import type { ModelFile, TensorRecord } from '@proj/quant-jit/file';
import {
  type ConstantDeclaration,
  type ConstantSource,
  type Layout,
  loadMatrix,
  type NativeCodeILNN,
} from '@proj/quant-jit/il';
import { groupCount, type QuantizedMatrix, unpackMatrix } from '@proj/quant-jit/quantize';

interface Part {
  readonly constant: ConstantDeclaration;
  readonly part: number;
}

/** Reads constants of a file, whole or in parts. `rowsOf` says how many rows a tensor of the model has. */
export class FileConstants implements ConstantSource {
  readonly #file: ModelFile;
  readonly #parts = new Map<string, Part>();
  readonly #layouts: ReadonlyMap<string, Layout>;
  readonly #rowsOf: (tensor: string) => number;
  #last: { readonly name: string; readonly matrix: QuantizedMatrix } | null = null;

  constructor(file: ModelFile, il: NativeCodeILNN, rowsOf: (tensor: string) => number) {
    this.#file = file;
    this.#rowsOf = rowsOf;
    this.#layouts = new Map(il.constants.map(({ name, layout }) => [name, layout]));
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
    const stored = unpackMatrix(this.#bytes(record), record.scheme, record.rows, record.columns);
    const matrix = loadMatrix(stored, this.#layouts.get(name) ?? 'any');
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
    const { scheme, columns, codes, scales, minimums, values } = this.#whole(constant.name);
    const counts = constant.parts.map((tensor) => this.#rowsOf(tensor));
    const begin = counts.slice(0, part).reduce((sum, count) => sum + count, 0);
    const end = begin + counts[part];
    const groups = scheme.bits === 32 ? 0 : groupCount(scheme, columns);
    return {
      scheme,
      rows: counts[part],
      columns,
      codes: codes.subarray(begin * columns, end * columns),
      scales: scales.subarray(begin * groups, end * groups),
      ...(minimums === undefined ? {} : { minimums: minimums.subarray(begin * groups, end * groups) }),
      ...(values === undefined ? {} : { values: values.subarray(begin * columns, end * columns) }),
    };
  }
}
