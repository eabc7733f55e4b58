/** Tells states of this package's code apart without reading it, so that objects of another state are not taken from the cache. */
import { readdirSync, statSync } from 'node:fs';

/** Names, sizes and times of change of the files that lie beside this one: the package's modules, or once bundled the few files of the bundle. */
export function codeIdentity(): string {
  const folder = new URL('.', import.meta.url);
  return readdirSync(folder)
    .sort()
    .map((name) => {
      const { size, mtimeMs } = statSync(new URL(name, folder));
      return `${name}:${size}:${Math.floor(mtimeMs)}`;
    })
    .join(' ');
}
