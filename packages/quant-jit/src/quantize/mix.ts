/**
 * Schemes for each tensor under a budget of bits: a knapsack with one choice for each tensor. Choices that no budget would make are dropped (those above
 * the lower convex hull of error over size); from the smallest choices on, the step with the most error saved per byte is taken while it fits.
 */
import { ProjError } from '@proj/kernel';
import { packedBytes } from './pack.ts';
import { scheme as schemeOf, type SchemeName } from './scheme.ts';

/** A tensor to choose a scheme for. */
export interface MixLayer {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
}

/** Error that each tensor causes at each scheme that was tried; smaller is better, and the scale is the same for all tensors. */
export type Sensitivity = ReadonlyMap<string, ReadonlyMap<SchemeName, number>>;

/** What was chosen. */
export interface SchemeMix {
  readonly schemes: ReadonlyMap<string, SchemeName>;
  /** Packed bytes of all tensors, and per weight in bits. */
  readonly bytes: number;
  readonly bitsPerWeight: number;
  /** Sum of the errors, as measured one tensor at a time. */
  readonly error: number;
}

/** Error of every tensor at every scheme: `measure` converts one tensor, leaves the others as they are, and gives the loss or the error of the output. */
export async function measureSensitivity(
  layers: readonly MixLayer[],
  schemes: readonly SchemeName[],
  measure: (layer: MixLayer, scheme: SchemeName) => number | Promise<number>,
): Promise<Sensitivity> {
  const result = new Map<string, ReadonlyMap<SchemeName, number>>();
  for (const layer of layers) {
    const errors = new Map<SchemeName, number>();
    for (const name of schemes) {
      const error = await measure(layer, name);
      if (!Number.isFinite(error))
        throw new ProjError('invalid-argument', `the error of ${layer.name} at ${name} is ${error}`, {
          op: 'measureSensitivity',
        });
      errors.set(name, error);
    }
    result.set(layer.name, errors);
  }
  return result;
}

interface Choice {
  readonly scheme: SchemeName;
  readonly bytes: number;
  readonly error: number;
}

/** Choices by size, each with less error than the ones before, as far as they lie on the lower convex hull. */
function hull(layer: MixLayer, errors: ReadonlyMap<SchemeName, number>): Choice[] {
  const all = [...errors].map(([scheme, error]) => ({
    scheme,
    error,
    bytes: packedBytes(schemeOf(scheme), layer.rows, layer.columns),
  }));
  all.sort((a, b) => a.bytes - b.bytes || a.error - b.error);
  const kept: Choice[] = [];
  for (const choice of all) {
    const last = kept.at(-1);
    if (last !== undefined && choice.error >= last.error) continue;
    while (
      kept.length >= 2 &&
      rate(kept[kept.length - 2], kept[kept.length - 1]) <= rate(kept[kept.length - 2], choice)
    )
      kept.pop();
    kept.push(choice);
  }
  return kept;
}

/** Error saved per byte. */
const rate = (from: Choice, to: Choice): number => (from.error - to.error) / (to.bytes - from.bytes);

/**
 * A scheme for each tensor, such that all together take at most `budgetBits` bits per weight (scales and padding counted) and cause as little error as
 * this greedy choice finds.
 *
 * @throws ProjError when nothing that was measured fits the budget; it says what would.
 */
export function chooseSchemes(layers: readonly MixLayer[], budgetBits: number, sensitivity: Sensitivity): SchemeMix {
  const op = 'chooseSchemes';
  const weights = layers.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const budget = (budgetBits * weights) / 8;
  const tensors = layers.map((layer) => {
    const errors = sensitivity.get(layer.name);
    if (errors === undefined || errors.size === 0)
      throw new ProjError('invalid-argument', `no errors were measured for ${layer.name}`, {
        op,
        cure: 'Measure them with measureSensitivity()',
      });
    return { layer, choices: hull(layer, errors), at: 0 };
  });
  let bytes = tensors.reduce((sum, { choices }) => sum + choices[0].bytes, 0);
  if (bytes > budget)
    throw new ProjError(
      'invalid-argument',
      `the smallest schemes take ${((bytes * 8) / weights).toFixed(3)} bits per weight, ${budgetBits} are allowed`,
      {
        op,
        cure: 'Raise the budget or measure smaller schemes too',
      },
    );
  for (;;) {
    let best: (typeof tensors)[number] | null = null;
    let bestRate = 0;
    for (const tensor of tensors) {
      const [now, next] = [tensor.choices[tensor.at], tensor.choices.at(tensor.at + 1)];
      if (tensor.at + 1 >= tensor.choices.length || next === undefined || bytes - now.bytes + next.bytes > budget)
        continue;
      if (rate(now, next) > bestRate) [best, bestRate] = [tensor, rate(now, next)];
    }
    if (best === null) break;
    bytes += best.choices[best.at + 1].bytes - best.choices[best.at].bytes;
    best.at++;
  }
  return {
    schemes: new Map(tensors.map(({ layer, choices, at }) => [layer.name, choices[at].scheme])),
    bytes,
    bitsPerWeight: (bytes * 8) / weights,
    error: tensors.reduce((sum, { choices, at }) => sum + choices[at].error, 0),
  };
}
