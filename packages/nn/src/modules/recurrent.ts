/**
 * Recurrent layers. The inputs of all time steps are projected by one product; the loop over time then adds the recurrent product and applies the
 * gates. Steps are rows of one matrix [sum of batch sizes, features], so that packed sequences are the general case.
 */
import { ProjError, withDefaults } from '@proj/kernel';
import { cat, matmul, stack, type Tensor, zeros } from '@proj/tensor';
import { dropout } from '../functional/dropout.ts';
import { linear } from '../functional/linear.ts';
import { Module } from '../module.ts';
import type { Parameter } from '../parameter.ts';
import { joined, settings, unless } from '../printing.ts';
import { FACTORY, type FactoryOptions, uniformParameter } from './linear.ts';
import { PackedSequence } from './packed-sequence.ts';

type Mode = 'RNN_TANH' | 'RNN_RELU' | 'LSTM' | 'GRU';
const GATES: Record<Mode, number> = { RNN_TANH: 1, RNN_RELU: 1, LSTM: 4, GRU: 3 };

interface CellWeights {
  readonly inputWeight: Tensor;
  readonly hiddenWeight: Tensor;
  readonly inputBias: Tensor | null;
  readonly hiddenBias: Tensor | null;
  /** Projects the hidden state of an LSTM. */
  readonly projection: Tensor | null;
}
/** The hidden state, and for an LSTM the cell state. */
type State = readonly Tensor[];

/** The projection of inputs [rows, in] to gates [rows, gates · hidden], with all biases that can be added beforehand. */
function projectInputs(mode: Mode, input: Tensor, { inputWeight, inputBias, hiddenBias }: CellWeights): Tensor {
  const projected = linear(input, inputWeight, inputBias);
  return mode === 'GRU' || hiddenBias === null ? projected : projected.add(hiddenBias);
}

const gate = (gates: Tensor, k: number, size: number): Tensor => gates.narrow(1, k * size, size);

/** One step: gates from the inputs [N, gates · hidden], the state before, the transposed recurrent weight. */
function step(
  mode: Mode,
  inputs: Tensor,
  state: State,
  hiddenWeight: Tensor,
  { hiddenBias, projection }: CellWeights,
): State {
  const [hidden] = state;
  const recurrent = matmul(hidden, hiddenWeight);
  const size = hiddenWeight.shape[1] / GATES[mode];
  switch (mode) {
    case 'RNN_TANH':
      return [inputs.add(recurrent).tanh()];
    case 'RNN_RELU':
      return [inputs.add(recurrent).relu()];
    case 'LSTM': {
      const gates = inputs.add(recurrent);
      const cell = gate(gates, 1, size)
        .sigmoid()
        .mul(state[1])
        .add(
          gate(gates, 0, size)
            .sigmoid()
            .mul(gate(gates, 2, size).tanh()),
        );
      const output = gate(gates, 3, size).sigmoid().mul(cell.tanh());
      return [projection === null ? output : linear(output, projection), cell];
    }
    case 'GRU': {
      const own = hiddenBias === null ? recurrent : recurrent.add(hiddenBias);
      const reset = gate(inputs, 0, size)
        .add(gate(own, 0, size))
        .sigmoid();
      const update = gate(inputs, 1, size)
        .add(gate(own, 1, size))
        .sigmoid();
      const candidate = gate(inputs, 2, size)
        .add(reset.mul(gate(own, 2, size)))
        .tanh();
      return [candidate.add(update.mul(hidden.sub(candidate)))];
    }
    default:
      return mode satisfies never;
  }
}

