/**
 * TensorBoard event files: protocol-buffer events in TFRecord frames (length, masked CRC of the length, event, masked CRC of the event).
 * Field numbers are those of tensorflow/core/util/event.proto and framework/summary.proto.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileError } from '@proj/tensor/io';
import protobuf from 'protobufjs/light.js';
import { maskedCrc32c } from './crc32c.ts';

const root = protobuf.Root.fromJSON({
  nested: {
    Value: { fields: { tag: { type: 'string', id: 1 }, simpleValue: { type: 'float', id: 2 } } },
    Summary: { fields: { value: { rule: 'repeated', type: 'Value', id: 1 } } },
    Event: {
      fields: {
        wallTime: { type: 'double', id: 1 },
        step: { type: 'int64', id: 2 },
        fileVersion: { type: 'string', id: 3 },
        summary: { type: 'Summary', id: 5 },
      },
    },
  },
});
/** The message type of an event; readers of the files can use it too. */
export const EventMessage = root.lookupType('Event');

/** One TFRecord. */
export function frame(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(12 + data.length + 4);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return record;
}

/** Writes scalars to a new event file in a folder. */
export class TensorBoardWriter {
  readonly path: string;
  #file: number | null;

  constructor(folder: string, now = Date.now()) {
    this.path = join(folder, `events.out.tfevents.${Math.floor(now / 1000)}.${hostname()}.${process.pid}`);
    try {
      this.#file = openSync(this.path, 'a');
    } catch (error) {
      throw fileError('TensorBoardWriter', 'write', this.path, error);
    }
    this.#write({ wallTime: now / 1000, fileVersion: 'brain.Event:2' });
  }

  /** Values at a step, by tag. Values that are not finite are left to TensorBoard, which shows them as gaps. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const value = Object.entries(values).map(([tag, simpleValue]) => ({ tag, simpleValue }));
    this.#write({ wallTime: Date.now() / 1000, step, summary: { value } });
  }

  #write(event: object): void {
    if (this.#file === null) return;
    try {
      writeSync(this.#file, frame(EventMessage.encode(EventMessage.fromObject(event)).finish()));
    } catch (error) {
      throw fileError('TensorBoardWriter', 'write', this.path, error);
    }
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}
