/** Lines over a linear or logarithmic scale as an SVG document. The colours are those of Okabe and Ito, which people with colour blindness can tell apart. */
import { writeFileSync } from 'node:fs';
import { fileError } from '@proj/tensor/io';

/** One line of a plot: y by x, in the order of x. */
export interface PlotLine {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** What a plot shows and says. */
export interface LinePlot {
  readonly lines: readonly PlotLine[];
  readonly title: string;
  /** What the axes are, with units. */
  readonly x: string;
  readonly y: string;
  readonly scale: 'linear' | 'logarithmic';
  /** Names of the places 0, 1, … on the x axis (default: the numbers). */
  readonly names?: readonly string[];
}

const SIZE = { width: 760, height: 440 } as const;
const FRAME = { left: 76, right: 168, top: 44, bottom: 54 } as const;
const INNER = {
  width: SIZE.width - FRAME.left - FRAME.right,
  height: SIZE.height - FRAME.top - FRAME.bottom,
} as const;
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const INK = { text: '#222', soft: '#555', grid: '#e2e2e2', axis: '#888' } as const;
/** What is drawn at the lower end of a logarithmic scale: 0, and what is next to it. */
const LEAST = 1e-12;
/** Lines of more points have no dots. */
const MOST_DOTS = 40;
const LEGEND_CHARACTERS = 18;

const escape = (text: string): string => text.replace(/[<>&"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
const text = (x: number, y: number, content: string, more = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${more}>${escape(content)}</text>`;
const short = (name: string): string =>
  name.length > LEGEND_CHARACTERS ? `${name.slice(0, LEGEND_CHARACTERS - 1)}…` : name;

/** Round numbers that divide an interval into about `parts`. */
export function ticks(low: number, high: number, parts = 6): number[] {
  const rough = (high - low || 1) / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** An axis: from values to pixels, and where it has ticks. */
interface Axis {
  readonly at: (value: number) => number;
  readonly ticks: readonly { readonly at: number; readonly label: string }[];
}

const smallest = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity);
const largest = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity);

/** Places are whole numbers: steps, layers. */
function xAxis(xs: readonly number[], names: readonly string[] | undefined): Axis {
  let [low, high] = xs.length === 0 ? [0, 1] : [smallest(xs), largest(xs)];
  if (low === high) [low, high] = [low - 1, high + 1];
  const at = (x: number): number => FRAME.left + (INNER.width * (x - low)) / (high - low);
  const round = ticks(low, high, names === undefined ? 6 : 14).filter(Number.isInteger);
  const step = round.length > 1 ? round[1] - round[0] : 1;
  // The last of the places with names says what the line ends at.
  const places = names === undefined ? round : [...round.filter((x) => high - x >= step), high];
  return { at, ticks: places.map((x) => ({ at: at(x), label: names?.[x] ?? x.toLocaleString('en') })) };
}

function linearAxis(ys: readonly number[]): Axis {
  const [least, most] = ys.length === 0 ? [0, 1] : [smallest(ys), largest(ys)];
  const [from, to] = least === most ? [least - 0.5, most + 0.5] : [least, most];
  const inner = ticks(from, to);
  const step = inner.length > 1 ? inner[1] - inner[0] : to - from;
  // The frame ends at ticks.
  const low = Math.floor(from / step + 1e-9) * step;
  const high = Math.ceil(to / step - 1e-9) * step;
  const at = (y: number): number => FRAME.top + (INNER.height * (high - y)) / (high - low);
  return { at, ticks: ticks(low, high).map((y) => ({ at: at(y), label: String(y) })) };
}

function logarithmicAxis(ys: readonly number[]): Axis {
  const logs = ys.map((y) => Math.log10(Math.max(LEAST, y)));
  const low = logs.length === 0 ? -1 : Math.floor(smallest(logs));
  const high = Math.max(low + 1, logs.length === 0 ? 0 : Math.ceil(largest(logs)));
  const atLog = (log: number): number => FRAME.top + (INNER.height * (high - log)) / (high - low);
  const every = Math.ceil((high - low) / 8);
  const decades = Array.from({ length: high - low + 1 }, (_, i) => low + i).filter((log) => (high - log) % every === 0);
  return {
    at: (y) => atLog(Math.log10(Math.max(LEAST, y))),
    ticks: decades.map((log) => ({ at: atLog(log), label: `1e${log}` })),
  };
}

function drawLine({ name, points }: PlotLine, i: number, x: Axis, y: Axis): string[] {
  const colour = COLOURS[i % COLOURS.length];
  const places = points.map(([px, py]) => [x.at(px).toFixed(1), y.at(py).toFixed(1)] as const);
  const top = FRAME.top + 8 + 20 * i;
  const left = FRAME.left + INNER.width + 16;
  return [
    `<polyline fill="none" stroke="${colour}" stroke-width="2" stroke-linejoin="round" points="${places.map((place) => place.join(',')).join(' ')}"/>`,
    ...(places.length > MOST_DOTS
      ? []
      : places.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`)),
    `<line x1="${left}" x2="${left + 18}" y1="${top}" y2="${top}" stroke="${colour}" stroke-width="3"/>`,
    `<g><title>${escape(name)}</title>${text(left + 24, top + 4, short(name))}</g>`,
  ];
}

