/** Models from Hugging Face folders: `config.json` and one or several safetensors files, in bfloat16, float16, float32 or float64. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { noGrad } from '@proj/autograd';
import { type DType, ProjError } from '@proj/kernel';
import { fromArray, type Tensor } from '@proj/tensor';
import { openSafetensors, type SafetensorsFile, tensorFromBytes } from '@proj/tensor/io';
import { type Gemma2Config, parseGemma2Config } from './config.ts';
import { requireMemory } from '../memory.ts';
import { readJson } from './files.ts';
import { Gemma2ForCausalLM } from './model.ts';
import {
  isPlain,
  noSuchTensor,
  type PlainType,
  rowLength,
  type RowRange,
  rowRange,
  type TensorInfo,
  type TensorSource,
  widen,
} from './tensor-source.ts';

const OP = 'load gemma2';

/** A model in files: what it is, and its weights. */
export interface Gemma2Checkpoint {
  /** The folder or file. */
  readonly path: string;
  readonly config: Gemma2Config;
  readonly source: TensorSource;
}

const PLAIN_TYPES: Partial<Record<DType, PlainType>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
};
const DTYPES: Record<PlainType, DType> = { F64: 'float64', F32: 'float32', F16: 'float16', BF16: 'bfloat16' };
const ITEM_BYTES: Record<PlainType, number> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

/** Opened safetensors files with the names that each has. */
class SafetensorsSource implements TensorSource {
  readonly names: readonly string[];
  readonly #where: string;
  readonly #files: readonly SafetensorsFile[];
  readonly #tensors: ReadonlyMap<
    string,
    { readonly file: SafetensorsFile; readonly key: string; readonly info: TensorInfo }
  >;

  constructor(where: string, files: ReadonlyMap<string, SafetensorsFile>) {
    const tensors = new Map<string, { file: SafetensorsFile; key: string; info: TensorInfo }>();
    for (const [path, file] of files)
      for (const [key, { dtype, shape, begin, end }] of file.entries) {
        const type = PLAIN_TYPES[dtype];
        // A base model without its head names its tensors without the prefix.
        const name = /^(embed_tokens|layers|norm)\./.test(key) ? `model.${key}` : key;
        if (type !== undefined)
          tensors.set(name, { file, key, info: { type, shape, bytes: end - begin, add: 0, file: path } });
        else if (key.endsWith('.weight'))
          throw new ProjError('serialization', `${path}: tensor "${key}" is stored as ${dtype}`, {
            op: OP,
            cure: 'Use a checkpoint with float64, float32, float16 or bfloat16 weights',
          });
      }
    this.#where = where;
    this.#files = [...files.values()];
    this.#tensors = tensors;
    this.names = [...tensors.keys()];
  }

  #entry(name: string): { readonly file: SafetensorsFile; readonly key: string; readonly info: TensorInfo } {
    const entry = this.#tensors.get(name);
    if (entry === undefined) throw noSuchTensor(name, this.#where, this.names);
    return entry;
  }

  info(name: string): TensorInfo {
    return this.#entry(name).info;
  }

  readBytes(name: string, rows?: RowRange): Uint8Array {
    const { file, key, info } = this.#entry(name);
    const { begin, end } = rowRange(name, info, rows);
    const row = rowLength(info.shape) * ITEM_BYTES[info.type as PlainType];
    return file.bytes(key, begin * row, end * row);
  }

  read(name: string, rows?: RowRange): Float32Array {
    return widen(this.info(name).type as PlainType, this.readBytes(name, rows));
  }

