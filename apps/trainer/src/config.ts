/** The settings of a run: what they are, what they may be, and where they come from: flags before environment before file before preset. */
import { readFileSync } from 'node:fs';
import { ProjError } from '@proj/kernel';
import { count, countOrZero, countUpTo, flagOf, notNegative, positive, problemText, share } from 'app-support';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { type PresetName, PRESET_SETTINGS, PRESETS } from './presets.ts';

const flag = z.preprocess(
  (value) => (value === 'true' || value === '1' ? true : value === 'false' || value === '0' ? false : value),
  z.boolean(),
);

/** Larger batches and contexts are slips of the pen: they would only be noticed when the memory is full. */
const MOST_ITEMS = 1_000_000;

export const configSchema = z.strictObject({
  preset: z.enum(PRESETS).default('docs-gpt').describe('what to train, see below'),
  data: z.string().min(1).optional().describe('folder with the data sets (default: PROJ_DATA)'),
  text: z.string().min(1).optional().describe('a text file to train a language model on'),
  out: z.string().min(1).optional().describe('folder of the run (default: runs/<preset>)'),
  device: z.enum(['native', 'wasm', 'js']).optional().describe('native, wasm or js (default: the fastest that works)'),
  threads: count.optional().describe('threads (default: all cores)'),
  seed: countOrZero.default(1).describe('seed of everything random'),
  epochs: count.optional().describe('passes over the training data'),
  steps: count.optional().describe('training steps; instead of epochs'),
  batchSize: countUpTo(MOST_ITEMS).describe('items in a batch'),
  lr: positive.describe('peak learning rate'),
  minLr: notNegative.default(0).describe('learning rate at the end of the cosine'),
  warmup: countOrZero.default(0).describe('steps in which the learning rate rises'),
  weightDecay: notNegative.default(0).describe('decoupled weight decay of matrices'),
  betas2: share.default(0.999).describe('decay of the second moment'),
  gradClip: notNegative.default(0).describe('largest norm of the gradient; 0 for no bound'),
  dropout: share.default(0).describe('share of activations that are dropped'),
  layers: countUpTo(1000).default(1).describe('layers of a language model'),
  width: countUpTo(65_536).default(128).describe('width of the hidden layers'),
  heads: countUpTo(65_536).default(1).describe('attention heads'),
  context: countUpTo(MOST_ITEMS).default(64).describe('characters that a language model sees'),
  logEvery: count.default(50).describe('steps between two entries of the log'),
  evalEvery: countOrZero.default(0).describe('steps between two validations; 0: once an epoch'),
  evalBatches: countOrZero.default(0).describe('batches of a validation under way; 0: all'),
  checkpointEvery: count.default(500).describe('steps between two checkpoints'),
  patience: countOrZero.default(0).describe('validations without improvement before the run stops early; 0: never'),
  minDelta: notNegative.default(0).describe('what counts as an improvement of the validation loss'),
  resume: flag.default(false).describe('go on from the checkpoint in the folder of the run'),
  overwrite: flag.default(false).describe('replace an earlier run in the same folder'),
  prompt: z.string().optional().describe('text to begin the sample at the end with (default: a new line)'),
  sampleLength: countOrZero.default(300).describe('characters of the sample at the end'),
});

export type TrainConfig = z.infer<typeof configSchema>;
export type ConfigField = keyof TrainConfig;
export const CONFIG_FIELDS = Object.keys(configSchema.shape) as ConfigField[];

export { flagOf };
const VARIABLES = 'PROJ_TRAINER_';
const variableOf = (field: string): string => `${VARIABLES}${field.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`;
/** What the command line says about a field, with the default of those that no preset sets. */
export function describeField(field: ConfigField): string {
  const schema = configSchema.shape[field];
  const description = schema.description ?? '';
  if (isSwitch(field) || !(schema instanceof z.ZodDefault)) return description;
  const ofPreset = PRESETS.some((name) => field in PRESET_SETTINGS[name].settings);
  return ofPreset ? description : `${description} (default: ${String(schema.def.defaultValue)})`;
}
/** Fields that are flags without a value. */
export const isSwitch = (field: ConfigField): boolean => field === 'resume' || field === 'overwrite';

type Values = Readonly<Record<string, unknown>>;

/** Settings from a YAML or JSON file. Errors: missing; not a map; fields that do not exist. */
export function readConfigFile(path: string): Values {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ProjError('io', `cannot read the configuration ${path}: ${(error as Error).message}`, {
      cure: 'Check --config',
      cause: error,
    });
  }
  let parsed: unknown;
  try {
    parsed = path.endsWith('.json') ? JSON.parse(text) : parseYaml(text);
  } catch (error) {
    // Further lines of it show the file's, whatever is in them.
    const [problem] = (error as Error).message.split('\n');
    throw new ProjError('invalid-argument', `${path}: ${problem.slice(0, 200).replace(/:$/, '')}`, {
      cure: 'Write it as YAML or JSON, a field a line',
      cause: error,
    });
  }
  if (parsed === null || parsed === undefined) return {};
  if (typeof parsed !== 'object' || Array.isArray(parsed))
    throw new ProjError('invalid-argument', `${path} is not a map of fields`, {
      cure: `Fields are: ${CONFIG_FIELDS.join(', ')}`,
    });
  return parsed as Values;
}

