/** `show`: what is in a converted file, the program of one layer before and after the passes, and the code that a product becomes. */
import { NativeDevice } from '@proj/device-native';
import { describeBytes, getDevice, type Kernel, printKernel, ProjError } from '@proj/kernel';
import { isActivation, optimise, printLayer, type Program, valueTypes } from '@proj/quant-jit/il';
import { linearKernel } from '@proj/quant-jit/kernels';
import { bitsPerWeight, type SchemeName, SCHEMES } from '@proj/quant-jit/quantize';
import { unfusedProgram } from '../comparison/student.ts';
import { describe, type Description, recordOf, tensorBytes } from '../model/open.ts';
import { flag, type Flags, readOptions } from '../options.ts';
import { table } from '../reporting/table.ts';
import { countOrZero, print, userPath } from 'app-support';

const shape = { layer: countOrZero.optional(), machineCode: flag, json: flag } as const;

export function runShow(file: string, flags: Flags): number {
  const options = readOptions(shape, flags);
  const described = describe(userPath(file));
  const { config } = described;
  if (options.layer !== undefined && options.layer >= config.numHiddenLayers)
    throw new ProjError('invalid-argument', `--layer: ${options.layer}, the model has ${config.numHiddenLayers}`, {
      cure: `Give 0 … ${config.numHiddenLayers - 1}`,
    });
  if (options.json) print(JSON.stringify(summary(described)));
  else if (options.layer === undefined && !options.machineCode) print(sizesText(described));
  else {
    const layer = options.layer ?? 0;
    print(layerText(described, layer));
    if (options.machineCode) print(`\n${machineText(described, layer)}`);
  }
  return 0;
}

function summary({ file, config, il }: Description): object {
  return {
    path: file.path,
    bytes: file.bytes,
    sha256: file.sha256,
    config,
    positions: il.config.positions,
    ...(file.metadata['conversion'] === undefined
      ? {}
      : { conversion: JSON.parse(file.metadata['conversion']) as object }),
    tensors: [...file.tensors.values()].map(({ name, scheme, rows, columns, bytes, crc32 }) => ({
      name,
      scheme: scheme.name,
      rows,
      columns,
      bytes,
      crc32,
    })),
  };
}

function sizesText({ file, config, il }: Description): string {
  const tensors = [...file.tensors.values()];
  const bits = (bytes: number, weights: number): string => ((8 * bytes) / weights).toFixed(3);
  const schemes = new Map<SchemeName, { tensors: number; weights: number; bytes: number }>();
  for (const { scheme, rows, columns, bytes } of tensors) {
    const sum = schemes.get(scheme.name) ?? { tensors: 0, weights: 0, bytes: 0 };
    schemes.set(scheme.name, {
      tensors: sum.tensors + 1,
      weights: sum.weights + rows * columns,
      bytes: sum.bytes + bytes,
    });
  }
  const layouts = new Map(il.constants.map(({ name, layout }) => [name, layout]));
  const weights = tensors.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const conversion = file.metadata['conversion'] === undefined ? null : recordOf({ file });
  return [
    `${file.path}: ${describeBytes(file.bytes)}, sha256 of the header ${file.sha256.slice(0, 16)}…`,
    `${config.numHiddenLayers} layers of width ${config.hiddenSize}, ${config.vocabSize} tokens, ${il.config.positions} positions` +
      (conversion === null
        ? ''
        : `; cache ${conversion.kvCache}, ${conversion.mode} norms and attention, calibration ${conversion.calibration}`),
    '',
    table(
      ['tensor', 'scheme', 'shape', 'layout', 'size', 'bits/weight'],
      tensors.map(({ name, scheme, rows, columns, bytes }) => [
        name.replace(/^model\./, ''),
        scheme.name,
        rows === 1 ? `[${columns}]` : `[${rows}, ${columns}]`,
        layouts.get(name) ?? '',
        describeBytes(bytes),
        bits(bytes, rows * columns),
      ]),
    ),
    '',
    table(
      ['scheme', 'tensors', 'weights', 'size', 'bits/weight', 'promised'],
      [
        ...[...schemes].map(([name, sum]) => [
          name,
          String(sum.tensors),
          String(sum.weights),
          describeBytes(sum.bytes),
          bits(sum.bytes, sum.weights),
          String(SCHEMES[name].bits === 32 ? 32 : Number(bitsPerWeight(SCHEMES[name], config.hiddenSize).toFixed(3))),
        ]),
        [
          'all',
          String(tensors.length),
          String(weights),
          describeBytes(tensorBytes(file)),
          bits(tensorBytes(file), weights),
          '',
        ],
      ],
    ),
  ].join('\n');
}

function layerText(described: Description, layer: number): string {
  const whole = unfusedProgram(described, recordOf(described));
  const count = (program: Program): number => printLayer(program, layer).split('\n').length;
  const steps: string[] = [];
  let lines = count(whole.program);
  optimise(whole.program, {
    after: (pass, program) => {
      const now = count(program);
      if (now !== lines) steps.push(`${pass}: ${lines} → ${now} lines`);
      lines = now;
    },
  });
  return [
    `layer ${layer} as it is built`,
    printLayer(whole.program, layer),
    '',
    `passes: ${steps.join('; ')}`,
    '',
    `layer ${layer} as it runs`,
    printLayer(described.il.program, layer),
  ].join('\n');
}

/** The kernel of the layer's first product of codes, one token at a time. */
function productKernel({ il }: Description, layer: number, device: NativeDevice): Kernel {
  const types = valueTypes(il.program);
  for (const { op, operands, results } of il.program.instructions) {
    if (op !== 'linear' || !results[0].name.startsWith(`layer.${layer}.`)) continue;
    const [input, weights] = operands.map((operand) => types.get(operand));
    if (input === undefined || !isActivation(input) || weights?.kind !== 'weight' || weights.scheme === 'f32') continue;
    const [rows, columns] = weights.shape;
    const shape = { scheme: SCHEMES[weights.scheme], activation: input.kind, rows, columns };
    return linearKernel(
      results[0].name,
      { ...shape, tile: 1, counted: false, tileSize: il.config.tileSize },
      device.features,
    );
  }
  throw new ProjError('invalid-argument', `layer ${layer} has no product of codes`, {
    op: 'show',
    cure: 'Convert to a scheme other than f32',
  });
}

function machineText(described: Description, layer: number): string {
  const device = getDevice('native');
  if (!(device instanceof NativeDevice))
    throw new ProjError('device-unavailable', 'machine code is what the native device makes', { op: 'show' });
  const kernel = productKernel(described, layer, device);
  const { assembly } = device.inspect(kernel);
  return [`the kernel of ${kernel.name}`, printKernel(kernel), '', `as ${device.features.description}`, assembly].join(
    '\n',
  );
}
