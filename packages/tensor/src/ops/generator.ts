/**
 * Streams of random numbers from counter-based generators: element i of a draw depends on the seed, the draw's offset and i only, so that the same seed
 * gives the same numbers on every device, in any order of evaluation. Each draw takes its offset when it is built, and a new one at each replay of a
 * captured program.
 */
import { type Device, ProjError } from '@proj/kernel';
import { constantNode, randomNode } from '../graph/build.ts';
import { type AnyNode, elementCount, type Shape } from '../graph/node.ts';
import type { Tensor } from '../tensor.ts';
import { fromArray } from './creation.ts';

const freshSeed = (): number => Math.floor(Math.random() * 2 ** 53);

/** A stream of random numbers: a seed and how many have been drawn. */
export class Generator {
  #seed: number;
  #offset = 0;

  constructor(seed: number = freshSeed()) {
    this.#seed = seed;
  }

  /** Starts the stream of `seed` from its beginning. */
  manualSeed(seed: number): this {
    if (!Number.isSafeInteger(seed))
      throw new ProjError('invalid-argument', `seed ${seed}`, { op: 'manualSeed', cure: 'Use an integer below 2^53' });
    this.#seed = seed;
    this.#offset = 0;
    return this;
  }
  /** A seed that cannot be foreseen; returns it. */
  seed(): number {
    this.manualSeed(freshSeed());
    return this.#seed;
  }
  /** The seed in use. */
  initialSeed(): number {
    return this.#seed;
  }
  /** Seed and position, as 16 bytes. */
  getState(): Tensor {
    const words = new BigInt64Array([BigInt(this.#seed), BigInt(this.#offset)]);
    return fromArray(new Uint8Array(words.buffer), [16], 'uint8');
  }
  /** Continues exactly where the state was taken. */
  setState(state: Tensor): this {
    const bytes = Uint8Array.from(state.toFlatArray());
    if (bytes.length !== 16)
      throw new ProjError('invalid-argument', `a state of ${bytes.length} bytes`, {
        op: 'setState',
        cure: 'Use what getState returned',
      });
    const [seed, offset] = new BigInt64Array(bytes.buffer);
    this.#seed = Number(seed);
    this.#offset = Number(offset);
    return this;
  }
  /** Random bits (int64, 0 … 2^32 - 1) for each element; for the library's own use. */
  bits(shape: Shape, device: Device): AnyNode {
    const again = tape?.replaying === true ? tape.draws[tape.at++] : undefined;
    if (again !== undefined) return randomNode(shape, again.seed, again.offset);
    const count = elementCount(shape);
    const draw = (): number => {
      const at = this.#offset;
      this.#offset += count;
      return at;
    };
    const seed = constantNode(device, 'int64', [], this.#seed, () => this.#seed);
    const offset = constantNode(device, 'int64', [], draw(), draw);
    tape?.draws.push({ seed, offset });
    return randomNode(shape, seed, offset);
  }
}

/** The draws of a function, which `replaying` makes again: a checkpoint drops the same elements when it computes a second time. */
export interface DrawTape {
  readonly draws: { readonly seed: AnyNode; readonly offset: AnyNode }[];
  replaying: boolean;
  at: number;
}
let tape: DrawTape | null = null;
/** Runs `fn` with its draws recorded on (or taken from) a tape. */
export function withDraws<T>(draws: DrawTape, fn: () => T): T {
  const before = tape;
  tape = draws;
  try {
    return fn();
  } finally {
    tape = before;
  }
}

/** The generator that is used where none is given. */
export const defaultGenerator = new Generator();
/** Seeds the default generator. */
export function manualSeed(seed: number): Generator {
  return defaultGenerator.manualSeed(seed);
}
/** Seeds the default generator with a number that cannot be foreseen; returns it. */
export const seed = (): number => defaultGenerator.seed();
/** The seed of the default generator. */
export const initialSeed = (): number => defaultGenerator.initialSeed();
/** The state of the default generator. */
export const getRngState = (): Tensor => defaultGenerator.getState();
/** Sets the state of the default generator. */
export function setRngState(newState: Tensor): void {
  defaultGenerator.setState(newState);
}
