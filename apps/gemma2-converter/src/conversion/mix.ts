/** Schemes for each group of tensors under a budget of bits, by the divergence that each causes alone on a text. */
import { noGrad } from '@proj/autograd';
import { ProjError } from '@proj/kernel';
import type { Parameter } from '@proj/nn';
import { expectedTensors, type GemmaTokenizer, loadModel, type OpenedCheckpoint } from '@proj/quant-jit/gemma2';
import { klDivergence } from '@proj/quant-jit/metrics';
import {
  chooseSchemes,
  dequantize,
  measureSensitivity,
  type MixLayer,
  quantize,
  type SchemeName,
} from '@proj/quant-jit/quantize';
import { compile, fromArray, type Tensor } from '@proj/tensor';
import { calibrationWindows } from './calibrate.ts';
import type { ConversionSettings } from './convert.ts';

/** Schemes that a mix is made of. Those of a group are one, so that the passes can still join its tensors. */
const CANDIDATES: readonly SchemeName[] = ['q1g128', 'q158', 'q4g32', 'q4g128', 'q8'];
/** Windows that divergence is measured on. */
const WINDOWS = 4;

/** Tensors that are read together. */
function groups(checkpoint: OpenedCheckpoint): { readonly layer: MixLayer; readonly tensors: readonly string[] }[] {
  const result = new Map<string, { rows: number; columns: number; tensors: string[] }>();
  for (const [name, shape] of expectedTensors(checkpoint.config)) {
    if (shape.length !== 2) continue;
    const group = name.replace(/\.(q|k|v)_proj\./, '.q_k_v.').replace(/\.(gate|up)_proj\./, '.gate_up.');
    const known = result.get(group);
    if (known === undefined) result.set(group, { rows: shape[0], columns: shape[1], tensors: [name] });
    else {
      known.rows += shape[0];
      known.tensors.push(name);
    }
  }
  return [...result].map(([name, { rows, columns, tensors }]) => ({ layer: { name, rows, columns }, tensors }));
}

/** Measures and chooses. The teacher is in memory while it does. */
export async function chooseMix(
  checkpoint: OpenedCheckpoint,
  tokenizer: GemmaTokenizer,
  { mixBits, text }: ConversionSettings,
  onMessage?: (text: string) => void,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, SchemeName>> {
  if (mixBits === undefined || text === undefined)
    throw new ProjError('invalid-argument', '--mix needs a text to measure on', { cure: 'Give one with --text FILE' });
  const { config, source } = checkpoint;
  const model = loadModel(checkpoint);
  const parameters = new Map(model.namedParameters());
  const ids = calibrationWindows(tokenizer, text, config.maxPositionEmbeddings)
    .slice(0, WINDOWS)
    .map((window) => fromArray(window, [1, window.length], 'int64'));
  const run = compile((input: Tensor) => noGrad(() => model.call(input).logits));
  const logits = (): Float32Array[] => ids.map((input) => (run(input).toTypedArray() as Float32Array).slice());
  const teacher = logits();
  const all = groups(checkpoint);
  const put = (tensor: string, values: Float32Array): void => {
    const parameter = parameters.get(tensor) as Parameter;
    noGrad(() => parameter.copy_(fromArray(values, parameter.shape)).realize());
  };
  let measured = 0;
  onMessage?.(`measuring ${all.length} groups of tensors at ${CANDIDATES.length} schemes`);
  const sensitivity = await measureSensitivity(
    all.map(({ layer }) => layer),
    CANDIDATES,
    async (layer, scheme) => {
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
      const tensors = all.find((group) => group.layer === layer)?.tensors ?? [];
      for (const tensor of tensors) {
        const [rows, columns] = source.info(tensor).shape;
        put(tensor, dequantize(quantize(source.read(tensor), rows, columns, scheme)));
      }
      const student = logits();
      for (const tensor of tensors) put(tensor, source.read(tensor));
      if (++measured % (CANDIDATES.length * 10) === 0)
        onMessage?.(`measured ${measured / CANDIDATES.length} of ${all.length} groups`);
      return teacher.reduce((sum, given, i) => sum + klDivergence(given, student[i], config.vocabSize), 0) / ids.length;
    },
  );
  const mix = chooseSchemes(
    all.map(({ layer }) => layer),
    mixBits,
    sensitivity,
  );
  const schemes = new Map<string, SchemeName>();
  const counts = new Map<SchemeName, number>();
  for (const { layer, tensors } of all) {
    const scheme = mix.schemes.get(layer.name) ?? 'q8';
    counts.set(scheme, (counts.get(scheme) ?? 0) + 1);
    for (const tensor of tensors) schemes.set(tensor, scheme);
  }
  onMessage?.(
    `${mix.bitsPerWeight.toFixed(3)} bits per weight: ${[...counts].map(([scheme, n]) => `${n} × ${scheme}`).join(', ')}`,
  );
  return schemes;
}
