/** A program run by the interpreter: what is left where nothing compiles, and what compiled code is compared with. */
import { readSync, openSync, closeSync } from 'node:fs';
import type { ModelFile } from '../file/reader.ts';
import { type ConstantSource, constantsFrom } from '../il/constants.ts';
import { Interpreter } from '../il/interpret.ts';
import { loadMatrix, loadRows } from '../il/layouts.ts';
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { unpackMatrix } from '../quantize/pack.ts';
import type { QuantizedMatrix } from '../quantize/scheme.ts';
import type { StepModel } from './compiled.ts';

export class InterpretedNativeILNN implements StepModel {
  readonly il: NativeCodeILNN;
  readonly #interpreter: Interpreter;

  constructor(il: NativeCodeILNN, source: ConstantSource) {
    this.il = il;
    this.#interpreter = new Interpreter(il, source);
  }

  get position(): number {
    return this.#interpreter.position;
  }
  get maxLength(): number {
    return this.il.config.positions === 0 ? Infinity : this.il.config.positions;
  }
  rewind(position = 0): void {
    this.#interpreter.rewind(position);
  }
  reset(): void {
    this.rewind();
  }
  feed(ids: ArrayLike<number>): Float32Array {
    return this.call(ids)[0];
  }
  feedOne(token: number): Float32Array {
    return this.feed([token]);
  }
  call(input: ArrayLike<number>): readonly Float32Array[] {
    return this.#interpreter.step(input).map(({ data }) => data);
  }
  dispose(): void {}
}

/** The constants of a file, unpacked when they are first asked for. */
export function fileConstants({ path, tensors }: ModelFile, il: NativeCodeILNN): ConstantSource {
  const layouts = new Map(il.constants.map(({ name, layout }) => [name, layout]));
  const matrices = new Map<string, QuantizedMatrix>();
  const floats = new Map<string, Float32Array>();
  const tables = constantsFrom({ matrices, floats });
  const load = (name: string): void => {
    const record = tensors.get(name);
    if (record === undefined || matrices.has(name) || floats.has(name)) return;
    const bytes = new Uint8Array(record.bytes);
    const descriptor = openSync(path, 'r');
    try {
      for (let at = 0; at < bytes.length;) {
        const count = readSync(descriptor, bytes, at, bytes.length - at, record.offset + at);
        if (count === 0) break;
        at += count;
      }
    } finally {
      closeSync(descriptor);
    }
    const { scheme, rows, columns } = record;
    const layout = layouts.get(name) ?? 'any';
    if (scheme.bits === 32) floats.set(name, loadRows(new Float32Array(bytes.buffer, 0, rows * columns), rows, layout));
    else matrices.set(name, loadMatrix(unpackMatrix(bytes, scheme, rows, columns), layout));
  };
  return {
    matrix(name) {
      load(name);
      return tables.matrix(name);
    },
    floats(name) {
      load(name);
      return tables.floats(name);
    },
    has: (name) => tensors.has(name),
  };
}
