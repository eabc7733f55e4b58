/**
 * Bytes of WebAssembly modules. `ByteWriter` writes numbers in the format's encodings, `FunctionBody` the code of one function,
 * `encodeModule` the sections around them. An own encoder of this size is faster to load and to run than any library for it.
 */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
const VOID = 0x40;

/** Most pages of 64 KiB that a memory may have: 4 GiB. */
export const MAX_PAGES = 65536;

export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }

  #reserve(count: number): void {
    if (this.length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.length + count));
    larger.set(this.bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.length++] = value;
  }
  raw(values: ArrayLike<number>): void {
    this.#reserve(values.length);
    this.#bytes.set(values, this.length);
    this.length += values.length;
  }
  /** Unsigned LEB128. */
  unsigned(value: number): void {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }
  /** Signed LEB128 of 32 bits. */
  signed(value: number): void {
    let rest = value | 0;
    while (rest > 63 || rest < -64) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    this.byte(rest & 0x7f);
  }
  /** Signed LEB128 of 64 bits. */
  signed64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    while (rest > 63n || rest < -64n) {
      this.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.byte(Number(rest & 0x7fn));
  }
  float32(value: number): void {
    this.#reserve(4);
    this.#view.setFloat32(this.length, value, true);
    this.length += 4;
  }
  float64(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.length, value, true);
    this.length += 8;
  }
  text(value: string): void {
    this.unsigned(value.length);
    for (let i = 0; i < value.length; i++) this.byte(value.charCodeAt(i));
  }
}

/** The code and locals of one function. Opcodes above 255 are `prefix << 16 | code` (see wasm-opcodes.ts). */
export class FunctionBody {
  readonly #code = new ByteWriter(1024);
  /** Sets the locals of hoisted constants; runs first. */
  readonly #prologue = new ByteWriter(64);
  readonly #constants = new Map<string, number>();
  readonly #locals: number[] = [];
  readonly #parameters: number;
  readonly #free = new Map<number, number[]>();

  constructor(parameters: number) {
    this.#parameters = parameters;
  }

  /** A local of this type, one that was released if there is any. Its contents are undefined. */
  local(type: number): number {
    const released = this.#free.get(type)?.pop();
    if (released !== undefined) return released;
    this.#locals.push(type);
    return this.#parameters + this.#locals.length - 1;
  }
  release(local: number): void {
    const type = this.#locals[local - this.#parameters];
    const list = this.#free.get(type);
    if (list === undefined) this.#free.set(type, [local]);
    else list.push(local);
  }

  op(opcode: number): this {
    if (opcode > 0xff) {
      this.#code.byte(opcode >>> 16);
      this.#code.unsigned(opcode & 0xffff);
    } else this.#code.byte(opcode);
    return this;
  }
  get(local: number): this {
    this.#code.byte(0x20);
    this.#code.unsigned(local);
    return this;
  }
  set(local: number): this {
    this.#code.byte(0x21);
    this.#code.unsigned(local);
    return this;
  }
  tee(local: number): this {
    this.#code.byte(0x22);
    this.#code.unsigned(local);
    return this;
  }
  global(index: number): this {
    this.#code.byte(0x23);
    this.#code.unsigned(index);
    return this;
  }
  i32(value: number): this {
    this.#code.byte(0x41);
    this.#code.signed(value);
    return this;
  }
  i64(value: bigint): this {
    this.#code.byte(0x42);
    this.#code.signed64(value);
    return this;
  }
  f32(value: number): this {
    this.#code.byte(0x43);
    this.#code.float32(value);
    return this;
  }
  f64(value: number): this {
    this.#code.byte(0x44);
    this.#code.float64(value);
    return this;
  }
  v128(bytes: Uint8Array): this {
    this.#code.byte(0xfd);
    this.#code.unsigned(12);
    this.#code.raw(bytes);
    return this;
  }
  /** As `v128`, but computed once at the start of the function: an engine makes most constants anew in each turn of a loop. */
  hoisted(bytes: Uint8Array): this {
    if (bytes.every((byte) => byte === 0) || bytes.every((byte) => byte === 0xff)) return this.v128(bytes);
    const key = bytes.join();
    let local = this.#constants.get(key);
    if (local === undefined) {
      this.#locals.push(V128);
      local = this.#parameters + this.#locals.length - 1;
      this.#constants.set(key, local);
      this.#prologue.raw([0xfd, 12]);
      this.#prologue.raw(bytes);
      this.#prologue.byte(0x21);
      this.#prologue.unsigned(local);
    }
    return this.get(local);
  }
  /** Byte i of the result is byte `pattern[i]` of the two operands. */
  shuffle(pattern: ArrayLike<number>): this {
    this.#code.byte(0xfd);
    this.#code.unsigned(13);
    this.#code.raw(pattern);
    return this;
  }
  lane(opcode: number, lane: number): this {
    this.op(opcode);
    this.#code.byte(lane);
    return this;
  }
  /** A memory instruction; `alignment` is the logarithm of the alignment that it may rely on. */
  memory(opcode: number, alignment: number, offset: number): this {
    this.op(opcode);
    this.#code.unsigned(alignment);
    this.#code.unsigned(offset);
    return this;
  }
  memoryLane(opcode: number, alignment: number, offset: number, lane: number): this {
    this.memory(opcode, alignment, offset);
    this.#code.byte(lane);
    return this;
  }
  block(): this {
    this.#code.byte(0x02);
    this.#code.byte(VOID);
    return this;
  }
  loop(): this {
    this.#code.byte(0x03);
    this.#code.byte(VOID);
    return this;
  }
  if(result = VOID): this {
    this.#code.byte(0x04);
    this.#code.byte(result);
    return this;
  }
  else(): this {
    this.#code.byte(0x05);
    return this;
  }
  end(): this {
    this.#code.byte(0x0b);
    return this;
  }
  branch(depth: number): this {
    this.#code.byte(0x0c);
    this.#code.unsigned(depth);
    return this;
  }
  branchIf(depth: number): this {
    this.#code.byte(0x0d);
    this.#code.unsigned(depth);
    return this;
  }
  call(index: number): this {
    this.#code.byte(0x10);
    this.#code.unsigned(index);
    return this;
  }
  callIndirect(type: number): this {
    this.#code.byte(0x11);
    this.#code.unsigned(type);
    this.#code.byte(0);
    return this;
  }
  /** The values of a block that leaves the function. */
  return(): this {
    this.#code.byte(0x0f);
    return this;
  }

