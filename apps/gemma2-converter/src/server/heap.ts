/**
 * Keeps the heap of a server small. What a request leaves is old by the time that the request ends, so it lies in V8's old generation, which V8 collects only after it has
 * grown by tens of megabytes. Here that is done after a few, which stops the server for some 50 ms, once in half a minute at full load. `PROJ_HEAP=engine` leaves the heap to V8.
 */
import { Session } from 'node:inspector/promises';
import { getHeapSpaceStatistics } from 'node:v8';
import { steadyYoungGeneration } from '@proj/kernel';

/** What the old generation may grow by until it is collected. */
const GROWTH_BYTES = 8 * 2 ** 20;
/** Milliseconds from one look at it to the next. */
const INTERVAL = 2000;

const oldBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0;

async function collectGarbage(): Promise<void> {
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.collectGarbage');
  session.disconnect();
  steadyYoungGeneration();
}

/** Collects what start-up left, and from then on what requests leave, until the function that it gives is called. */
export async function keepHeapSmall(): Promise<() => void> {
  if (process.env['PROJ_HEAP'] === 'engine') return () => undefined;
  await collectGarbage();
  let collected = oldBytes();
  const look = async (): Promise<void> => {
    if (oldBytes() < collected + GROWTH_BYTES) return;
    await collectGarbage();
    collected = oldBytes();
  };
  const timer = setInterval(() => void look(), INTERVAL).unref();
  return () => clearInterval(timer);
}