export interface ConfigSources {
  /** Values given by flag. */
  readonly flags?: Values;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly file?: { readonly path: string; readonly values: Values };
  /** Instead of the preset's settings, for a run that goes on. */
  readonly base?: Values;
}

/** One configuration from all sources. Errors (`invalid-argument`) name each field that is wrong, and where its value came from. */
export function resolveConfig({ flags = {}, environment = {}, file, base }: ConfigSources): TrainConfig {
  const origins = new Map<string, string>();
  const user: Record<string, unknown> = {};
  const take = (values: Values, origin: (field: string) => string): void => {
    for (const [field, value] of Object.entries(values)) {
      if (value === undefined) continue;
      user[field] = value;
      origins.set(field, origin(field));
    }
  };
  if (file !== undefined) take(file.values, () => file.path);
  take(
    Object.fromEntries(
      CONFIG_FIELDS.flatMap((field) => {
        const value = environment[variableOf(field)];
        return value === undefined || value === '' ? [] : [[field, value]];
      }),
    ),
    variableOf,
  );
  take(flags, flagOf);

  const variables = Object.keys(environment).filter((name) => name.startsWith(VARIABLES));
  const unknown = variables.filter((name) => !CONFIG_FIELDS.some((field) => variableOf(field) === name));
  if (unknown.length > 0)
    throw new ProjError('invalid-argument', `there is no setting ${unknown.join(', ')}`, {
      cure: `Variables are ${CONFIG_FIELDS.map(variableOf).join(', ')}`,
    });

  const preset = PRESETS.find((name) => name === (user['preset'] ?? base?.['preset'] ?? 'docs-gpt')) as
    PresetName | undefined;
  const start: Record<string, unknown> = { ...(preset === undefined ? {} : PRESET_SETTINGS[preset].settings), ...base };
  // Whoever gives epochs does not want the preset's steps, and the other way round.
  if ('epochs' in user && !('steps' in user)) delete start['steps'];
  if ('steps' in user && !('epochs' in user)) delete start['epochs'];
  const result = configSchema.safeParse({ ...start, ...user });
  if (result.success) {
    if (result.data.epochs === undefined && result.data.steps === undefined)
      throw new ProjError('invalid-argument', 'neither epochs nor steps are given', {
        cure: 'Give --epochs or --steps',
      });
    if (result.data.width % result.data.heads !== 0)
      throw new ProjError(
        'invalid-argument',
        `heads: ${result.data.heads} heads do not divide the width ${result.data.width}`,
        { cure: 'Change --heads or --width' },
      );
    refuseUnused(result.data, configSchema.parse(start), Object.keys(user) as ConfigField[], from);
    return result.data;
  }
  const problems = result.error.issues.map((issue) => {
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => `${key}${from(key)}: there is no such field`).join('; ');
    const field = String(issue.path[0] ?? '');
    // With an unknown preset, fields that it would have given are missing too.
    return preset === undefined && field !== 'preset' && !origins.has(field)
      ? ''
      : `${field}${from(field)}: ${problemText(issue, field in user ? user[field] : start[field])}`;
  });
  function from(field: string): string {
    const origin = origins.get(field);
    return origin === undefined ? '' : ` (from ${origin})`;
  }
  const misnamed = result.error.issues.some(({ code }) => code === 'unrecognized_keys');
  throw new ProjError('invalid-argument', problems.filter((text) => text !== '').join('; '), {
    cure: misnamed ? `Fields are ${CONFIG_FIELDS.join(', ')}` : 'train --help says what each may be',
  });
}

/** Refuses settings that change nothing: those that the preset does not use, unless they are what they would be anyway. */
function refuseUnused(
  config: TrainConfig,
  otherwise: TrainConfig,
  given: readonly ConfigField[],
  from: (field: string) => string,
): void {
  const { unused } = PRESET_SETTINGS[config.preset];
  const problems = given
    .filter((field) => unused.includes(field) && config[field] !== otherwise[field])
    .map((field) => {
      const users = PRESETS.filter((name) => !PRESET_SETTINGS[name].unused.includes(field));
      return `${field}${from(field)}: ${config.preset} does not use it, only ${users.join(', ')}`;
    });
  if (given.includes('data') && given.includes('text'))
    problems.push(`data${from('data')} and text${from('text')}: a run has one text`);
  if (problems.length > 0)
    throw new ProjError('invalid-argument', problems.join('; '), { cure: 'Leave it out, or choose another --preset' });
}

/** The settings that the preset uses. */
export const usedSettings = (config: TrainConfig): Values =>
  Object.fromEntries(
    Object.entries(config).filter(([field]) => !PRESET_SETTINGS[config.preset].unused.includes(field)),
  );