  close(): void {
    for (const file of this.#files) file.close();
  }
}

/** Names of the weight files of a folder, and which tensors each must have where an index says so. */
function shards(folder: string): Map<string, string[]> {
  // As the reference does: a whole file comes before an index.
  if (existsSync(join(folder, 'model.safetensors'))) return new Map([['model.safetensors', []]]);
  const index = join(folder, 'model.safetensors.index.json');
  if (existsSync(index)) {
    const { weight_map: map } = (readJson(index) ?? {}) as { weight_map?: unknown };
    if (typeof map !== 'object' || map === null || Object.values(map).some((file) => typeof file !== 'string'))
      throw new ProjError('serialization', `${index}: "weight_map" does not map names to files`, {
        op: OP,
        cure: 'Fetch the index again',
      });
    const files = new Map<string, string[]>();
    for (const [name, file] of Object.entries(map as Record<string, string>))
      files.set(file, [...(files.get(file) ?? []), name]);
    return files;
  }
  const others = readdirSync(folder);
  const found = others.filter((name) => name.endsWith('.safetensors'));
  if (found.length > 1)
    throw new ProjError('io', `${folder} has ${found.length} safetensors files and no index`, {
      op: OP,
      cure: 'Fetch model.safetensors.index.json too: it says which file has which weights',
    });
  if (found.length === 1) return new Map([[found[0], []]]);
  const pickled = others.find((name) => /\.(bin|pt|pth)$/.test(name));
  throw new ProjError('io', `${folder} has no safetensors file${pickled === undefined ? '' : `, only ${pickled}`}`, {
    op: OP,
    cure: 'Fetch model.safetensors (or its parts and model.safetensors.index.json); pickled files are not read',
  });
}

function openShards(folder: string): TensorSource {
  const files = new Map<string, SafetensorsFile>();
  try {
    const wanted = shards(folder);
    const missing = [...wanted.keys()].filter((name) => !existsSync(join(folder, name)));
    if (missing.length > 0)
      throw new ProjError(
        'io',
        `${folder} lacks ${missing.length} of ${wanted.size} weight files: ${missing.join(', ')}`,
        { op: OP, cure: 'Fetch what is missing; model.safetensors.index.json lists them all' },
      );
    for (const [name, tensors] of wanted) {
      const path = join(folder, name);
      const file = openSafetensors(path);
      files.set(path, file);
      const absent = tensors.filter((tensor) => !file.entries.has(tensor));
      if (absent.length > 0)
        throw new ProjError('serialization', `${path} lacks ${absent.map((tensor) => `"${tensor}"`).join(', ')}`, {
          op: OP,
          cure: 'The file and model.safetensors.index.json are of different checkpoints: fetch both again',
        });
    }
    return new SafetensorsSource(folder, files);
  } catch (error) {
    for (const file of files.values()) file.close();
    throw error;
  }
}

/**
 * Opens a Hugging Face folder: reads the configuration and the headers of all weight files, and checks that every weight is there with its shape. No weight is
 * read yet. Errors name the file, the field or the tensor.
 */
export function openHuggingFace(folder: string): Gemma2Checkpoint {
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new ProjError('io', `there is no folder ${folder}`, { op: OP, cure: 'Check the path' });
  const configPath = join(folder, 'config.json');
  if (!existsSync(configPath))
    throw new ProjError('io', `${folder} has no config.json`, {
      op: OP,
      cure: 'Point at the folder of a Hugging Face model: config.json, safetensors and tokenizer.json side by side',
    });
  const config = parseGemma2Config(readJson(configPath), configPath);
  const source = openShards(folder);
  try {
    checkTensors(config, source, folder);
  } catch (error) {
    source.close();
    throw error;
  }
  return { path: folder, config, source };
}

/** Every tensor that a configuration needs, with its shape. */
export function expectedTensors(config: Gemma2Config): Map<string, readonly number[]> {
  const { hiddenSize, intermediateSize, headDim, vocabSize } = config;
  const queries = config.numAttentionHeads * headDim;
  const keys = config.numKeyValueHeads * headDim;
  const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const at = `model.layers.${layer}.`;
    const projections = [
      ['q_proj', queries, hiddenSize],
      ['k_proj', keys, hiddenSize],
      ['v_proj', keys, hiddenSize],
      ['o_proj', hiddenSize, queries],
    ] as const;
    for (const [name, out, from] of projections) {
      shapes.set(`${at}self_attn.${name}.weight`, [out, from]);
      if (config.attentionBias) shapes.set(`${at}self_attn.${name}.bias`, [out]);
    }
    shapes.set(`${at}mlp.gate_proj.weight`, [intermediateSize, hiddenSize]);
    shapes.set(`${at}mlp.up_proj.weight`, [intermediateSize, hiddenSize]);
    shapes.set(`${at}mlp.down_proj.weight`, [hiddenSize, intermediateSize]);
    for (const norm of ['input', 'post_attention', 'pre_feedforward', 'post_feedforward'])
      shapes.set(`${at}${norm}_layernorm.weight`, [hiddenSize]);
  }
  shapes.set('model.norm.weight', [hiddenSize]);
  if (!config.tieWordEmbeddings) shapes.set('lm_head.weight', [vocabSize, hiddenSize]);
  return shapes;
}

const PROJECTION_BIAS = /^model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj\.bias$/;

