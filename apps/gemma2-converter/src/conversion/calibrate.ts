/**
 * What a calibration text tells about the inputs of each matrix: `Xᵀ X`, gathered by running the teacher over the text with its linear layers watched. One
 * layer of the model is gathered at a time, when its first tensor is asked for, so that the sums of all layers are never in memory together; the teacher is.
 */
import { noGrad } from '@proj/autograd';
import { ProjError } from '@proj/kernel';
import type { Module } from '@proj/nn';
import { type Gemma2ForCausalLM, type GemmaTokenizer, loadModel, type OpenedCheckpoint } from '@proj/quant-jit/gemma2';
import { Hessian, quantize, quantizeGptq, type QuantizedMatrix, type Scheme } from '@proj/quant-jit/quantize';
import { evaluate, fromArray, type Tensor } from '@proj/tensor';

/** A text to calibrate on. */
export interface CalibrationText {
  readonly text: string;
  /** Tells texts apart. */
  readonly identity: string;
  /** Tokens of it that are used. */
  readonly tokens: number;
}

const WINDOW = 256;

/** Windows of equal length from the begin of a text, each with <bos>. */
export function calibrationWindows(
  tokenizer: GemmaTokenizer,
  { text, tokens }: CalibrationText,
  longest: number,
): number[][] {
  // Enough characters for the tokens that are asked for, in any language.
  const ids = tokenizer.encode(text.slice(0, 16 * tokens), { addSpecialTokens: false });
  const start = tokenizer.bosId === null ? [] : [tokenizer.bosId];
  const size = Math.min(WINDOW, longest) - start.length;
  const windows: number[][] = [];
  for (let at = 0; at + size <= Math.min(ids.length, Math.max(tokens, size)); at += size)
    windows.push([...start, ...ids.slice(at, at + size)]);
  if (windows.length === 0)
    throw new ProjError('invalid-argument', `--text: ${ids.length} tokens, ${size} are the least`, {
      cure: 'Give a longer text',
    });
  return windows;
}

/** Matrices that read the same input share their sums. */
const SHARED: Readonly<Record<string, string>> = {
  k_proj: 'q_proj',
  v_proj: 'q_proj',
  up_proj: 'gate_proj',
};
const GATHERED = ['self_attn.q_proj', 'self_attn.o_proj', 'mlp.gate_proj', 'mlp.down_proj'];

/** Gathers and uses what a text tells. */
export class Calibrator {
  readonly #checkpoint: OpenedCheckpoint;
  readonly #windows: readonly (readonly number[])[];
  readonly #onMessage: ((text: string) => void) | undefined;
  #model: Gemma2ForCausalLM | null = null;
  #layer = -1;
  #sums = new Map<string, Hessian>();

  constructor(
    checkpoint: OpenedCheckpoint,
    tokenizer: GemmaTokenizer,
    text: CalibrationText,
    onMessage?: (text: string) => void,
  ) {
    this.#checkpoint = checkpoint;
    this.#windows = calibrationWindows(tokenizer, text, checkpoint.config.maxPositionEmbeddings);
    this.#onMessage = onMessage;
  }

  /** Mean square of each column's inputs; undefined for tables and vectors. */
  importance(tensor: string): Float32Array | undefined {
    return this.#hessian(tensor)?.importance();
  }

  /** Rows of a matrix, rounded with feedback; matrices without sums (the embedding table) by their own rule. */
  round(tensor: string, values: Float32Array, rows: number, columns: number, scheme: Scheme): QuantizedMatrix {
    const hessian = this.#hessian(tensor);
    return hessian === undefined
      ? quantize(values, rows, columns, scheme, { calibration: 'mse' })
      : quantizeGptq(values, rows, columns, scheme, { hessian, calibration: 'mse' });
  }

  #hessian(tensor: string): Hessian | undefined {
    const match = /^model\.layers\.(\d+)\.(self_attn|mlp)\.(\w+)\.weight$/.exec(tensor);
    if (match === null) return undefined;
    const layer = Number(match[1]);
    if (layer !== this.#layer) this.#gather(layer);
    return this.#sums.get(`${match[2]}.${SHARED[match[3]] ?? match[3]}`);
  }

  #gather(layer: number): void {
    this.#model ??= loadModel(this.#checkpoint);
    this.#onMessage?.(`calibrating layer ${layer} on ${this.#windows.length * this.#windows[0].length} tokens`);
    const model = this.#model;
    const modules = new Map(model.namedModules());
    this.#layer = layer;
    this.#sums = new Map();
    const seen = new Map<string, Tensor>();
    const hooks = GATHERED.map((name) => {
      const module = modules.get(`model.layers.${layer}.${name}`);
      if (module === undefined)
        throw new ProjError('invalid-argument', `there is no module of ${name}`, { op: 'calibrate' });
      return (module as Module).registerForwardPreHook((_, [input]) => void seen.set(name, input as Tensor));
    });
    try {
      for (const window of this.#windows) {
        noGrad(() => model.model.call(fromArray([...window], [1, window.length], 'int64')));
        evaluate([...seen.values()]);
        for (const [name, input] of seen) {
          const columns = input.shape[input.ndim - 1];
          let sums = this.#sums.get(name);
          if (sums === undefined) this.#sums.set(name, (sums = new Hessian(columns)));
          sums.add(input.toTypedArray() as Float32Array, window.length);
        }
        seen.clear();
      }
    } finally {
      for (const hook of hooks) hook.remove();
    }
  }
}
