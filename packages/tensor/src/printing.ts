/**
 * Tensors as text. Which digits are shown, when numbers are written with exponents, how columns are aligned, where lines are broken and what is left out of
 * large tensors are PyTorch's rules (`torch._tensor_str`); names are ours: `true`, `dtype=int32`, `requiresGrad`.
 */
import { describeValue, DTYPES, ProjError, withDefaults } from '@proj/kernel';
import { refuseWhileCapturing } from './evaluate.ts';
import { elementCount, isComplexType, type Shape } from './graph/node.ts';
import { type ElementArray, readElements } from './io/elements.ts';
import { getDefaultDtype } from './promotion.ts';
import type { Tensor } from './tensor.ts';

const PROFILES = {
  default: { precision: 4, threshold: 1000, edgeitems: 3, linewidth: 80 },
  short: { precision: 2, threshold: 1000, edgeitems: 2, linewidth: 80 },
  full: { precision: 4, threshold: Infinity, edgeitems: 3, linewidth: 80 },
};

export interface PrintOptions {
  /** Digits after the point (4). */
  readonly precision?: number | null;
  /** Tensors of more elements are shown in part (1000). */
  readonly threshold?: number | null;
  /** Entries at each end of a dimension that is shown in part (3). */
  readonly edgeitems?: number | null;
  /** Characters in a line (80). */
  readonly linewidth?: number | null;
  /** Sets all of the above, before those that are given. */
  readonly profile?: keyof typeof PROFILES | null;
  /** Whether floats are written with exponents (default null: where they differ too much); set anew by every call. */
  readonly sciMode?: boolean | null;
}

let settings = { ...PROFILES.default, sciMode: null as boolean | null };

/** How tensors are printed from now on; what is not given stays as it is. */
export function setPrintoptions(options: PrintOptions): void {
  const op = 'setPrintoptions';
  const { profile, sciMode, ...given } = withDefaults(
    op,
    { precision: null, threshold: null, edgeitems: null, linewidth: null, profile: null, sciMode: null },
    options,
  );
  if (profile !== null && !Object.hasOwn(PROFILES, profile))
    throw new ProjError('invalid-argument', `profile is ${describeValue(profile)}`, {
      op,
      cure: `Profiles are ${Object.keys(PROFILES).join(', ')}`,
    });
  const least = { precision: 0, threshold: 0, edgeitems: 1, linewidth: 1 };
  const chosen = { ...settings, ...(profile === null ? {} : PROFILES[profile]), sciMode };
  for (const [name, value] of Object.entries(given) as [keyof typeof least, number | null][]) {
    if (value === null) continue;
    if (!(value >= least[name]) || !(Number.isInteger(value) || (name === 'threshold' && value === Infinity)))
      throw new ProjError('invalid-argument', `${name} is ${describeValue(value)}`, {
        op,
        cure: `It must be a whole number, at least ${least[name]}`,
      });
    chosen[name] = value;
  }
  settings = chosen;
}

// Numbers as Python writes them

/** Rounds decimals as Python does, to even where two are equally near; JavaScript's `toFixed` and `toExponential` round such up. */
function decimals(x: number, digits: number, write: (x: number, digits: number) => string): string {
  const rounded = write(x, digits);
  // More digits than a double that is near a tie can have.
  const [mantissa, exponent] = write(x, Math.min(100, digits + 60)).split('e');
  const cut = mantissa.length - (Math.min(100, digits + 60) - digits);
  const [kept, rest] = [mantissa.slice(0, cut), mantissa.slice(cut).replace('.', '')];
  const tie = /^50*$/.test(rest);
  if (!tie || Number(kept.at(-1) === '.' ? kept.at(-2) : kept.at(-1)) % 2 === 1) return rounded;
  return exponent === undefined ? kept.replace(/\.$/, '') : `${kept}e${exponent}`;
}
const signed = (x: number, write: (size: number) => string): string => {
  if (Number.isNaN(x)) return 'nan';
  const size = Math.abs(x);
  return `${x < 0 || Object.is(x, -0) ? '-' : ''}${size === Infinity ? 'inf' : write(size)}`;
};
/** Python's `{:.4f}`. */
const fixed = (x: number, digits: number): string =>
  signed(x, (size) =>
    size >= 1e21
      ? `${BigInt(size)}${digits === 0 ? '' : `.${'0'.repeat(digits)}`}`
      : decimals(size, digits, (value, count) => value.toFixed(count)),
  );
/** Python's `{:.4e}`. */
const scientific = (x: number, digits: number): string =>
  signed(x, (size) =>
    decimals(size, digits, (value, count) => value.toExponential(count)).replace(/e([+-])(\d)$/, 'e$10$2'),
  );

interface Format {
  readonly width: number;
  write(value: number | bigint | boolean): string;
}

const widest = (texts: readonly string[], least: number): number =>
  texts.reduce((width, text) => Math.max(width, text.length), least);

/** One way to write all of these floats. */
function floatFormat(values: readonly number[]): Format {
  const { precision, sciMode } = settings;
  const finite = values.filter((x) => Number.isFinite(x) && x !== 0);
  const whole = finite.every(Number.isInteger);
  const largest = finite.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  const smallest = finite.reduce((min, x) => Math.min(min, Math.abs(x)), Infinity);
  const uneven = finite.length > 0 && (largest / smallest > 1000 || largest > 1e8 || (!whole && smallest < 1e-4));
  const exponents = finite.length === 0 ? false : (sciMode ?? uneven);
  const measure = (x: number): string => {
    if (uneven) return scientific(x, precision);
    return whole ? `${fixed(x, 0)}.` : fixed(x, precision);
  };
  const width = widest(finite.map(measure), 1);
  const write = (x: number): string => {
    if (exponents) return scientific(x, precision);
    if (!whole) return fixed(x, precision);
    return Number.isFinite(x) ? `${fixed(x, 0)}.` : fixed(x, 0);
  };
  return { width, write: (x) => write(Number(x)).padStart(width) };
}
function plainFormat(values: readonly (number | bigint | boolean)[]): Format {
  const width = widest(values.map(String), 1);
  return { width, write: (x) => String(x).padStart(width) };
}