/** Checks names and shapes of a source against a configuration. Errors (`serialization`): what is missing, what has another shape. */
export function checkTensors(config: Gemma2Config, source: TensorSource, where: string): void {
  const names = new Set(source.names);
  const expected = expectedTensors(config);
  const problems: string[] = [];
  const missing = [...expected.keys()].filter((name) => !names.has(name));
  if (missing.length > 0)
    problems.push(
      `${missing.length} tensors are missing: ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ', …' : ''}`,
    );
  for (const [name, shape] of expected) {
    if (!names.has(name)) continue;
    const { shape: found, file } = source.info(name);
    if (found.join() !== shape.join())
      problems.push(
        `"${name}" in ${basename(file)} is [${found.join(', ')}], config.json makes it [${shape.join(', ')}]`,
      );
  }
  const biases = [...names].filter((name) => PROJECTION_BIAS.test(name) && !expected.has(name));
  if (biases.length > 0)
    problems.push(`there are ${biases.length} biases, which the configuration does not have: "${biases[0]}", …`);
  const layers = [...names].flatMap((name) => /^model\.layers\.(\d+)\./.exec(name)?.[1] ?? []).map(Number);
  const deepest = layers.reduce((most, layer) => Math.max(most, layer + 1), 0);
  if (deepest > config.numHiddenLayers)
    problems.push(`the weights have ${deepest} layers, num_hidden_layers is ${config.numHiddenLayers}`);
  if (problems.length === 0) return;
  const shown = problems.slice(0, 8).join('; ');
  throw new ProjError(
    'serialization',
    `${where}: ${shown}${problems.length > 8 ? `; and ${problems.length - 8} more` : ''}`,
    {
      op: OP,
      cure: 'config.json and the weights are of different models, or a file is incomplete: fetch them again together',
    },
  );
}

/** How a model is made of a checkpoint. */
export interface LoadModelOptions {
  /** What weights are converted to (default float32). */
  readonly dtype?: DType;
  readonly device?: string | null;
  /** Refuses weights that are not finite (default false: it costs a pass over them). */
  readonly checkFinite?: boolean;
  /** Told after each tensor. */
  readonly onProgress?: (name: string, done: number, total: number) => void;
}

/** Throws if a number is NaN or infinite, naming the tensor and the place. */
export function checkFinite(name: string, values: Float32Array, { shape, file }: TensorInfo, firstRow = 0): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value - value === 0) continue;
    const row = rowLength(shape);
    const place = shape.length > 1 ? [firstRow + Math.floor(i / row), i % row] : [firstRow + i];
    throw new ProjError('serialization', `tensor "${name}" in ${file} is ${value} at [${place.join(', ')}]`, {
      op: OP,
      cure: 'The weights are damaged, or training diverged: use another checkpoint',
    });
  }
}

/** Refuses a model that memory cannot hold. */
function requireWeights(config: Gemma2Config, dtype: DType): void {
  const type = PLAIN_TYPES[dtype];
  if (type === undefined) return;
  let numbers = 0;
  for (const shape of expectedTensors(config).values()) numbers += shape.reduce((product, size) => product * size, 1);
  requireMemory(
    'the model',
    { [`weights in ${dtype}`]: numbers * ITEM_BYTES[type] },
    {
      op: OP,
      cure: "Load it as 'bfloat16', use a machine with more memory, or convert the model: that takes one tensor at a time",
    },
  );
}

function readTensor(
  name: string,
  source: TensorSource,
  { device = null, checkFinite: check = false }: LoadModelOptions,
): Tensor {
  const info = source.info(name);
  if (check || info.add !== 0 || !isPlain(info.type)) {
    const values = source.read(name);
    if (check) checkFinite(name, values, info);
    return fromArray(values, info.shape, 'float32', { device });
  }
  return tensorFromBytes(source.readBytes(name), DTYPES[info.type], info.shape, { device });
}

/** A model with the weights of a checkpoint, in evaluation mode. One tensor is read at a time. Errors: memory cannot hold it; what reading finds. */
export function loadModel({ config, source }: Gemma2Checkpoint, options: LoadModelOptions = {}): Gemma2ForCausalLM {
  const { dtype = 'float32', device = null, onProgress } = options;
  requireWeights(config, dtype);
  const model = new Gemma2ForCausalLM(config, { dtype, device, empty: true });
  const parameters = [...model.namedParameters()];
  for (const [i, [name, parameter]] of parameters.entries()) {
    noGrad(() => parameter.copy_(readTensor(name, source, options)).realize());
    onProgress?.(name, i + 1, parameters.length);
  }
  return model.eval();
}

/** Opens a Hugging Face folder, loads its model, and closes the files. */
export function loadGemma2(folder: string, options: LoadModelOptions = {}): Gemma2ForCausalLM {
  const checkpoint = openHuggingFace(folder);
  try {
    return loadModel(checkpoint, options);
  } finally {
    checkpoint.source.close();
  }
}
