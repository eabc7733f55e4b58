/**
 * Reads and links relocatable ELF64 objects, as LLVM writes them for x86-64 and AArch64 with position-independent code.
 *
 * Pure: bytes in, image out. Every offset, size and index that the file states is checked before use, since objects come from a cache on
 * disk; a file that lies gives a `serialization` error. Constants are those of the System V ABI and its two processor supplements.
 */
import { ProjError } from '@proj/kernel';
import type { Address } from './ffi.ts';
import { PAGE } from './ffi.ts';

export type Machine = 'x64' | 'arm64';

const MACHINES: Readonly<Record<Machine, number>> = { x64: 62, arm64: 183 };
const HEADER_BYTES = 64;
const SECTION_BYTES = 64;
const SYMBOL_BYTES = 24;
const RELA_BYTES = 24;
const TYPE_RELOCATABLE = 1;
const SECTION_TYPE = { symbols: 2, strings: 3, rela: 4, empty: 8, rel: 9 } as const;
const FLAG = { write: 1, alloc: 2, tls: 0x400 } as const;
const UNDEFINED_SECTION = 0;
const FIRST_RESERVED_SECTION = 0xff00;
const ABSOLUTE_SECTION = 0xfff1;
const MAX_IMAGE_BYTES = 1 << 28;

interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly align: number;
}

interface Symbol {
  readonly name: string;
  readonly section: number;
  readonly value: number;
  readonly global: boolean;
}

interface Relocation {
  readonly section: number;
  readonly offset: number;
  readonly type: number;
  readonly symbol: number;
  readonly addend: number;
}

/** A checked object file. */
export interface ObjectFile {
  readonly machine: Machine;
  readonly bytes: Uint8Array;
  readonly sections: readonly Section[];
  readonly symbols: readonly Symbol[];
  readonly relocations: readonly Relocation[];
}

function malformed(what: string): ProjError {
  return new ProjError('serialization', `malformed object file: ${what}`, { op: 'native device' });
}

/** Checks `bytes` and takes it apart. */
export function parseObject(bytes: Uint8Array): ObjectFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.byteLength;
  const u64 = (offset: number, what: string): number => {
    const value = view.getBigUint64(offset, true);
    if (value > 0x1fffffffffffffn) throw malformed(`${what} is ${value}`);
    return Number(value);
  };
  if (size < HEADER_BYTES || view.getUint32(0, false) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1)
    throw malformed('not a little-endian ELF64 file');
  const machineCode = view.getUint16(18, true);
  const machine = (Object.keys(MACHINES) as Machine[]).find((name) => MACHINES[name] === machineCode);
  if (machine === undefined) throw malformed(`machine ${machineCode}`);
  if (view.getUint16(16, true) !== TYPE_RELOCATABLE) throw malformed('not relocatable');
  const table = u64(0x28, 'section table offset');
  const count = view.getUint16(0x3c, true);
  const namesIndex = view.getUint16(0x3e, true);
  if (view.getUint16(0x3a, true) !== SECTION_BYTES || table + count * SECTION_BYTES > size)
    throw malformed('section table outside the file');
  if (namesIndex >= count) throw malformed('no section names');

  const raw = Array.from({ length: count }, (_, index) => {
    const at = table + index * SECTION_BYTES;
    const section = {
      nameOffset: view.getUint32(at, true),
      type: view.getUint32(at + 4, true),
      flags: u64(at + 8, 'section flags'),
      offset: u64(at + 24, 'section offset'),
      size: u64(at + 32, 'section size'),
      link: view.getUint32(at + 40, true),
      info: view.getUint32(at + 44, true),
      align: Math.max(1, u64(at + 48, 'section alignment')),
    };
    const inFile = section.type === SECTION_TYPE.empty || section.type === 0 || section.offset + section.size <= size;
    if (!inFile) throw malformed(`section ${index} outside the file`);
    if (section.size > MAX_IMAGE_BYTES) throw malformed(`section ${index} of ${section.size} bytes`);
    if (section.align > 4096 || (section.align & (section.align - 1)) !== 0)
      throw malformed(`alignment ${section.align}`);
    return section;
  });
  const text = (
    section: { readonly type: number; readonly offset: number; readonly size: number } | undefined,
    offset: number,
  ): string => {
    if (section === undefined || section.type !== SECTION_TYPE.strings || offset >= section.size)
      throw malformed('a name outside its string table');
    const start = section.offset + offset;
    const end = bytes.indexOf(0, start);
    if (end < 0 || end >= section.offset + section.size) throw malformed('a name without an end');
    return String.fromCharCode(...bytes.subarray(start, Math.min(end, start + 1024)));
  };
  const sections = raw.map(({ nameOffset, ...rest }): Section => ({
    ...rest,
    name: text(raw[namesIndex], nameOffset),
  }));

  const symbolTable = sections.find(({ type }) => type === SECTION_TYPE.symbols);
  if (symbolTable === undefined) throw malformed('no symbol table');
  const symbols = Array.from({ length: Math.floor(symbolTable.size / SYMBOL_BYTES) }, (_, index): Symbol => {
    const at = symbolTable.offset + index * SYMBOL_BYTES;
    const section = view.getUint16(at + 6, true);
    const value = u64(at + 8, 'symbol value');
    if (section >= FIRST_RESERVED_SECTION ? section !== ABSOLUTE_SECTION : section >= count)
      throw malformed(`symbol ${index} in section ${section}`);
    if (section < count && section !== UNDEFINED_SECTION && value > (sections[section]?.size ?? 0))
      throw malformed(`symbol ${index} outside its section`);
    return {
      name: text(sections[symbolTable.link], view.getUint32(at, true)),
      section,
      value,
      global: (bytes[at + 4] ?? 0) >> 4 !== 0,
    };
  });

  const relocations = sections.flatMap((section): Relocation[] => {
    const target = sections[section.info];
    if (section.type === SECTION_TYPE.rel) throw malformed('relocations without addends');
    if (section.type !== SECTION_TYPE.rela || target === undefined || !isLoaded(target)) return [];
    return Array.from({ length: Math.floor(section.size / RELA_BYTES) }, (_, index) => {
      const at = section.offset + index * RELA_BYTES;
      const relocation = {
        section: section.info,
        offset: u64(at, 'relocation offset'),
        type: view.getUint32(at + 8, true),
        symbol: view.getUint32(at + 12, true),
        addend: Number(view.getBigInt64(at + 16, true)),
      };
      if (relocation.offset + 4 > target.size) throw malformed('a relocation outside its section');
      if (relocation.symbol >= symbols.length) throw malformed(`symbol ${relocation.symbol} of a relocation`);
      return relocation;
    });
  });
  return { machine, bytes, sections, symbols, relocations };
}

