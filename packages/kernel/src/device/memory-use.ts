/**
 * How much memory buffers hold that the engine collects by itself. Finalizers would tell exactly, but they never run in a loop that does not
 * await, and what waits for them there is a leak of its own; so what was given out is counted, and the engine's own account bounds it.
 */

/** Bytes of all array buffers of this process, where the platform says. */
const arrayBufferBytes = (): number => globalThis.process?.memoryUsage?.().arrayBuffers ?? Infinity;

/** Counts bytes that were given out and not given back; those that were collected are noticed when somebody asks. */
export class MemoryUse {
  #bytes = 0;

  add(bytes: number): void {
    this.#bytes += bytes;
  }
  remove(bytes: number): void {
    this.#bytes = Math.max(0, this.#bytes - bytes);
  }
  /** Bytes in use: at most what array buffers hold, those that are kept for reuse (`pooled`) apart. */
  current(pooled = 0): number {
    this.#bytes = Math.min(this.#bytes, Math.max(0, arrayBufferBytes() - pooled));
    return this.#bytes;
  }
}
