/** Operations that other packages add: their own shape rule, kernels and gradient (`defineOp`). */
import type { DType, Kernel, KernelBuilder, DeviceFeatures } from '@proj/kernel';

export interface ShapeAndType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** One launch of a custom operation: buffer arguments are the inputs, then the outputs, then the workspace if any. */
export interface CustomLaunch {
  readonly kernel: Kernel;
  readonly begin: number;
  readonly end: number;
  readonly grain: number;
  readonly align: number;
}

export interface CustomOperation {
  readonly name: string;
  /** Shapes and dtypes of the outputs; throws for inputs that do not fit. */
  outputs(inputs: readonly ShapeAndType[], options: unknown): readonly ShapeAndType[];
  /** The launches, in order. Every kernel declares the same buffers: inputs, outputs, workspace. */
  launches(
    inputs: readonly ShapeAndType[],
    outputs: readonly ShapeAndType[],
    options: unknown,
    features: DeviceFeatures,
  ): {
    readonly launches: readonly CustomLaunch[];
    readonly workspaceBytes: number;
  };
  /** Distinguishes options in the key of a plan. */
  key(options: unknown): string;
}

export type { KernelBuilder };
