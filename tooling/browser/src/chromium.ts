/**
 * A headless Chromium for one page: a server of this process gives it the page and takes back what it sends; then the browser ends. No
 * protocol of the browser's own is spoken.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const PLACES = ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];

/** The browser's program, or null where there is none. */
export function findChromium(): string | null {
  const told = process.env['PROJ_CHROMIUM'];
  if (told !== undefined) return told === 'none' ? null : told;
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const candidates = [...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))), ...PLACES];
  return candidates.find((file) => existsSync(file)) ?? null;
}

export interface Visit {
  readonly script: string;
  /** Parameters of the address. */
  readonly query: Readonly<Record<string, string>>;
  /** Whether the page may share memory with workers (cross-origin isolation). */
  readonly isolated: boolean;
  readonly timeoutMs: number;
}

const ISOLATION = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

/** Opens a page that is nothing but a script; what it posts to `/outcome`. */
export async function visit(chromium: string, { script, query, isolated, timeoutMs }: Visit): Promise<string> {
  const outcome = Promise.withResolvers<string>();
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      void textOf(request).then(outcome.resolve, outcome.reject);
      response.end();
      return;
    }
    const isScript = request.url?.startsWith('/page.js') === true;
    response.writeHead(200, {
      'content-type': isScript ? 'text/javascript' : 'text/html',
      ...(isolated ? ISOLATION : {}),
    });
    response.end(isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const profile = mkdtempSync(join(tmpdir(), 'proj-chromium-'));
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-dev-shm-usage'];
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];
  const { port } = server.address() as AddressInfo;
  const address = `http://127.0.0.1:${port}/?${new URLSearchParams(query).toString()}`;
  const browser = spawn(chromium, [...flags, ...quiet, `--user-data-dir=${profile}`, address], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let said = '';
  browser.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)));
  const ended = new Promise<void>((resolve) => browser.once('close', () => resolve()));
  browser.once('error', outcome.reject);
  void ended.then(() => outcome.reject(new Error(`the browser ended before it had answered:\n${said}`)));
  const timer = setTimeout(
    () => outcome.reject(new Error(`no answer in ${timeoutMs} ms; the browser says\n${said}`)),
    timeoutMs,
  );
  try {
    return await outcome.promise;
  } finally {
    clearTimeout(timer);
    await close(browser.pid, ended, server);
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Ends the browser with its helpers, which are a group of processes of their own. */
async function close(pid: number | undefined, ended: Promise<void>, server: Server): Promise<void> {
  if (pid !== undefined) {
    try {
      process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
    await ended;
  }
  server.closeAllConnections();
  server.close();
}
