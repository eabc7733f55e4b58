/** Lines over a logarithmic scale as an SVG file. */
import { writeFileSync } from 'node:fs';
import { fileError } from '@proj/tensor/io';

/** One line of a plot: y by x. */
export interface PlotLine {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** What a plot says. */
export interface PlotLabels {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** Names of the places on the x axis (default: the numbers). */
  readonly ticks?: readonly string[];
}

const SIZE = { width: 760, height: 440 } as const;
const FRAME = { left: 76, right: 150, top: 34, bottom: 48 } as const;
const COLOURS = ['#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e', '#17becf'];
const LEAST = 1e-12;

const escape = (text: string): string => text.replace(/[<>&"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
const text = (x: number, y: number, content: string, more = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${more}>${escape(content)}</text>`;

/** The plot as an SVG document. Values of y below 1e-12 are drawn there. */
export function logPlot(lines: readonly PlotLine[], { title, x: xTitle, y: yTitle, ticks }: PlotLabels): string {
  const points = lines.flatMap((line) => line.points);
  const xs = points.map(([x]) => x);
  const logs = points.map(([, y]) => Math.log10(Math.max(LEAST, y)));
  const [left, right] = xs.length === 0 ? [0, 1] : [Math.min(...xs), Math.max(...xs)];
  const [low, high] = logs.length === 0 ? [-1, 0] : [Math.floor(Math.min(...logs)), Math.ceil(Math.max(...logs))];
  const width = SIZE.width - FRAME.left - FRAME.right;
  const height = SIZE.height - FRAME.top - FRAME.bottom;
  const atX = (x: number): number => FRAME.left + (width * (x - left)) / Math.max(1e-9, right - left);
  const atLog = (log: number): number => FRAME.top + (height * (high - log)) / Math.max(1, high - low);
  const parts: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${SIZE.width}" height="${SIZE.height}" fill="white"/>`,
    text(FRAME.left, 20, title, ' font-size="14"'),
    text(FRAME.left + width / 2, SIZE.height - 8, xTitle, ' text-anchor="middle"'),
    `<g transform="translate(16 ${FRAME.top + height / 2}) rotate(-90)">${text(0, 0, yTitle, ' text-anchor="middle"')}</g>`,
  ];
  for (let log = low; log <= high; log++)
    parts.push(
      `<line x1="${FRAME.left}" x2="${FRAME.left + width}" y1="${atLog(log).toFixed(1)}" y2="${atLog(log).toFixed(1)}" stroke="#ddd"/>`,
      text(FRAME.left - 8, atLog(log) + 4, `1e${log}`, ' text-anchor="end"'),
    );
  const every = Math.max(1, Math.ceil((right - left) / 14));
  for (let x = left; x <= right; x += every)
    parts.push(text(atX(x), SIZE.height - FRAME.bottom + 18, ticks?.[x] ?? String(x), ' text-anchor="middle"'));
  lines.forEach(({ name, points: line }, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const path = line.map(([x, y]) => `${atX(x).toFixed(1)},${atLog(Math.log10(Math.max(LEAST, y))).toFixed(1)}`);
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${path.join(' ')}"/>`,
      ...path.map(
        (point) => `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="2.5" fill="${colour}"/>`,
      ),
      text(FRAME.left + width + 12, FRAME.top + 14 + 18 * i, name, ` fill="${colour}"`),
    );
  });
  return [...parts, '</svg>', ''].join('\n');
}

/** Writes a plot. */
export function writePlot(path: string, lines: readonly PlotLine[], labels: PlotLabels): void {
  try {
    writeFileSync(path, logPlot(lines, labels));
  } catch (error) {
    throw fileError('writePlot', 'write', path, error);
  }
}
