// The tsup configuration of every package: one entry per sub-path of the package's `exports`, taken from its `source` condition.
// Declarations come from `tsc -p tsconfig.build.json`, since TypeScript 7 offers no compiler API to tsup.
import { readFileSync } from 'node:fs';
import { defineConfig } from 'tsup';
import { codeDigest } from './code-digest.ts';
import { mergeChunks } from './merge-chunks.ts';

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly source?: string }>>;
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;
const entry: Record<string, string> = {};
for (const target of Object.values(manifest.exports)) {
  if (typeof target === 'string' || target.source === undefined) continue;
  entry[target.source.replace(/^\.\/src\//, '').replace(/\.ts$/, '')] = target.source;
}

export default defineConfig({
  entry,
  format: ['esm'],
  target: 'es2023',
  platform: 'neutral',
  external: [/^node:/],
  removeNodeProtocol: false,
  define: { PROJ_CODE_DIGEST: JSON.stringify(codeDigest('.')) },
  dts: false,
  sourcemap: true,
  splitting: true,
  treeshake: true,
  plugins: [mergeChunks('dist', 'index', Object.keys(entry))],
  clean: true,
  silent: true,
});
