// A worker process: loads the library once, then runs the batches that the parent sends. A crash here costs the parent one batch, which it
// then repeats record by record.
import { ProjLibrary } from './adapter.ts';
import { readCaseFile, readIndex } from './case-files.ts';
import type { CaseLine } from './case-files.ts';
import type { IndexEntry } from './families/family.ts';
import { openGemma2 } from './gemma2-adapter.ts';
import { runRecords } from './run-records.ts';
import type { FromWorker, ToWorker } from './pool.ts';

const send = (message: FromWorker): void => void process.send?.(message);

const files = new Map<
  string,
  { readonly lines: ReadonlyMap<number, CaseLine>; readonly index: ReadonlyMap<string, IndexEntry> }
>();

function open(path: string): {
  readonly lines: ReadonlyMap<number, CaseLine>;
  readonly index: ReadonlyMap<string, IndexEntry>;
} {
  let file = files.get(path);
  if (file === undefined) {
    file = { lines: new Map(readCaseFile(path).map((line) => [line.line, line])), index: readIndex(path) };
    files.set(path, file);
  }
  return file;
}

let library: ProjLibrary;
try {
  library = await ProjLibrary.load(process.env.CONFORMANCE_DEVICE);
  send({ kind: 'ready' });
} catch (error) {
  send({ kind: 'broken', message: error instanceof Error ? error.message : String(error) });
  process.exit(1);
}

process.on('message', (message: ToWorker) => {
  void (async () => {
    const { lines, index } = open(message.file);
    const batch = message.lines.flatMap((line) => lines.get(line) ?? []);
    const outcomes = await runRecords(
      message.family,
      batch,
      { library, index, file: message.file, openGemma2 },
      (line) => send({ kind: 'started', line }),
      message.lenient,
    );
    library.collect();
    send({ kind: 'done', outcomes });
  })();
});
process.on('disconnect', () => process.exit(0));