  writeTo(out: ByteWriter): void {
    const head = new ByteWriter(64);
    const runs: [number, number][] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last !== undefined && last[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    head.unsigned(runs.length);
    for (const [count, type] of runs) {
      head.unsigned(count);
      head.byte(type);
    }
    out.unsigned(head.length + this.#prologue.length + this.#code.length + 1);
    out.raw(head.bytes);
    out.raw(this.#prologue.bytes);
    out.raw(this.#code.bytes);
    out.byte(0x0b);
  }
}

export interface ModuleFunction {
  /** Index into the module's types. */
  readonly type: number;
  readonly body: FunctionBody;
  /** Exported under this name, unless empty. */
  readonly name: string;
}

export interface ModuleSource {
  readonly types: readonly { readonly parameters: readonly number[]; readonly results: readonly number[] }[];
  readonly functions: readonly ModuleFunction[];
  /** Imports `e.m`, shared or not; `null`: no memory. */
  readonly sharedMemory: boolean | null;
  /** Imports the function table `e.t`, and puts the functions from this index on into it when >= 0. */
  readonly tableStart: number | null;
  /** Imports the global `e.s`: where the locals of the running thread lie. */
  readonly stack: boolean;
  /** Bytes that instances put at an address of the memory. */
  readonly data?: { readonly address: number; readonly bytes: Uint8Array };
}

export function encodeModule(source: ModuleSource): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter(4096);
  out.raw([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  const section = (id: number, write: (s: ByteWriter) => void): void => {
    const bytes = new ByteWriter(512);
    write(bytes);
    out.byte(id);
    out.unsigned(bytes.length);
    out.raw(bytes.bytes);
  };
  section(1, (s) => {
    s.unsigned(source.types.length);
    for (const { parameters, results } of source.types) {
      s.byte(0x60);
      s.unsigned(parameters.length);
      s.raw(parameters);
      s.unsigned(results.length);
      s.raw(results);
    }
  });
  section(2, (s) => {
    const imports = Number(source.sharedMemory !== null) + Number(source.tableStart !== null) + Number(source.stack);
    s.unsigned(imports);
    const name = (text: string): void => {
      s.text('e');
      s.text(text);
    };
    if (source.sharedMemory !== null) {
      name('m');
      s.raw([2, source.sharedMemory ? 3 : 1]);
      s.unsigned(1);
      s.unsigned(MAX_PAGES);
    }
    if (source.tableStart !== null) {
      name('t');
      s.raw([1, 0x70, 0, 0]);
    }
    if (source.stack) {
      name('s');
      s.raw([3, I32, 0]);
    }
  });
  section(3, (s) => {
    s.unsigned(source.functions.length);
    for (const f of source.functions) s.unsigned(f.type);
  });
  section(7, (s) => {
    s.unsigned(source.functions.filter((f) => f.name !== '').length);
    source.functions.forEach((f, i) => {
      if (f.name === '') return;
      s.text(f.name);
      s.byte(0);
      s.unsigned(i);
    });
  });
  if (source.tableStart !== null && source.tableStart >= 0) {
    const first = source.tableStart;
    section(9, (s) => {
      s.raw([1, 0, 0x41]);
      s.signed(first);
      s.byte(0x0b);
      s.unsigned(source.functions.length);
      source.functions.forEach((_, i) => s.unsigned(i));
    });
  }
  section(10, (s) => {
    s.unsigned(source.functions.length);
    for (const f of source.functions) f.body.writeTo(s);
  });
  const { data } = source;
  if (data !== undefined)
    section(11, (s) => {
      s.raw([1, 0, 0x41]);
      s.signed(data.address);
      s.byte(0x0b);
      s.unsigned(data.bytes.length);
      s.raw(data.bytes);
    });
  return out.bytes.slice();
}
