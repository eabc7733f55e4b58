// Two steps after tsup that make a package load faster (measured by `pnpm bench overhead`, case "cold start"):
// what its main entry loads becomes one file (`core.js`), however many sub-paths share parts of it, since Node spends as long on a file
// as on parsing 30 KB (two where parts of it need Node: `core-node.js`, so that the other sub-paths run in browsers); and the local variables of functions get short names, since parsing is most of the rest. Names of functions and
// classes stay, so that stack traces can be read.
import { readFileSync, rmSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { transform } from 'esbuild';
import { rollup, type Plugin as RollupPlugin } from 'rollup';
import type { Options } from 'tsup';

type TsupPlugin = NonNullable<Options['plugins']>[number];

const isOurs = (specifier: string): boolean => specifier.startsWith('.') || isAbsolute(specifier);

/** Reads a built file together with its source map. */
const readBuilt: RollupPlugin = {
  name: 'read-built',
  load: (file) => ({ code: readFileSync(file, 'utf8'), map: readFileSync(`${file}.map`, 'utf8') }),
};

/** Shortens what is local to a function. The imports and exports are kept away from esbuild, which would shorten all names of a module. */
const shortenLocals: RollupPlugin = {
  name: 'shorten-locals',
  async renderChunk(chunk) {
    // Rollup writes re-exports among the imports.
    const imports = /^(?:(?:import .*|export .* from .*);\n)*/.exec(chunk)?.[0] ?? '';
    const end = /\n*(?:export \{.*\}(?: from '.*')?;\n*)*$/.exec(chunk)?.index ?? chunk.length;
    const lines = imports.split('\n').length - 1;
    if (end <= imports.length || /^(?:import|export)\b/m.test(chunk.slice(imports.length, end))) return null;
    const { code, map } = await transform('\n'.repeat(lines) + chunk.slice(imports.length, end), {
      minify: true,
      target: 'es2023',
      sourcemap: 'external',
    });
    const shortened = JSON.parse(map) as { mappings: string };
    shortened.mappings = ';'.repeat(lines) + shortened.mappings;
    return { code: imports + code + chunk.slice(end), map: JSON.stringify(shortened) };
  },
};

/** The files that `entry` imports, directly or through others, and itself. */
function reachable(entry: string): ReadonlySet<string> {
  const found = new Set([entry]);
  for (const file of found)
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(
      /^(?:import|export)\b[^'"]*['"](\.[^'"]+)['"]/gm,
    ))
      found.add(resolve(dirname(file), specifier));
  return found;
}

/** Whether a file needs a module of Node, itself or through others. */
const needsNode = (file: string): boolean =>
  [...reachable(file)].some((part) => /^(?:import|export)\b[^'"]*['"]node:/m.test(readFileSync(part, 'utf8')));

/** Merges the files that `main` of `folder` loads into one, from which sub-paths import, and shortens names. */
export function mergeChunks(folder: string, main: string, entries: readonly string[]): TsupPlugin {
  return {
    name: 'merge-chunks',
    async buildEnd({ writtenFiles }) {
      const output = resolve(folder);
      const files = reachable(join(output, `${main}.js`));
      const core = new Map([...files].map((file) => [file, needsNode(file) ? 'core-node' : 'core']));
      const bundle = await rollup({
        input: Object.fromEntries(entries.map((entry) => [entry, join(output, `${entry}.js`)])),
        external: (specifier) => !isOurs(specifier),
        plugins: [readBuilt, shortenLocals],
      });
      for (const { name } of writtenFiles) rmSync(resolve(name));
      await bundle.write({
        dir: output,
        format: 'es',
        sourcemap: true,
        chunkFileNames: '[name].js',
        manualChunks: (id) => (core.size > 1 ? core.get(id) : undefined),
      });
      await bundle.close();
    },
  };
}
