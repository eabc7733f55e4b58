// Our Gemma 2 as the runner asks for it. The package is loaded when the first such record comes.
import type * as Teacher from '@proj/quant-jit/gemma2';
import type { TensorData } from './encoded.ts';
import type { Gemma2UnderTest } from './library.ts';

const opened = new Map<string, Promise<Gemma2UnderTest>>();

/** The model and tokenizer of a Hugging Face folder; each folder is loaded once. */
export function openGemma2(folder: string): Promise<Gemma2UnderTest> {
  let model = opened.get(folder);
  if (model === undefined) opened.set(folder, (model = load(folder)));
  return model;
}

async function load(folder: string): Promise<Gemma2UnderTest> {
  const teacher: typeof Teacher = await import('@proj/quant-jit/gemma2');
  const { fromArray } = await import('@proj/tensor');
  const { noGrad } = await import('@proj/autograd');
  type Tensor = ReturnType<typeof fromArray>;

  const model = teacher.loadGemma2(folder, { checkFinite: true });
  const sequence = (ids: readonly number[]): Tensor => fromArray([...ids], [1, ids.length], 'int64');
  const integers = ({ data, shape }: TensorData): Tensor => fromArray(Array.from(data, Number), [...shape], 'int64');
  const read = (tensor: Tensor): TensorData => ({
    dtype: tensor.dtype,
    shape: tensor.shape,
    data: tensor.toTypedArray(),
  });
  let tokenizer: Teacher.GemmaTokenizer | null = null;
  const tokens = (): Teacher.GemmaTokenizer => {
    if (tokenizer === null) {
      tokenizer = teacher.GemmaTokenizer.fromFolder(folder);
      tokenizer.checkFits(model.config, folder);
    }
    return tokenizer;
  };

  return {
    logits: (ids) => read(noGrad(() => model.call(sequence(ids)).logits).squeeze(0)),
    hidden(ids, name) {
      const [what, at] = name.split('.');
      const options = { outputHiddenStates: what !== 'attention_probs', outputAttentions: what === 'attention_probs' };
      const result = noGrad(() => model.call(sequence(ids), options));
      const found =
        what === 'embeddings'
          ? result.hiddenStates[0]
          : what === 'after_layer'
            ? result.hiddenStates[Number(at) + 1]
            : what === 'attention_probs'
              ? result.attentions[Number(at)]
              : what === 'final_norm'
                ? result.lastHiddenState
                : undefined;
      return found === undefined ? null : read(found.squeeze(0));
    },
    async greedy(ids, count) {
      // A small cache, so that it grows on the way.
      const decoder = new teacher.TeacherDecoder(model, { capacity: 16, maxLength: ids.length + count });
      const found: number[] = [];
      for await (const id of teacher.generate(decoder, ids, { maxNewTokens: count })) found.push(id);
      return found;
    },
    lastLogits(ids, mask) {
      const { logits } = noGrad(() => model.call(integers(ids), { attentionMask: integers(mask) }));
      return read(logits.select(1, -1));
    },
    loss(ids) {
      const input = sequence(ids);
      const loss = teacher.nextTokenLoss(model.call(input).logits, input);
      model.zeroGrad();
      loss.backward();
      const gradients = new Map<string, TensorData>();
      for (const [name, { grad }] of model.namedParameters()) if (grad !== null) gradients.set(name, read(grad));
      model.zeroGrad();
      return { loss: Number(loss.item()), gradients };
    },
    encode: (text, addSpecialTokens) => tokens().encode(text, { addSpecialTokens }),
    tokens: (text) => tokens().tokens(text),
    decode: (ids, skipSpecialTokens) => tokens().decode(ids, { skipSpecialTokens }),
  };
}
