/** The command line: commands and options. */
import { SCHEMES } from '@proj/quant-jit/quantize';
import { runCommandLine } from 'app-support';
import { Command } from 'commander';
import { runBench } from './commands/bench.ts';
import { runCompare } from './commands/compare.ts';
import { runConvert } from './commands/convert.ts';
import { runDistill } from './commands/distill.ts';
import { runRun } from './commands/run.ts';
import { runServe } from './commands/serve.ts';
import { runShow } from './commands/show.ts';
import { runStart } from './commands/start.ts';
import type { Flags } from './options.ts';

const withDevice = (command: Command): Command =>
  command
    .option('--device <name>', 'native, wasm, js or interpreter (default: the fastest that works)')
    .option('--threads <n>', 'threads (default: all cores)');

/** Runs a command line (without the program's name); gives the exit status. */
export function main(args: readonly string[]): Promise<number> {
  let status = 0;
  const program = new Command('gemma2-converter').description(
    'Converts Gemma 2 models to 1, 1.58, 4 and 8 bits, runs, compares and serves them.',
  );
  const schemes = Object.keys(SCHEMES).join(', ');

  program
    .command('convert')
    .description('convert a model; a conversion that was stopped goes on with the same command')
    .argument('<model>', 'Hugging Face folder, or GGUF file')
    .requiredOption('-o, --output <file>', 'the converted file')
    .option('--scheme <name>', `how weights are stored: ${schemes} (default: q4g32)`)
    .option(
      '--embedding-scheme <name>',
      'of the embedding table (default: as --scheme, q8 where that has less than 4 bits)',
    )
    .option('--mix <bits>', 'bits per weight; each tensor gets the scheme that serves it best (needs --text)')
    .option('--calibration <method>', 'absmax, mse or gptq (needs --text) (default: absmax)')
    .option('--text <file>', 'text to calibrate on; the teacher is in memory while it is read')
    .option('--calibration-tokens <n>', 'tokens of it (default: 2048)')
    .option('--kv <scheme>', 'cache of keys and values: f32 or q8 (default: f32)')
    .option('--mode <mode>', 'norms and attention: exact, data (tables) or logic (integer shortcuts) (default: exact)')
    .option('--activation <scheme>', 'activations where the weights take it: a8g32, a8 or a1')
    .option('--context <n>', "longest context (default: the model's)")
    .option('--overwrite', 'replace a file that is there')
    .option('--restart', 'do not go on with a conversion that was stopped')
    .action(async (model: string, flags: Flags) => {
      status = await runConvert(model, flags);
    });

  withDevice(
    program
      .command('run')
      .description('continue a prompt, or converse; the text streams to stdout, the times go to stderr')
      .argument('<file>', 'converted file')
      .argument('[prompt...]', 'text to continue (default: stdin)')
      .option('--max-tokens <n>', 'tokens to make at most (default: 256)')
      .option('--temperature <t>', '0: always the likeliest token (default: 0.8)')
      .option('--top-k <k>', 'only the k likeliest tokens; 0: all (default: 0)')
      .option('--top-p <p>', 'only the likeliest tokens that together reach p (default: 1)')
      .option('--repetition-penalty <r>', 'above 1: tokens that are there become less likely (default: 1)')
      .option('--seed <n>', 'the same seed gives the same text (default: 0)')
      .option('--context <n>', 'positions to make room for (default: as converted)')
      .option(
        '--chat',
        "the prompt is a user's message, through the model's chat template; at a terminal and without a prompt: a conversation",
      )
      .option('--quiet', 'no times'),
  ).action(async (file: string, prompt: string[], flags: Flags) => {
    status = await runRun(file, prompt, flags);
  });

  withDevice(
    program
      .command('compare')
      .description('measure converted models against their teacher, and against an n-gram model of the text')
      .argument('<teacher>', 'Hugging Face folder, or GGUF file')
      .argument('<files...>', 'converted files')
      .option('--text <file>', "text whose last tenth is measured on (default: the repository's own)")
      .option('--tokens <n>', 'tokens to measure on (default: 2048)')
      .option('--window <n>', 'tokens of a window (default: 128)')
      .option('--generations <n>', 'texts that each model writes, for BLEU (default: 8)')
      .option('--generated <n>', 'tokens of each (default: 64)')
      .option('--prompt <n>', 'tokens of their prompts (default: 32)')
      .option('--plot <file>', 'write the errors by layer as SVG')
      .option('--json', 'print JSON'),
  ).action(async (teacher: string, files: string[], flags: Flags) => {
    status = await runCompare(teacher, files, flags);
  });

  withDevice(
    program
      .command('serve')
      .description(
        "serve a model over HTTP: OpenAI's /v1/chat/completions and /v1/completions, /v1/models, /health, /metrics",
      )
      .argument('<file>', 'converted file')
      .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
      .option('--port <n>', 'port; 0: any that is free (default: 8080)')
      .option('--slots <n>', 'requests that run at the same time (default: 4)')
      .option('--queue <n>', 'requests that may wait; more are answered with 429 (default: 16)')
      .option('--context <n>', 'positions of each slot (default: as converted, 4096 at most)')
      .option('--name <name>', "the model's name (default: that of the file)")
      .option('--max-body <bytes>', 'largest body of a request (default: 1048576)')
      .option('--grace <seconds>', 'how long running requests may go on after Ctrl-C (default: 10)'),
  ).action(async (file: string, flags: Flags) => {
    status = await runServe(file, flags);
  });

  withDevice(
    program
      .command('bench')
      .description('measure prompt and decode rates, and what of the memory bandwidth is used')
      .argument('<file>', 'converted file')
      .option('--prompt-tokens <n>', 'tokens of the prompt (default: 128)')
      .option('--tokens <n>', 'tokens to decode (default: 32)')
      .option('--runs <n>', 'how often (default: 3)')
      .option('--context <n>', 'positions to make room for (default: as converted)')
      .option('--json', 'print JSON')
      .addHelpText('after', '\nSide by side with llama.cpp and onnxruntime: pnpm bench decode prompt'),
  ).action(async (file: string, flags: Flags) => {
    status = await runBench(file, flags);
  });

  withDevice(
    program
      .command('distill')
      .description('train a student of few bits on what its teacher predicts; writes a folder to convert')
      .argument('<teacher>', 'Hugging Face folder, or GGUF file')
      .requiredOption('-o, --output <folder>', 'Hugging Face folder of the student')
      .option('--scheme <name>', 'scheme of the matrices (default: q1)')
      .option('--embedding-scheme <name>', 'of the embedding table (default: q8)')
      .option('--text <file>', "text to learn on, but for its last tenth (default: the repository's own)")
      .option('--seconds <n>', 'how long (default: 60)')
      .option('--steps <n>', 'instead of seconds: gives the same student again')
      .option('--progressive', '8 bits first, then 4, then the scheme')
      .option('--rank <n>', 'train a low-rank update instead of all weights')
      .option('--lr <rate>', 'peak learning rate (default: 0.002)')
      .option('--batch <n>', 'windows of a step (default: 16)')
      .option('--window <n>', 'tokens of a window (default: 128)')
      .option('--checkpoint <file>', 'where the run is saved, and goes on from')
      .option('--seed <n>', 'seed (default: 0)'),
  ).action(async (teacher: string, flags: Flags) => {
    status = await runDistill(teacher, flags);
  });

  program
    .command('show')
    .description('what is in a converted file; with --layer the program, with --machine-code what becomes of it')
    .argument('<file>', 'converted file')
    .option('--layer <n>', 'the program of this layer before and after the passes')
    .option('--machine-code', "kernel and assembly of the layer's first product")
    .option('--json', 'print JSON')
    .action((file: string, flags: Flags) => {
      status = runShow(file, flags);
    });

  withDevice(
    program
      .command('start', { isDefault: true })
      .description(
        'the default, which needs no model: train a small teacher on the text of this repository, convert it to 8, 4 and 1 bits, compare',
      )
      .option('--out <folder>', 'where all of it goes (default: runs/gemma2)')
      .option('--text <file>', "another text than the repository's")
      .option('--steps <n>', 'training steps (default: 600)')
      .option('--width <n>', 'width of the teacher (default: 128)')
      .option('--layers <n>', 'layers of the teacher (default: 4)')
      .option('--heads <n>', 'attention heads of the teacher (default: 4)')
      .option('--context <n>', 'positions of the teacher (default: 256)')
      .option('--batch <n>', 'windows of a training step (default: 16)')
      .option('--lr <rate>', 'peak learning rate (default: 0.004)')
      .option('--seed <n>', 'seed of the training (default: 1)')
      .option('--distill-seconds <n>', 'how long the 1-bit student learns (default: 45)')
      .option('--retrain', 'train a teacher even where there is one'),
  ).action(async (flags: Flags) => {
    status = await runStart(flags);
  });

  return runCommandLine(program, args, () => status);
}
