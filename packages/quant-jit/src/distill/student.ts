/**
 * The student: a Gemma 2 whose matrices pass through the quantisers in the forward pass, activations included, as the packed kernels will see them; gradients go
 * straight through to the *latent* weights, which are floats (Courbariaux et al. 2015; BitNet, Wang et al. 2023). Latent weights are trained as they are, or by
 * a low-rank update of frozen ones (LoRA, Hu et al. 2021).
 */
import { noGrad } from '@proj/autograd';
import { RandomStream } from '@proj/data';
import { ProjError } from '@proj/kernel';
import { Embedding, Linear, Parameter, type StateDict } from '@proj/nn';
import { embedding, linear } from '@proj/nn/functional';
import { evaluate, fromArray, type Tensor, zeros } from '@proj/tensor';
import type { Gemma2Config } from '../gemma2/config.ts';
import { Gemma2ForCausalLM } from '../gemma2/model.ts';
import { dequantize, quantize } from '../quantize/quantize.ts';
import { ACTIVATIONS, type ActivationScheme, type SchemeName, SCHEMES } from '../quantize/scheme.ts';
import { fakeQuantize, fakeQuantizeInput } from '../quantize/straight-through.ts';

/** The scheme of each matrix by its name in the state dict, and that of the activations where the weights take it. */
export interface StudentSchemes {
  readonly schemeOf: (tensorName: string) => SchemeName;
  readonly activation?: ActivationScheme;
}

/** How latent weights are trained: all of them, or a low-rank update. */
export type LatentMethod = 'full' | { readonly rank: number };

/** A matrix of latent weights: `weight`, or `weight + up · down` with a frozen weight. */
class Latent {
  readonly name: string;
  readonly weight: Parameter;
  readonly up: Parameter | null = null;
  readonly down: Parameter | null = null;

  constructor(name: string, weight: Parameter, method: LatentMethod, random: RandomStream) {
    this.name = name;
    this.weight = weight;
    if (method === 'full') return;
    const [rows, columns] = weight.shape;
    weight.requiresGrad_(false);
    // Down random, up zeros: the student begins as the teacher.
    this.up = new Parameter(zeros([rows, method.rank]));
    const bound = Math.sqrt(3 / columns);
    const values = Float32Array.from({ length: method.rank * columns }, () => bound * (2 * random.uniform() - 1));
    this.down = new Parameter(fromArray(values, [method.rank, columns]));
  }

  value(): Tensor {
    return this.up === null || this.down === null ? this.weight : this.weight.add(this.up.matmul(this.down));
  }

  trained(): (readonly [string, Parameter])[] {
    if (this.up === null || this.down === null) return [[this.name, this.weight]];
    return [
      [`${this.name}.up`, this.up],
      [`${this.name}.down`, this.down],
    ];
  }
}

/** What all matrices of a student share; stages of training change it. */
interface Quantisation {
  schemes: StudentSchemes;
}

function project(x: Tensor, latent: Latent, { schemes }: Quantisation): Tensor {
  const name = schemes.schemeOf(latent.name);
  if (name === 'f32') return linear(x, latent.value());
  const allowed = ACTIVATIONS[name];
  const { activation } = schemes;
  const input = activation !== undefined && allowed.includes(activation) ? activation : allowed[0];
  return linear(fakeQuantizeInput(x, input), fakeQuantize(latent.value(), name));
}

class QuantizedLinear extends Linear {
  readonly latent: Latent;
  readonly quantisation: Quantisation;

  constructor(inner: Linear, latent: Latent, quantisation: Quantisation) {
    super(inner.inFeatures, inner.outFeatures, { bias: false });
    this.weight = inner.weight;
    this.latent = latent;
    this.quantisation = quantisation;
  }
  override forward(x: Tensor): Tensor {
    return project(x, this.latent, this.quantisation);
  }
}

class QuantizedEmbedding extends Embedding {
  readonly latent: Latent;
  readonly quantisation: Quantisation;

  constructor(inner: Embedding, latent: Latent, quantisation: Quantisation) {
    super(inner.numEmbeddings, inner.embeddingDim, { _weight: inner.weight });
    this.latent = latent;
    this.quantisation = quantisation;
  }
  override forward(ids: Tensor): Tensor {
    const table = this.latent.value();
    return embedding(ids, fakeQuantize(table, this.quantisation.schemes.schemeOf(this.latent.name)));
  }
}

/** A Gemma 2 of float32 latent weights, computing as its converted form will. */
export class Gemma2Student extends Gemma2ForCausalLM {
  readonly #latents: ReadonlyMap<string, Latent>;
  readonly #quantisation: Quantisation;
  readonly #head: Latent;

