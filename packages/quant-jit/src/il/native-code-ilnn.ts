/**
 * `NativeCodeILNN`: a converted model as a program with its configuration; the text form is the serialised form. The names are the seed's: IL-NN, an
 * intermediate language for neural networks, in which a layer is a set of neurons (rows of a weight matrix).
 */
import { type ConvertedNeuron, neuronsOf } from './neuron.ts';
import type { ConstantSource } from './constants.ts';
import type { Layout, Program } from './il.ts';
import { parseText } from './parse.ts';
import { printProgram } from './print.ts';
import type { WeightType } from './types.ts';
import { verify } from './verify.ts';

/** What a program is for, beside its lines. */
export interface NativeCodeILNNConfig {
  readonly name: string;
  /** Longest context: positions that the caches hold. */
  readonly positions: number;
  /** Bits of a reduction that a kernel takes at a time (the seed's `TILE_SIZE`). */
  readonly tileSize: number;
}

/** The seed's default tile: 256 bits. */
export const TILE_SIZE = 256;

/** A tensor that a program needs. */
export interface ConstantDeclaration {
  readonly name: string;
  readonly type: WeightType;
  /** Tensors whose rows it joins; empty: it is a tensor of the model. */
  readonly parts: readonly string[];
  readonly layout: Layout;
}

/** A converted model: program and configuration. Verified when it is made. */
export class NativeCodeILNN {
  readonly config: NativeCodeILNNConfig;
  readonly program: Program;

  /** @throws ProjError `kernel-verification`: the line that is wrong, and why. */
  constructor(config: NativeCodeILNNConfig, program: Program) {
    verify(program);
    this.config = config;
    this.program = program;
  }

  /** The tensors that the program reads, in order of their declaration. */
  get constants(): readonly ConstantDeclaration[] {
    return this.program.instructions.flatMap((instruction) => {
      if (instruction.op !== 'const') return [];
      const { name, parts, layout } = instruction.attributes;
      return [{ name, parts, layout, type: instruction.results[0].type as WeightType }];
    });
  }

  /** The same model with another program: what a pass gives. */
  with(program: Program): NativeCodeILNN {
    return new NativeCodeILNN(this.config, program);
  }

  /** The neurons of a weight matrix: its rows. */
  neurons(constant: string, source: ConstantSource): ConvertedNeuron[] {
    return neuronsOf(source.matrix(constant));
  }

  /** Header and lines; {@link NativeCodeILNN.parse} reads it back. */
  toString(): string {
    const { name, positions, tileSize } = this.config;
    return `il-nn ${JSON.stringify(name)} {positions: ${positions}, tile_size: ${tileSize}}\n${printProgram(this.program)}\n`;
  }

  /** The model that a text describes. @throws ProjError `serialization` with line and column, or `kernel-verification` with the line. */
  static parse(text: string): NativeCodeILNN {
    const { header, program } = parseText(text);
    return new NativeCodeILNN({ name: header.name, positions: header.positions, tileSize: header.tile_size }, program);
  }
}
