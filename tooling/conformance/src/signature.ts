// Python-like signatures: parsing (`Tensor input, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None`), the choice of an overload, and
// the binding of a call's arguments to parameters, so that the API rule (required positional, the rest in options) can be applied.
import { PyValue } from './encoded.ts';
import type { JsParameter } from './js-parameters.ts';
import { camelCase } from './names.ts';

/** One parameter; `type` is empty where only Python's inspect knows the function. */
export interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  /** There is a default, and it is something else than None. */
  readonly defaultsToValue?: boolean;
  readonly keywordOnly: boolean;
  readonly variadic: boolean;
}

/** A parameter with the value that a call gives it. */
export interface Bound {
  readonly parameter: Parameter;
  readonly value: unknown;
}

function splitTopLevel(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quoted = false;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"' || c === "'") quoted = !quoted;
    if (quoted) continue;
    if (c === '[' || c === '(') depth++;
    if (c === ']' || c === ')') depth--;
    if (c === ',' && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

const cache = new Map<string, readonly Parameter[]>();

/** Parses a signature as `signatures.json` and the op tables write it; a leading `name(` and trailing `) -> …` are tolerated. */
export function parseSignature(text: string): readonly Parameter[] {
  const known = cache.get(text);
  if (known !== undefined) return known;
  let body = text.replace(/^py: /, '');
  const call = /^[\w.]*\((.*)\)(?: -> .*)?$/s.exec(body);
  if (call !== null) body = call[1] ?? '';
  let keywordOnly = false;
  const parameters: Parameter[] = [];
  for (const part of splitTopLevel(body)) {
    if (part === '*') {
      keywordOnly = true;
      continue;
    }
    if (part.startsWith('**') || part === '/') continue;
    const equals = part.indexOf('=');
    let head = (equals < 0 ? part : part.slice(0, equals)).trim();
    let type = '';
    const variadic = head.startsWith('*');
    if (variadic) head = head.slice(1);
    const colon = head.indexOf(':');
    if (colon >= 0) head = head.slice(0, colon).trim();
    const space = head.lastIndexOf(' ');
    if (space >= 0) {
      type = head.slice(0, space).replace(/\([^)]*\)/g, '');
      head = head.slice(space + 1);
    }
    if (head.endsWith('?')) {
      parameters.push({ name: head.slice(0, -1), type, required: false, keywordOnly, variadic });
      continue;
    }
    if (head === 'self') head = 'input';
    const defaultsToValue = equals >= 0 && part.slice(equals + 1).trim() !== 'None';
    parameters.push({
      name: head,
      type,
      required: equals < 0 && !variadic,
      keywordOnly,
      variadic,
      ...(defaultsToValue ? { defaultsToValue } : {}),
    });
    if (variadic) keywordOnly = true;
  }
  cache.set(text, parameters);
  return parameters;
}

type IsTensor = (value: unknown) => boolean;

function hasKind(value: unknown, kind: PyValue['kind']): boolean {
  return value instanceof PyValue && value.kind === kind;
}

function acceptsBase(base: string, value: unknown, isTensor: IsTensor): boolean {
  switch (base) {
    case 'Tensor':
      return isTensor(value);
    case 'Scalar':
      return (
        typeof value === 'number' ||
        hasKind(value, 'float') ||
        typeof value === 'bigint' ||
        typeof value === 'boolean' ||
        hasKind(value, 'complex') ||
        isTensor(value)
      );
    case 'int':
    case 'SymInt':
      return (typeof value === 'number' && Number.isInteger(value)) || typeof value === 'bigint';
    case 'float':
      return typeof value === 'number' || hasKind(value, 'float') || isTensor(value);
    case 'bool':
      return typeof value === 'boolean';
    case 'str':
      return typeof value === 'string';
    case 'ScalarType':
      return hasKind(value, 'dtype');
    case 'Device':
      return hasKind(value, 'device') || typeof value === 'string';
    case 'Layout':
      return hasKind(value, 'layout');
    case 'MemoryFormat':
      return hasKind(value, 'memory_format');
    default:
      return true;
  }
}

/** True when Python would accept the value for the type of an operator schema. */
export function accepts(type: string, value: unknown, isTensor: IsTensor): boolean {
  if (type === '') return true;
  if (value === null || value === undefined) return type.endsWith('?');
  const bare = type.endsWith('?') ? type.slice(0, -1) : type;
  const list = /^(.*)\[(\d*)\]$/.exec(bare);
  if (list === null) return acceptsBase(bare, value, isTensor);
  const [, element = '', size = ''] = list;
  if (Array.isArray(value)) return value.every((entry) => accepts(element, entry, isTensor));
  return size !== '' && acceptsBase(element, value, isTensor);
}

/** Keywords that PyTorch's argument parser takes everywhere, whatever the schema says. */
const universalKeywords: ReadonlySet<string> = new Set([
  'requires_grad',
  'device',
  'layout',
  'pin_memory',
  'memory_format',
  'out',
  'need_attn_weights',
]);

const isIntegerList = (type: string): boolean => /^(int|SymInt)\[\]\??$/.test(type);

/** Binds the arguments to one overload; null when their number or names do not fit. Without `strict` types are not looked at. */
export function bindOverload(
  parameters: readonly Parameter[],
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  isTensor: IsTensor,
  strict: boolean,
): Bound[] | null {
  const bound: Bound[] = [];
  const taken = new Set<string>();
  let next = 0;
  for (const parameter of parameters) {
    if (parameter.keywordOnly || next >= args.length) break;
    let value = args[next++];
    if (parameter.variadic) {
      value = args.slice(next - 1);
      next = args.length;
    } else if (isIntegerList(parameter.type) && typeof value === 'number') {
      const rest: unknown[] = [value];
      while (next < args.length && typeof args[next] === 'number') rest.push(args[next++]);
      value = rest;
    }
    bound.push({ parameter, value });
    taken.add(parameter.name);
  }
  if (next < args.length) return null;
  for (const [name, value] of Object.entries(kwargs)) {
    const parameter = parameters.find((p) => p.name === name || (p.name === 'input' && name === 'self'));
    if (parameter === undefined && universalKeywords.has(name)) {
      if (value === true)
        bound.push({ parameter: { name, type: '', required: false, keywordOnly: true, variadic: false }, value });
      continue;
    }
    if (parameter === undefined || taken.has(parameter.name)) return null;
    bound.push({ parameter, value });
    taken.add(parameter.name);
  }
  for (const parameter of parameters) if (parameter.required && !taken.has(parameter.name)) return null;
  if (strict && !bound.every(({ parameter, value }) => parameter.variadic || accepts(parameter.type, value, isTensor)))
    return null;
  const order = new Map(parameters.map((parameter, i) => [parameter.name, i]));
  const place = ({ parameter }: Bound): number => order.get(parameter.name) ?? parameters.length;
  return bound.sort((a, b) => place(a) - place(b));
}

/** The arguments bound to the first overload that takes them, by types first and then by names alone. */
export function bindCall(
  overloads: readonly string[],
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  isTensor: IsTensor,
): Bound[] | null {
  const parsed = overloads.map(parseSignature);
  for (const strict of [true, false]) {
    for (const parameters of parsed) {
      const bound = bindOverload(parameters, args, kwargs, isTensor, strict);
      if (bound !== null) return bound;
    }
  }
  return null;
}

/** Arguments in our form: positional ones (null where one is left out), then the options, with the parameters that they were bound to. */
export interface CallForm {
  readonly positional: readonly (Bound | null)[];
  readonly options: readonly Bound[];
  /** Where the options object stands, when the function says so. */
  readonly optionsAt?: number;
}

/**
 * Applies the API rule to bound arguments: a parameter without a default is positional (in the matched overload or in our own row), everything
 * else goes to the options. Where the function's own parameters are known, they say which of the rest are positional. An option that is None
 * by default and by the call is left out.
 */
export function toCallForm(
  bound: readonly Bound[],
  ours: readonly Parameter[] | null,
  own: readonly JsParameter[] | null = null,
): CallForm {
  // Our tensors live on one device at a time, so a device that PyTorch takes by position is left out.
  const given = bound.filter(({ parameter }) => parameter.name !== 'device');
  if (own === null || own.some(({ kind }) => kind === 'rest')) return byRule(given, ours);
  return byParameters(given, own);
}

function byRule(bound: readonly Bound[], ours: readonly Parameter[] | null): CallForm {
  const requiredByUs = new Set((ours ?? []).filter((p) => p.required).map((p) => p.name));
  const positional: Bound[] = [];
  const options: Bound[] = [];
  for (const entry of bound) {
    const { parameter, value } = entry;
    if (options.length === 0 && parameter.variadic) {
      positional.push(...(value as unknown[]).map((item) => ({ parameter, value: item })));
      continue;
    }
    const required = (parameter.required && !parameter.keywordOnly) || requiredByUs.has(parameter.name);
    if (options.length === 0 && required) positional.push(entry);
    else if (!isNone(value) || parameter.defaultsToValue === true) options.push(entry);
  }
  while (positional.length > 1 && isNone(positional.at(-1)?.value)) positional.pop();
  return { positional, options };
}

const isNone = (value: unknown): boolean => value === null || value === undefined;

function byParameters(bound: readonly Bound[], own: readonly JsParameter[]): CallForm {
  const plain = own.filter(({ kind }) => kind === 'plain');
  const positional: (Bound | undefined)[] = new Array<undefined>(plain.length).fill(undefined);
  const named = new Set(bound.map(({ parameter }) => camelCase(parameter.name)));
  const options: Bound[] = [];
  // As many required parameters as places: they stand in PyTorch's order, whatever they are called here.
  const inOrder = bound.filter(({ parameter }) => parameter.required && !parameter.keywordOnly).length === plain.length;
  for (const [i, entry] of bound.entries()) {
    const { parameter, value } = entry;
    let at =
      inOrder && parameter.required && !parameter.keywordOnly
        ? i
        : plain.findIndex(({ name }) => name.replace(/_+$/, '') === camelCase(parameter.name));
    const here = plain[i];
    if (
      at < 0 &&
      parameter.required &&
      !parameter.keywordOnly &&
      here !== undefined &&
      !named.has(here.name) &&
      positional[i] === undefined
    )
      at = i;
    if (at >= 0) positional[at] = entry;
    else if (!isNone(value) || parameter.defaultsToValue === true) options.push(entry);
  }
  while (positional.length > 0 && isNone(positional.at(-1)?.value)) positional.pop();
  return {
    positional: Array.from(positional, (entry) => entry ?? null),
    options,
    optionsAt: own.findIndex(({ kind }) => kind === 'options'),
  };
}
