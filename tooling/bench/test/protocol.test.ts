import { describe, expect, test } from 'vitest';
import { decodeReply, decodeRequest, encode, lineSplitter } from '../src/protocol.ts';

describe('protocol', () => {
  test('a request survives the wire', () => {
    const request = { id: 3, op: 'prepare', spec: { kind: 'exp', elements: 10 } } as const;
    const line = encode(request);
    expect(line.endsWith('\n')).toBe(true);
    expect(line.indexOf('\n')).toBe(line.length - 1);
    expect(decodeRequest(line.trimEnd())).toEqual(request);
  });

  test('what a peer prints is not taken for a reply', () => {
    for (const line of ['', 'Hi there', '{not json', '{"op":"banner","id":1}', '[1]', '"ok"'])
      expect(decodeReply(line)).toBeUndefined();
    expect(decodeReply('{"op":"missing","reason":"no"}')).toEqual({ op: 'missing', reason: 'no' });
  });

  test('lines come out whole, however the chunks are cut', () => {
    const text = 'first\nsecond\n\nthird\nunfinished';
    for (const size of [1, 2, 5, 100]) {
      const lines: string[] = [];
      const push = lineSplitter((line) => lines.push(line));
      for (let i = 0; i < text.length; i += size) push(text.slice(i, i + size));
      expect(lines).toEqual(['first', 'second', 'third']);
    }
  });
});
