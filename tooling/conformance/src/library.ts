// What the runner asks of the library under test. `adapter.ts` is the one implementation; the tests bring a tiny fake.
import type { Failure, Reader } from './compare.ts';
import type { TensorData } from './encoded.ts';

/** A call with its arguments in PyTorch's form. */
export interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Signatures from the case folder's own index, used where nothing else knows the name. */
  readonly signatures?: readonly string[];
}

/** The library under test. Every method may throw; `MissingOperation` says that something does not exist. */
export interface Library extends Reader {
  /** A dense tensor with these numbers. */
  tensor(data: TensorData, requiresGrad?: boolean): unknown;
  sparseCoo(indices: unknown, values: unknown, shape: readonly number[], dtype: string, coalesced: boolean): unknown;
  sparseCompressed(
    layout: 'csr' | 'csc',
    compressed: unknown,
    plain: unknown,
    values: unknown,
    shape: readonly number[],
  ): unknown;
  /** Calls `torch.x`, `torch.nn.functional.x`, `Tensor.x`, … */
  call(call: Call): unknown;
  /** True when `torch.x` or a Tensor method of that name exists. */
  has(name: string): boolean;
  /** `new torch.nn.X(...)`, `torch.optim.X`, `torch.utils.data.X`, … by its full Python name. */
  construct(name: string, args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>): object;
  /** A method of any object, by its Python name and the class it belongs to. */
  method(
    object: unknown,
    className: string,
    name: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
  ): unknown;
  /** A property of any object, by its Python name. */
  property(object: unknown, name: string): unknown;
  setProperty(object: unknown, name: string, value: unknown): void;
  /** Gradients of outputs with given cotangents; null where an input does not take part. */
  grad(outputs: readonly unknown[], inputs: readonly unknown[], cotangents: readonly unknown[]): unknown[];
  setGradEnabled(enabled: boolean): void;
  /** The function as one that is captured and replayed; it takes and gives tensors. */
  capture(fn: (...tensors: unknown[]) => unknown): (...tensors: unknown[]) => unknown;
  /** Computes many tensors at once; a hint, reading computes too. */
  evaluate(tensors: readonly unknown[]): void;
  stateDict(module: object): [string, unknown][];
  loadStateDict(module: object, entries: readonly (readonly [string, unknown])[]): void;
  namedParameters(module: object): [string, unknown][];
  setTraining(module: object, training: boolean): void;
  forward(
    module: object,
    className: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
  ): unknown;
  /** Frees what a finished batch left behind. */
  collect(): void;
}

/** A Gemma 2 folder under test: ids in, plain numbers out. */
export interface Gemma2UnderTest {
  /** [T, vocabulary]. */
  logits(ids: readonly number[]): TensorData;
  /** `embeddings`, `after_layer.N`, `attention_probs.N` or `final_norm`, without the batch; null for another name. */
  hidden(ids: readonly number[], name: string): TensorData | null;
  /** The most likely continuation, through the cache. */
  greedy(ids: readonly number[], count: number): Promise<readonly number[]>;
  /** Logits of the last position of each row of a padded batch. */
  lastLogits(ids: TensorData, mask: TensorData): TensorData;
  loss(ids: readonly number[]): { readonly loss: number; readonly gradients: ReadonlyMap<string, TensorData> };
  encode(text: string, addSpecialTokens: boolean): readonly number[];
  tokens(text: string): readonly string[];
  decode(ids: readonly number[], skipSpecialTokens: boolean): string;
}

/** A record that is under way: the tensors it will read, and the check to run once they are computed. */
export interface Prepared {
  readonly pending: readonly unknown[];
  check(): Failure | null | Promise<Failure | null>;
}
