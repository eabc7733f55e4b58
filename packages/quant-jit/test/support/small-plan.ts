/** A small converted model: its plan, and the bytes of each tensor. */
import type { ModelFilePlan, TensorPlan } from '../../src/file/index.ts';
import { packMatrix, quantize, type SchemeName, SCHEMES } from '../../src/quantize/index.ts';
import { gaussian } from '../gaussian.ts';

export const smallTensors: readonly TensorPlan[] = (Object.keys(SCHEMES) as SchemeName[]).map((scheme, i) => ({
  name: `layers.${i}.weight`,
  scheme,
  rows: 40 + i,
  columns: 300,
}));

export const smallPlan: ModelFilePlan = {
  config: { model_type: 'gemma2', hidden_size: 300, note: 'é' },
  il: 'program {\n  %0 = load_input : tokens[T]\n}\n',
  tensors: smallTensors,
  attachments: {
    'tokenizer.json': JSON.stringify({ vocabulary: ['a', 'ß', '日'] }),
    'chat.jinja': '',
    raw: new Uint8Array([1, 2, 3]),
  },
  source: 'fingerprint 1',
  metadata: { note: 'small' },
};

export const smallBytes = ({ name, scheme, rows, columns }: TensorPlan): Uint8Array =>
  packMatrix(quantize(gaussian(rows * columns, name.length + rows), rows, columns, scheme));
