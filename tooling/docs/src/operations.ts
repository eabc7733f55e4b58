/** Writes the list of all operations, from the op tables, into `docs/api/operations.md`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { functionalTable } from '@proj/nn/functional';
import { type OpRow, opTable } from '@proj/tensor';

const folder = new URL('../../../docs/api/', import.meta.url);

function line({ name, torch, signature, method, inPlace, differentiable }: OpRow): string {
  const forms = [method ? 'method' : '', inPlace ? `\`${name}_\`` : '', differentiable ? 'gradient' : ''];
  const names = torch.map((torchName) => `\`${torchName}\``).join(', ');
  return `| \`${name}\` | \`${signature}\` | ${forms.filter(Boolean).join(', ')} | ${names} |`;
}

const table = (title: string, rows: readonly OpRow[]): string[] => [
  `## ${title}`,
  '',
  '| name | signature in PyTorch | forms | names in PyTorch |',
  '|---|---|---|---|',
  ...rows.toSorted((a, b) => a.name.localeCompare(b.name)).map(line),
  '',
];

mkdirSync(folder, { recursive: true });
const text = [
  '# Operations',
  '',
  ...table('@proj/tensor', opTable),
  ...table('@proj/nn/functional', functionalTable),
].join('\n');
writeFileSync(new URL('operations.md', folder), text);
console.log(`${opTable.length + functionalTable.length} operations`);
