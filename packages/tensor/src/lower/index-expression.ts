/**
 * Symbolic index arithmetic: where an element of a view lies, as a sum of multiples of loop variables. Movement operations become affine
 * expressions; floor divisions and remainders that do not simplify away become symbols of their own. The idea of carrying views as index
 * expressions with known ranges is tinygrad's.
 */
import type { Value } from '@proj/kernel';

export type SymbolDefinition =
  | { readonly kind: 'loop' }
  | { readonly kind: 'div'; readonly of: IndexExpression; readonly by: number }
  | { readonly kind: 'mod'; readonly of: IndexExpression; readonly by: number }
  /** The expression where a guard has found it inside its dimension, which is all that its range says; elsewhere nothing reads it. */
  | { readonly kind: 'within'; readonly of: IndexExpression }
  /** An index that was loaded; a vector when it differs between lanes. */
  | { readonly kind: 'runtime'; readonly value: Value };

export interface IndexSymbol {
  readonly id: number;
  /** Values are min … max. */
  readonly min: number;
  readonly max: number;
  readonly definition: SymbolDefinition;
}

export interface IndexExpression {
  /** Sorted by symbol id, no zero coefficients. */
  readonly terms: readonly (readonly [IndexSymbol, number])[];
  readonly constant: number;
}

let symbols = 0;

/** A loop variable that runs over 0 … size-1. */
export function loopSymbol(size: number): IndexSymbol {
  return { id: symbols++, min: 0, max: Math.max(0, size - 1), definition: { kind: 'loop' } };
}

export function runtimeSymbol(value: Value, size: number): IndexSymbol {
  return { id: symbols++, min: 0, max: Math.max(0, size - 1), definition: { kind: 'runtime', value } };
}

export const constantIndex = (constant: number): IndexExpression => ({ terms: [], constant });
export const symbolIndex = (symbol: IndexSymbol): IndexExpression => ({ terms: [[symbol, 1]], constant: 0 });

export function keyOf(e: IndexExpression): string {
  let key = String(e.constant);
  for (const [symbol, coefficient] of e.terms) key += `+${coefficient}s${symbol.id}`;
  return key;
}

export const sameIndex = (a: IndexExpression, b: IndexExpression): boolean =>
  a.constant === b.constant &&
  a.terms.length === b.terms.length &&
  a.terms.every(([s, c], i) => s === b.terms[i][0] && c === b.terms[i][1]);

export function rangeOf(e: IndexExpression): { min: number; max: number } {
  let min = e.constant;
  let max = e.constant;
  for (const [symbol, c] of e.terms) {
    min += c > 0 ? c * symbol.min : c * symbol.max;
    max += c > 0 ? c * symbol.max : c * symbol.min;
  }
  return { min, max };
}

export function addIndex(a: IndexExpression, b: IndexExpression): IndexExpression {
  const terms: [IndexSymbol, number][] = [];
  let i = 0;
  let j = 0;
  while (i < a.terms.length || j < b.terms.length) {
    const left = a.terms[i];
    const right = b.terms[j];
    if (right === undefined || (left !== undefined && left[0].id < right[0].id)) {
      terms.push([left[0], left[1]]);
      i++;
    } else if (left === undefined || right[0].id < left[0].id) {
      terms.push([right[0], right[1]]);
      j++;
    } else {
      if (left[1] + right[1] !== 0) terms.push([left[0], left[1] + right[1]]);
      i++;
      j++;
    }
  }
  return rejoin({ terms, constant: a.constant + b.constant });
}

/** c·k·(e div k) + c·(e mod k) is c·e, and c·k·((e div k) mod n) + c·(e mod k) is c·(e mod k·n). */
function rejoin(e: IndexExpression): IndexExpression {
  for (const [symbol, c] of e.terms) {
    const mod = symbol.definition;
    if (mod.kind !== 'mod') continue;
    const quotient = divIndex(mod.of, mod.by);
    for (const [other, k] of e.terms) {
      if (k !== c * mod.by) continue;
      const above = other.definition;
      const joined = sameIndex(quotient, symbolIndex(other))
        ? mod.of
        : above.kind === 'mod' && sameIndex(quotient, above.of)
          ? modIndex(mod.of, mod.by * above.by)
          : null;
      if (joined === null) continue;
      const rest = { terms: e.terms.filter(([s]) => s !== symbol && s !== other), constant: e.constant };
      return addIndex(rest, scaleIndex(joined, c));
    }
  }
  return e;
}

