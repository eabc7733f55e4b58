/** The packages in headless Chromium beside Node: the same bits, with and without shared memory, on the main thread and in a worker. */
import { setDefaultDevice } from '@proj/kernel';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from '../src/bundle.ts';
import { findChromium, visit } from '../src/chromium.ts';
import { type DeviceName, type Outcome, run } from '../src/program.ts';

const chromium = findChromium();
const TIMEOUT_MS = 60_000;

const lossOf = (bits: string): number => new DataView(Uint32Array.of(Number(`0x${bits}`)).buffer).getFloat32(0, true);

describe('a bundle of the packages for browsers', () => {
  it('needs nothing of Node', { timeout: 60_000 }, async () => {
    // That it can be made shows that no module of Node is imported; the checker tells the names that neither the language nor a browser has.
    const folder = mkdtempSync(join(tmpdir(), 'proj-bundle-'));
    try {
      writeFileSync(join(folder, 'bundle.js'), await bundle({ file: 'page.ts' }));
      expect(unknownNames(join(folder, 'bundle.js'))).toEqual([]);
      writeFileSync(
        join(folder, 'node.js'),
        'const bytes = Buffer.alloc(1); setImmediate(() => process.exit(bytes[0]));',
      );
      expect(unknownNames(join(folder, 'node.js'))).toEqual(['Buffer', 'process', 'setImmediate']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Names that a script uses and that are neither its own nor those of a browser. */
function unknownNames(script: string): string[] {
  const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
  const flags = ['--ignoreConfig', '--allowJs', '--checkJs', '--strict', 'false', '--noEmit', '--pretty', 'false'];
  const lib = [
    '--target',
    'es2024',
    '--module',
    'esnext',
    '--lib',
    'es2024,esnext.disposable,dom',
    '--typeRoots',
    '/none',
  ];
  const { stdout } = spawnSync(process.execPath, [tsc, ...flags, ...lib, script], { encoding: 'utf8', maxBuffer: 1e9 });
  expect(stdout).not.toContain('error TS5');
  return [...new Set([...stdout.matchAll(/Cannot find name '(.*?)'/g)].map(([, name]) => name))].toSorted();
}

describe.skipIf(chromium === null)(`in ${chromium ?? 'Chromium (none is installed)'}`, { timeout: 90_000 }, () => {
  let script = '';
  const here = new Map<DeviceName, Outcome>();

  beforeAll(async () => {
    script = await bundle({ file: 'page.ts' });
    for (const device of ['wasm', 'js'] as const) here.set(device, await run(device));
  }, 90_000);
  afterAll(() => setDefaultDevice('js'));

  async function there(device: DeviceName, place: 'page' | 'worker', isolated: boolean): Promise<Outcome> {
    const answer = await visit(chromium ?? '', { script, query: { device, place }, isolated, timeoutMs: TIMEOUT_MS });
    const { outcome, error } = JSON.parse(answer) as { outcome?: Outcome; error?: string };
    if (outcome === undefined) throw new Error(error);
    return outcome;
  }

  it.each([
    { place: 'page', isolated: true },
    { place: 'worker', isolated: true },
    { place: 'page', isolated: false },
    { place: 'worker', isolated: false },
  ] as const)('trains on wasm as Node does ($place, isolated: $isolated)', async ({ place, isolated }) => {
    const [node, browser] = [here.get('wasm'), await there('wasm', place, isolated)];
    expect(browser.results).toEqual(node?.results);
    for (const losses of [browser.results.eager, browser.results.captured])
      expect(lossOf(losses[losses.length - 1])).toBeLessThan(0.3 * lossOf(losses[0]));
    if (isolated) {
      expect(browser.description).toBe(node?.description);
      expect(browser.threads).toBe(node?.threads);
    } else {
      expect(browser.description).not.toContain('shared memory');
      expect(browser.threads).toBe(1);
    }
    expect(browser.missingFile).toMatch(/no file system here.*Pass the bytes/s);
    expect(browser.missingData).toMatch(/train-images/);
  });

  it('trains on js as Node does', async () => {
    const [node, browser] = [here.get('js'), await there('js', 'page', false)];
    expect(browser.results).toEqual(node?.results);
  });
});
