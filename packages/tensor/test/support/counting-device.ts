/** A device that counts what it is asked to do. */
import {
  type CompiledKernel,
  type Device,
  type DeviceBuffer,
  type DeviceFeatures,
  JsDevice,
  type Kernel,
  type Launch,
  type Program,
} from '@proj/kernel';

export class CountingDevice implements Device {
  readonly name = 'js';
  readonly #device = new JsDevice();
  /** Programs made (plans), runs of programs, launches run, buffers allocated. */
  programs = 0;
  runs = 0;
  launches = 0;
  allocations = 0;
  get features(): DeviceFeatures {
    return this.#device.features;
  }
  allocate(bytes: number): DeviceBuffer {
    this.allocations++;
    return this.#device.allocate(bytes);
  }
  write(buffer: DeviceBuffer, offset: number, data: Uint8Array): void {
    this.#device.write(buffer, offset, data);
  }
  read(buffer: DeviceBuffer, offset: number, bytes: number): Uint8Array<ArrayBuffer> {
    return this.#device.read(buffer, offset, bytes);
  }
  compile(kernels: readonly Kernel[]): CompiledKernel[] {
    return this.#device.compile(kernels);
  }
  program(launches: readonly Launch[], bindings: number): Program {
    this.programs++;
    const program = this.#device.program(launches, bindings);
    return {
      run: (buffers, scalars) => {
        this.runs++;
        this.launches += launches.length;
        program.run(buffers, scalars);
      },
      dispose: () => program.dispose(),
    };
  }
  setThreads(threads: number): void {
    this.#device.setThreads(threads);
  }
  memory(): { readonly used: number; readonly pooled: number } {
    return this.#device.memory();
  }
  dispose(): void {
    this.#device.dispose();
  }
}
