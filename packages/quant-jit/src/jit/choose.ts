/** Which device a model runs on, and why: the fastest that works, with a reason for each that does not. */
import { type Device, deviceReport, getDevice, ProjError, toProjError } from '@proj/kernel';

export interface DeviceChoice {
  /** `null`: nothing compiles here, the interpreter runs the program. */
  readonly device: Device | null;
  /** What was tried before it, and why that was not taken. */
  readonly fallbacks: readonly { readonly device: string; readonly reason: string }[];
}

/** Names that can be asked for. */
export type DeviceName = 'auto' | 'native' | 'wasm' | 'js' | 'interpreter';

const ORDER = ['native', 'wasm', 'js'] as const;

/** The name in PROJ_DEVICE. */
function wantedByEnvironment(): DeviceName | undefined {
  const name = globalThis.process?.env?.['PROJ_DEVICE'];
  if (name === undefined || name === '') return undefined;
  if (name === 'native' || name === 'wasm' || name === 'js' || name === 'interpreter') return name;
  throw new ProjError('invalid-argument', `PROJ_DEVICE is "${name}"`, {
    op: 'chooseDevice',
    cure: 'Set it to native, wasm, js or interpreter, or not at all',
  });
}

/**
 * The device of a name, or the one that PROJ_DEVICE names, or the first of native, wasm and js that starts (and that passes `accept`, which throws what is wrong).
 * `log` hears of each that was not taken and why, and of what was taken where that is no plain choice.
 *
 * @throws ProjError `device-unavailable` when a device was asked for by name and does not work, `out-of-memory` when that is what the last one lacked: the
 * interpreter would need more.
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
  const environment = wanted === 'auto' ? wantedByEnvironment() : undefined;
  const name = environment ?? wanted;
  if (environment !== undefined) log(`PROJ_DEVICE asks for "${environment}"`);
  if (name === 'interpreter') return { device: null, fallbacks: [] };
  if (name !== 'auto') {
    const device = getDevice(name);
    accept(device);
    return { device, fallbacks: [] };
  }
  const fallbacks: { device: string; reason: string }[] = [];
  let last: ProjError | undefined;
  for (const candidate of ORDER) {
    try {
      const device = getDevice(candidate);
      accept(device);
      if (last !== undefined) log(`device "${candidate}" runs the program: ${device.features.description}`);
      return { device, fallbacks };
    } catch (error) {
      last = toProjError(error);
      fallbacks.push({ device: candidate, reason: last.message });
      log(`device "${candidate}" is not used: ${last.message}`);
    }
  }
  if (last?.code === 'out-of-memory') throw last;
  log('no device compiles: the interpreter runs the program');
  return { device: null, fallbacks };
}

/** What there is to choose from, a line each, for reports. */
export const devicesHere = (): string =>
  deviceReport()
    .map(({ name, available, detail }) => `${name}: ${available ? '' : 'not available, '}${detail}`)
    .join('\n');
