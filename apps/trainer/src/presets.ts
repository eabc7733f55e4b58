/** The presets: what each trains, and its settings. Everything can be changed by flag, environment or file. */

export const PRESETS = ['docs-gpt', 'char-gpt', 'char-lstm', 'mlp-mnist', 'cnn-mnist'] as const;
export type PresetName = (typeof PRESETS)[number];

interface Preset {
  readonly description: string;
  readonly settings: Readonly<Record<string, number | string | boolean>>;
  /** Settings that mean nothing to it, and are refused where they are given. */
  readonly unused: readonly string[];
}

const LANGUAGE = { betas2: 0.99, weightDecay: 0.1, gradClip: 1, logEvery: 50, dropout: 0 } as const;
const OF_TEXT = ['text', 'layers', 'heads', 'context', 'prompt', 'sampleLength'] as const;
const MNIST = {
  betas2: 0.999,
  weightDecay: 0.01,
  gradClip: 0,
  warmup: 100,
  minLr: 1e-5,
  logEvery: 100,
  checkpointEvery: 500,
} as const;

export const PRESET_SETTINGS: Record<PresetName, Preset> = {
  'docs-gpt': {
    description:
      'a small character-level transformer on the documentation of this repository, or on any text (--text); needs no data, takes about a minute',
    unused: ['data'],
    settings: {
      ...LANGUAGE,
      layers: 3,
      width: 128,
      heads: 4,
      context: 64,
      batchSize: 16,
      steps: 600,
      lr: 3e-3,
      minLr: 3e-4,
      warmup: 40,
      evalEvery: 150,
      evalBatches: 20,
      checkpointEvery: 150,
    },
  },
  'char-gpt': {
    description: 'GPT of 4 layers, width 256, 8 heads, context 128 on tinyshakespeare (--data) or any text (--text)',
    unused: [],
    settings: {
      ...LANGUAGE,
      layers: 4,
      width: 256,
      heads: 8,
      context: 128,
      batchSize: 8,
      steps: 3000,
      lr: 1.5e-3,
      minLr: 1e-4,
      warmup: 100,
      evalEvery: 500,
      evalBatches: 50,
      checkpointEvery: 500,
    },
  },
  'char-lstm': {
    description: 'LSTM of width 128 over 64 characters on tinyshakespeare (--data) or any text (--text)',
    unused: ['heads'],
    settings: {
      ...LANGUAGE,
      layers: 1,
      width: 128,
      context: 64,
      batchSize: 32,
      steps: 3000,
      lr: 5e-3,
      minLr: 3e-4,
      warmup: 50,
      weightDecay: 0.01,
      evalEvery: 500,
      evalBatches: 50,
      checkpointEvery: 500,
    },
  },
  'mlp-mnist': {
    description: 'perceptron 784-512-512-10 on MNIST (--data)',
    unused: OF_TEXT,
    settings: { ...MNIST, batchSize: 128, epochs: 6, lr: 1.5e-3, dropout: 0.2, width: 512 },
  },
  'cnn-mnist': {
    description: 'two convolutions and two linear layers on MNIST (--data)',
    unused: OF_TEXT,
    settings: { ...MNIST, batchSize: 64, epochs: 6, lr: 2e-3, dropout: 0.3, width: 128 },
  },
};
