/** Writes the small model to the path given, pausing after each tensor; prints a line for each, and for those that were there before. */
import { createModelFile } from '../../src/file/index.ts';
import { smallBytes, smallPlan, smallTensors } from './small-plan.ts';

const [path, pause] = process.argv.slice(2);
const writer = await createModelFile(path, smallPlan);
console.log(`had ${smallTensors.length - writer.pending.length}`);
for (const tensor of smallTensors) {
  if (writer.has(tensor.name)) continue;
  await writer.write(tensor.name, smallBytes(tensor));
  console.log(`wrote ${tensor.name}`);
  await new Promise((resolve) => setTimeout(resolve, Number(pause)));
}
await writer.finish();
console.log('finished');