/** The plot as an SVG document. Points that are not finite numbers are left out; without any, it says that there are no values yet. */
export function linePlot({ lines, title, x: xTitle, y: yTitle, scale, names }: LinePlot): string {
  const finite = lines.map(({ name, points }) => ({
    name,
    points: points.filter(([px, py]) => Number.isFinite(px) && Number.isFinite(py)),
  }));
  const points = finite.flatMap((line) => line.points);
  const x = xAxis(
    points.map(([px]) => px),
    names,
  );
  const ys = points.map(([, py]) => py);
  const y = scale === 'linear' ? linearAxis(ys) : logarithmicAxis(ys);
  const right = FRAME.left + INNER.width;
  const bottom = FRAME.top + INNER.height;
  const middle = FRAME.left + INNER.width / 2;
  const centred = ' text-anchor="middle"';
  const empty = points.length === 0;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" width="${SIZE.width}" height="${SIZE.height}" font-family="system-ui, sans-serif" font-size="12" fill="${INK.text}" role="img" aria-label="${escape(title)}">`,
    `<rect width="${SIZE.width}" height="${SIZE.height}" fill="white"/>`,
    text(FRAME.left, 24, title, ' font-size="15" font-weight="600"'),
    text(middle, SIZE.height - 12, xTitle, `${centred} fill="${INK.soft}"`),
    `<g transform="translate(18 ${FRAME.top + INNER.height / 2}) rotate(-90)">${text(0, 0, yTitle, `${centred} fill="${INK.soft}"`)}</g>`,
    ...(empty
      ? []
      : y.ticks.map(
          ({ at, label }) =>
            `<line x1="${FRAME.left}" x2="${right}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" stroke="${INK.grid}"/>${text(FRAME.left - 8, at + 4, label, ' text-anchor="end"')}`,
        )),
    ...(empty
      ? []
      : x.ticks.map(
          ({ at, label }) =>
            `<line x1="${at.toFixed(1)}" x2="${at.toFixed(1)}" y1="${bottom}" y2="${bottom + 5}" stroke="${INK.axis}"/>${text(at, bottom + 19, label, centred)}`,
        )),
    `<line x1="${FRAME.left}" x2="${right}" y1="${bottom}" y2="${bottom}" stroke="${INK.axis}"/>`,
    ...(empty
      ? [text(middle, FRAME.top + INNER.height / 2, 'no values yet', `${centred} fill="${INK.soft}"`)]
      : finite.flatMap((line, i) => drawLine(line, i, x, y))),
    '</svg>',
    '',
  ].join('\n');
}

/** Writes a plot. @throws ProjError `io` where it cannot be written. */
export function writeLinePlot(path: string, plot: LinePlot): void {
  try {
    writeFileSync(path, linePlot(plot));
  } catch (error) {
    throw fileError('writeLinePlot', 'write', path, error);
  }
}
