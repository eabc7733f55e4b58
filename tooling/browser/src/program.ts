/**
 * What is computed both in Node and in a browser: a small network is trained, eagerly and captured, with batches from a loader; files are written and read in
 * memory; a product with weights of a few bits. The outcome is plain text, so that it can be sent and compared bit for bit.
 */
import '@proj/autograd';
import { CharacterVocabulary, DataLoader, MNIST, readIdx, TensorDataset } from '@proj/data';
import { getDevice, setDefaultDevice, toProjError, WasmDevice } from '@proj/kernel';
import { Linear, Sequential, Tanh } from '@proj/nn';
import { crossEntropy } from '@proj/nn/functional';
import { Adam } from '@proj/optim';
import { buildLinear, constantsFrom, Interpreter, optimise } from '@proj/quant-jit/il';
import { relativeMeanSquaredError } from '@proj/quant-jit/metrics';
import { quantize } from '@proj/quant-jit/quantize';
import { compile, manualSeed, matmul, randn, type Tensor } from '@proj/tensor';
import { loadNpz, loadSafetensors, npzBytes, safetensorsBytes } from '@proj/tensor/io';

export type DeviceName = 'wasm' | 'js';

/** What is the same wherever the program runs. */
export interface Results {
  /** The bits of the loss of every step as 32-bit numbers in hexadecimal, of eager steps and of captured ones. */
  readonly eager: readonly string[];
  readonly captured: readonly string[];
  /** The bits of all parameters in the end, hashed. */
  readonly parameters: string;
  /** The same of what was written and read again. */
  readonly safetensors: string;
  readonly npz: string;
  readonly idx: string;
  readonly text: string;
  /** Errors of products with weights of 8, 4, 1.58 and 1 bits. */
  readonly fewBits: readonly string[];
}

export interface Outcome {
  readonly results: Results;
  /** What depends on the place. */
  readonly description: string;
  /** Threads that took part. */
  readonly threads: number;
  /** What asking for a file by its path says. */
  readonly missingFile: string;
  readonly missingData: string;
}

const bitsOf = (value: number): string => {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint32(0).toString(16).padStart(8, '0');
};

/** FNV-1a (Fowler, Noll and Vo) over the bytes of tensors. */
function hashOf(tensors: readonly Tensor[]): string {
  let hash = 0x811c9dc5;
  for (const tensor of tensors) {
    const elements = tensor.toTypedArray();
    for (const byte of new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength))
      hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(16);
}

const messageOf = (work: () => unknown): string => {
  try {
    work();
    return 'no error';
  } catch (error) {
    return toProjError(error).message;
  }
};

/** Large enough that the launches of a step are worth several threads. */
const [ROWS, BATCH, INPUTS, HIDDEN, CLASSES] = [512, 128, 64, 256, 10];

async function train(captured: boolean): Promise<{ losses: string[]; model: Sequential }> {
  manualSeed(1);
  const inputs = randn([ROWS, INPUTS]);
  const labels = matmul(inputs, randn([INPUTS, CLASSES])).argmax(1);
  const loader = new DataLoader<[Tensor, Tensor]>(new TensorDataset(inputs, labels), {
    batchSize: BATCH,
    shuffle: true,
    seed: 3,
  });
  const model = new Sequential(new Linear(INPUTS, HIDDEN), new Tanh(), new Linear(HIDDEN, CLASSES));
  const optimizer = new Adam(model.parameters(), { lr: 0.01 });
  const eagerStep = (x: Tensor, y: Tensor): Tensor => {
    optimizer.zeroGrad();
    const loss = crossEntropy(model.call(x), y);
    loss.backward();
    optimizer.step();
    return loss;
  };
  const step = captured ? compile(eagerStep) : eagerStep;
  const losses: string[] = [];
  for (let epoch = 0; epoch < 5; epoch++) for await (const [x, y] of loader) losses.push(bitsOf(step(x, y).item()));
  return { losses, model };
}

function fewBits(): string[] {
  manualSeed(2);
  const [x, w] = [randn([4, 128]), randn([32, 128])];
  const exact = matmul(x, w.transpose(0, 1)).toTypedArray() as Float32Array;
  const weights = w.toTypedArray() as Float32Array;
  return (['q8', 'q4g32', 'q158', 'q1'] as const).map((scheme) => {
    const matrices = new Map([['weight', quantize(weights, 32, 128, scheme)]]);
    const program = buildLinear({ scheme, activation: 'a8', rows: 32, columns: 128 });
    const interpreter = new Interpreter(
      program.with(optimise(program.program)),
      constantsFrom({ matrices, floats: new Map() }),
    );
    const [{ data }] = interpreter.step(x.toTypedArray() as Float32Array);
    return `${scheme} ${relativeMeanSquaredError(data, exact)}`;
  });
}

/** A 2 × 3 matrix of bytes in the IDX format. */
const IDX = Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6);

/** Runs the program on a device. */
export async function run(name: DeviceName): Promise<Outcome> {
  const device = getDevice(name);
  setDefaultDevice(device);
  const eager = await train(false);
  const captured = await train(true);
  const parameters = captured.model.stateDict();
  const vocabulary = new CharacterVocabulary('déjà vu');
  return {
    results: {
      eager: eager.losses,
      captured: captured.losses,
      parameters: hashOf(Object.values(parameters)),
      safetensors: hashOf(Object.values(loadSafetensors(safetensorsBytes(parameters)))),
      npz: hashOf(Object.values(loadNpz(npzBytes(parameters, { compressed: true })))),
      idx: `${readIdx(IDX).shape.join(' x ')}: ${readIdx(IDX).data.join(' ')}`,
      text: vocabulary.encode('vu déjà').join(' '),
      fewBits: fewBits(),
    },
    description: device.features.description,
    threads: device instanceof WasmDevice ? device.readyThreads : 1,
    missingFile: messageOf(() => loadSafetensors('model.safetensors')),
    missingData: messageOf(() => new MNIST('data')),
  };
}
