/** Reads what `print.ts` writes. Blank lines and `//` comments are skipped; errors name line and column and what was expected there. */
import { ProjError, toProjError } from '@proj/kernel';
import { withDefaults } from './attributes.ts';
import type { AttributeValue, IlOp, Instruction, Program, Result } from './il.ts';
import { LABEL } from './print.ts';
import { RULES } from './rules.ts';
import { parseType } from './types.ts';

/** The first line of a program's text. */
export interface Header {
  readonly name: string;
  readonly positions: number;
  readonly tile_size: number;
}

/** Reads one line from left to right. */
class Line {
  readonly text: string;
  readonly number: number;
  at = 0;

  constructor(text: string, number: number) {
    this.text = text;
    this.number = number;
  }

  fail(message: string, cure: string, at = this.at): ProjError {
    return new ProjError('serialization', `line ${this.number}, column ${at + 1}: ${message}`, { op: 'parse', cure });
  }

  /** What `pattern` (sticky) matches here, with the blanks after it; undefined: it does not. */
  take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match === null) return undefined;
    this.at = pattern.lastIndex;
    while (this.text[this.at] === ' ' || this.text[this.at] === '\t') this.at++;
    return match;
  }

  expect(pattern: RegExp, what: string): RegExpExecArray {
    const match = this.take(pattern);
    if (match === undefined) {
      const rest = this.text.slice(this.at, this.at + 12);
      throw this.fail(
        rest === '' ? `the line ends where ${what} should be` : `"${rest}" where ${what} should be`,
        `Write ${what} here`,
      );
    }
    return match;
  }

  get done(): boolean {
    return this.at >= this.text.length || this.text.startsWith('//', this.at);
  }

  end(): void {
    if (!this.done)
      throw this.fail(`"${this.text.slice(this.at)}" after the end of the operation`, 'Put one operation on a line');
  }

  value(): string {
    return this.expect(/%([A-Za-z_][\w.]*)/y, 'a value such as %x')[1];
  }

  quotedText(): string {
    const at = this.at;
    const [raw] = this.expect(/"(?:[^"\\]|\\.)*"/y, 'a quoted text');
    try {
      return JSON.parse(raw) as string;
    } catch {
      throw this.fail(`${raw} is not a text`, 'Escape as JSON does', at);
    }
  }

  attribute(): AttributeValue {
    if (this.text[this.at] === '"') return this.quotedText();
    if (this.take(/\[/y) !== undefined) {
      const parts: string[] = [];
      while (this.take(/\]/y) === undefined) {
        if (parts.length > 0) this.expect(/,/y, '"," or "]"');
        parts.push(this.quotedText());
      }
      return parts;
    }
    const number = this.take(/-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])/y);
    return number === undefined
      ? this.expect(/[A-Za-z_]\w*/y, 'a number, a word, a text or a list')[0]
      : Number(number[0]);
  }

  attributes(): Record<string, AttributeValue> {
    const given: Record<string, AttributeValue> = {};
    if (this.take(/\{/y) === undefined) return given;
    while (this.take(/\}/y) === undefined) {
      if (Object.keys(given).length > 0) this.expect(/,/y, '"," or "}"');
      const at = this.at;
      const [key] = this.expect(/[A-Za-z_]\w*/y, 'the name of an attribute');
      if (Object.hasOwn(given, key)) throw this.fail(`attribute ${key} is given twice`, 'Give it once', at);
      this.expect(/:/y, '":"');
      given[key] = this.attribute();
    }
    return given;
  }

  results(): Result[] {
    const results: Result[] = [];
    do {
      const name = this.value();
      this.expect(/:/y, '": type"');
      const at = this.at;
      const [text] = this.expect(/(?:weight\s+)?\w+\[[^\]]*\]/y, 'a type such as f32[T, 64]');
      try {
        results.push({ name, type: parseType(text) });
      } catch (error) {
        const { message, cure = '' } = toProjError(error);
        throw this.fail(message.replace(/^parse: /, '').replace(`. ${cure}`, ''), cure, at);
      }
    } while (this.take(/,/y) !== undefined);
    this.expect(/=/y, '"="');
    return results;
  }
}

function parseInstruction(line: Line): Instruction {
  const results = line.text[line.at] === '%' ? line.results() : [];
  const at = line.at;
  const [op] = line.expect(/[a-z_]\w*/y, 'an operation');
  if (!Object.hasOwn(RULES, op))
    throw line.fail(`there is no operation "${op}"`, `Operations are ${Object.keys(RULES).join(', ')}`, at);
  const label: Record<string, AttributeValue> = line.text[line.at] === '"' ? { [LABEL]: line.quotedText() } : {};
  const operands: string[] = [];
  if (line.text[line.at] === '%')
    do operands.push(line.value());
    while (line.take(/,/y) !== undefined);
  const attributes = withDefaults(op as IlOp, { ...label, ...line.attributes() });
  line.end();
  // The verifier checks that the attributes are those of the operation.
  return { op, results, operands, attributes } as unknown as Instruction;
}

function parseHeader(line: Line): Header {
  line.expect(/il-nn/y, 'il-nn "name" {positions: …, tile_size: …}');
  const name = line.quotedText();
  const at = line.at;
  const { positions, tile_size: tileSize, ...rest } = line.attributes();
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined)
    throw line.fail(`the header has no attribute ${unknown}`, 'Give positions and tile_size', at);
  const natural = (value: AttributeValue | undefined): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 0;
  if (!natural(positions) || !natural(tileSize))
    throw line.fail('positions and tile_size are not whole numbers', 'Write {positions: 8192, tile_size: 256}', at);
  line.end();
  return { name, positions, tile_size: tileSize };
}

/** Header and program of a text; the program is not verified yet. @throws ProjError `serialization` with line, column and cure. */
export function parseText(text: string): { readonly header: Header; readonly program: Program } {
  let header: Header | undefined;
  const instructions: Instruction[] = [];
  text.split(/\r?\n/).forEach((content, i) => {
    const line = new Line(content, i + 1);
    line.take(/\s*/y);
    if (line.done) return;
    if (header === undefined) header = parseHeader(line);
    else instructions.push(parseInstruction(line));
  });
  if (header === undefined)
    throw new ProjError('serialization', 'the text is empty', {
      op: 'parse',
      cure: 'Start it with il-nn "name" {positions: …, tile_size: …}',
    });
  return { header, program: { instructions } };
}
