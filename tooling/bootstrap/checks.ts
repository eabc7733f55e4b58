// Everything CI runs, one step after another, each with its time; a failed step does not stop the others.
// A step counts as one check, except the test suite, which counts test by test. The last line printed is the total.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** Turns the exit status into a count; by default the step is one check. */
  readonly count?: (status: number) => Count;
  /** Shows the output while the step runs, not only when it fails. */
  readonly live?: boolean;
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

const scratch = mkdtempSync(join(tmpdir(), 'proj-test-'));
const reportFile = join(scratch, 'vitest.json');

function countTests(status: number): Count {
  let report: VitestReport;
  try {
    report = JSON.parse(readFileSync(reportFile, 'utf8')) as VitestReport;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const failed = report.numFailedTests + brokenFiles.length;
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

const steps: readonly Step[] = [
  { name: 'typecheck', command: ['tsc', '-p', 'tsconfig.json'] },
  { name: 'lint', command: ['oxlint', '--deny-warnings', '.'] },
  { name: 'format', command: ['prettier', '--check', '--log-level', 'warn', '.'] },
  { name: 'boundaries', command: ['node', '--conditions=source', 'tooling/boundaries/src/main.ts'] },
  { name: 'manifests (sherif)', command: ['sherif', '--no-install', '-r', 'packages-without-package-json'] },
  { name: 'unused (knip)', command: ['knip', '--no-progress', '--no-config-hints'] },
  { name: 'build (turbo)', command: ['turbo', 'run', 'build', '--output-logs=errors-only'] },
  {
    name: 'packages (publint, attw, install)',
    command: ['node', '--conditions=source', 'tooling/build/src/check-packages.ts'],
  },
  { name: 'size (size-limit)', command: ['size-limit'] },
  {
    name: 'tests (vitest)',
    command: ['vitest', 'run', '--reporter=dot', '--reporter=json', `--outputFile.json=${reportFile}`],
    count: countTests,
    live: true,
  },
];

function execute(step: Step): Promise<number> {
  return new Promise((resolve) => {
    const [command, ...args] = step.command;
    const output: Buffer[] = [];
    const child = spawn(command, args, {
      stdio: step.live === true ? 'inherit' : ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
      env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' },
    });
    child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => output.push(chunk));
    child.on('error', (error) => {
      console.log(`cannot start ${command}: ${error.message}`);
      resolve(127);
    });
    child.on('close', (code, signal) => {
      if (code !== 0) process.stdout.write(Buffer.concat(output));
      else
        for (const [line] of Buffer.concat(output)
          .toString()
          .matchAll(/^skipped: .*$/gm))
          console.log(line);
      if (signal !== null) console.log(`${command} was ended by ${signal}`);
      resolve(code ?? 1);
    });
  });
}

let interrupted = false;
process.on('SIGINT', () => {
  interrupted = true;
});

// With arguments, only the steps whose names contain one of them.
const wanted = process.argv.slice(2);
const unknown = wanted.filter((word) => !steps.some(({ name }) => name.includes(word)));
if (unknown.length > 0) {
  console.error(`no step is called ${unknown.join(', ')}; there are: ${steps.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const total: Count = { passed: 0, failed: 0, skipped: 0 };
for (const step of steps) {
  if (wanted.length > 0 && !wanted.some((word) => step.name.includes(word))) continue;
  if (interrupted) break;
  const began = performance.now();
  const status = await execute(step);
  const count = step.count?.(status) ?? { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 };
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
  const mark = count.failed === 0 ? '✓' : '✗';
  console.log(`${mark} ${step.name.padEnd(36)} ${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s`);
}
rmSync(scratch, { recursive: true, force: true });
if (interrupted) {
  console.log('interrupted');
  total.failed += 1;
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
