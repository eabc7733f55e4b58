/** What the contraction template needs to know of its operands and result: how to read an element, and what to do with a finished one. */
import type { DeviceFeatures, Kernel, KernelBuilder, Memory, ScalarType, Value } from '@proj/kernel';

/** Position of an element of an operand: `outer` is the row of the left operand, the column of the right one. */
export interface OperandPosition {
  readonly batch: Value;
  readonly outer: Value;
  readonly depth: Value;
}

export interface ContractionOperand {
  /** `lanes` elements along `axis`, beginning at `at`, all in range, as values of the element type. */
  load(b: KernelBuilder, at: OperandPosition, axis: 'outer' | 'depth', lanes: number): Value;
  /** The axis along which `load` is one contiguous vector load; 'none' when it gathers. */
  readonly contiguous: 'outer' | 'depth' | 'none';
  /** Set for a strided array: element (batch, outer, depth) is at base(batch) + outer·outerStride + depth·depthStride in `memory`. The scheduler copies first what is neither this nor windows. */
  readonly strided: {
    readonly memory: Memory;
    /** First element of a batch; `batch` is the flat batch index (several batch dimensions are decomposed inside). */
    base(b: KernelBuilder, batch: Value): Value;
    readonly outer: number;
    readonly depth: number;
  } | null;
  /** Set for windows, a right operand that is packed before it is multiplied. */
  readonly windows: ContractionWindows | null;
}

/** Overlapping windows of an array: element (batch, column, depth) is at base(batch) + columnOffset(column) + depthOffsets[depth] in `memory`. */
export interface ContractionWindows {
  readonly memory: Memory;
  base(b: KernelBuilder, batch: Value): Value;
  columnOffset(b: KernelBuilder, column: Value): Value;
  readonly depthOffsets: readonly number[];
  /** Columns `[n · run, (n + 1) · run)` lie side by side, and runs in the order of their columns. */
  readonly run: number;
}

/** What the planner knows of an operand: strides in elements, or null for one that is only reachable through its `load`. */
export interface OperandLayout {
  readonly outer: number;
  readonly depth: number;
  /** Whether every batch reads the same elements. */
  readonly batchInvariant: boolean;
}

export interface ContractionShape {
  readonly element: ScalarType;
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly features: DeviceFeatures;
  readonly left: OperandLayout | null;
  readonly right: OperandLayout | null;
  /** The caller keeps the packed right operand across runs. */
  readonly prepackRight: boolean;
}

export interface ContractionSpec {
  readonly name: string;
  readonly element: ScalarType;
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly features: DeviceFeatures;
  /** `store` is a few instructions (a plain store, a bias): its code may be repeated for each vector of a tile. */
  readonly simpleStore?: boolean;
  /** Always pack the right operand in a launch of its own, because the caller keeps the workspace and runs that launch only once. */
  readonly prepackRight?: boolean;
  /** Declares the kernel's buffers (other than the workspace, which the template declares after them). Called for each kernel. */
  declare(b: KernelBuilder): ContractionDeclaration;
}

export interface ContractionDeclaration {
  readonly left: ContractionOperand;
  readonly right: ContractionOperand;
  /** Receives finished sums of `lanes` consecutive columns (a power of two) and applies the epilogue; it is called once per element. */
  store(
    b: KernelBuilder,
    at: { readonly batch: Value; readonly row: Value; readonly column: Value },
    value: Value,
    lanes: number,
  ): void;
}

/** One launch of a built contraction. Buffer arguments: those that `declare` made, in order, then the workspace when `workspaceBytes` > 0. */
export interface ContractionLaunch {
  readonly kernel: Kernel;
  readonly begin: number;
  readonly end: number;
  readonly grain: number;
  readonly align: number;
}

export interface BuiltContraction {
  readonly launches: readonly ContractionLaunch[];
  /** Bytes of one workspace shared by the launches (all threads together, 64-byte aligned), 0 for none. */
  readonly workspaceBytes: number;
  /** How many of the first launches depend on the right operand and the workspace only: with a constant right operand they need to run once. */
  readonly prepackedLaunches: number;
}
