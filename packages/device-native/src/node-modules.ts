/**
 * What the device uses of Node's own modules, got without `import`: that looks at every export of such a module, and at one of `node:fs` so loads Node's
 * streams, which takes 3 ms of a process that starts in 80.
 */
export const {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} = process.getBuiltinModule('node:fs');
export const { createRequire } = process.getBuiltinModule('node:module');
export const { availableParallelism, freemem, homedir } = process.getBuiltinModule('node:os');
export const { basename, join } = process.getBuiltinModule('node:path');
