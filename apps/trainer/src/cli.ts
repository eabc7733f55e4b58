/** The command line: commands and options. */
import { runCommandLine } from 'app-support';
import { Command } from 'commander';
import { runBench, runDevices, runEval, runSample, runTrain } from './commands.ts';
import { CONFIG_FIELDS, describeField, flagOf, isSwitch } from './config.ts';
import { PRESET_SETTINGS, PRESETS } from './presets.ts';

type Action = (flags: Readonly<Record<string, unknown>>) => number | Promise<number>;

const PRESET_LIST = `
Presets:
${PRESETS.map((name) => `  ${name.padEnd(10)} ${PRESET_SETTINGS[name].description}`).join('\n')}

Settings come from flags, then PROJ_TRAINER_… variables, then --config, then the preset.`;

function withConfigOptions(command: Command): Command {
  for (const field of CONFIG_FIELDS)
    command.option(isSwitch(field) ? flagOf(field) : `${flagOf(field)} <value>`, describeField(field));
  return command.option('--config <file>', 'settings as YAML or JSON').addHelpText('after', PRESET_LIST);
}

const withCheckpoint = (command: Command): Command =>
  command
    .option('--checkpoint <file>', 'a checkpoint')
    .option('--out <folder>', 'the folder of a run (default: the newest)')
    .option('--preset <name>', 'the newest run of this preset')
    .option('--device <name>', 'native, wasm or js (default: as in training)')
    .option('--threads <n>', 'threads (default: as in training)');

/** Runs a command line (without the program's name); gives the exit status. */
export function main(args: readonly string[]): Promise<number> {
  let status = 0;
  const act =
    (action: Action) =>
    async (flags: Record<string, unknown>): Promise<void> => {
      status = await action(flags);
    };
  const program = new Command('trainer')
    .description('Trains real models from the command line.')
    .addHelpText('after', PRESET_LIST);
  withConfigOptions(
    program.command('train', { isDefault: true }).description('train a model (the default; without options: docs-gpt)'),
  ).action(act(runTrain));
  withCheckpoint(program.command('eval').description('validate and test a checkpoint'))
    .option('--data <folder>', 'folder with the data sets')
    .option('--text <file>', 'the text of a language model')
    .option('--json', 'print JSON')
    .action(act(runEval));
  withCheckpoint(program.command('sample').description('text from a trained language model'))
    .option('--prompt <text>', 'text to begin with')
    .option('--length <n>', 'characters (default: 500)')
    .option('--temperature <t>', 'below 1: likelier characters; 0: always the likeliest (default: 0.8)')
    .option('--top-k <k>', 'only the k likeliest characters; 0: all (default: 0)')
    .option('--seed <n>', 'the same seed gives the same text (default: 0)')
    .action(act(runSample));
  withConfigOptions(program.command('bench').description('time a training step'))
    .option('--runs <n>', 'steps to time (default: 30)')
    .option('--json', 'print JSON')
    .action(act(runBench));
  program
    .command('devices')
    .description('the devices of this machine')
    .option('--json', 'print JSON')
    .action(act(runDevices));
  return runCommandLine(program, args, () => status);
}
