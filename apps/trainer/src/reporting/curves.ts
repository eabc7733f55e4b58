/** The loss curves of a run: as a plot, and as characters for a terminal. */
import type { LinePlot } from 'app-support';
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
    .filter(({ points }) => points.length > 0);
}

/** At most `count` points: means of neighbours. */
function thin(points: readonly Point[], count: number): Point[] {
  const size = Math.max(1, Math.ceil(points.length / count));
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    return [part[part.length - 1][0], part.reduce((sum, [, y]) => sum + y, 0) / part.length];
  });
}

const CHART = { width: 64, height: 14, labels: 10, least: 20 } as const;
const LABEL_WIDTH = 5;

/** Text for a terminal of that many columns, empty when there is nothing to draw or no room. */
export function terminalChart(series: readonly Series[], columns = 80): string {
  const [first] = series;
  const { height, labels, least } = CHART;
  const width = Math.min(CHART.width, columns - labels);
  if (first === undefined || first.points.length < 2 || width < least) return '';
  const points = thin(first.points, width).map(([x, y]): [number, number] => [x, y]);
  const crowded = points.length > width / LABEL_WIDTH;
  return plot([points], {
    width,
    height,
    title: first.name,
    // Every point would have a label: too many run into each other.
    hideXAxisTicks: crowded,
    xLabel: crowded ? `steps ${points[0][0]} to ${points[points.length - 1][0]}` : 'step',
    yLabel: '',
    formatter: (value, { axis }) => (axis === 'y' ? Number(value.toPrecision(3)) : Math.round(value)),
  });
}

/** The curves as a plot. */
export const curves = (series: readonly Series[], preset: string): LinePlot => ({
  lines: series.map(({ name, points }) => ({ name, points: thin(points, 600) })),
  title: `${preset}: loss`,
  x: 'training step',
  y: 'loss (nats)',
  scale: 'linear',
});
