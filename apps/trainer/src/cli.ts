/** The command line: commands and options, and errors as one line. */
import { Command, CommanderError } from 'commander';
import { runBench, runDevices, runEval, runSample, runTrain } from './commands.ts';
import { CONFIG_FIELDS, describeField, flagOf, isSwitch } from './config.ts';
import { PRESET_SETTINGS, PRESETS } from './presets.ts';
import { toProjError } from '@proj/kernel';

type Action = (flags: Readonly<Record<string, unknown>>) => number | Promise<number>;

function withConfigOptions(command: Command): Command {
  for (const field of CONFIG_FIELDS)
    command.option(isSwitch(field) ? flagOf(field) : `${flagOf(field)} <value>`, describeField(field));
  return command.option('--config <file>', 'settings as YAML or JSON');
}

/** Runs a command line (without the program's name); gives the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  let status = 0;
  const act =
    (action: Action) =>
    async (flags: Record<string, unknown>): Promise<void> => {
      status = await action(flags);
    };
  const program = new Command('trainer')
    .description('Trains real models from the command line.')
    .exitOverride()
    .showHelpAfterError('(--help lists the options)');
  program.addHelpText(
    'after',
    `\nPresets:\n${PRESETS.map((name) => `  ${name.padEnd(10)} ${PRESET_SETTINGS[name].description}`).join('\n')}\n\nSettings come from flags, then PROJ_TRAINER_… variables, then --config, then the preset.`,
  );
  withConfigOptions(
    program.command('train', { isDefault: true }).description('train a model (the default; without options: docs-gpt)'),
  ).action(act(runTrain));
  const withCheckpoint = (command: Command): Command =>
    command
      .option('--checkpoint <file>', 'a checkpoint')
      .option('--out <folder>', 'the folder of a run (default: the newest)')
      .option('--preset <name>', 'the newest run of this preset')
      .option('--device <name>', 'native, wasm or js')
      .option('--threads <n>', 'threads');
  withCheckpoint(program.command('eval').description('validate and test a checkpoint'))
    .option('--data <folder>', 'folder with the data sets')
    .option('--text <file>', 'the text of a language model')
    .option('--json', 'print JSON')
    .action(act(runEval));
  withCheckpoint(program.command('sample').description('text from a trained language model'))
    .option('--prompt <text>', 'text to begin with')
    .option('--length <n>', 'characters')
    .option('--temperature <t>', 'below 1: likelier characters')
    .option('--top-k <k>', 'only the likeliest characters')
    .option('--seed <n>', 'seed')
    .action(act(runSample));
  withConfigOptions(program.command('bench').description('time a training step'))
    .option('--runs <n>', 'steps to time')
    .option('--json', 'print JSON')
    .action(act(runBench));
  program
    .command('devices')
    .description('the devices of this machine')
    .option('--json', 'print JSON')
    .action(act(runDevices));
  try {
    // pnpm passes the `--` before the arguments on.
    await program.parseAsync(args[0] === '--' ? args.slice(1) : args, { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { message, code, stack } = toProjError(error);
    process.stderr.write(`error: ${message}\n`);
    if (process.env['PROJ_DEBUG'] !== undefined) process.stderr.write(`${stack ?? ''}\n`);
    return code === 'invalid-argument' ? 2 : 1;
  }
}
