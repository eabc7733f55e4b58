/** `PROJ_DEBUG`: what each level prints, in a process of its own, on every device that works here. */
import { spawnSync } from 'node:child_process';
import { deviceReport } from '@proj/kernel';
import '@proj/device-native';
import { describe, expect, it } from 'vitest';

const devices = new Map(deviceReport().map(({ name, available }) => [name, available]));

/** What a product and an exponential print at a level: the result, and the rest. */
function print(device: string, level: string): { readonly result: string; readonly debug: string } {
  const program = `
    import '@proj/device-native';
    import { tensor } from '@proj/tensor';
    console.log(tensor([1, 2, 3]).mul(2).exp().sum().item().toFixed(1));`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=source', '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program],
    {
      cwd: new URL('.', import.meta.url),
      encoding: 'utf8',
      env: { ...process.env, PROJ_DEVICE: device, PROJ_DEBUG: level, PROJ_NUM_THREADS: '1' },
    },
  );
  expect(status, stderr).toBe(0);
  return { result: stdout.trim(), debug: stderr };
}

/** The code in a language that level 4 shows, of each kernel; times of launches come after the last. */
function codeIn(language: string, device: string, debug: string): readonly string[] {
  const [shown] = debug.split(/^ *\d+\.\d+ ms /m);
  const parts = shown.split(/^; .+ on (\w+), (\w[\w ]*):\n/m).slice(1);
  return parts.filter((_, i) => i % 3 === 2 && parts[i - 2] === device && parts[i - 1] === language);
}

const { WebAssembly: engine } = globalThis as unknown as {
  readonly WebAssembly: { validate(bytes: Uint8Array): boolean };
};

// e² + e⁴ + e⁶
const RESULT = '465.4';

describe.each(['js', 'wasm', 'native'])('PROJ_DEBUG on %s', (device) => {
  const works = devices.get(device) === true;

  it.skipIf(!works)('prints more with each level', { timeout: 60_000 }, () => {
    const levels = ['0', '1', '2', '3', '4'].map((level) => print(device, level));
    expect(levels.map(({ result }) => result)).toEqual(Array.from(levels, () => RESULT));
    const says = (pattern: RegExp): boolean[] => levels.map(({ debug }) => pattern.test(debug));
    expect(levels[0].debug).toBe('');
    expect(says(new RegExp(`^proj: device ${device} \\(`, 'm'))).toEqual([false, true, true, true, true]);
    expect(says(/^proj: new plan of \d+ launches, arena/m)).toEqual([false, false, true, true, true]);
    expect(says(/^ *\d+\.\d+ ms in \d+ launches$/m)).toEqual([false, false, true, true, true]);
    expect(says(/^ +%\d+: f32(?:x\d+)? = /m)).toEqual([false, false, false, true, true]);
    expect(says(new RegExp(`^; .+ on ${device}, `, 'm'))).toEqual([false, false, false, false, true]);
  });
});

describe('PROJ_DEBUG=4', () => {
  it('shows JavaScript that parses', () => {
    const code = codeIn('javascript', 'js', print('js', '4').debug);
    expect(code).not.toHaveLength(0);
    for (const text of code) expect(() => new Function(text)).not.toThrow();
  });

  it('shows the bytes of WebAssembly modules', () => {
    const code = codeIn('wasm', 'wasm', print('wasm', '4').debug);
    expect(code).not.toHaveLength(0);
    for (const text of code) {
      const bytes = Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (digits) => parseInt(digits, 16));
      expect(engine.validate(bytes)).toBe(true);
    }
  });

  it.skipIf(devices.get('native') !== true)('shows LLVM IR and assembly', () => {
    const { debug } = print('native', '4');
    expect(debug).toMatch(/^define .*\bptr\b/m);
    expect(debug).toMatch(/^\t(?:vmulps|mulps|fmul)\b/m);
  });
});
