/** Sequences that take their next tokens together, so that a step reads the weights once for all of them. */
import { ProjError } from '@proj/kernel';
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { EngineSequence, type StepModel } from './compiled.ts';
import { type CompileOptions, StepEngine } from './engine.ts';

/** A sequence of a group, and the token that it takes next. */
export interface NextToken {
  readonly sequence: StepModel;
  readonly token: number;
}

/** Sequences over one set of weights. */
export interface SequenceGroup {
  readonly sequences: readonly StepModel[];
  /**
   * Feeds one token to each of some of the sequences, and gives the logits of each, which the next call may write over. The sequences step together or, when one of
   * the tokens is refused, not at all.
   *
   * @throws ProjError `invalid-argument` for a sequence of another group or one that is named twice, or a token outside the vocabulary, `index-out-of-range` for a
   * full context.
   */
  feedEach(next: readonly NextToken[]): readonly Float32Array[];
  /** Makes all code now, which the first steps would else wait for. */
  prepare(): void;
  dispose(): void;
}

/** Sequences whose caches lie side by side in one compiled program. */
export class CompiledGroup implements SequenceGroup {
  readonly sequences: readonly EngineSequence[];
  readonly #engine: StepEngine;

  /** The program may be given as a function, for where nobody asks for it. */
  constructor(il: NativeCodeILNN | (() => NativeCodeILNN), options: CompileOptions, count: number) {
    this.#engine = new StepEngine(il, options, count);
    this.sequences = Array.from({ length: count }, (_, number) => new EngineSequence(this.#engine, number));
  }

  feedEach(next: readonly NextToken[]): readonly Float32Array[] {
    const members = next.map(({ sequence }) => this.#member(sequence));
    if (new Set(members).size < members.length)
      throw new ProjError('invalid-argument', 'a sequence is named twice', {
        op: 'feedEach',
        cure: 'Give each sequence one token',
      });
    const tokens = next.map(({ token }) => token);
    this.#engine.check(tokens);
    for (const member of members) member.requireRoom(1);
    if (members.length === 0) return [];
    const rows = members.map(({ position, number }) => ({ position, sequence: number }));
    const logits = this.#engine.stepEach(rows, tokens);
    for (const member of members) member.stepped();
    return logits;
  }

  prepare(): void {
    if (this.#engine.maxTokens > 1) this.#engine.prepare('prompt');
    if (this.sequences.length > 1) this.#engine.prepare('batch');
  }

  dispose(): void {
    this.#engine.dispose();
  }

  #member(sequence: StepModel): EngineSequence {
    const member = this.sequences.find((each) => each === sequence);
    if (member === undefined)
      throw new ProjError('invalid-argument', 'a sequence is not of this group', {
        op: 'feedEach',
        cure: 'Give sequences of `group.sequences`',
      });
    return member;
  }
}

/** Sequences that step one after the other, for what does not batch. */
export class SeparateGroup implements SequenceGroup {
  readonly sequences: readonly StepModel[];

  constructor(sequences: readonly StepModel[]) {
    this.sequences = sequences;
  }

  feedEach(next: readonly NextToken[]): readonly Float32Array[] {
    return next.map(({ sequence, token }) => sequence.feedOne(token));
  }

  prepare(): void {}

  dispose(): void {
    for (const sequence of this.sequences) sequence.dispose();
  }
}
