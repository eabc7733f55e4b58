/**
 * The structure of a graph as a sequence of numbers: equal sequences mean that one plan serves both graphs. Eager code asks for it at every
 * evaluation, so it is made without building text.
 */
import { type AnyNode, operandsOf } from '../graph/node.ts';
import { isStructuralConstant } from '../lower/emitter.ts';

const IN_MEMORY = -1;
const NUMBER = -2;
const OTHER = -3;
const ARGUMENT = -4;

/** Names of primitives, functions and dtypes as small numbers. They come from closed unions. */
const codes = new Map<string, number>();
function codeOf(name: string): number {
  let code = codes.get(name);
  if (code === undefined) codes.set(name, (code = codes.size));
  return code;
}

/** Texts without bound are spelled out, so that nothing is kept of them. */
function pushText(words: number[], text: string): void {
  words.push(text.length);
  for (let i = 0; i < text.length; i++) words.push(text.charCodeAt(i));
}

export function pushNumbers(words: number[], numbers: readonly number[]): void {
  words.push(numbers.length);
  for (let i = 0; i < numbers.length; i++) words.push(numbers[i]);
}

function pushConstant(words: number[], value: number | bigint | boolean): void {
  if (!isStructuralConstant(value)) words.push(ARGUMENT);
  else if (typeof value === 'number') words.push(NUMBER, value);
  else {
    words.push(OTHER);
    pushText(words, `${typeof value}${value}`);
  }
}

/** Attributes of one primitive have the same fields in the same order. */
function pushAttribute(words: number[], value: unknown): void {
  if (typeof value === 'number') words.push(value);
  else if (typeof value === 'string') words.push(codeOf(value));
  else if (typeof value === 'boolean') words.push(Number(value));
  else if (Array.isArray(value)) {
    words.push(value.length);
    for (const item of value) pushAttribute(words, item);
  } else if (typeof value === 'object' && value !== null)
    for (const key in value) pushAttribute(words, (value as Record<string, unknown>)[key]);
}

/** A node that is read from memory, whatever made it. */
export function pushMemory(words: number[], node: AnyNode, constant: boolean): void {
  words.push(IN_MEMORY, Number(constant), codeOf(node.dtype));
  pushNumbers(words, node.shape);
}

/** What a node computes from its sources. */
export function pushNode(words: number[], node: AnyNode): void {
  if (node.data !== null) words.push(IN_MEMORY);
  else {
    words.push(codeOf(node.op));
    switch (node.op) {
      case 'constant':
        if (node.attr.provider !== null) words.push(ARGUMENT);
        else pushConstant(words, node.attr.value);
        break;
      case 'custom':
        pushText(words, node.attr.operation.name);
        pushText(words, node.attr.operation.key(node.attr.options));
        words.push(node.attr.output);
        break;
      case 'unary':
      case 'binary':
        words.push(codeOf(node.attr.fn));
        break;
      default:
        pushAttribute(words, node.attr);
    }
  }
  words.push(codeOf(node.dtype));
  pushNumbers(words, node.shape);
}

/** The structure of the graph below `roots`, whose nodes are `order`; `fixed` are nodes whose memory stays the same. */
export function structureOf(
  order: readonly AnyNode[],
  roots: readonly AnyNode[],
  threads: number,
  fixed: ReadonlySet<AnyNode>,
): number[] {
  const words = [threads, order.length, Number(fixed.size > 0)];
  for (let i = 0; i < order.length; i++) {
    const node = order[i];
    node.position = i;
    pushNode(words, node);
    if (node.data === null) {
      const sources = operandsOf(node);
      words.push(sources.length);
      for (let k = 0; k < sources.length; k++) words.push(sources[k].position);
    } else if (fixed.size > 0) words.push(Number(fixed.has(node)));
  }
  for (const root of roots) words.push(root.position);
  return words;
}

/** NaN equals NaN, and -0 is not 0: both may be values to pad with, or constants. */
export function sameStructure(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** 30 bits that differ for most structures. */
export function hashStructure(words: readonly number[]): number {
  let hash = words.length;
  for (let i = 0; i < words.length; i++) {
    hash = Math.imul(hash ^ words[i], 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash & 0x3fffffff;
}
