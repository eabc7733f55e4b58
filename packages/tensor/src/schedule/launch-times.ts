/** How long each launch takes: launches run as programs of their own, one after the other, for `PROJ_DEBUG` and for whoever watches (a profiler). */
import type { Device, DeviceBuffer, Program } from '@proj/kernel';
import type { Plan, PlannedLaunch } from './plan.ts';

/** Told of what devices do, while it does it. Times are those of `performance.now()`, in milliseconds. */
export interface WorkObserver {
  /** A launch has run. */
  launched(launch: PlannedLaunch, device: Device, start: number, ms: number): void;
  /** A plan has been made and its kernels compiled, for a graph of a structure that was not known. */
  planned(launches: number, device: Device, start: number, ms: number): void;
}

/** The programs of single launches, by plan, while somebody watches. */
let watched: { readonly observer: WorkObserver; readonly programs: Map<Plan, readonly Program[]> } | null = null;

/** Tells `observer` of all work from now on; null: nobody. Launches take a little longer while somebody watches. */
export function observeWork(observer: WorkObserver | null): void {
  for (const program of [...(watched?.programs.values() ?? [])].flat()) program.dispose();
  watched = observer === null ? null : { observer, programs: new Map() };
}
export const workObserver = (): WorkObserver | null => watched?.observer ?? null;

/** Each launch of a plan as a program. */
export const launchPrograms = (plan: Plan, bindings: number): Program[] =>
  plan.launches.map(({ launch }) => plan.device.program([launch], bindings));

export function timeLaunches(
  plan: Plan,
  programs: readonly Program[],
  buffers: readonly DeviceBuffer[],
  scalars: readonly (number | bigint)[],
  each: (launch: PlannedLaunch, start: number, ms: number) => void,
): void {
  plan.launches.forEach((launch, i) => {
    const start = performance.now();
    programs[i].run(buffers, scalars);
    each(launch, start, performance.now() - start);
  });
}

/** Runs a plan for the observer; false when there is none. */
export function runObserved(
  plan: Plan,
  buffers: readonly DeviceBuffer[],
  scalars: readonly (number | bigint)[],
): boolean {
  if (watched === null) return false;
  const { observer, programs } = watched;
  const own = programs.get(plan) ?? launchPrograms(plan, buffers.length);
  programs.set(plan, own);
  timeLaunches(plan, own, buffers, scalars, (launch, start, ms) => observer.launched(launch, plan.device, start, ms));
  return true;
}
