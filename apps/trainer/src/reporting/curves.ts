/** The loss curves of a run: as an SVG file and as characters for a terminal. */
import { writeFileSync } from 'node:fs';
import { fileError } from '@proj/tensor/io';
import plot from 'simple-ascii-chart';
import type { LogEntry } from './run-log.ts';

type Point = readonly [x: number, y: number];
export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

const TITLES: Readonly<Record<string, string>> = { trainLoss: 'training loss', valLoss: 'validation loss' };

/** The loss curves of a log. */
export function lossSeries(entries: readonly LogEntry[]): Series[] {
  return Object.entries(TITLES)
    .map(([field, name]) => ({
      name,
      points: entries.flatMap((entry): Point[] => {
        const value = entry[field];
        return typeof value === 'number' && Number.isFinite(value) ? [[entry.step, value]] : [];
      }),
    }))
    .filter(({ points }) => points.length > 1);
}

/** At most `count` points: means of neighbours. */
function thin(points: readonly Point[], count: number): Point[] {
  const size = Math.max(1, Math.ceil(points.length / count));
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    return [part[part.length - 1][0], part.reduce((sum, [, y]) => sum + y, 0) / part.length];
  });
}

/** Text for a terminal, empty when there is nothing to draw. */
export function terminalChart(
  series: readonly Series[],
  { width = 64, height = 14 }: { width?: number; height?: number } = {},
): string {
  const [first] = series;
  if (first === undefined) return '';
  const points = thin(first.points, width).map(([x, y]): [number, number] => [x, y]);
  return plot([points], {
    width,
    height,
    title: first.name,
    xLabel: 'step',
    yLabel: '',
    formatter: (value, { axis }) => (axis === 'y' ? Number(value.toPrecision(3)) : Math.round(value)),
  });
}

const WIDTH = 720;
const HEIGHT = 420;
const MARGIN = { left: 64, right: 16, top: 28, bottom: 44 } as const;
const COLOURS = ['#1f77b4', '#d62728', '#2ca02c', '#9467bd'];

/** Round numbers that divide an interval into about `count` parts. */
export function ticks(low: number, high: number, count = 6): number[] {
  const rough = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

const escapeXml = (text: string): string => text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** The curves as an SVG document. */
export function curvesSvg(series: readonly Series[], title: string): string {
  const all = series.flatMap(({ points }) => points);
  const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
  const [xLow, xHigh] = all.length === 0 ? [0, 1] : [Math.min(...xs), Math.max(...xs)];
  const [yLow, yHigh] = all.length === 0 ? [0, 1] : [Math.min(...ys), Math.max(...ys)];
  const x = (value: number): string =>
    (MARGIN.left + ((value - xLow) / (xHigh - xLow || 1)) * (WIDTH - MARGIN.left - MARGIN.right)).toFixed(1);
  const y = (value: number): string =>
    (HEIGHT - MARGIN.bottom - ((value - yLow) / (yHigh - yLow || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom)).toFixed(
      1,
    );
  const grid = [
    ...ticks(xLow, xHigh).map(
      (tick) => `<text x="${x(tick)}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${tick}</text>`,
    ),
    ...ticks(yLow, yHigh).map(
      (tick) =>
        `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(tick)}" y2="${y(tick)}" stroke="#ddd"/><text x="${MARGIN.left - 8}" y="${y(tick)}" dy="4" text-anchor="end">${tick}</text>`,
    ),
  ];
  const lines = series.map(({ name, points }, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const path = thin(points, 600)
      .map(([px, py]) => `${x(px)},${y(py)}`)
      .join(' ');
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${path}"/><text x="${WIDTH - MARGIN.right - 8}" y="${MARGIN.top + 14 + 16 * i}" text-anchor="end" fill="${colour}">${escapeXml(name)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${MARGIN.left}" y="18" font-size="14">${escapeXml(title)}</text>`,
    ...grid,
    ...lines,
    `<text x="${(WIDTH + MARGIN.left) / 2}" y="${HEIGHT - 8}" text-anchor="middle">step</text>`,
    '</svg>',
    '',
  ].join('\n');
}

export function writeCurves(path: string, series: readonly Series[], title: string): void {
  try {
    writeFileSync(path, curvesSvg(series, title));
  } catch (error) {
    throw fileError('writeCurves', 'write', path, error);
  }
}