/** Whether a section takes part in the image. Unwind tables do not: kernels never throw. */
function isLoaded({ flags, type, name, size }: Section): boolean {
  if ((flags & FLAG.alloc) === 0 || size === 0 || name === '.eh_frame') return false;
  if ((flags & FLAG.tls) !== 0) throw malformed('thread-local storage');
  return type !== 0;
}

/** Where everything goes: code and constants first (read and execute), then writable data. */
interface Layout {
  /** Offset of each object's sections in the image; undefined for those that are not loaded. */
  readonly sections: readonly (readonly (number | undefined)[])[];
  readonly stubs: number;
  readonly executable: number;
  readonly total: number;
}

/** Code that reaches any address (13 or 16 bytes), and an 8-byte table entry. */
const STUB_BYTES = 16;
const ENTRY_BYTES = 8;

function layOut(objects: readonly ObjectFile[]): Layout {
  const sections = objects.map((object) => object.sections.map((): number | undefined => undefined));
  let top = 0;
  const place = (writable: boolean): void => {
    objects.forEach((object, file) => {
      object.sections.forEach((section, index) => {
        const isWritable = (section.flags & FLAG.write) !== 0;
        if (!isLoaded(section) || isWritable !== writable) return;
        top = roundUp(top, Math.max(section.align, 16));
        const places = sections[file];
        if (places !== undefined) places[index] = top;
        top += section.size;
        if (top > MAX_IMAGE_BYTES) throw malformed(`an image of more than ${MAX_IMAGE_BYTES} bytes`);
      });
    });
  };
  place(false);
  const stubs = roundUp(top, 16);
  top = stubs + objects.reduce((sum, { relocations }) => sum + relocations.length, 0) * (STUB_BYTES + ENTRY_BYTES);
  const executable = roundUp(top, PAGE);
  top = executable;
  place(true);
  return { sections, stubs, executable, total: Math.max(PAGE, roundUp(top, PAGE)) };
}

const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;

