/** What the programs share: command lines, terminals, settings, plots. */
import { ProjError } from '@proj/kernel';
import { Command } from 'commander';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  count,
  linePlot,
  type LinePlot,
  partOfOne,
  positive,
  problemText,
  ProgressBar,
  repositoryText,
  runCommandLine,
} from 'app-support';
import { ticks } from '../src/line-plot.ts';

afterEach(() => vi.restoreAllMocks());

describe('a command line', () => {
  const run = async (...args: string[]): Promise<{ status: number; errors: string }> => {
    let errors = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((errors += String(text)), true));
    const program = new Command('program');
    program
      .command('work', { isDefault: true })
      .option('--fail <code>')
      .action(({ fail }: { fail?: string }) => {
        if (fail === 'option') throw new ProjError('invalid-argument', 'wrong', { cure: 'Do better' });
        if (fail === 'disk') throw new ProjError('io', 'full');
      });
    return { status: await runCommandLine(program, args, () => 7), errors };
  };
  it('gives the status of its command, 2 for wrong options, 1 for what failed', async () => {
    expect(await run()).toEqual({ status: 7, errors: '' });
    expect(await run('--', 'work')).toEqual({ status: 7, errors: '' });
    expect(await run('--fail', 'option')).toEqual({ status: 2, errors: 'error: wrong. Do better\n' });
    expect(await run('--fail', 'disk')).toEqual({ status: 1, errors: 'error: full\n' });
    const wrong = { status: 2, errors: "error: unknown option '--what'\n(--help lists the options)\n" };
    expect(await run('--what')).toEqual(wrong);
    expect(await run('work', '--what')).toEqual(wrong);
  });
  it('knows a mistyped command from an argument of the default one', async () => {
    const { status, errors } = await run('wrok');
    expect([status, errors]).toEqual([2, 'error: there is no command "wrok". Commands are work, help\n']);
    expect(await run('help', 'wrok')).toEqual({ ...(await run('wrok')) });
  });
});

describe('settings', () => {
  const problem = (schema: typeof count, value: unknown): string => {
    const [issue] = schema.safeParse(value).error?.issues ?? [];
    return issue === undefined ? '' : problemText(issue, value);
  };
  it('say in words what is wrong', () => {
    expect(['3', 3, '1e2'].map((value) => problem(count, value))).toEqual(['', '', '']);
    expect(problem(count, 'ten')).toBe('must be a number, got "ten"');
    expect(problem(count, '1.5')).toBe('must be a whole number, got "1.5"');
    expect(problem(count, '0')).toBe('must be at least 1, got "0"');
    expect(problem(count, null)).toBe('must be a number, got null');
    expect(problem(positive, '0')).toBe('must be above 0, got "0"');
    expect(problem(partOfOne, '2')).toBe('must be at most 1, got "2"');
  });
});

describe('a progress bar', () => {
  it('stays below what is printed, and leaves the cursor there', () => {
    let written = '';
    const stream = { isTTY: true, columns: 40, write: (text: string) => ((written += text), true) };
    const bar = new ProgressBar({
      total: 4,
      start: 0,
      format: '{bar} {value}/{total} {what}',
      textWidth: 20,
      payload: { what: 'begun' },
      clear: false,
      stream: stream as unknown as NodeJS.WriteStream,
    });
    bar.line('a line');
    bar.update(4, () => ({ what: 'done' }));
    bar.stop();
    // ESC 8 would put the cursor back to where the bar began, on the line.
    expect(written).not.toContain('\x1b8');
    expect(written).toContain('a line\n');
    expect(written).toContain(`${'='.repeat(20)} 4/4 done`);
    expect(written.endsWith('\n')).toBe(true);
  });
});

describe('a plot', () => {
  const plot = (more: Partial<LinePlot>): LinePlot => ({
    lines: [],
    title: 'a < b',
    x: 'step',
    y: 'loss',
    scale: 'linear',
    ...more,
  });
  const pointsOf = (svg: string): number[][][] =>
    [...svg.matchAll(/points="([^"]*)"/g)].map(([, points]) =>
      points.split(' ').map((pair) => pair.split(',').map(Number)),
    );
  const falling = Array.from({ length: 50 }, (_, i) => [i, 3 / (1 + i / 10)] as const);

  it('has titles, a legend, and lines that fall where their values do', () => {
    const svg = linePlot(plot({ lines: [{ name: 'training', points: falling }] }));
    expect(svg).toContain('a &#60; b');
    for (const label of ['step', 'loss', 'training']) expect(svg).toContain(`>${label}</text>`);
    const [points] = pointsOf(svg);
    expect(points).toHaveLength(50);
    expect(points.every(([x, y], i) => i === 0 || (x > points[i - 1][0] && y > points[i - 1][1]))).toBe(true);
  });
  it('puts decades of a logarithmic scale equally far apart', () => {
    const points = [1, 0.1, 0.01].map((y, i) => [i, y] as const);
    const [line] = pointsOf(linePlot(plot({ lines: [{ name: 'q4', points }], scale: 'logarithmic' })));
    expect(line[1][1] - line[0][1]).toBeCloseTo(line[2][1] - line[1][1], 1);
  });
  it('of one point, of values that are all the same or not finite, and of nothing are drawn too', () => {
    const one = linePlot(plot({ lines: [{ name: 'one', points: [[5, 2]] }] }));
    expect(one).toMatch(/<circle/);
    const odd = linePlot(
      plot({
        lines: [
          {
            name: 'odd',
            points: [
              [1, 2],
              [2, Number.NaN],
              [3, 2],
            ],
          },
        ],
      }),
    );
    expect(pointsOf(odd)[0]).toHaveLength(2);
    expect(one + odd).not.toMatch(/NaN|Infinity/);
    expect(linePlot(plot({}))).toContain('no values yet');
  });
  it('always names the last of the places with names', () => {
    const names = [...Array.from({ length: 25 }, (_, i) => String(i)), 'logits'];
    const svg = linePlot(plot({ lines: [{ name: 'q4', points: names.map((_, i) => [i, 1 + i] as const) }], names }));
    expect(svg.match(/>(\w+)<\/text>/g)?.slice(-4)).toContain('>logits</text>');
  });
  it('has round ticks', () => {
    expect(ticks(0, 3000)).toEqual([0, 500, 1000, 1500, 2000, 2500, 3000]);
    expect(ticks(1.3, 3.1)).toEqual([1.5, 2, 2.5, 3]);
  });
});

describe("the repository's text", () => {
  it('has its pages and the comments of its sources', () => {
    const text = repositoryText();
    expect(text.length).toBeGreaterThan(50_000);
    expect(text).toMatch(/npm start/);
    expect(text).toContain('The base of all layers and models.');
  });
  it('is an error where there is no repository', () => {
    expect(() => repositoryText('/nowhere')).toThrow(/--text FILE/);
  });
});
