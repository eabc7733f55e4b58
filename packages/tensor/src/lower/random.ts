/** Random bits by counter (Philox 4×32-10, Salmon et al. 2011): position i of a tensor always gets the same bits for the same seed and offset. */
import { type KernelBuilder, math, type Value } from '@proj/kernel';

/** Bits (i64, 0 … 2³²-1) for the elements `at` of the stream `seed` (i64) from `offset` (i64). */
export function randomBits(b: KernelBuilder, seed: Value, offset: Value, at: Value): Value {
  const counter = b.add(b.cast(at, 'i64'), offset);
  const low = (x: Value): Value => b.cast(x, 'u32');
  const high = (x: Value): Value => b.cast(b.shr(x, 32n), 'u32');
  const [bits] = math.philox(b, low(counter), high(counter), low(seed), high(seed));
  return b.cast(bits, 'i64');
}
