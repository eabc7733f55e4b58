/** Tells states of this package's code apart without reading it, so that objects of another state are not taken from the cache. */
import { codeDigest } from './code-digest.ts';
import { readdirSync, statSync } from './node-modules.ts';

/** The digest of the built package; where the sources are run, names, sizes and times of change of the files that lie beside this one. */
export function codeIdentity(): string {
  if (codeDigest !== undefined) return codeDigest;
  const folder = new URL('.', import.meta.url);
  return readdirSync(folder)
    .sort()
    .map((name) => {
      const { size, mtimeMs } = statSync(new URL(name, folder));
      return `${name}:${size}:${Math.floor(mtimeMs)}`;
    })
    .join(' ');
}
