/** The teacher against plain loops, against itself with a cache and with padding, and its gradients against differences. */
import { gradcheck, noGrad } from '@proj/autograd';
import { fromArray, type Tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import { Gemma2ForCausalLM, gemma2Config, KeyValueCache, nextTokenLoss, TeacherDecoder } from '../src/gemma2/index.ts';
import { naiveGemma2 } from './support/naive-gemma2.ts';
import { ODD_SIZES, tinyTeacher, weightsOf } from './support/tiny-teacher.ts';

const IDS = Array.from({ length: 17 }, (_, i) => (i * i * 5 + 3 * i + 2) % 37);
const batch = (...rows: readonly (readonly number[])[]): Tensor =>
  fromArray(rows.flat(), [rows.length, rows[0].length], 'int64');
const numbers = (tensor: Tensor): number[] => Array.from(tensor.toTypedArray(), Number);

function worst(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
}

describe('the model', () => {
  it('equals plain loops in every hidden state and logit, beyond the sliding window', () => {
    const model = tinyTeacher({}, { dtype: 'float64' });
    const expected = naiveGemma2(model.config, weightsOf(model), IDS);
    const found = noGrad(() => model.call(batch(IDS), { outputHiddenStates: true }));
    // Angles are float32 by definition, which is what is left of the difference.
    found.hiddenStates.forEach((state, i) =>
      expect(worst(numbers(state), expected.hidden[i].flat())).toBeLessThan(2e-5),
    );
    expect(worst(numbers(found.logits), expected.logits.flat())).toBeLessThan(1e-5);
  });

  it('does so without caps, with one head for all, and with a window of one', () => {
    for (const sizes of [
      { attnLogitSoftcapping: null, finalLogitSoftcapping: null },
      { numKeyValueHeads: 1 },
      { numKeyValueHeads: 6, slidingWindow: 1 },
    ]) {
      const model = tinyTeacher(sizes, { dtype: 'float64', scale: 0.2 });
      const { logits } = naiveGemma2(model.config, weightsOf(model), IDS);
      expect(worst(numbers(noGrad(() => model.call(batch(IDS)).logits)), logits.flat())).toBeLessThan(1e-5);
    }
  });

  it('has probabilities that sum to one and stay in the window', () => {
    const { attentions } = noGrad(() => tinyTeacher().call(batch(IDS), { outputAttentions: true }));
    expect(attentions.map(({ shape }) => shape)).toEqual([0, 1, 2].map(() => [1, 6, 17, 17]));
    expect(worst(numbers(attentions[0].sum(-1)), new Array<number>(6 * 17).fill(1))).toBeLessThan(1e-6);
    const [sliding, global] = attentions.map((probabilities) => numbers(probabilities.select(2, 16).select(1, 0)));
    expect(sliding.map((p) => p > 0)).toEqual(IDS.map((_, i) => i > 16 - 5));
    expect(global.every((p) => p > 0)).toBe(true);
  });

  it('has the state-dict keys of Hugging Face', () => {
    const keys = Object.keys(new Gemma2ForCausalLM(gemma2Config({ ...ODD_SIZES, numHiddenLayers: 1 })).stateDict());
    const layer = 'model.layers.0.';
    expect(keys.sort()).toEqual(
      [
        'model.embed_tokens.weight',
        'model.norm.weight',
        ...['q', 'k', 'v', 'o'].map((name) => `${layer}self_attn.${name}_proj.weight`),
        ...['gate', 'up', 'down'].map((name) => `${layer}mlp.${name}_proj.weight`),
        ...['input', 'post_attention', 'pre_feedforward', 'post_feedforward'].map(
          (n) => `${layer}${n}_layernorm.weight`,
        ),
      ].sort(),
    );
  });

  it('rounds √d to the dtype of the model', () => {
    const embedded = (dtype: 'float32' | 'bfloat16'): number[] => {
      const model = tinyTeacher({}, { dtype });
      noGrad(() => model.model.embedTokens.weight.fill_(1));
      return numbers(noGrad(() => model.call(batch([1]), { outputHiddenStates: true }).hiddenStates[0]));
    };
    expect(embedded('float32')[0]).toBe(Math.fround(Math.sqrt(24)));
    expect(embedded('bfloat16')[0]).toBe(4.90625);
  });
});

describe('16-bit models', () => {
  it('stay near the float32 model, with sums in float32', () => {
    const expected = numbers(noGrad(() => tinyTeacher({}, { scale: 0.2 }).call(batch(IDS)).logits));
    for (const [dtype, tolerance] of [
      ['bfloat16', 0.3],
      ['float16', 0.04],
    ] as const) {
      const model = tinyTeacher({}, { dtype, scale: 0.2 });
      const { logits } = noGrad(() => model.call(batch(IDS)));
      expect(logits.dtype).toBe(dtype);
      expect(worst(numbers(logits), expected)).toBeLessThan(tolerance);
      const decoder = new TeacherDecoder(model, { capacity: 8 });
      expect(worst(Array.from(decoder.feed(IDS)), numbers(logits.select(1, -1)))).toBeLessThan(tolerance / 4);
    }
  });
});

describe('padding', () => {
  it('on the left changes nothing for the last position', () => {
    const model = tinyTeacher();
    const short = IDS.slice(0, 9);
    const missing = new Array<number>(IDS.length - short.length).fill(0);
    const mask = batch(
      [...missing, ...short.map(() => 1)],
      IDS.map(() => 1),
    );
    const { logits } = noGrad(() => model.call(batch([...missing, ...short], IDS), { attentionMask: mask }));
    expect(numbers(logits).every(Number.isFinite)).toBe(true);
    for (const [row, ids] of [short, IDS].entries()) {
      const alone = noGrad(() => model.call(batch(ids)).logits.select(1, -1));
      expect(worst(numbers(logits.select(0, row).select(0, -1)), numbers(alone))).toBeLessThan(1e-5);
    }
  });

  it('works with a cache: the next token of a padded batch', () => {
    const model = tinyTeacher();
    const short = IDS.slice(0, 9);
    const missing = new Array<number>(IDS.length - short.length).fill(0);
    const mask = [[...missing, ...short.map(() => 1)], IDS.map(() => 1)];
    const cache = new KeyValueCache(model.config, { batch: 2, capacity: 32 });
    noGrad(() =>
      model.call(batch([...missing, ...short], IDS), { attentionMask: batch(...mask), cache }).logits.realize(),
    );
    cache.advance(IDS.length);
    const { logits } = noGrad(() =>
      model.call(batch([5], [6]), { attentionMask: batch(...mask.map((row) => [...row, 1])), cache }),
    );
    for (const [row, ids] of [
      [...short, 5],
      [...IDS, 6],
    ].entries()) {
      const alone = noGrad(() => model.call(batch(ids)).logits.select(1, -1));
      expect(worst(numbers(logits.select(0, row)), numbers(alone))).toBeLessThan(1e-5);
    }
  });
});

describe('the decoder with its cache', () => {
  it('gives the logits of the whole sequence, in steps of any size, while the cache grows', () => {
    const model = tinyTeacher();
    const whole = noGrad(() => model.call(batch(IDS)).logits).squeeze(0);
    const decoder = new TeacherDecoder(model, { capacity: 4 });
    for (const sizes of [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], [17], [3, 7, 1, 1, 5], [2, 2, 2, 11]]) {
      decoder.reset();
      let at = 0;
      for (const size of sizes) {
        const found = Array.from(decoder.feed(IDS.slice(at, at + size)));
        at += size;
        expect(worst(found, numbers(whole.select(0, at - 1)))).toBeLessThan(1e-5);
      }
      expect(decoder.length).toBe(17);
    }
  });

  it('says how much it holds', () => {
    const decoder = new TeacherDecoder(tinyTeacher(), { maxLength: 8 });
    decoder.feed([1, 2, 3]);
    expect(() => decoder.feed([1, 2, 3, 4, 5, 6])).toThrow(/6 tokens after 3, of at most 8/);
    expect(() => decoder.feed([])).toThrow(/at least one token/);
  });
});

