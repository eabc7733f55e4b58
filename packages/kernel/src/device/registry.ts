/** Devices register a factory; the fastest one that works becomes the default. A device that cannot start is reported, never thrown. */
import { ProjError, toProjError } from '../errors.ts';
import type { Device } from './device.ts';

export interface DeviceFactory {
  readonly name: string;
  /** Higher is faster; the default device is the working one of highest priority. */
  readonly priority: number;
  /** Makes the device, or throws a `ProjError` (`device-unavailable`) that says what is missing and how to get it. */
  create(): Device;
}

interface Entry {
  readonly factory: DeviceFactory;
  device: Device | null;
  error: ProjError | null;
}

const entries = new Map<string, Entry>();
let chosen: Device | null = null;
let warned = false;

/** Makes a device known. A second registration of the same name is ignored. */
export function registerDevice(factory: DeviceFactory): void {
  if (entries.has(factory.name)) return;
  entries.set(factory.name, { factory, device: null, error: null });
}

function start(entry: Entry): Device | null {
  if (entry.device === null && entry.error === null) {
    try {
      entry.device = entry.factory.create();
    } catch (error) {
      entry.error = toProjError(error);
    }
  }
  return entry.device;
}

const byPriority = (): Entry[] => [...entries.values()].sort((a, b) => b.factory.priority - a.factory.priority);

/** The device called `name`; throws `device-unavailable` with the reason when it cannot start. */
export function getDevice(name: string): Device {
  const entry = entries.get(name);
  if (entry === undefined) {
    throw new ProjError('device-unavailable', `no device "${name}" is registered`, {
      cure: `Known devices: ${[...entries.keys()].join(', ')}${name === 'native' ? '; import @proj/device-native first' : ''}`,
    });
  }
  const device = start(entry);
  if (device === null) throw entry.error ?? new ProjError('device-unavailable', `device "${name}" did not start`);
  return device;
}

/** The default device: `PROJ_DEVICE`, or what `setDefaultDevice` chose, or the fastest that works. */
export function defaultDevice(): Device {
  if (chosen !== null) return chosen;
  const wanted = globalThis.process?.env?.['PROJ_DEVICE'];
  if (wanted !== undefined && wanted !== '') return (chosen = getDevice(wanted));
  for (const entry of byPriority()) {
    const device = start(entry);
    if (device !== null) return (chosen = device);
    if (!warned) {
      warned = true;
      console.warn(`proj: device "${entry.factory.name}" is not available: ${entry.error?.message}`);
    }
  }
  throw new ProjError('device-unavailable', 'no device works', { cure: 'See deviceReport()' });
}

/** Makes `device` (or the device of that name) the default of what is created from now on. */
export function setDefaultDevice(device: Device | string): void {
  chosen = typeof device === 'string' ? getDevice(device) : device;
}

export interface DeviceReport {
  readonly name: string;
  readonly available: boolean;
  readonly isDefault: boolean;
  /** What it runs on, or why it does not. */
  readonly detail: string;
}

/** Every known device: whether it works, on what, or why not. Starts them all. */
export function deviceReport(): DeviceReport[] {
  const current = defaultDevice();
  return byPriority().map((entry) => {
    const device = start(entry);
    return {
      name: entry.factory.name,
      available: device !== null,
      isDefault: device === current,
      detail: device?.features.description ?? entry.error?.message ?? '',
    };
  });
}
