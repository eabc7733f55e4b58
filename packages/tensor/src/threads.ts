/** How many threads of the processor a device uses. */
import { type Device } from '@proj/kernel';
import { deviceArgument } from './ops/arguments.ts';

/** Threads that a launch of the device is split over (default: of the default device). */
export function getNumThreads(device: Device | string | null = null): number {
  return deviceArgument(device).features.threads;
}
/**
 * Limits the threads of later launches of the device (default: the default device), to no more than it started with: one for each processor, or what
 * `PROJ_NUM_THREADS` says. Results do not depend on it. Errors: no whole number of at least 1.
 */
export function setNumThreads(threads: number, device: Device | string | null = null): void {
  deviceArgument(device).setThreads(threads);
}