/** Runs one layer in one direction over rows [sum of sizes, in]; gives the outputs as rows, and the final state of every sequence. */
function runDirection(
  mode: Mode,
  input: Tensor,
  sizes: readonly number[],
  initial: State,
  weights: CellWeights,
  reverse: boolean,
): { rows: Tensor; final: State } {
  const projected = projectInputs(mode, input, weights);
  const hiddenWeight = weights.hiddenWeight.transpose(0, 1);
  let end = 0;
  const offsets = sizes.map((size) => (end += size) - size);
  const outputs = new Array<Tensor>(sizes.length);
  const uniform = sizes.every((size) => size === sizes[0]);
  const first = (state: State, count: number): State =>
    state[0].shape[0] === count ? state : state.map((x) => x.narrow(0, 0, count));
  let state = reverse ? first(initial, sizes[sizes.length - 1]) : initial;
  const finished: State[] = [];
  for (let k = 0; k < sizes.length; k++) {
    const t = reverse ? sizes.length - 1 - k : k;
    const count = sizes[t];
    const before = state[0].shape[0];
    if (!uniform && count < before) {
      finished.unshift(state.map((x) => x.narrow(0, count, before - count)));
      state = first(state, count);
    } else if (!uniform && count > before)
      state = state.map((x, i) => cat([x, initial[i].narrow(0, before, count - before)], 0));
    state = step(
      mode,
      uniform && sizes.length === 1 ? projected : projected.narrow(0, offsets[t], count),
      state,
      hiddenWeight,
      weights,
    );
    outputs[t] = state[0];
  }
  const parts = [state, ...finished];
  return {
    rows: cat(outputs, 0),
    final:
      parts.length === 1
        ? state
        : state.map((_, i) =>
            cat(
              parts.map((part) => part[i]),
              0,
            ),
          ),
  };
}

export interface RecurrentOptions extends FactoryOptions {
  readonly numLayers?: number;
  readonly bias?: boolean;
  /** Inputs and outputs are [N, T, ...] instead of [T, N, ...]. */
  readonly batchFirst?: boolean;
  /** Probability of dropout between layers. */
  readonly dropout?: number;
  readonly bidirectional?: boolean;
}

interface Result {
  readonly output: Tensor | PackedSequence;
  readonly states: readonly Tensor[];
}

/** What RNN, LSTM and GRU share. Weights are named weightIhL0, weightHhL0, biasIhL0, biasHhL0 (and …Reverse), all uniform within ±1/√hiddenSize. */
export class RNNBase extends Module {
  readonly mode: Mode;
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly bias: boolean;
  readonly batchFirst: boolean;
  readonly dropout: number;
  readonly bidirectional: boolean;
  readonly projSize: number;

