/** A recurrent language model: embedding, LSTM (Hochreiter and Schmidhuber 1997), linear read-out. */
import { Dropout, Embedding, Linear, LSTM, Module } from '@proj/nn';
import type { Tensor } from '@proj/tensor';

export interface CharLstmOptions {
  readonly vocabulary: number;
  readonly layers: number;
  readonly width: number;
  readonly dropout: number;
}

/** `[B, T]` ids → `[B, T, vocabulary]` logits. */
export class CharLstm extends Module {
  readonly tokens: Embedding;
  readonly lstm: LSTM;
  readonly drop: Dropout;
  readonly head: Linear;

  constructor({ vocabulary, layers, width, dropout }: CharLstmOptions) {
    super();
    this.tokens = new Embedding(vocabulary, width);
    this.lstm = new LSTM(width, width, { numLayers: layers, batchFirst: true });
    this.drop = new Dropout(dropout);
    this.head = new Linear(width, vocabulary);
  }

  override forward(ids: Tensor): Tensor {
    const [outputs] = this.lstm.call(this.tokens.call(ids));
    return this.head.call(this.drop.call(outputs));
  }
}
