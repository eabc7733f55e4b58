// Cold start of ours, from the built packages: `ours.mjs native|wasm`. Imports the tensors, adds, prints the first result.
const device = process.argv[2];
if (device === 'native') await import('@proj/device-native');
const { setDefaultDevice, tensor } = await import('@proj/tensor');
setDefaultDevice(device);
console.log(
  tensor([1, 2])
    .add(tensor([3, 4]))
    .toArray(),
);
