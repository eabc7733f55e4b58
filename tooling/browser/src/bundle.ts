/** Bundles for browsers, from source: an import of a Node module is an error of esbuild, since nothing stands in for it. */
import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';

/** The code of a bundle of `entry`, a file of this folder, or of source text. */
export async function bundle(entry: { readonly file: string } | { readonly code: string }): Promise<string> {
  const here = fileURLToPath(new URL('.', import.meta.url));
  const { outputFiles } = await build({
    ...('file' in entry
      ? { entryPoints: [`${here}${entry.file}`] }
      : { stdin: { contents: entry.code, resolveDir: here, loader: 'ts' } }),
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2024',
    conditions: ['source'],
    logLevel: 'silent',
  });
  return outputFiles[0].text;
}
