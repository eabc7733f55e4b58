import { describe, expect, it } from 'vitest';
import { checkOptions, nearest, withDefaults } from '../src/index.ts';

interface Options {
  readonly lr?: number;
  readonly betas?: readonly number[];
  readonly weightDecay?: number;
}
const DEFAULTS = { lr: 0.001, betas: [0.9, 0.999], weightDecay: 0 };
const fill = (options: unknown): object => withDefaults<Options>('Adam', DEFAULTS, options as Options);

describe('options', () => {
  it('stand over the defaults; undefined is no value', () => {
    expect(fill({ lr: 1, weightDecay: undefined })).toEqual({ lr: 1, betas: [0.9, 0.999], weightDecay: 0 });
    expect(DEFAULTS.lr).toBe(0.001);
  });
  it('of another name are refused, with the one that may be meant', () => {
    expect(() => fill({ learningrate: 1 })).toThrow(
      "Adam: unknown option 'learningrate'. Did you mean 'lr'? Known are lr, betas, weightDecay",
    );
    expect(() => fill({ weight_decay: 1 })).toThrow("Did you mean 'weightDecay'?");
    expect(() => fill({ colour: 1 })).toThrow("unknown option 'colour'. Known are");
    expect(() => fill({ toString: 1 })).toThrow("unknown option 'toString'");
    expect(() => checkOptions('f', {}, { x: 1 })).toThrow("f: unknown option 'x'. There are none");
  });
  it('that are no object are refused', () => {
    expect(() => fill(0.01)).toThrow(
      'Adam: 0.01 where an object of options belongs. Write { name: value }; known are lr',
    );
    expect(() => fill(null)).toThrow('null where an object');
    expect(() => fill([0.9])).toThrow('an array where an object');
  });
  it.each([
    ['keepDims', ['dim', 'keepdim', 'dtype'], 'keepdim'],
    ['strides', ['stride', 'padding'], 'stride'],
    ['batch', ['shuffle', 'batchSize'], 'batchSize'],
    ['requires_grad', ['dtype', 'requiresGrad'], 'requiresGrad'],
    ['epsilon', ['lr', 'eps'], 'eps'],
    ['axis', ['keepdim', 'dtype'], undefined],
  ])('%s among %j means %s', (name, known, meant) => {
    expect(nearest(name, known)).toBe(meant);
  });
});
