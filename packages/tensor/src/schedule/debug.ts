/** `PROJ_DEBUG`: 1 the device chosen, 2 each launch with its time and bytes, 3 the kernels' text, 4 the code that the device makes of them. */
import { attempt, type DeviceBuffer, printKernel } from '@proj/kernel';
import { launchPrograms, timeLaunches } from './launch-times.ts';
import type { Plan } from './plan.ts';

export const debugLevel = Number(globalThis.process?.env?.['PROJ_DEBUG'] ?? 0);

const announced = new Set<string>();

/** Notes a plan that is about to run for the first time. */
export function announcePlan(plan: Plan): void {
  if (debugLevel < 1) return;
  if (!announced.has(plan.device.name)) {
    announced.add(plan.device.name);
    console.error(
      `proj: device ${plan.device.name} (${plan.device.features.description}), ${plan.device.features.threads} threads`,
    );
  }
  if (debugLevel < 2) return;
  console.error(`proj: new plan of ${plan.launches.length} launches, arena ${formatBytes(plan.arenaBytes)}`);
  if (debugLevel < 3) return;
  for (const kernel of new Set(plan.launches.map((l) => l.launch.kernel.kernel))) {
    console.error(printKernel(kernel));
    if (debugLevel < 4) continue;
    // Kernels that come from a cache run where the compiler that made them is not there any more.
    const code = attempt(() => plan.device.inspect?.(kernel) ?? {});
    const texts = code.ok ? code.value : { 'not shown': code.error.message };
    for (const [language, text] of Object.entries(texts))
      console.error(`; ${kernel.name} on ${plan.device.name}, ${language}:\n${text}`);
  }
}

/** Runs the launches one by one and prints the time of each; the sum is more than one run of the program takes. */
export function runTimed(plan: Plan, buffers: readonly DeviceBuffer[], scalars: readonly (number | bigint)[]): void {
  const programs = launchPrograms(plan, buffers.length);
  let sum = 0;
  const texts: string[] = [];
  timeLaunches(plan, programs, buffers, scalars, ({ launch, name, bytes, operations }, _start, ms) => {
    const rate = operations > 0 ? `${(operations / ms / 1e6).toFixed(1).padStart(8)} GFLOP/s` : ' '.repeat(17);
    sum += ms;
    texts.push(
      `${ms.toFixed(4).padStart(10)} ms ${rate} ${(bytes / ms / 1e6).toFixed(1).padStart(7)} GB/s  ${name} [${launch.begin}, ${launch.end}) grain ${launch.grain}`,
    );
  });
  for (const program of programs) program.dispose();
  for (const text of texts) console.error(text);
  console.error(`${sum.toFixed(3)} ms in ${texts.length} launches`);
}

export const formatBytes = (bytes: number): string =>
  bytes < 1 << 10
    ? `${bytes} B`
    : bytes < 1 << 20
      ? `${(bytes / 1024).toFixed(1)} KiB`
      : `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** The launches of a plan as a table for people. */
export function describePlan(plan: Plan): string {
  const lines = plan.launches.map(
    ({ launch, name, bytes, operations }, i) =>
      `${String(i).padStart(4)}  ${name.padEnd(28)} ${formatBytes(bytes).padStart(10)}${operations > 0 ? `  ${(operations / 1e6).toFixed(1)} MFLOP` : ''}  range ${launch.end - launch.begin}`,
  );
  return [
    `${plan.launches.length} launches on ${plan.device.name}, arena ${formatBytes(plan.arenaBytes)}`,
    ...lines,
  ].join('\n');
}
