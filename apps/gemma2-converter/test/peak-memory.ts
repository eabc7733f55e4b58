/** Runs the converter and says how much memory it took at most: `peak N` bytes, on stderr. */
import '@proj/autograd';
import '@proj/device-native';
import { main } from '../src/cli.ts';

process.exitCode = await main(process.argv.slice(2));
process.stderr.write(`peak ${1024 * process.resourceUsage().maxRSS}\n`);
