/** How the settings of a layer are printed: between its parentheses, with PyTorch's names, as Python prints values. */
import { stateName } from './state-names.ts';

/** A value as Python prints it. */
export function python(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `(${value.map(python).join(', ')}${value.length === 1 ? ',' : ''})`;
  if (typeof value === 'number' && value !== 0 && Math.abs(value) < 1e-4)
    return value.toExponential().replace(/e-(\d)$/, 'e-0$1');
  return String(value);
}

/** `name=value` of each setting. What is undefined is left out. */
export const settings = (values: Readonly<Record<string, unknown>>): string =>
  Object.entries(values)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${stateName(name)}=${python(value)}`]))
    .join(', ');

/** `value` where it is not what it is by default. */
export const unless = <T>(byDefault: T, value: T): T | undefined =>
  python(value) === python(byDefault) ? undefined : value;

/** Parts with commas between them. */
export const joined = (...parts: readonly string[]): string => parts.filter((part) => part !== '').join(', ');
