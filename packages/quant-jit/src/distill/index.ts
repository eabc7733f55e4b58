/** Distillation into few bits through the straight-through estimator. */
export {};
