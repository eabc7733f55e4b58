/** One kernel, written once, on every device of this machine (docs/tutorials/write-a-kernel.md). */
import {
  type Argument,
  buildKernel,
  type Device,
  deviceReport,
  getDevice,
  type Kernel,
  math,
  printKernel,
  vectorLoop,
  verifyKernel,
} from '@proj/kernel';
import '@proj/device-native';

// Softplus: y = ln(1 + exp(x)), written so that a large x does not overflow.
const softplus = (lanes: number): Kernel =>
  buildKernel('softplus', (b) => {
    const x = b.buffer('x', 'f32');
    const y = b.buffer('y', 'f32', 'write');
    vectorLoop(b, b.begin, b.end, lanes, (i, width) => {
      const value = b.load(x, i, width);
      const small = math.log1p(b, math.exp(b, b.neg(b.abs(value))));
      b.store(y, i, b.add(b.max(value, 0), small));
    });
  });

// A smaller kernel, to read: y = scale · x.
const scaled = buildKernel('scaled', (b) => {
  const x = b.buffer('x', 'f32');
  const y = b.buffer('y', 'f32', 'write');
  const scale = b.scalar('scale', 'f32');
  vectorLoop(b, b.begin, b.end, 8, (i, width) => b.store(y, i, b.mul(b.load(x, i, width), scale)));
});
verifyKernel(scaled);
console.log(printKernel(scaled));

const inputs = Float32Array.of(-100, -1, 0, 1, 100);

function apply(device: Device, kernel: Kernel, values: Float32Array): Float32Array {
  const x = device.allocate(values.byteLength);
  const y = device.allocate(values.byteLength);
  device.write(x, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));

  const [compiled] = device.compile([kernel]);
  const args: Argument[] = [
    { kind: 'buffer', binding: 0, offset: 0 },
    { kind: 'buffer', binding: 1, offset: 0 },
  ];
  // One launch over [0, values.length): split over threads when each gets 4096 elements or more, at multiples of 16.
  const program = device.program([{ kernel: compiled, args, begin: 0, end: values.length, grain: 4096, align: 16 }], 2);
  program.run([x, y], []);

  const result = new Float32Array(device.read(y, 0, values.byteLength).buffer);
  program.dispose();
  x.dispose();
  y.dispose();
  return result;
}

for (const { name, available } of deviceReport()) {
  if (!available) continue;
  const device = getDevice(name);
  const lanes = device.features.vectorBytes / Float32Array.BYTES_PER_ELEMENT;
  const result = apply(device, softplus(lanes), inputs);
  console.log(`${name}: ${[...result].map((value) => value.toFixed(5)).join(' ')}`);
}

// The same kernel over a million elements agrees with double precision.
const many = Float32Array.from({ length: 1_000_000 }, (_, i) => (i / 1_000_000 - 0.5) * 40);
const device = getDevice('wasm');
const result = apply(device, softplus(device.features.vectorBytes / 4), many);
const worst = many.reduce((most, x, i) => {
  const exact = Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  return Math.max(most, Math.abs(result[i] - exact) / exact);
}, 0);
console.log(`largest relative error below 1e-6: ${worst < 1e-6}`);

// A kernel that does not verify is refused before any device sees it.
try {
  buildKernel('mixed', (b) => {
    const x = b.buffer('x', 'f32');
    const y = b.buffer('y', 'f64', 'write');
    b.store(y, 0, b.load(x, 0));
  });
} catch (error) {
  console.log((error as Error).message);
}
