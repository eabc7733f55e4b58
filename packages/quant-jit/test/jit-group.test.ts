/** Sequences that step together: each gets what it would get alone, for every scheme and on every device. */
import '@proj/device-native';
import { attempt, type Device, getDevice, ProjError } from '@proj/kernel';
import { describe, expect, it } from 'vitest';
import { buildGemma2, type NativeCodeILNN, optimise } from '../src/il/index.ts';
import { CompiledNativeILNN } from '../src/jit/compiled.ts';
import { CompiledGroup } from '../src/jit/group.ts';
import { type ModelWeights, packWeights } from '../src/jit/index.ts';
import { type SchemeName } from '../src/quantize/index.ts';
import { constantsOf, tinyConfig } from './support/tiny-program.ts';

const config = tinyConfig({ vocab_size: 90, max_position_embeddings: 32 });
const hasNative = attempt(() => getDevice('native')).ok;
const NAMES = ['js', 'wasm', ...(hasNative ? (['native'] as const) : [])] as const;
const SCHEMES_HERE = ['q8', 'q4g32a', 'q158', 'q1', 'f32'] as const;

function programOf(scheme: SchemeName): NativeCodeILNN {
  const whole = buildGemma2(config, () => scheme, { kvCache: scheme === 'f32' ? 'f32' : 'q8' });
  return whole.with(optimise(whole.program));
}

/** Made-up weights in the memory of a device. */
const weightsOn = (device: Device, il: NativeCodeILNN): ModelWeights => packWeights(device, il, constantsOf(il, 0.1));

const PROMPTS = [[7], [2, 41, 33, 34, 16], Array.from({ length: 19 }, (_, i) => (i * 37) % 90)] as const;
/** Which sequences step together, round after round. */
const ROUNDS = [[0, 1, 2], [2, 0], [1], [1, 2], [2, 1, 0], []] as const;

describe.each(NAMES)('sequences on %s', (name) => {
  const device = getDevice(name);

  it.each(SCHEMES_HERE)('%s: get together what each gets alone', (scheme) => {
    const il = programOf(scheme);
    const weights = weightsOn(device, il);
    const group = new CompiledGroup(il, { device, weights, maxTokens: 8 }, PROMPTS.length);
    const alone = PROMPTS.map(() => new CompiledNativeILNN(il, { device, weights, maxTokens: 8 }));
    PROMPTS.forEach((prompt, s) => expect(group.sequences[s].feed(prompt)).toEqual(alone[s].feed(prompt)));
    ROUNDS.forEach((members, round) => {
      const tokens = members.map((s) => (s * 29 + round * 11) % 90);
      const together = group.feedEach(members.map((s, i) => ({ sequence: group.sequences[s], token: tokens[i] })));
      expect(together).toHaveLength(members.length);
      members.forEach((s, i) => expect(together[i]).toEqual(alone[s].feed([tokens[i]])));
    });
    expect(group.sequences.map(({ position }) => position)).toEqual(alone.map(({ position }) => position));
    // One that starts again does not disturb the others.
    group.sequences[1].reset();
    alone[1].reset();
    expect(group.sequences[1].feed(PROMPTS[0])).toEqual(alone[1].feed(PROMPTS[0]));
    const [first, second] = group.feedEach([
      { sequence: group.sequences[1], token: 3 },
      { sequence: group.sequences[2], token: 4 },
    ]);
    expect(first).toEqual(alone[1].feed([3]));
    expect(second).toEqual(alone[2].feed([4]));
    // Tokens leave nothing outside of the heap: all logits come in the same memory.
    const [one] = group.feedEach([{ sequence: group.sequences[1], token: 5 }]);
    expect(one).toEqual(alone[1].feed([5]));
    expect(second.buffer === first.buffer && one.buffer === first.buffer).toBe(true);
    for (const sequence of alone) sequence.dispose();
    group.dispose();
  });

  it('one token alone gives what feed gives, in memory that the next writes over', () => {
    const il = programOf('q8');
    const weights = weightsOn(device, il);
    const [sequence, fed] = [0, 1].map(() => new CompiledNativeILNN(il, { device, weights, maxTokens: 8 }));
    expect(sequence.feed(PROMPTS[1])).toEqual(fed.feed(PROMPTS[1]));
    const first = sequence.feedOne(29);
    const before = fed.feed([29]);
    expect(first).toEqual(before);
    const second = sequence.feedOne(3);
    expect(second).toEqual(fed.feed([3]));
    expect(second).not.toEqual(before);
    expect(second.buffer).toBe(first.buffer);
    expect(sequence.position).toBe(PROMPTS[1].length + 2);
    for (const token of [-1, 1.5, 90]) expect(() => sequence.feedOne(token)).toThrow(`token ${token} of`);
    expect(sequence.position).toBe(PROMPTS[1].length + 2);
    sequence.dispose();
    fed.dispose();
  });

  it('nine of them, which is more than a tile, take one row each', () => {
    const il = programOf('q8');
    const weights = weightsOn(device, il);
    const group = new CompiledGroup(il, { device, weights }, 9);
    group.prepare();
    const alone = new CompiledNativeILNN(il, { device, weights });
    for (let round = 0; round < 3; round++) {
      const logits = group.feedEach(group.sequences.map((sequence, s) => ({ sequence, token: (s * 7 + round) % 90 })));
      expect(new Set(logits.map((row) => row.join())).size).toBe(9);
      if (round > 0) continue;
      logits.forEach((row, s) => {
        alone.reset();
        expect(row).toEqual(alone.feed([(s * 7) % 90]));
      });
    }
    alone.dispose();
    group.dispose();
  });
});

describe('what is refused', () => {
  const device = getDevice('js');
  const il = programOf('q8');
  const weights = weightsOn(device, il);
  const group = new CompiledGroup(il, { device, weights }, 2);
  const [a, b] = group.sequences;
  const refusal = (next: Parameters<typeof group.feedEach>[0]): ProjError => {
    const outcome = attempt(() => group.feedEach(next));
    if (outcome.ok || !(outcome.error instanceof ProjError)) throw new Error('not refused');
    return outcome.error;
  };

  it('leaves every sequence as it was', () => {
    a.feed(Array.from({ length: 32 }, () => 1));
    b.feed([1, 2]);
    const other = new CompiledNativeILNN(il, { device, weights });
    expect(
      refusal([
        { sequence: b, token: 1 },
        { sequence: b, token: 2 },
      ]).message,
    ).toMatch(/named twice/);
    expect(
      refusal([
        { sequence: b, token: 1 },
        { sequence: other, token: 2 },
      ]).message,
    ).toMatch(/not of this group/);
    expect(refusal([{ sequence: b, token: 90 }]).message).toMatch(/token 90 of a vocabulary of 90/);
    expect(
      refusal([
        { sequence: b, token: 1 },
        { sequence: a, token: 2 },
      ]).message,
    ).toMatch(/do not fit 32 positions/);
    expect([a.position, b.position]).toEqual([32, 2]);
    other.dispose();
    group.dispose();
  });
});
