/** What the WebAssembly engine of this process can do: found by validating and running small modules. */
import { ProjError } from '../errors.ts';
import { encodeModule, FunctionBody, I32 } from '../targets/wasm-bytes.ts';
import {
  COMPARE,
  compareLanes,
  V_ADD,
  V_ALL_TRUE,
  V_EXTRACT,
  V_LANESELECT,
  V_MADD,
  V_RELAXED_DOT8,
  V_SPLAT,
} from '../targets/wasm-opcodes.ts';
import type { WasmFeatures } from '../targets/wasm-vector.ts';
import { wasmApi } from './wasm-api.ts';

/** A module of functions without parameters that return an i32. */
const moduleOf = (bodies: Readonly<Record<string, FunctionBody>>): Uint8Array<ArrayBuffer> =>
  encodeModule({
    types: [{ parameters: [], results: [I32] }],
    functions: Object.entries(bodies).map(([name, body]) => ({ type: 0, body, name })),
    sharedMemory: null,
    tableStart: null,
    stack: false,
  });

/** Whether a·a - (a·a rounded) is other than zero: the product is not rounded. */
function fusedTest(): FunctionBody {
  const a = 1 + 2 ** -12;
  return new FunctionBody(0)
    .f32(a)
    .op(V_SPLAT.f32)
    .f32(a)
    .op(V_SPLAT.f32)
    .f32(-(1 + 2 ** -11))
    .op(V_SPLAT.f32)
    .op(V_MADD.f32)
    .lane(V_EXTRACT.f32, 0)
    .f32(0)
    .op(COMPARE.ne.f32);
}

/** Extreme products of i8 and u8, four a lane: engines without a full dot product saturate or take u8 as signed. */
function dotTest(): FunctionBody {
  const signed = Int8Array.of(-128, -128, -128, -128, 127, 127, 127, 127, -128, 127, -128, 127, 1, -1, 100, -100);
  const unsigned = Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255, 128, 127, 255, 200, 129, 255, 254);
  const sums = Int32Array.from({ length: 4 }, (_, lane) =>
    [0, 1, 2, 3].reduce((sum, i) => sum + signed[4 * lane + i] * unsigned[4 * lane + i], 7),
  );
  return new FunctionBody(0)
    .v128(new Uint8Array(signed.buffer))
    .v128(unsigned)
    .i32(7)
    .op(V_SPLAT.i32)
    .op(V_RELAXED_DOT8)
    .v128(new Uint8Array(sums.buffer))
    .op(compareLanes('eq', 'i32', false))
    .op(V_ALL_TRUE[32]);
}

function selectTest(): FunctionBody {
  return new FunctionBody(0)
    .i32(1)
    .op(V_SPLAT.i32)
    .i32(2)
    .op(V_SPLAT.i32)
    .i32(-1)
    .op(V_SPLAT.i32)
    .op(V_LANESELECT[32])
    .lane(V_EXTRACT.i32, 0);
}

function simdTest(): FunctionBody {
  return new FunctionBody(0).i32(1).op(V_SPLAT.i32).i32(1).op(V_SPLAT.i32).op(V_ADD.i32).lane(V_EXTRACT.i32, 0);
}

/** Throws `device-unavailable` where there is no WebAssembly or no SIMD. */
export function detectFeatures(): WasmFeatures {
  const api = wasmApi();
  const relaxed = moduleOf({ fused: fusedTest(), dot: dotTest(), select: selectTest() });
  if (api.validate(relaxed)) {
    const { fused, dot } = new api.Instance(new api.Module(relaxed)).exports as Record<string, () => number>;
    return { relaxed: true, fused: fused() === 1, exactDot: dot() === 1 };
  }
  if (!api.validate(moduleOf({ simd: simdTest() })))
    throw new ProjError('device-unavailable', 'this engine has no WebAssembly SIMD', {
      cure: 'Use Node 22 or later, or a browser of 2023 or later',
    });
  return { relaxed: false, fused: false, exactDot: false };
}
