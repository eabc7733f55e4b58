/** The trainer as a program. */
import '@proj/autograd';
import '@proj/device-native';
import { runProgram } from 'app-support';
import { main } from './cli.ts';

await runProgram(main);