describe('gradients', () => {
  it('of every weight agree with differences', () => {
    const model = tinyTeacher(
      {
        vocabSize: 7,
        hiddenSize: 6,
        intermediateSize: 5,
        numHiddenLayers: 2,
        numAttentionHeads: 2,
        numKeyValueHeads: 1,
        headDim: 4,
        slidingWindow: 2,
      },
      { dtype: 'float64' },
    );
    const ids = batch([1, 4, 6, 3]);
    const owners = [...model.modules()].filter((module) => 'weight' in module);
    const loss = (...weights: readonly Tensor[]): Tensor => {
      owners.forEach((owner, i) => Reflect.set(owner, 'weight', weights[i]));
      return nextTokenLoss(model.call(ids).logits, ids);
    };
    expect(owners).toHaveLength([...model.parameters()].length);
    expect(gradcheck(loss, [...model.parameters()])).toBe(true);
  });

  it('reach every weight and lower the loss', () => {
    const model = tinyTeacher({}, { scale: 0.1 }).train();
    const ids = batch(IDS);
    const loss = (): Tensor => nextTokenLoss(model.call(ids).logits, ids);
    const before = Number(loss().item());
    loss().backward();
    noGrad(() => {
      for (const [name, parameter] of model.namedParameters()) {
        expect(parameter.grad, name).not.toBeNull();
        if (parameter.grad !== null) parameter.copy_(parameter.sub(parameter.grad.mul(0.05)));
      }
    });
    expect(Number(loss().item())).toBeLessThan(before);
    // The mean over 16 predictions, worked out from the logits.
    const logits = noGrad(() => model.call(ids).logits)
      .squeeze(0)
      .toArray() as number[][];
    const expected = IDS.slice(1).reduce((sum, id, t) => {
      const total = logits[t].reduce((all, z) => all + Math.exp(z), 0);
      return sum + Math.log(total) - logits[t][id];
    }, 0);
    expect(Number(loss().item())).toBeCloseTo(expected / 16, 4);
  });
});