/** A linked image, to be copied to the address it was linked for. */
export interface Image {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The first bytes are code and constants; the rest is writable. */
  readonly executable: number;
  /** Global symbols of each object. */
  readonly symbols: readonly ReadonlyMap<string, Address>[];
}

/** Bytes that {@link linkObjects} needs for these objects. */
export function imageBytes(objects: readonly ObjectFile[]): number {
  return layOut(objects).total;
}

/** Links objects for `base`. `external` gives the address of what they do not define. */
export function linkObjects(
  objects: readonly ObjectFile[],
  base: Address,
  external: (name: string) => Address | undefined,
): Image {
  const layout = layOut(objects);
  const bytes = new Uint8Array(layout.total);
  const view = new DataView(bytes.buffer);
  let free = layout.stubs;
  const stubs = new Map<Address, number>();
  const entries = new Map<Address, number>();

  const exported = objects.map((object, file) => {
    const places = layout.sections[file] ?? [];
    object.sections.forEach((section, index) => {
      const at = places[index];
      if (at !== undefined && section.type !== SECTION_TYPE.empty)
        bytes.set(object.bytes.subarray(section.offset, section.offset + section.size), at);
    });
    const addresses = object.symbols.map((symbol): Address | undefined => {
      if (symbol.section === ABSOLUTE_SECTION) return symbol.value;
      const at = places[symbol.section];
      return symbol.section === UNDEFINED_SECTION || at === undefined ? undefined : base + at + symbol.value;
    });
    const resolve = (index: number): Address => {
      const known = addresses[index];
      if (known !== undefined) return known;
      const name = object.symbols[index]?.name ?? '';
      const address = external(name);
      if (address === undefined)
        throw new ProjError('kernel-compilation', `the object refers to '${name}', which is not known`, {
          op: 'native device',
        });
      addresses[index] = address;
      return address;
    };
    const patch: Patch = {
      view,
      base,
      stub: (target) => {
        let at = stubs.get(target);
        if (at === undefined) {
          stubs.set(target, (at = free));
          free += STUB_BYTES;
          writeStub(view, object.machine, at, target);
        }
        return base + at;
      },
      entry: (target) => {
        let at = entries.get(target);
        if (at === undefined) {
          entries.set(target, (at = free));
          free += ENTRY_BYTES;
          view.setBigUint64(at, BigInt(target), true);
        }
        return base + at;
      },
    };
    for (const { section, offset, type, symbol, addend } of object.relocations) {
      const place = places[section];
      if (place === undefined) continue;
      const size = object.sections[section]?.size ?? 0;
      RELOCATE[object.machine](patch, {
        type,
        at: place + offset,
        room: size - offset,
        target: resolve(symbol),
        addend,
      });
    }
    return new Map(
      object.symbols.flatMap(({ name, global }, index): [string, Address][] => {
        const address = addresses[index];
        return global && address !== undefined && object.symbols[index]?.section !== UNDEFINED_SECTION
          ? [[name, address]]
          : [];
      }),
    );
  });
  return { bytes, executable: layout.executable, symbols: exported };
}

function writeStub(view: DataView, machine: Machine, at: number, target: Address): void {
  if (machine === 'x64') {
    view.setUint16(at, 0x49bb, false); // movabs r11, target
    view.setBigUint64(at + 2, BigInt(target), true);
    view.setUint32(at + 10, 0x41ffe390, false); // jmp r11; nop
    return;
  }
  view.setUint32(at, 0x58000050, true); // ldr x16, #8
  view.setUint32(at + 4, 0xd61f0200, true); // br x16
  view.setBigUint64(at + 8, BigInt(target), true);
}

interface Patch {
  readonly view: DataView;
  readonly base: Address;
  /** The address of code that jumps to `target`. */
  stub(target: Address): Address;
  /** The address of 8 bytes that hold `target`. */
  entry(target: Address): Address;
}

interface Place {
  readonly type: number;
  /** Offset in the image. */
  readonly at: number;
  /** Bytes from there to the end of the section. */
  readonly room: number;
  readonly target: Address;
  readonly addend: number;
}

function checkRange(value: number, bits: number, type: number): number {
  const limit = 2 ** (bits - 1);
  if (value < -limit || value >= limit)
    throw new ProjError('kernel-compilation', `relocation ${type} does not reach its target`, { op: 'native device' });
  return value;
}

const RELOCATE: Readonly<Record<Machine, (patch: Patch, place: Place) => void>> = {
  x64: relocateX64,
  arm64: relocateArm64,
};