export function scaleIndex(e: IndexExpression, factor: number): IndexExpression {
  if (factor === 0) return constantIndex(0);
  return factor === 1 ? e : { terms: e.terms.map(([s, c]) => [s, c * factor] as const), constant: e.constant * factor };
}

export const offsetIndex = (e: IndexExpression, constant: number): IndexExpression =>
  constant === 0 ? e : { terms: e.terms, constant: e.constant + constant };

const derived = new Map<string, IndexSymbol>();

/** `of` is never negative: kernels divide towards zero. */
function derivedSymbol(kind: 'div' | 'mod', of: IndexExpression, by: number, min: number, max: number): IndexSymbol {
  const key = `${kind}${by}:${keyOf(of)}`;
  let symbol = derived.get(key);
  if (symbol === undefined) derived.set(key, (symbol = { id: symbols++, min, max, definition: { kind, of, by } }));
  return symbol;
}

/** `e` after a guard that lets only 0 … size-1 pass. */
export function withinIndex(e: IndexExpression, size: number): IndexExpression {
  const { min, max } = rangeOf(e);
  if (min >= 0 && max < size) return e;
  const key = `within${size}:${keyOf(e)}`;
  let symbol = derived.get(key);
  if (symbol === undefined)
    derived.set(
      key,
      (symbol = { id: symbols++, min: 0, max: Math.max(0, size - 1), definition: { kind: 'within', of: e } }),
    );
  return symbolIndex(symbol);
}

/** The expression with what its guarded parts stand for, which shows how it depends on loop variables. */
export function expandWithin(e: IndexExpression): IndexExpression {
  let result: IndexExpression = constantIndex(e.constant);
  for (const [symbol, c] of e.terms) {
    const d = symbol.definition;
    result = addIndex(
      result,
      d.kind === 'within' ? scaleIndex(expandWithin(d.of), c) : { terms: [[symbol, c]], constant: 0 },
    );
  }
  return result;
}

/** Forgets derived symbols; called between kernels so that the table does not grow. */
export function resetSymbols(): void {
  derived.clear();
}

/** Splits e into by·quotient + rest, where every term of the rest has a coefficient that `by` does not divide. */
function split(e: IndexExpression, by: number): { quotient: IndexExpression; rest: IndexExpression } {
  const whole = e.terms.filter(([, c]) => c % by === 0).map(([s, c]) => [s, c / by] as const);
  const parts = e.terms.filter(([, c]) => c % by !== 0);
  const high = Math.floor(e.constant / by);
  return { quotient: { terms: whole, constant: high }, rest: { terms: parts, constant: e.constant - high * by } };
}

/** e as factor · high + low with 0 ≤ low < factor, for a factor above 1 that divides `by`; null where there is none. */
function splitDigits(
  e: IndexExpression,
  by: number,
): { readonly factor: number; readonly high: IndexExpression; readonly low: IndexExpression } | null {
  for (const [, c] of e.terms) {
    const factor = gcd(c, by);
    if (factor === 1 || factor === by) continue;
    const { quotient: high, rest: low } = split(e, factor);
    if (high.terms.length === 0) continue;
    const { min, max } = rangeOf(low);
    if (min >= 0 && max < factor) return { factor, high, low };
  }
  return null;
}

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));

/** floor(e / by), by > 0. */
export function divIndex(e: IndexExpression, by: number): IndexExpression {
  if (by === 1) return e;
  const { quotient, rest } = split(e, by);
  const { min, max } = rangeOf(rest);
  const low = Math.floor(min / by);
  if (low === Math.floor(max / by)) return offsetIndex(quotient, low);
  const common = rest.terms.reduce((g, [, c]) => gcd(g, c), by);
  if (common > 1) {
    const reduced = {
      terms: rest.terms.map(([s, c]) => [s, c / common] as const),
      constant: Math.floor(rest.constant / common),
    };
    return addIndex(quotient, divIndex(reduced, by / common));
  }
  const digits = splitDigits(rest, by);
  if (digits !== null) return addIndex(quotient, divIndex(digits.high, by / digits.factor));
  if (rest.terms.length === 1 && rest.constant === 0 && rest.terms[0][1] === 1) {
    const inner = rest.terms[0][0].definition;
    if (inner.kind === 'div') return addIndex(quotient, divIndex(inner.of, inner.by * by));
    if (inner.kind === 'mod' && inner.by % by === 0)
      return addIndex(quotient, modIndex(divIndex(inner.of, by), inner.by / by));
  }
  const positive = offsetIndex(rest, -low * by);
  const whole = derivedSymbol('div', positive, by, 0, Math.floor(max / by) - low);
  return addIndex(quotient, offsetIndex(symbolIndex(whole), low));
}

