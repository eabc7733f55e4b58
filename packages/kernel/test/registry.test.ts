import { beforeEach, describe, expect, test, vi } from 'vitest';
import { JsDevice, ProjError, type Device } from '../src/index.ts';

type Registry = typeof import('../src/device/registry.ts');
let registry: Registry;

beforeEach(async () => {
  vi.resetModules();
  vi.unstubAllEnvs();
  vi.stubEnv('PROJ_DEVICE', '');
  registry = await import('../src/device/registry.ts');
  registry.registerDevice({ name: 'js', priority: 0, create: () => new JsDevice() });
});

const broken = {
  name: 'broken',
  priority: 100,
  create: (): Device => {
    throw new TypeError('library not found');
  },
};

describe('the device registry', () => {
  test('a device that cannot start is passed over, said once and reported', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    registry.registerDevice(broken);
    expect(registry.defaultDevice().name).toBe('js');
    expect(registry.defaultDevice().name).toBe('js');
    expect(warn.mock.calls).toEqual([[expect.stringContaining('"broken" is not available: library not found')]]);
    expect(registry.deviceReport()).toEqual([
      { name: 'broken', available: false, isDefault: false, detail: 'library not found' },
      { name: 'js', available: true, isDefault: true, detail: 'JavaScript, one thread' },
    ]);
    warn.mockRestore();
  });
  test('a device that was asked for by name throws its reason', () => {
    registry.registerDevice(broken);
    expect(() => registry.getDevice('broken')).toThrow(/library not found/);
    expect(() => registry.getDevice('nowhere')).toThrow(/Known devices: js, broken/);
    expect(() => registry.getDevice('native')).toThrow(/import @proj\/device-native first/);
    try {
      registry.getDevice('broken');
    } catch (error) {
      expect(error).toHaveProperty('name', 'ProjError');
    }
  });
  test('the fastest device is the default, and starts once', () => {
    const create = vi.fn(() => Object.assign(new JsDevice(), { name: 'fast' }));
    registry.registerDevice({ name: 'fast', priority: 5, create });
    expect(registry.defaultDevice().name).toBe('fast');
    expect(registry.getDevice('fast')).toBe(registry.defaultDevice());
    expect(create).toHaveBeenCalledTimes(1);
  });
  test('PROJ_DEVICE and setDefaultDevice choose', () => {
    registry.registerDevice({
      name: 'fast',
      priority: 5,
      create: () => Object.assign(new JsDevice(), { name: 'fast' }),
    });
    vi.stubEnv('PROJ_DEVICE', 'js');
    expect(registry.defaultDevice().name).toBe('js');
    registry.setDefaultDevice('fast');
    expect(registry.defaultDevice().name).toBe('fast');
  });
  test('PROJ_DEVICE that does not work throws', () => {
    registry.registerDevice(broken);
    vi.stubEnv('PROJ_DEVICE', 'broken');
    expect(() => registry.defaultDevice()).toThrow(/library not found/);
  });
  test('a second registration of a name is ignored', () => {
    registry.registerDevice({ ...broken, name: 'js' });
    expect(registry.getDevice('js').name).toBe('js');
  });
});

test('errors name the cure', () => {
  expect(new ProjError('dtype', 'no', { op: 'add', shapes: [[1, 2]], dtypes: ['int8'], cure: 'Cast it' }).message).toBe(
    'add: no (operands int8[1, 2]). Cast it',
  );
});