function write64(patch: Patch, { at, room, target, addend }: Place): void {
  if (room < 8) throw malformed('a relocation outside its section');
  patch.view.setBigInt64(at, BigInt.asIntN(64, BigInt(target) + BigInt(addend)), true);
}

function relocateX64(patch: Patch, place: Place): void {
  const { view, base } = patch;
  const { type, at, target, addend } = place;
  const relative = (to: Address): void => view.setInt32(at, checkRange(to + addend - (base + at), 32, type), true);
  switch (type) {
    case 0: // R_X86_64_NONE
      return;
    case 1: // R_X86_64_64
      return write64(patch, place);
    case 2: // R_X86_64_PC32
      return relative(target);
    case 4: {
      // R_X86_64_PLT32
      const distance = target + addend - (base + at);
      return relative(distance >= -(2 ** 31) && distance < 2 ** 31 ? target : patch.stub(target));
    }
    case 9: // R_X86_64_GOTPCREL
    case 41: // R_X86_64_GOTPCRELX
    case 42: // R_X86_64_REX_GOTPCRELX
      return relative(patch.entry(target));
    case 24: // R_X86_64_PC64
      return write64(patch, { ...place, target: target - (base + at) });
    default:
      throw malformed(`relocation type ${type}`);
  }
}

const pageOf = (address: Address): number => Math.floor(address / 4096);

/** Access sizes of the `LDSTn_ABS_LO12_NC` relocations. */
const ARM64_ACCESS: Readonly<Record<number, number>> = { 277: 1, 278: 1, 284: 2, 285: 4, 286: 8, 299: 16 };

function relocateArm64(patch: Patch, place: Place): void {
  const { view, base } = patch;
  const { type, at, target, addend } = place;
  const here = base + at;
  const to = target + addend;
  const instruction = view.getUint32(at, true);
  const set = (mask: number, bits: number): void =>
    view.setUint32(at, ((instruction & ~mask) | (bits & mask)) >>> 0, true);
  const low12 = (address: Address, access: number): void => {
    const offset = address % 4096;
    if (offset % access !== 0) throw malformed(`relocation ${type} of an unaligned address`);
    set(0x3ffc00, (offset / access) << 10);
  };
  const page = (address: Address): void => {
    const pages = checkRange(pageOf(address) - pageOf(here), 21, type);
    set(0x60ffffe0, ((pages & 3) << 29) | (((pages >> 2) & 0x7ffff) << 5));
  };
  switch (type) {
    case 0: // R_AARCH64_NONE
    case 256:
      return;
    case 257: // R_AARCH64_ABS64
      return write64(patch, place);
    case 260: // R_AARCH64_PREL64
      return write64(patch, { ...place, target: target - here });
    case 261: // R_AARCH64_PREL32
      view.setInt32(at, checkRange(to - here, 32, type), true);
      return;
    case 274: {
      // R_AARCH64_ADR_PREL_LO21
      const distance = checkRange(to - here, 21, type);
      return set(0x60ffffe0, ((distance & 3) << 29) | (((distance >> 2) & 0x7ffff) << 5));
    }
    case 275: // R_AARCH64_ADR_PREL_PG_HI21
    case 276:
      return page(to);
    case 277:
    case 278:
    case 284:
    case 285:
    case 286:
    case 299:
      return low12(to, ARM64_ACCESS[type] ?? 1);
    case 279: // R_AARCH64_TSTBR14
      return set(0x7ffe0, (checkRange((to - here) / 4, 14, type) & 0x3fff) << 5);
    case 273: // R_AARCH64_LD_PREL_LO19
    case 280: // R_AARCH64_CONDBR19
      return set(0xffffe0, (checkRange((to - here) / 4, 19, type) & 0x7ffff) << 5);
    case 282: // R_AARCH64_JUMP26
    case 283: {
      // R_AARCH64_CALL26
      const near = Math.abs(to - here) < 2 ** 27;
      return set(0x3ffffff, checkRange(((near ? to : patch.stub(target)) - here) / 4, 26, type) & 0x3ffffff);
    }
    case 311: // R_AARCH64_ADR_GOT_PAGE
      return page(patch.entry(target));
    case 312: // R_AARCH64_LD64_GOT_LO12_NC
      return low12(patch.entry(target), 8);
    default:
      throw malformed(`relocation type ${type}`);
  }
}
