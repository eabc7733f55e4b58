/** Running a program: its command line, errors as one line, the exit status, and an output that nobody reads any more. */
import { ProjError, toProjError } from '@proj/kernel';
import { type Command, CommanderError } from 'commander';

/** As a shell has it for a process that SIGPIPE ended. */
const EXIT_BROKEN_PIPE = 141;

/** Runs a command line (without the program's name); gives the exit status: `status()` after a command, 2 for wrong options, 1 for what failed. */
export async function runCommandLine(program: Command, args: readonly string[], status: () => number): Promise<number> {
  // pnpm passes the `--` before the arguments on.
  const given = args[0] === '--' ? args.slice(1) : args;
  // Commands have taken over the program's settings when they were made: each needs its own.
  for (const command of [program, ...program.commands])
    command.exitOverride().showHelpAfterError('(--help lists the options)');
  try {
    refuseUnknownCommand(program, given[0] === 'help' ? given[1] : given[0]);
    await program.parseAsync(given, { from: 'user' });
    return status();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { message, code, stack } = toProjError(error);
    process.stderr.write(`error: ${message}\n`);
    if (process.env['PROJ_DEBUG'] !== undefined) process.stderr.write(`${stack ?? ''}\n`);
    return code === 'invalid-argument' ? 2 : 1;
  }
}

/** With a default command, commander takes a mistyped one for an argument of it. */
function refuseUnknownCommand(program: Command, first: string | undefined): void {
  const names = [...program.commands.map((command) => command.name()), 'help'];
  if (first === undefined || first.startsWith('-') || names.includes(first)) return;
  throw new ProjError('invalid-argument', `there is no command "${first}"`, {
    cure: `Commands are ${names.join(', ')}`,
  });
}

/**
 * Runs `main` with the arguments of the process. When nobody reads the output any more (`| head`), or it cannot be written (a full disk), what runs is
 * stopped as by SIGTERM, so that it can save its work; what does not listen ends at once.
 */
export async function runProgram(main: (args: readonly string[]) => Promise<number>): Promise<void> {
  let broken = false;
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (broken) return;
    broken = true;
    if (code !== 'EPIPE') process.stderr.write(`error: cannot write the output: ${message}\n`);
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(code === 'EPIPE' ? EXIT_BROKEN_PIPE : 1);
  });
  // What goes there is lost where nobody reads it (`2>&1 | head`), and ends nothing.
  process.stderr.on('error', () => {});
  process.exitCode = await main(process.argv.slice(2));
}
