/** Mixes of schemes against all combinations. */
import { describe, expect, it } from 'vitest';
import {
  chooseSchemes,
  measureSensitivity,
  type MixLayer,
  packedBytes,
  type SchemeName,
} from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';

const schemes: SchemeName[] = ['q1', 'q158', 'q4g32', 'q8g32'];
const layers: MixLayer[] = [
  { name: 'embed', rows: 512, columns: 128 },
  { name: 'q', rows: 128, columns: 128 },
  { name: 'up', rows: 512, columns: 256 },
  { name: 'down', rows: 128, columns: 512 },
];
/** Errors of a rounding noise of 4^-bits times how much each tensor matters. */
const matters: Record<string, number> = { embed: 10, q: 3, up: 1, down: 0.2 };
const errorOf: Record<string, number> = { q1: 0.36, q158: 0.26, q4g32: 0.0077, q8g32: 2.9e-5 };
const measure = ({ name }: MixLayer, scheme: SchemeName): number => matters[name] * errorOf[scheme];

function exhaustive(budget: number, errors: (layer: MixLayer, scheme: SchemeName) => number): number {
  let least = Infinity;
  const visit = (at: number, bytes: number, error: number): void => {
    if (bytes > budget) return;
    if (at === layers.length) least = Math.min(least, error);
    else
      for (const scheme of schemes)
        visit(
          at + 1,
          bytes + packedBytes(scheme, layers[at].rows, layers[at].columns),
          error + errors(layers[at], scheme),
        );
  };
  visit(0, 0, 0);
  return least;
}

describe('chooseSchemes', () => {
  const weights = layers.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  it.each([1.2, 2, 3, 4, 5, 6, 8.6])('stays within %f bits and is near the best combination', async (bits) => {
    const sensitivity = await measureSensitivity(layers, schemes, measure);
    const mix = chooseSchemes(layers, bits, sensitivity);
    const bytes = layers.reduce(
      (sum, { name, rows, columns }) => sum + packedBytes(mix.schemes.get(name) as SchemeName, rows, columns),
      0,
    );
    expect(mix.bytes).toBe(bytes);
    expect(mix.bitsPerWeight).toBeCloseTo((bytes * 8) / weights, 9);
    expect(mix.bitsPerWeight).toBeLessThanOrEqual(bits);
    const best = exhaustive((bits * weights) / 8, measure);
    const worst = exhaustive(Math.ceil((1.1 * weights) / 8), measure);
    expect(mix.error).toBeGreaterThanOrEqual(best - 1e-12);
    expect(mix.error - best).toBeLessThan(0.15 * worst);
  });
  it('errors that do not follow size are no trouble', async () => {
    const noise = gaussian(layers.length * schemes.length, 4).map(Math.abs);
    const errors = (layer: MixLayer, scheme: SchemeName): number =>
      noise[layers.indexOf(layer) * schemes.length + schemes.indexOf(scheme)];
    const sensitivity = await measureSensitivity(layers, schemes, async (layer, scheme) => errors(layer, scheme));
    const mix = chooseSchemes(layers, 9, sensitivity);
    expect(mix.error).toBeCloseTo(exhaustive(Infinity, errors), 9);
  });
  it('says what the least is when the budget is too small', async () => {
    const sensitivity = await measureSensitivity(layers, ['q4g32'], measure);
    expect(() => chooseSchemes(layers, 4, sensitivity)).toThrow(/4\.500 bits per weight, 4 are allowed/);
    expect(() => chooseSchemes([...layers, { name: 'new', rows: 1, columns: 1 }], 8, sensitivity)).toThrow(
      /measured for new/,
    );
    await expect(measureSensitivity(layers, ['q1'], () => NaN)).rejects.toThrow(/embed at q1 is NaN/);
  });
});
