/** The converter as a program. */
import '@proj/autograd';
import '@proj/device-native';
import { main } from './cli.ts';

process.exitCode = await main(process.argv.slice(2));
