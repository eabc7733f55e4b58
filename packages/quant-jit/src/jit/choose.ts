/** Which device a model runs on, and why: the fastest that works, with a reason for each that does not. */
import { type Device, deviceReport, getDevice, toProjError } from '@proj/kernel';

export interface DeviceChoice {
  /** `null`: nothing compiles here, the interpreter runs the program. */
  readonly device: Device | null;
  /** What was tried before it, and why that was not taken. */
  readonly fallbacks: readonly { readonly device: string; readonly reason: string }[];
}

/** Names that can be asked for. */
export type DeviceName = 'auto' | 'native' | 'wasm' | 'js' | 'interpreter';

const ORDER = ['native', 'wasm', 'js'] as const;

/**
 * The device of a name, or the first of native, wasm and js that starts (and that passes `accept`, which throws what is wrong). `log` hears of each fallback.
 *
 * @throws ProjError `device-unavailable` when a device was asked for by name and does not work.
 */
export function chooseDevice(
  wanted: DeviceName | Device = 'auto',
  log: (message: string) => void = () => {},
  accept: (device: Device) => void = () => {},
): DeviceChoice {
  if (typeof wanted === 'object') {
    accept(wanted);
    return { device: wanted, fallbacks: [] };
  }
  if (wanted === 'interpreter') return { device: null, fallbacks: [] };
  if (wanted !== 'auto') {
    const device = getDevice(wanted);
    accept(device);
    return { device, fallbacks: [] };
  }
  const fallbacks: { device: string; reason: string }[] = [];
  for (const name of ORDER) {
    try {
      const device = getDevice(name);
      accept(device);
      return { device, fallbacks };
    } catch (error) {
      const reason = toProjError(error).message;
      fallbacks.push({ device: name, reason });
      log(`device "${name}" is not used: ${reason}`);
    }
  }
  log('no device compiles: the interpreter runs the program');
  return { device: null, fallbacks };
}

/** What there is to choose from, a line each, for reports. */
export const devicesHere = (): string =>
  deviceReport()
    .map(({ name, available, detail }) => `${name}: ${available ? '' : 'not available, '}${detail}`)
    .join('\n');