/** e - by·floor(e / by). */
export function modIndex(e: IndexExpression, by: number): IndexExpression {
  if (by === 1) return constantIndex(0);
  const { rest } = split(e, by);
  const { min, max } = rangeOf(rest);
  const low = Math.floor(min / by);
  if (low === Math.floor(max / by)) return offsetIndex(rest, -low * by);
  const common = rest.terms.reduce((g, [, c]) => gcd(g, c), by);
  if (common > 1) {
    const reduced = {
      terms: rest.terms.map(([s, c]) => [s, c / common] as const),
      constant: Math.floor(rest.constant / common),
    };
    return offsetIndex(
      scaleIndex(modIndex(reduced, by / common), common),
      rest.constant - Math.floor(rest.constant / common) * common,
    );
  }
  const digits = splitDigits(rest, by);
  if (digits !== null)
    return addIndex(scaleIndex(modIndex(digits.high, by / digits.factor), digits.factor), digits.low);
  if (rest.terms.length === 1 && rest.constant === 0 && rest.terms[0][1] === 1) {
    const inner = rest.terms[0][0].definition;
    if (inner.kind === 'mod' && inner.by % by === 0) return modIndex(inner.of, by);
  }
  return symbolIndex(derivedSymbol('mod', offsetIndex(rest, -low * by), by, 0, by - 1));
}

/** Whether the value of `e` depends on `symbol`, in any way. */
export function dependsOn(e: IndexExpression, symbol: IndexSymbol): boolean {
  return e.terms.some(([s]) => s === symbol || symbolDependsOn(s, symbol));
}

function symbolDependsOn(s: IndexSymbol, symbol: IndexSymbol): boolean {
  const d = s.definition;
  return d.kind !== 'loop' && d.kind !== 'runtime' && dependsOn(d.of, symbol);
}

/** The number that `e`, which depends on nothing but `symbol`, is where `symbol` is `value`. */
export function evaluateIndex(e: IndexExpression, symbol: IndexSymbol, value: number): number {
  const valueOf = (s: IndexSymbol): number => {
    const d = s.definition;
    if (s === symbol || d.kind === 'loop' || d.kind === 'runtime') return value;
    const of = evaluateIndex(d.of, symbol, value);
    return d.kind === 'within' ? of : d.kind === 'div' ? Math.floor(of / d.by) : of - d.by * Math.floor(of / d.by);
  };
  return e.terms.reduce((sum, [s, c]) => sum + c * valueOf(s), e.constant);
}

/** The coefficient of `symbol`, or null when e depends on it in another way than as a plain term. */
export function coefficientOf(e: IndexExpression, symbol: IndexSymbol): number | null {
  let coefficient = 0;
  for (const [s, c] of e.terms) {
    if (s === symbol) coefficient = c;
    else if (symbolDependsOn(s, symbol)) return null;
  }
  return coefficient;
}

/** Row-major position of `position` in an array of `shape`. */
export function flatten(position: readonly IndexExpression[], shape: readonly number[]): IndexExpression {
  let flat = constantIndex(0);
  for (let i = 0; i < shape.length; i++) flat = addIndex(scaleIndex(flat, shape[i]), position[i]);
  return flat;
}

/** The position in `shape` of the row-major index `flat`. */
export function unflatten(flat: IndexExpression, shape: readonly number[]): IndexExpression[] {
  const position = new Array<IndexExpression>(shape.length);
  let rest = flat;
  for (let i = shape.length - 1; i >= 0; i--) {
    position[i] = i === 0 ? rest : modIndex(rest, shape[i]);
    if (shape[i] === 1) position[i] = constantIndex(0);
    if (i > 0) rest = divIndex(rest, shape[i]);
  }
  return position;
}

/** The position in `to` of the element at `position` in `from` (both of the same number of elements); equal leading and trailing dimensions pass through. */
export function reshapePosition(
  position: readonly IndexExpression[],
  from: readonly number[],
  to: readonly number[],
): IndexExpression[] {
  let head = 0;
  while (head < from.length && head < to.length && from[head] === to[head]) head++;
  let tail = 0;
  while (
    tail < from.length - head &&
    tail < to.length - head &&
    from[from.length - 1 - tail] === to[to.length - 1 - tail]
  )
    tail++;
  const middleFrom = from.slice(head, from.length - tail);
  const middleTo = to.slice(head, to.length - tail);
  const middle = unflatten(flatten(position.slice(head, from.length - tail), middleFrom), middleTo);
  return [...position.slice(0, head), ...middle, ...position.slice(from.length - tail)];
}
