// The door to the repository: `npm start` and `npm test` on a machine that has only Node (20 or later) and npm.
// Installs the workspace when its lockfile has changed, then hands over to the Node that the workspace brings along.
// Plain JavaScript, because it must run before anything is installed and on a Node that cannot strip types.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants } from 'node:os';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const packageManager = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager;
const windows = process.platform === 'win32';

const destinations = {
  start: { throughPackageManager: false, script: 'apps/trainer/src/main.ts' },
  test: { throughPackageManager: true, script: 'tooling/bootstrap/checks.ts' },
};

/**
 * Runs a command in the root with our terminal. The terminal sends Ctrl-C to the whole group, so we only wait for the child
 * to finish its work. npm's shell does not pass signals on: when npm has gone, the child is asked to end.
 */
function run(command, args, environment = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: 'inherit',
      shell: windows,
      env: { ...process.env, ...environment },
    });
    const wait = () => {};
    const forward = (signal) => child.kill(signal);
    process.on('SIGINT', wait);
    process.on('SIGTERM', forward);
    process.on('SIGHUP', forward);
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(watch);
      child.kill('SIGTERM');
    }, 500);
    const finish = (status) => {
      clearInterval(watch);
      process.off('SIGINT', wait);
      process.off('SIGTERM', forward);
      process.off('SIGHUP', forward);
      resolve(status);
    };
    child.on('error', (error) => {
      console.error(`cannot start ${command}: ${error.message}`);
      finish(127);
    });
    child.on('exit', (code, signal) => finish(code ?? 128 + constants.signals[signal]));
  });
}

async function install() {
  const stamp = join(root, 'node_modules', '.proj-install');
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json'])
    hash.update(readFileSync(join(root, file)));
  const wanted = `${hash.digest('hex')} ${process.platform}-${process.arch}`;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return 0;
  console.log(`installing the workspace with ${packageManager} …`);
  const began = performance.now();
  const status = await run('npx', ['-y', packageManager, 'install', '--frozen-lockfile', '--reporter=append-only'], {
    CI: process.env.CI ?? 'true',
  });
  if (status !== 0) {
    console.error(
      `the installation failed (status ${status}); it needs the npm registry, and the lockfile must match every package.json`,
    );
    return status;
  }
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, wanted);
  console.log(`installed in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return 0;
}

/** The workspace's own Node where there is one for this platform, otherwise the one we run on if it can run TypeScript. */
function workspaceNode() {
  const own = join(root, 'node_modules', '.bin', 'node');
  if (!windows && existsSync(own)) return own;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  console.error(
    `there is no packaged Node for ${process.platform}-${process.arch}: install Node 24 or later and run this again`,
  );
  return undefined;
}

const [name, ...args] = process.argv.slice(2);
const destination = destinations[name];
if (destination === undefined) {
  console.error(`usage: node tooling/bootstrap/run.mjs <${Object.keys(destinations).join(' | ')}> [arguments]`);
  process.exit(2);
}
let status = await install();
if (status === 0) {
  const node = workspaceNode();
  const script = ['--conditions=source', destination.script, ...args];
  if (node === undefined) status = 1;
  else if (destination.throughPackageManager)
    status = await run('npx', ['-y', packageManager, 'exec', node, ...script]);
  else status = await run(node, script);
}
process.exit(status);
