/** Distillation into few bits through the straight-through estimator. */
export { type Distilled, distillAndBinarize, type DistillationEntry, type DistillOptions } from './distill.ts';
export type { DistillationWeights } from './loss.ts';
export { Gemma2Student, type LatentMethod, type StudentSchemes } from './student.ts';
