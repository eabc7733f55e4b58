/** Teaches a student of few bits what the teacher predicts, and saves its latent weights as a model that `convert` packs into the very integers that it was trained with. */
import { type Distilled, distillAndBinarize, type DistillOptions } from '@proj/quant-jit/distill';
import { type GemmaTokenizer, saveHuggingFace } from '@proj/quant-jit/gemma2';
import { createProgress } from '../reporting/progress.ts';

/** What a student is made of. */
export interface StudentRequest extends Omit<DistillOptions, 'ids' | 'onProgress'> {
  readonly text: string;
  readonly tokenizer: GemmaTokenizer;
  /** Hugging Face folder that it goes to, unless the run is interrupted. */
  readonly folder: string;
}

const UNITS = 1000;
const TRAINING_SHARE = 0.9;

/** Distils on the first nine tenths of a text: the last is for comparisons. */
export async function distilStudent({ text, tokenizer, folder, ...options }: StudentRequest): Promise<Distilled> {
  const ids = tokenizer.encode(text.slice(0, Math.floor(TRAINING_SHARE * text.length)), { addSpecialTokens: false });
  const progress = createProgress('distilling', UNITS);
  try {
    const result = await distillAndBinarize({
      ...options,
      ids,
      onProgress: ({ progress: done, scheme, loss, kl }) =>
        progress.update(Math.round(UNITS * done), `${scheme} loss ${loss.toFixed(3)} kl ${kl.toFixed(3)}`),
    });
    progress.stop();
    if (!result.interrupted) saveHuggingFace(folder, result.model, { tokenizer });
    return result;
  } finally {
    progress.stop();
  }
}