  constructor(config: Gemma2Config, schemes: StudentSchemes, method: LatentMethod = 'full', seed = 0) {
    if (config.attentionBias)
      throw new ProjError('not-implemented', 'attention projections have biases', {
        op: 'Gemma2Student',
        cure: 'Use a model with "attention_bias": false, as every published Gemma 2 is',
      });
    super(config, { empty: true });
    this.#quantisation = { schemes };
    const latents = new Map<string, Latent>();
    const random = new RandomStream(seed, 0x10a);
    const add = (name: string, weight: Parameter): Latent => {
      const latent = new Latent(`${name}.weight`, weight, method, random);
      latents.set(latent.name, latent);
      return latent;
    };
    const modules = new Map(this.namedModules());
    for (const [path, module] of modules) {
      const cut = path.lastIndexOf('.');
      const parent = cut < 0 ? this : this.getSubmodule(path.slice(0, cut));
      const field = Object.entries(parent).find(([, value]) => value === module)?.[0];
      if (field === undefined) continue;
      if (module instanceof Linear)
        parent.registerModule(field, new QuantizedLinear(module, add(path, module.weight), this.#quantisation));
      else if (module instanceof Embedding)
        parent.registerModule(field, new QuantizedEmbedding(module, add(path, module.weight), this.#quantisation));
    }
    this.#latents = latents;
    const head = latents.get('lm_head.weight') ?? latents.get('model.embed_tokens.weight');
    if (head === undefined)
      throw new ProjError('invalid-argument', 'a model without an embedding table', { op: 'Gemma2Student' });
    this.#head = head;
  }

  /** How the forward pass rounds from now on. Captured programs keep what they were captured with. */
  set schemes(schemes: StudentSchemes) {
    this.#quantisation.schemes = schemes;
  }

  override logitsOf(hidden: Tensor): Tensor {
    const raw = project(hidden, this.#head, this.#quantisation);
    const cap = this.config.finalLogitSoftcapping;
    return cap === null ? raw : raw.div(cap).tanh().mul(cap);
  }

  /** What is trained, by name: latent matrices or their updates, and the gains of the norms. */
  trained(): Map<string, Parameter> {
    const result = new Map<string, Parameter>();
    for (const [name, parameter] of this.namedParameters()) {
      const latent = this.#latents.get(name);
      for (const [key, value] of latent === undefined ? [[name, parameter] as const] : latent.trained())
        result.set(key, value);
    }
    return result;
  }

  /** Takes the weights of a teacher. */
  take(teacher: Gemma2ForCausalLM): void {
    const weights = teacher.stateDict();
    noGrad(() => {
      for (const [name, parameter] of this.namedParameters()) parameter.copy_(weights[name].to('float32'));
    });
    evaluate([...this.parameters()]);
  }

  /** Latent weights of 1-bit matrices live in [-1, 1]: beyond it their sign would get no gradient and never turn. */
  clipLatents(): void {
    noGrad(() => {
      for (const { name, weight, up } of this.#latents.values())
        if (up === null && SCHEMES[this.#quantisation.schemes.schemeOf(name)].bits === 1)
          weight.copy_(weight.detach().clamp(-1, 1));
    });
  }

  /** Latent weights under the names of the teacher, such that {@link quantize} gives them the codes that the forward pass computes with. */
  exported(): StateDict {
    const result: StateDict = {};
    for (const [name, parameter] of this.namedParameters()) {
      const latent = this.#latents.get(name);
      result[name] = noGrad(() =>
        latent === undefined
          ? parameter.detach().clone()
          : settled(latent.value().detach(), this.#quantisation.schemes.schemeOf(name)),
      );
    }
    evaluate(Object.values(result));
    return result;
  }
}

/**
 * Weights whose codes are the same in the forward pass and in the quantiser. The two find scales by sums in another order and precision, so that a weight which
 * lies between two codes to the last bit may get one or the other: it is moved towards the one that training saw.
 */
function settled(weights: Tensor, scheme: SchemeName): Tensor {
  if (SCHEMES[scheme].bits === 32) return weights.clone();
  const [rows, columns] = weights.shape;
  let values = weights.toTypedArray().slice() as Float32Array;
  const wanted = fakeQuantize(weights, scheme).toTypedArray() as Float32Array;
  for (let round = 0; round < 8; round++) {
    const found = dequantize(quantize(values, rows, columns, scheme));
    const next = values.slice();
    let moved = 0;
    for (let i = 0; i < values.length; i++) {
      // One code further is half of it away at least, as far as codes -1, 0, 1 and a whole row's scale go.
      const distance = Math.abs(found[i] - wanted[i]);
      if (distance <= 1e-3 * Math.max(Math.abs(found[i]), Math.abs(wanted[i]))) continue;
      next[i] += 1e-3 * (wanted[i] - values[i]);
      moved++;
    }
    if (moved === 0) break;
    values = next;
  }
  return fromArray(values, [rows, columns], 'float32', { device: weights.device.name });
}
