// The parameters of a JavaScript function, read from its source: which are positional, and where the options object stands. The API rule lets
// leading optional parameters be positional "where everyone gives them so" (`dim`, `min`, `stride`); the function itself is what says which.

/** A parameter of a JavaScript function. */
export interface JsParameter {
  readonly name: string;
  readonly kind: 'plain' | 'options' | 'rest';
  /** The names inside a destructured options object. */
  readonly keys: readonly string[];
}

function closing(text: string, open: number): number {
  let depth = 0;
  let quote = '';
  for (let i = open; i < text.length; i++) {
    const c = text[i] ?? '';
    if (quote !== '') {
      if (c === '\\') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'" || c === '`') quote = c;
    else if (c === '(' || c === '[' || c === '{') depth++;
    else if (c === ')' || c === ']' || c === '}') {
      depth--;
      if (depth === 0) return i;
    }
  }
  return text.length;
}

function splitCommas(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? '';
    if (c === '(' || c === '[' || c === '{' || c === '"' || c === "'" || c === '`') {
      if (c === '"' || c === "'" || c === '`') {
        const end = text.indexOf(c, i + 1);
        i = end < 0 ? text.length : end;
      } else i = closing(text, i);
    } else if (c === ',') {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

function parameterOf(text: string): JsParameter {
  if (text.startsWith('...')) return { name: text.slice(3).trim(), kind: 'rest', keys: [] };
  if (text.startsWith('{')) {
    const keys = splitCommas(text.slice(1, closing(text, 0))).map((key) => /^[\w$]+/.exec(key)?.[0] ?? '...');
    return { name: '', kind: 'options', keys };
  }
  const name = /^[\w$]+/.exec(text)?.[0] ?? '';
  return { name, kind: /^(options|opts|\w*Options)$/.test(name) ? 'options' : 'plain', keys: [] };
}

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');

const cache = new WeakMap<object, readonly JsParameter[] | null>();

/** The parameters of a function or of a class's constructor; null when the source does not tell (native or bound functions). */
export function jsParameters(fn: (...args: never[]) => unknown): readonly JsParameter[] | null {
  const known = cache.get(fn);
  if (known !== undefined) return known;
  const parameters = readParameters(fn);
  cache.set(fn, parameters);
  return parameters;
}

function readParameters(fn: (...args: never[]) => unknown): readonly JsParameter[] | null {
  const source = withoutComments(Function.prototype.toString.call(fn));
  if (source.includes('[native code]')) return null;
  if (/^class\b/.test(source)) {
    const at = /(?:^|[\s;}])constructor\s*\(/.exec(source);
    if (at === null) {
      const parent: unknown = Object.getPrototypeOf(fn);
      return typeof parent === 'function' && parent !== Function.prototype
        ? jsParameters(parent as (...args: never[]) => unknown)
        : [];
    }
    const open = source.indexOf('(', at.index);
    return splitCommas(source.slice(open + 1, closing(source, open))).map(parameterOf);
  }
  const bare = /^(?:async\s+)?([\w$]+)\s*=>/.exec(source);
  if (bare !== null) return [parameterOf(bare[1] ?? '')];
  const open = source.indexOf('(');
  if (open < 0) return null;
  return splitCommas(source.slice(open + 1, closing(source, open))).map(parameterOf);
}
