/** `serve`: a model over HTTP. */
import { basename, extname } from 'node:path';
import { z } from 'zod';
import { describe, openConverted, recordOf, tokenizerOf } from '../model/open.ts';
import { deviceShape, type Flags, readOptions } from '../options.ts';
import { keepHeapSmall } from '../server/heap.ts';
import { ModelServer } from '../server/server.ts';
import { count, countOrZero, notNegative, print, say, userPath } from 'app-support';

const DEFAULT_CONTEXT = 4096;
const PROMPT_STEP = 64;

const shape = {
  ...deviceShape,
  host: z.string().min(1).default('127.0.0.1'),
  port: countOrZero.pipe(z.number().max(65535)).default(8080),
  slots: count.default(4),
  queue: countOrZero.default(16),
  context: count.optional(),
  name: z.string().min(1).optional(),
  maxBody: count.default(1 << 20),
  grace: notNegative.default(10),
} as const;

export async function runServe(file: string, flags: Flags): Promise<number> {
  const options = readOptions(shape, flags);
  const model = await openConverted(userPath(file), {
    device: options.device,
    threads: options.threads,
    positions: options.context ?? Math.min(DEFAULT_CONTEXT, describe(userPath(file)).il.config.positions),
    maxTokens: PROMPT_STEP,
    sequences: options.slots,
    onMessage: say,
  });
  const { group } = model.loaded;
  group.prepare();
  model.loaded.settle();
  const leaveHeap = await keepHeapSmall();
  const modelName = options.name ?? basename(file, extname(file));
  const server = new ModelServer({
    modelName,
    tokenizer: tokenizerOf(model),
    stopTokens: recordOf(model).stopTokens,
    group,
    queue: options.queue,
    maxBody: options.maxBody,
    log: say,
  });
  const port = await server.listen(options.host, options.port);
  const loopback = ['127.0.0.1', '::1', 'localhost'].includes(options.host);
  if (!loopback) say(`everyone who reaches ${options.host} can use this server: there is no authentication`);
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  print(
    `"${modelName}" on http://${host}:${port}/v1 (${model.deviceText}; ${options.slots} slots, ${model.il.config.positions} positions)`,
  );
  await new Promise<void>((resolve) => {
    let asked = 0;
    const stop = (): void => {
      if (++asked > 1) process.exit(1);
      say('closing; what runs comes to its end (again to stop at once)');
      void server.close(1000 * options.grace).then(() => {
        process.off('SIGINT', stop);
        process.off('SIGTERM', stop);
        resolve();
      });
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
  leaveHeap();
  model.loaded.dispose();
  return 0;
}
