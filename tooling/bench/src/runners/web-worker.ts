/** The part of the browser's `Worker` that jax-js uses to run threads (a classic script from a blob URL), over worker_threads. */
import { resolveObjectURL } from 'node:buffer';
import { Worker } from 'node:worker_threads';

const PRELUDE = `const { parentPort } = require('node:worker_threads')
globalThis.self = globalThis
globalThis.postMessage = (message) => parentPort.postMessage(message)
parentPort.on('message', (data) => globalThis.onmessage({ data }))
`;

class BlobWorker {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((error: unknown) => void) | null = null;
  readonly #started: Promise<Worker>;

  constructor(url: string | URL) {
    // The blob is looked up now: its URL may be revoked right after.
    this.#started = this.#start(resolveObjectURL(String(url)));
  }

  async #start(blob: Awaited<ReturnType<typeof resolveObjectURL>>): Promise<Worker> {
    const worker = new Worker(PRELUDE + ((await blob?.text()) ?? ''), { eval: true });
    worker.unref();
    worker.on('message', (data) => this.onmessage?.({ data }));
    worker.on('error', (error) => this.onerror?.(error));
    return worker;
  }

  postMessage(message: unknown): void {
    void this.#started.then((worker) => worker.postMessage(message));
  }

  terminate(): void {
    void this.#started.then((worker) => worker.terminate());
  }
}

/** Puts `Worker` and a `navigator` with that many cores in place. */
export function installWebWorkers(threads: number): void {
  Object.defineProperty(globalThis, 'navigator', { value: { hardwareConcurrency: threads }, configurable: true });
  if (threads > 1) Object.assign(globalThis, { Worker: BlobWorker });
}
