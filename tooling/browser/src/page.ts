/** The script of the page: runs the program where the address says, here or in a worker, and sends the server what came of it. */
import { type DeviceName, run } from './program.ts';

/** The few names of a browser that are needed; the repository is checked with Node's types. */
interface Page {
  readonly location: { readonly href: string };
  readonly document?: unknown;
  readonly Worker: new (url: string, options: { type: 'module' }) => unknown;
}

const page = globalThis as unknown as Page;
const address = new URL(page.location.href);
const device = address.searchParams.get('device') as DeviceName;

if (page.document !== undefined && address.searchParams.get('place') === 'worker') {
  const script = new URL('/page.js', address);
  script.search = address.search;
  // What it does keeps it alive.
  new page.Worker(script.href, { type: 'module' });
} else {
  const send = (body: unknown): Promise<unknown> => fetch('/outcome', { method: 'POST', body: JSON.stringify(body) });
  run(device).then(
    (outcome) => send({ outcome }),
    (error: unknown) => send({ error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) }),
  );
}
