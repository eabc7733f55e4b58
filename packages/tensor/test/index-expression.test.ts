/** Index arithmetic against whole numbers: quotients and remainders of sums of loop variables, also negative ones, as kernels compute them. */
import { randomNumbers } from '@proj/kernel/testing';
import { describe, expect, it } from 'vitest';
import {
  addIndex,
  constantIndex,
  divIndex,
  type IndexExpression,
  type IndexSymbol,
  loopSymbol,
  modIndex,
  offsetIndex,
  rangeOf,
  resetSymbols,
  scaleIndex,
  symbolIndex,
} from '../src/lower/index-expression.ts';

/** The value at given loop variables with the division of kernels, which rounds towards zero. */
function valueAt(e: IndexExpression, loops: ReadonlyMap<IndexSymbol, number>): number {
  return e.terms.reduce((sum, [symbol, c]) => {
    const { definition: d } = symbol;
    if (d.kind !== 'div' && d.kind !== 'mod') return sum + c * (loops.get(symbol) ?? NaN);
    const of = valueAt(d.of, loops);
    return sum + c * (d.kind === 'div' ? Math.trunc(of / d.by) : of % d.by);
  }, e.constant);
}

const floorDiv = (a: number, b: number): number => Math.floor(a / b);
const floorMod = (a: number, b: number): number => a - b * Math.floor(a / b);

describe('quotients and remainders', () => {
  it('of random expressions are those of their values', () => {
    const random = randomNumbers(1);
    const whole = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
    for (let round = 0; round < 4000; round++) {
      resetSymbols();
      const symbols = Array.from({ length: whole(1, 3) }, () => loopSymbol(whole(2, 6)));
      const points = Array.from(
        { length: 20 },
        () => new Map(symbols.map((symbol) => [symbol, whole(0, symbol.max)] as const)),
      );
      let e = constantIndex(whole(-30, 30));
      for (const symbol of symbols) e = addIndex(e, scaleIndex(symbolIndex(symbol), whole(-6, 6)));
      let expected = points.map((point) => valueAt(e, point));
      for (let step = whole(1, 4); step > 0; step--) {
        const by = whole(1, 12);
        const kind = whole(0, 3);
        if (kind === 0) [e, expected] = [divIndex(e, by), expected.map((v) => floorDiv(v, by))];
        else if (kind === 1) [e, expected] = [modIndex(e, by), expected.map((v) => floorMod(v, by))];
        else if (kind === 2) [e, expected] = [offsetIndex(scaleIndex(e, -1), by), expected.map((v) => by - v)];
        else {
          // What a position is taken apart into and put together again.
          const c = whole(1, 12);
          e = addIndex(scaleIndex(divIndex(e, by), c), modIndex(e, by));
          expected = expected.map((v) => c * floorDiv(v, by) + floorMod(v, by));
        }
      }
      const { min, max } = rangeOf(e);
      points.forEach((point, i) => {
        expect(valueAt(e, point), `round ${round}`).toBe(expected[i]);
        expect(expected[i]).toBeGreaterThanOrEqual(min);
        expect(expected[i]).toBeLessThanOrEqual(max);
      });
    }
  });
});
