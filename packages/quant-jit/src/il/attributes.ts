/** Attributes: which each operation has, what values they take, and which value is left out when printed. */
import type { AttributesOf, AttributeValue, IlOp } from './il.ts';

export type AttributeRule = (
  | { readonly kind: 'number'; readonly positive?: boolean }
  | { readonly kind: 'integer'; readonly least: number }
  | { readonly kind: 'text' }
  | { readonly kind: 'texts' }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
) & {
  /** The value that is left out when printed. */
  readonly default?: AttributeValue;
};

export type AttributeSchema<Op extends IlOp> = { readonly [Key in keyof AttributesOf[Op]]: AttributeRule };

const natural = { kind: 'integer', least: 0 } as const;
const size = { kind: 'integer', least: 1 } as const;
const positive = { kind: 'number', positive: true } as const;
const mode = { kind: 'choice', choices: ['exact', 'data', 'logic'], default: 'exact' } as const;
const activation = { kind: 'choice', choices: ['a8g32', 'a8', 'a1'] } as const;
const eps = positive;

/** The attributes of every operation, in the order in which they are printed. */
export const ATTRIBUTES: { readonly [Op in IlOp]: AttributeSchema<Op> } = {
  load_input: { columns: { ...natural, default: 0 } },
  const: {
    name: { kind: 'text' },
    parts: { kind: 'texts', default: [] },
    layout: { kind: 'choice', choices: ['any', 'rows', 'panels', 'pairs'], default: 'any' },
  },
  embed: { scale: positive },
  norm: { eps, mode },
  quantize: { scheme: activation },
  int_dot: {},
  xnor_dot: {},
  scale: {},
  add: {},
  mul: {},
  gelu: {},
  softcap: { cap: positive },
  slice: { begin: natural, end: size },
  last: {},
  rope: { heads: size, head_dim: { kind: 'integer', least: 2 }, theta: positive },
  attention: {
    layer: natural,
    heads: size,
    kv_heads: size,
    head_dim: size,
    scale: positive,
    cap: { kind: 'number', default: 0 },
    window: { ...natural, default: 0 },
    cache: { kind: 'choice', choices: ['f32', 'q8'], default: 'f32' },
    mode,
  },
  lut: {
    function: { kind: 'choice', choices: ['exp', 'rsqrt', 'gelu', 'tanh'] },
    lo: { kind: 'number' },
    hi: { kind: 'number' },
    bits: size,
  },
  softmax: { mode },
  linear: {},
  gated_linear: {},
  norm_quantize: { eps, scheme: activation, mode },
  add_norm: { eps, mode },
  add_norm_quantize: { eps, scheme: activation, mode },
  store: {},
};

/** The rules of an operation's attributes by name. */
export const attributeRules = (op: IlOp): Readonly<Record<string, AttributeRule>> => ATTRIBUTES[op];

/** Whether a value is an attribute's default. */
export const isDefault = (rule: AttributeRule | undefined, value: AttributeValue): boolean =>
  rule?.default !== undefined && JSON.stringify(rule.default) === JSON.stringify(value);

/** What is wrong with a value, or undefined. */
export function attributeProblem(rule: AttributeRule, value: AttributeValue | undefined): string | undefined {
  if (value === undefined) return 'is missing';
  const shown = JSON.stringify(value);
  switch (rule.kind) {
    case 'number':
      if (typeof value !== 'number' || !Number.isFinite(value)) return `is ${shown}, not a number`;
      return rule.positive === true && value <= 0 ? `is ${shown}, not positive` : undefined;
    case 'integer':
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= rule.least) return undefined;
      return `is ${shown}, not a whole number of at least ${rule.least}`;
    case 'text':
      return typeof value === 'string' && value !== '' ? undefined : `is ${shown}, not a text`;
    case 'texts':
      return Array.isArray(value) && value.every((part) => typeof part === 'string')
        ? undefined
        : `is ${shown}, not a list of texts`;
    case 'choice':
      return typeof value === 'string' && rule.choices.includes(value)
        ? undefined
        : `is ${shown}, not one of ${rule.choices.join(', ')}`;
    default:
      return rule satisfies never;
  }
}

/** Attributes with the defaults filled in. */
export function withDefaults(
  op: IlOp,
  given: Readonly<Record<string, AttributeValue>>,
): Record<string, AttributeValue> {
  const full: Record<string, AttributeValue> = {};
  for (const [key, rule] of Object.entries(attributeRules(op))) {
    const value = given[key] ?? rule.default;
    if (value !== undefined) full[key] = value;
  }
  for (const [key, value] of Object.entries(given)) full[key] ??= value;
  return full;
}