// Tensors

type Cell = number | bigint | boolean | readonly [number, number];
/** The entries of a dimension that are shown; null for those that are left out. */
type Shown = readonly (Cell | Shown | null)[];

/** What is shown of a tensor, and all cells of it in a row. */
function visible(t: Tensor, summarize: boolean): { readonly shown: Cell | Shown; readonly cells: Cell[] } {
  refuseWhileCapturing();
  const { node, shape, dtype } = t.detach().realize();
  const cells: Cell[] = [];
  const complex = isComplexType(dtype);
  const whole = summarize ? null : readElements(node);
  const cell = (elements: ElementArray, i: number): Cell => {
    const value: Cell = complex
      ? [Number(elements[2 * i]), Number(elements[2 * i + 1])]
      : dtype === 'bool'
        ? elements[i] !== 0
        : elements[i];
    cells.push(value);
    return value;
  };
  const run = (from: number, count: number): Cell[] => {
    const elements = whole ?? readElements(node, from, count);
    return Array.from({ length: count }, (_, i) => cell(elements, whole === null ? i : from + i));
  };
  const show = (dims: Shape, from: number): Shown => {
    const [size, ...rest] = dims;
    const step = elementCount(rest);
    const part = (first: number, count: number): Shown =>
      rest.length === 0
        ? run(from + first, count)
        : Array.from({ length: count }, (_, i) => show(rest, from + (first + i) * step));
    const edge = settings.edgeitems;
    return summarize && size > 2 * edge ? [...part(0, edge), null, ...part(size - edge, edge)] : part(0, size);
  };
  const shown = shape.length === 0 ? run(0, 1)[0] : show(shape, 0);
  return { shown, cells };
}

type Writer = (cell: Cell) => string;
function writerOf(cells: readonly Cell[], t: Tensor): { readonly write: Writer; readonly width: number } {
  if (isComplexType(t.dtype)) {
    const pairs = cells as readonly (readonly [number, number])[];
    const [re, im] = [floatFormat(pairs.map(([x]) => x)), floatFormat(pairs.map(([, x]) => x))];
    const write = (cell: Cell): string => {
      const [x, y] = cell as readonly [number, number];
      const imaginary = `${im.write(y)}j`.trimStart();
      return `${re.write(x)}${imaginary.startsWith('-') ? '' : '+'}${imaginary}`;
    };
    return { write, width: re.width + im.width + 1 };
  }
  const plain = cells as readonly (number | bigint | boolean)[];
  const format = DTYPES[t.dtype].category === 'float' ? floatFormat(plain.map(Number)) : plainFormat(plain);
  return { write: (cell) => format.write(cell as number), width: format.width };
}

function draw(shown: Shown, dims: number, indent: number, write: Writer, width: number): string {
  if (dims > 1) {
    const parts = shown.map((part) =>
      part === null ? '...' : draw(part as Shown, dims - 1, indent + 1, write, width),
    );
    return `[${parts.join(`,${'\n'.repeat(dims - 1)}${' '.repeat(indent + 1)}`)}]`;
  }
  const texts = shown.map((cell) => (cell === null ? ' ...' : write(cell as Cell)));
  const inLine = Math.max(1, Math.floor((settings.linewidth - indent) / (width + 2)));
  const lines = Array.from({ length: Math.ceil(texts.length / inLine) }, (_, i) =>
    texts.slice(i * inLine, (i + 1) * inLine).join(', '),
  );
  return `[${lines.join(`,\n${' '.repeat(indent + 1)}`)}]`;
}

const PREFIX = 'tensor(';

/** The text of a tensor, which is computed for it. */
export function formatTensor(t: Tensor): string {
  const { shape, dtype } = t;
  const usual: readonly string[] = [
    getDefaultDtype(),
    ...(shape.includes(0) ? [] : ['int64', 'bool', getDefaultDtype() === 'float64' ? 'complex128' : 'complex64']),
  ];
  const suffixes = [
    ...(shape.includes(0) && shape.length !== 1 ? [`size=[${shape.join(', ')}]`] : []),
    ...(usual.includes(dtype) ? [] : [`dtype=${dtype}`]),
    ...(t.requiresGrad ? ['requiresGrad'] : []),
  ];
  let text = `${PREFIX}[]`;
  if (!shape.includes(0)) {
    const { shown, cells } = visible(t, elementCount(shape) > settings.threshold);
    const { write, width } = writerOf(cells, t);
    text =
      PREFIX +
      (shape.length === 0 ? write(shown as Cell) : draw(shown as Shown, shape.length, PREFIX.length, write, width));
  }
  let lastLine = text.length - text.lastIndexOf('\n') + 1;
  for (const suffix of suffixes) {
    const breaks = lastLine + suffix.length + 2 > settings.linewidth;
    text += breaks ? `,\n${' '.repeat(PREFIX.length)}${suffix}` : `, ${suffix}`;
    lastLine = breaks ? PREFIX.length + suffix.length : lastLine + suffix.length + 2;
  }
  return `${text})`;
}