  constructor(
    mode: Mode,
    inputSize: number,
    hiddenSize: number,
    options: RecurrentOptions & { readonly projSize?: number } = {},
  ) {
    super();
    const {
      numLayers,
      bias,
      batchFirst,
      dropout: probability,
      bidirectional,
      projSize,
      ...factory
    } = withDefaults(
      new.target.name,
      { numLayers: 1, bias: true, batchFirst: false, dropout: 0, bidirectional: false, projSize: 0, ...FACTORY },
      options,
    );
    if (!(probability >= 0 && probability <= 1))
      throw new ProjError('invalid-argument', `dropout ${probability} is not between 0 and 1`, { op: mode });
    for (const [name, value] of Object.entries({ inputSize, hiddenSize, numLayers }))
      if (!Number.isInteger(value) || value < 1)
        throw new ProjError('invalid-argument', `${name} is ${value}`, {
          op: mode,
          cure: 'It must be a positive integer',
        });
    if (projSize < 0 || projSize >= hiddenSize)
      throw new ProjError('invalid-argument', `projSize ${projSize} must be smaller than hiddenSize ${hiddenSize}`, {
        op: mode,
      });
    if (projSize > 0 && mode !== 'LSTM') throw new ProjError('invalid-argument', 'projSize is for LSTM', { op: mode });
    this.mode = mode;
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.numLayers = numLayers;
    this.bias = bias;
    this.batchFirst = batchFirst;
    this.dropout = probability;
    this.bidirectional = bidirectional;
    this.projSize = projSize;
    const bound = hiddenSize > 0 ? 1 / Math.sqrt(hiddenSize) : 0;
    const outputSize = projSize > 0 ? projSize : hiddenSize;
    const gates = GATES[mode] * hiddenSize;
    for (let layer = 0; layer < numLayers; layer++) {
      for (const suffix of this.suffixes(layer)) {
        const features = layer === 0 ? inputSize : outputSize * (bidirectional ? 2 : 1);
        const parameter = (shape: readonly number[]): Parameter => uniformParameter(shape, bound, factory);
        this.registerParameter(`weightIh${suffix}`, parameter([gates, features]));
        this.registerParameter(`weightHh${suffix}`, parameter([gates, outputSize]));
        if (bias) {
          this.registerParameter(`biasIh${suffix}`, parameter([gates]));
          this.registerParameter(`biasHh${suffix}`, parameter([gates]));
        }
        if (projSize > 0) this.registerParameter(`weightHr${suffix}`, parameter([projSize, hiddenSize]));
      }
    }
  }
  /** `L0`, and `L0Reverse` when the layer runs both ways. */
  protected suffixes(layer: number): string[] {
    return this.bidirectional ? [`L${layer}`, `L${layer}Reverse`] : [`L${layer}`];
  }
  protected weights(suffix: string): CellWeights {
    const field = (name: string): Tensor | null =>
      (Reflect.get(this, `${name}${suffix}`) as Tensor | undefined) ?? null;
    return {
      inputWeight: field('weightIh') as Tensor,
      hiddenWeight: field('weightHh') as Tensor,
      inputBias: field('biasIh'),
      hiddenBias: field('biasHh'),
      projection: field('weightHr'),
    };
  }
  /** Runs all layers. `given` are the initial states [layers · directions, N, size], zeros where null. */
  protected run(input: Tensor | PackedSequence, given: readonly Tensor[] | null): Result {
    const packed = input instanceof PackedSequence;
    const x = packed ? input.data : input;
    const features = x.shape[x.ndim - 1];
    if (features !== this.inputSize)
      throw new ProjError('shape-mismatch', `inputs have ${features} features, ${this.inputSize} are expected`, {
        op: this.mode,
        shapes: [x.shape],
      });
    if (!packed && x.ndim !== 2 && x.ndim !== 3)
      throw new ProjError('shape-mismatch', 'an input [T, N, features] or [T, features] is needed', {
        op: this.mode,
        shapes: [x.shape],
      });
    const batched = packed || x.ndim === 3;
    const ordered = packed ? x : !batched ? x.unsqueeze(1) : this.batchFirst ? x.transpose(0, 1) : x;
    const sizes = packed ? input.batchSizes.toFlatArray() : new Array<number>(ordered.shape[0]).fill(ordered.shape[1]);
    const batch = sizes[0] ?? 0;
    const directions = this.bidirectional ? 2 : 1;
    const stateSizes =
      this.mode === 'LSTM' ? [this.projSize > 0 ? this.projSize : this.hiddenSize, this.hiddenSize] : [this.hiddenSize];
    const initial = stateSizes.map((size, i) => {
      const state = given?.[i];
      if (state === undefined)
        return zeros([this.numLayers * directions, batch, size], { dtype: x.dtype, device: x.device });
      const withBatch = batched ? state : state.unsqueeze(1);
      if (withBatch.shape.join() !== [this.numLayers * directions, batch, size].join())
        throw new ProjError(
          'shape-mismatch',
          `a state of [${this.numLayers * directions}, ${batch}, ${size}] is expected`,
          { op: this.mode, shapes: [state.shape] },
        );
      return packed && input.sortedIndices !== null ? withBatch.indexSelect(1, input.sortedIndices) : withBatch;
    });
    let rows = packed ? ordered : ordered.reshape([ordered.shape[0] * batch, features]);
    const finals: State[] = [];
    for (let layer = 0; layer < this.numLayers; layer++) {
      const results = this.suffixes(layer).map((suffix, d) =>
        runDirection(
          this.mode,
          rows,
          sizes,
          initial.map((state) => state.select(0, layer * directions + d)),
          this.weights(suffix),
          d === 1,
        ),
      );
      rows =
        results.length === 1
          ? results[0].rows
          : cat(
              results.map((result) => result.rows),
              1,
            );
      if (this.dropout > 0 && layer < this.numLayers - 1)
        rows = dropout(rows, { p: this.dropout, training: this.training });
      finals.push(...results.map((result) => result.final));
    }
    let states = stateSizes.map((_, i) =>
      stack(
        finals.map((final) => final[i]),
        0,
      ),
    );
    if (packed) {
      const { unsortedIndices } = input;
      if (unsortedIndices !== null) states = states.map((state) => state.indexSelect(1, unsortedIndices));
      return { output: new PackedSequence(rows, input.batchSizes, input.sortedIndices, input.unsortedIndices), states };
    }
    const output = rows.reshape([sizes.length, batch, rows.shape[1]]);
    if (!batched) return { output: output.squeeze(1), states: states.map((state) => state.squeeze(1)) };
    return { output: this.batchFirst ? output.transpose(0, 1) : output, states };
  }
  override extraRepr(): string {
    const { inputSize, hiddenSize } = this;
    return joined(
      `${inputSize}, ${hiddenSize}`,
      settings({
        projSize: unless(0, this.projSize),
        numLayers: unless(1, this.numLayers),
        bias: unless(true, this.bias),
        batchFirst: unless(false, this.batchFirst),
        dropout: unless(0, this.dropout),
        bidirectional: unless(false, this.bidirectional),
      }),
    );
  }
}

