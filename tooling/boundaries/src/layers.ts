// The layers of the monorepo, lowest first (docs/architecture.md). A package imports only packages of lower layers;
// packages of one layer do not know each other. The exceptions are written out below the table.

export const layers: readonly { readonly name: string; readonly packages: readonly string[] }[] = [
  { name: 'kernels', packages: ['@proj/kernel'] },
  { name: 'devices', packages: ['@proj/device-native', '@proj/device-webgpu', '@proj/device-gpujs'] },
  { name: 'tensors', packages: ['@proj/tensor'] },
  { name: 'differentiation', packages: ['@proj/autograd'] },
  { name: 'training', packages: ['@proj/nn', '@proj/optim', '@proj/data', '@proj/onnx', '@proj/distributed'] },
  { name: 'research', packages: ['@proj/snn', '@proj/quant-jit', '@proj/operator-bank', '@proj/dynonn'] },
];

/** What programs share: the one package under apps/ that others there import. */
const APP_SUPPORT = 'app-support';

const rankOf = new Map(layers.flatMap((layer, rank) => layer.packages.map((name) => [name, rank] as const)));
const isDevice = (name: string): boolean => name.startsWith('@proj/device-');

/** Who imports: the name and kind of its package, and the file's path inside the package (`src/…`). */
export interface Importer {
  readonly packageName: string;
  readonly kind: 'packages' | 'apps' | 'tooling';
  readonly file: string;
}

/** Why `importer` may not import the workspace package `target`, or undefined when it may. */
export function forbiddenImport(importer: Importer, target: string): string | undefined {
  if (target === APP_SUPPORT && importer.kind === 'apps') return undefined;
  const targetRank = rankOf.get(target);
  if (targetRank === undefined) return `${target} is an app or a tool, and nothing imports those`;
  if (target === importer.packageName) return `a package imports its own files by relative path`;
  if (importer.kind !== 'packages') return undefined;
  const rank = rankOf.get(importer.packageName);
  if (rank === undefined)
    return `${importer.packageName} has no layer: give it one in tooling/boundaries/src/layers.ts`;
  if (targetRank >= rank) {
    return `${importer.packageName} (${layers[rank].name}) may not import ${target} (${layers[targetRank].name}): imports point down`;
  }
  if (isDevice(target))
    return `${importer.packageName} may not import a concrete device: devices register themselves, and apps choose`;
  if (importer.packageName === '@proj/snn' && target !== '@proj/kernel' && !importer.file.startsWith('src/surrogate')) {
    return `@proj/snn's engine imports @proj/kernel and nothing above it (only its surrogate sub-path may)`;
  }
  return undefined;
}
