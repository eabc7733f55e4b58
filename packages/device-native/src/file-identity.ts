/** Tells states of a source file apart without reading it. */
import { statSync } from 'node:fs';

/** Size and time of change of the file of a module. Once bundled, all modules are one file, which changes with any of them. */
export function fileIdentity(moduleUrl: string): string {
  const { size, mtimeMs } = statSync(new URL(moduleUrl));
  return `${size}:${Math.floor(mtimeMs)}`;
}