export interface RNNOptions extends RecurrentOptions {
  readonly nonlinearity?: 'tanh' | 'relu';
}
/**
 * h ← tanh(W·x + b + U·h + c). Inputs [T, N, inputSize] (with `batchFirst` [N, T, inputSize]), [T, inputSize], or packed. Gives outputs
 * [T, N, hiddenSize · directions] and final hidden states [layers · directions, N, hiddenSize].
 */
export class RNN extends RNNBase {
  constructor(inputSize: number, hiddenSize: number, options: RNNOptions = {}) {
    const { nonlinearity = 'tanh', ...rest } = options;
    super(nonlinearity === 'relu' ? 'RNN_RELU' : 'RNN_TANH', inputSize, hiddenSize, rest);
  }
  override forward(input: PackedSequence, hx?: Tensor | null): [PackedSequence, Tensor];
  override forward(input: Tensor, hx?: Tensor | null): [Tensor, Tensor];
  override forward(input: Tensor | PackedSequence, hx: Tensor | null = null): [Tensor | PackedSequence, Tensor] {
    const { output, states } = this.run(input, hx === null ? null : [hx]);
    return [output, states[0]];
  }
}
/** Gated recurrent unit (Cho et al. 2014). Inputs and outputs as those of {@link RNN}. */
export class GRU extends RNNBase {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super('GRU', inputSize, hiddenSize, options);
  }
  override forward(input: PackedSequence, hx?: Tensor | null): [PackedSequence, Tensor];
  override forward(input: Tensor, hx?: Tensor | null): [Tensor, Tensor];
  override forward(input: Tensor | PackedSequence, hx: Tensor | null = null): [Tensor | PackedSequence, Tensor] {
    const { output, states } = this.run(input, hx === null ? null : [hx]);
    return [output, states[0]];
  }
}
export interface LSTMOptions extends RecurrentOptions {
  /** Projects the hidden state to this size. */
  readonly projSize?: number;
}
/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997). Inputs as those of {@link RNN}. Gives [outputs, [final hidden states, final cell states]];
 * outputs and hidden states are `projSize` wide where that is given.
 */
export class LSTM extends RNNBase {
  constructor(inputSize: number, hiddenSize: number, options: LSTMOptions = {}) {
    super('LSTM', inputSize, hiddenSize, options);
  }
  override forward(input: PackedSequence, hx?: readonly [Tensor, Tensor] | null): [PackedSequence, [Tensor, Tensor]];
  override forward(input: Tensor, hx?: readonly [Tensor, Tensor] | null): [Tensor, [Tensor, Tensor]];
  override forward(
    input: Tensor | PackedSequence,
    hx: readonly [Tensor, Tensor] | null = null,
  ): [Tensor | PackedSequence, [Tensor, Tensor]] {
    const { output, states } = this.run(input, hx);
    return [output, [states[0], states[1]]];
  }
}

