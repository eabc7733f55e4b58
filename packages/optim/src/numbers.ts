/**
 * Numbers that change from step to step (learning rates, bias corrections) as 0-dim tensors. They are computed in double precision in JavaScript
 * and enter the program as arguments, so that neither a new value nor a replay of a captured step needs a new program.
 */
import type { Tensor } from '@proj/tensor';
import { scalarInput } from '@proj/tensor';

/** The numbers of one update rule at one step, by name. */
export type Numbers = Readonly<Record<string, number>>;

export class StepNumbers<N extends Numbers> {
  #values: N | null = null;
  readonly #tensors = new Map<string, Tensor>();

  set values(values: N) {
    this.#values = values;
  }

  /** The number `name` as a tensor that combines with `like` without changing its dtype. */
  of(name: keyof N & string, like: Tensor): Tensor {
    const dtype = like.dtype === 'float64' ? 'float64' : 'float32';
    const key = `${name}|${dtype}|${like.device.name}`;
    const known = this.#tensors.get(key);
    if (known !== undefined) return known;
    const made = scalarInput(() => this.#values?.[name] ?? Number.NaN, { dtype, device: like.device });
    this.#tensors.set(key, made);
    return made;
  }
}
