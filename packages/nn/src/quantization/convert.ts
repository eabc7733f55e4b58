/**
 * From a float model to a quantised one, as PyTorch's eager mode has it: `prepare`, run some data, `convert`. Linear layers, ReLU and the stubs take
 * part; all else stays float.
 */
import { ProjError, withDefaults } from '@proj/kernel';
import { become, type Module } from '../module.ts';
import { ReLU } from '../modules/activations.ts';
import { Linear } from '../modules/linear.ts';
import { DynamicQuantizedLinear, ObservedLinear, QuantizedLinear } from './linear.ts';
import {
  defaultDynamicQconfig,
  defaultQconfig,
  getDefaultQatQconfig,
  type QatQConfig,
  type QConfig,
} from './qconfig.ts';
import { Quantize, QuantizedReLU, QuantStub } from './stubs.ts';
import type { QuantizedDType } from '@proj/tensor/quantized';

/** Options of what changes a model. */
export interface ConvertOptions {
  /** Change the model itself; otherwise a copy. */
  readonly inplace?: boolean;
}
export interface PrepareOptions extends ConvertOptions {
  /** The observers. Default `defaultQconfig`. */
  readonly qconfig?: QConfig;
}
export interface PrepareQatOptions extends ConvertOptions {
  /** The fake quantisers. Default `getDefaultQatQconfig()`. */
  readonly qconfig?: QatQConfig;
}

const own = <M extends Module>(model: M, inplace: boolean): M => (inplace ? model : model.copy());
const isPlainLinear = (module: Module): module is Linear => Object.getPrototypeOf(module) === Linear.prototype;

/** A model whose linear layers and `QuantStub`s observe what passes. Run data through it, then `convert` it. PyTorch: `prepare`. */
export function prepare<M extends Module>(model: M, options: PrepareOptions = {}): M {
  const { qconfig, inplace } = withDefaults('prepare', { qconfig: defaultQconfig, inplace: false }, options);
  const result = own(model, inplace);
  for (const module of result.modules()) {
    if (isPlainLinear(module)) become(module, new ObservedLinear(module, qconfig, null));
    else if (module instanceof QuantStub) module.activationPostProcess = qconfig.activation();
  }
  return result;
}

/** A model whose linear layers compute with fake-quantised weights and outputs, to be trained and then converted. PyTorch: `prepare_qat`. */
export function prepareQat<M extends Module>(model: M, options: PrepareQatOptions = {}): M {
  const { qconfig, inplace } = withDefaults('prepareQat', { qconfig: getDefaultQatQconfig(), inplace: false }, options);
  const result = own(model, inplace);
  const observers: QConfig = { activation: qconfig.activation, weight: () => qconfig.weight().activationPostProcess };
  for (const module of result.modules()) {
    if (isPlainLinear(module)) become(module, new ObservedLinear(module, observers, qconfig.weight()));
    else if (module instanceof QuantStub) module.activationPostProcess = qconfig.activation();
  }
  return result;
}

/** The quantised form of a prepared model: integer layers with the scales that were observed. PyTorch: `convert`. Errors: nothing was prepared. */
export function convert<M extends Module>(model: M, options: ConvertOptions = {}): M {
  const result = own(model, withDefaults('convert', { inplace: false }, options).inplace);
  let converted = 0;
  for (const module of result.modules()) {
    if (module instanceof ObservedLinear) become(module, QuantizedLinear.fromFloat(module));
    else if (module instanceof QuantStub && module.activationPostProcess !== null) {
      const { scale, zeroPoint } = module.activationPostProcess.calculateQparams();
      become(module, new Quantize(scale, zeroPoint, module.activationPostProcess.dtype as QuantizedDType));
    } else if (module instanceof ReLU) become(module, new QuantizedReLU());
    else continue;
    converted++;
  }
  if (converted === 0)
    throw new ProjError('invalid-argument', 'no layer of the model was observed', {
      op: 'convert',
      cure: 'Call prepare(model) first, and run data through it',
    });
  return result;
}

/** A model whose linear layers have integer weights and quantise their input at each call; it needs no data. PyTorch: `quantize_dynamic`. */
export function quantizeDynamic<M extends Module>(model: M, options: PrepareOptions = {}): M {
  const { qconfig, inplace } = withDefaults(
    'quantizeDynamic',
    { qconfig: defaultDynamicQconfig, inplace: false },
    options,
  );
  const result = own(model, inplace);
  for (const module of result.modules())
    if (isPlainLinear(module)) become(module, DynamicQuantizedLinear.fromFloat(module, qconfig.weight()));
  return result;
}
