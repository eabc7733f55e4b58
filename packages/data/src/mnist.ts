/** MNIST-like folders: four IDX files under their original names, gzip-compressed or not. */
import { ProjError, withDefaults } from '@proj/kernel';
import { fromArray, type Tensor } from '@proj/tensor';
import type { Dataset } from './dataset.ts';
import { type IdxArray, readIdx } from './idx.ts';

/** Mean and standard deviation of the pixels of MNIST's training set, in units of 255. */
export const MNIST_STATISTICS = { mean: 0.1307, deviation: 0.3081 } as const;

export interface MnistOptions {
  /** The 60,000 training images (default) or the 10,000 test images. */
  readonly train?: boolean;
  /** Subtract the mean and divide by the deviation (default); otherwise pixels are 0 … 1. */
  readonly normalize?: boolean;
}

/** The folder that holds a data set: `root` itself or one of the usual sub-folders; the default root is `PROJ_DATA`. */
export function findDataFolder(root: string | undefined, subFolders: readonly string[], file: string): string {
  const base = root ?? globalThis.process?.env['PROJ_DATA'];
  if (base === undefined || base === '')
    throw new ProjError('data-loading', 'no data folder is given', {
      op: 'findDataFolder',
      cure: 'Pass a folder, or set PROJ_DATA',
    });
  const fs = globalThis.process?.getBuiltinModule?.('node:fs');
  for (const folder of [base, ...subFolders.map((sub) => `${base}/${sub}`)]) {
    if (fs?.existsSync(`${folder}/${file}`) === true || fs?.existsSync(`${folder}/${file}.gz`) === true) return folder;
  }
  throw new ProjError(
    'data-loading',
    `there is no ${file} (or ${file}.gz) in ${base}, nor in its ${subFolders.join(', ')}`,
    { op: 'findDataFolder', cure: 'Check the folder: --data or PROJ_DATA' },
  );
}

const readMember = (folder: string, name: string): { array: IdxArray; path: string } => {
  const fs = globalThis.process?.getBuiltinModule?.('node:fs');
  const path = fs?.existsSync(`${folder}/${name}`) === true ? `${folder}/${name}` : `${folder}/${name}.gz`;
  return { array: readIdx(path), path };
};

/** Digits with labels: items are `[image [1, rows, columns] float32, label]`, batches `[images [B, 1, rows, columns], labels [B] int64]`. */
export class MNIST implements Dataset<[Tensor, number]> {
  readonly length: number;
  readonly imageShape: readonly [number, number, number];
  readonly labels: Uint8Array;
  readonly #pixels: Uint8Array;
  readonly #scale: number;
  readonly #shift: number;

  constructor(root?: string, options: MnistOptions = {}) {
    const { train, normalize } = withDefaults('MNIST', { train: true, normalize: true }, options);
    const prefix = train ? 'train' : 't10k';
    const folder = findDataFolder(root, ['mnist', 'MNIST/raw', 'MNIST'], `${prefix}-images-idx3-ubyte`);
    const images = readMember(folder, `${prefix}-images-idx3-ubyte`);
    const labels = readMember(folder, `${prefix}-labels-idx1-ubyte`);
    const [count, rows, columns] = images.array.shape;
    const fail = (path: string, problem: string): never => {
      throw new ProjError('data-loading', `${path}: ${problem}`, { op: 'MNIST', cure: 'Fetch the data set again' });
    };
    if (images.array.shape.length !== 3 || images.array.dtype !== 'uint8')
      fail(images.path, `${images.array.dtype}[${images.array.shape.join(', ')}] are not images`);
    if (labels.array.shape.length !== 1 || labels.array.dtype !== 'uint8')
      fail(labels.path, `${labels.array.dtype}[${labels.array.shape.join(', ')}] are not labels`);
    if (labels.array.shape[0] !== count) fail(labels.path, `${labels.array.shape[0]} labels for ${count} images`);
    this.length = count;
    this.imageShape = [1, rows, columns];
    this.#pixels = images.array.data as Uint8Array;
    this.labels = labels.array.data as Uint8Array;
    this.#scale = 1 / 255 / (normalize ? MNIST_STATISTICS.deviation : 1);
    this.#shift = normalize ? -MNIST_STATISTICS.mean / MNIST_STATISTICS.deviation : 0;
  }

  #images(indices: ArrayLike<number>): Float32Array {
    const size = this.imageShape[1] * this.imageShape[2];
    const out = new Float32Array(indices.length * size);
    for (let i = 0; i < indices.length; i++) {
      const from = indices[i] * size;
      for (let p = 0; p < size; p++) out[i * size + p] = this.#pixels[from + p] * this.#scale + this.#shift;
    }
    return out;
  }

  at(index: number): [Tensor, number] {
    const position = index < 0 ? index + this.length : index;
    return [fromArray(this.#images([position]), this.imageShape), this.labels[position]];
  }
  batch(indices: ArrayLike<number>): [Tensor, Tensor] {
    const labels = Int32Array.from(indices, (i) => this.labels[i]);
    return [
      fromArray(this.#images(indices), [indices.length, ...this.imageShape]),
      fromArray(labels, [labels.length], 'int64'),
    ];
  }
}
