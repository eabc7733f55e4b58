// The command: checks this repository, prints what is wrong and fails.
import { fileURLToPath } from 'node:url';
import { checkBoundaries } from './check.ts';

const problems = checkBoundaries(fileURLToPath(new URL('../../../', import.meta.url)));
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log('imports point down, and no files import each other in a cycle');