export interface CellOptions extends FactoryOptions {
  readonly bias?: boolean;
}
/** What the single-step cells share. */
export class RNNCellBase extends Module {
  readonly mode: Mode;
  readonly inputSize: number;
  readonly hiddenSize: number;
  weightIh: Parameter;
  weightHh: Parameter;
  biasIh: Parameter | null;
  biasHh: Parameter | null;

  constructor(mode: Mode, inputSize: number, hiddenSize: number, options: CellOptions) {
    super();
    const { bias, ...factory } = withDefaults(new.target.name, { bias: true, ...FACTORY }, options);
    const bound = hiddenSize > 0 ? 1 / Math.sqrt(hiddenSize) : 0;
    const gates = GATES[mode] * hiddenSize;
    this.mode = mode;
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.weightIh = uniformParameter([gates, inputSize], bound, factory);
    this.weightHh = uniformParameter([gates, hiddenSize], bound, factory);
    this.biasIh = bias ? uniformParameter([gates], bound, factory) : null;
    this.biasHh = bias ? uniformParameter([gates], bound, factory) : null;
  }
  override extraRepr(): string {
    return `${this.inputSize}, ${this.hiddenSize}`;
  }
  protected step(input: Tensor, given: readonly Tensor[] | null): State {
    if (input.ndim !== 1 && input.ndim !== 2)
      throw new ProjError('shape-mismatch', 'an input [N, features] or [features] is needed', {
        op: `${this.mode} cell`,
        shapes: [input.shape],
      });
    const batched = input.ndim === 2;
    const x = batched ? input : input.unsqueeze(0);
    const count = this.mode === 'LSTM' ? 2 : 1;
    const state = Array.from({ length: count }, (_, i) => {
      const one = given?.[i];
      if (one === undefined) return zeros([x.shape[0], this.hiddenSize], { dtype: x.dtype, device: x.device });
      return batched ? one : one.unsqueeze(0);
    });
    const weights: CellWeights = {
      inputWeight: this.weightIh,
      hiddenWeight: this.weightHh,
      inputBias: this.biasIh,
      hiddenBias: this.biasHh,
      projection: null,
    };
    const next = step(this.mode, projectInputs(this.mode, x, weights), state, this.weightHh.transpose(0, 1), weights);
    return batched ? next : next.map((one) => one.squeeze(0));
  }
}
/** One step of {@link RNN}. */
export class RNNCell extends RNNCellBase {
  constructor(
    inputSize: number,
    hiddenSize: number,
    options: CellOptions & { readonly nonlinearity?: 'tanh' | 'relu' } = {},
  ) {
    const { nonlinearity = 'tanh', ...rest } = options;
    super(nonlinearity === 'relu' ? 'RNN_RELU' : 'RNN_TANH', inputSize, hiddenSize, rest);
  }
  override forward(input: Tensor, hx: Tensor | null = null): Tensor {
    return this.step(input, hx === null ? null : [hx])[0];
  }
}
/** One step of {@link GRU}. */
export class GRUCell extends RNNCellBase {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    super('GRU', inputSize, hiddenSize, options);
  }
  override forward(input: Tensor, hx: Tensor | null = null): Tensor {
    return this.step(input, hx === null ? null : [hx])[0];
  }
}
/** One step of {@link LSTM}. */
export class LSTMCell extends RNNCellBase {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    super('LSTM', inputSize, hiddenSize, options);
  }
  override forward(input: Tensor, hx: readonly [Tensor, Tensor] | null = null): [Tensor, Tensor] {
    const [hidden, cell] = this.step(input, hx);
    return [hidden, cell];
  }
}
