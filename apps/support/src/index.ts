/** What the programs share. */
export { runCommandLine, runProgram } from './command-line.ts';
export { type LinePlot, linePlot, type PlotLine, writeLinePlot } from './line-plot.ts';
export { outputFolder } from './output-folder.ts';
export { ProgressBar } from './progress-bar.ts';
export { repositoryText } from './repository-text.ts';
export {
  count,
  countUpTo,
  countOrZero,
  flagOf,
  notNegative,
  partOfOne,
  positive,
  problemText,
  share,
} from './settings.ts';
export { tooLarge } from './too-large.ts';
export { EXIT_INTERRUPTED, print, say, stopSignal, userFolder, userPath } from './terminal.ts';
