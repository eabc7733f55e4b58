/** ONNX models of the inference cases (opset 17), written with the generated protobuf classes of onnx-buf. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProtoSchema,
  TensorProto_DataType,
  TensorShapeProtoSchema,
  TensorShapeProto_DimensionSchema,
  TypeProtoSchema,
  TypeProto_TensorSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import type { CaseSpec, ConvSpec } from '../cases.ts';
import { labels, uniform } from '../inputs.ts';

/** A value that goes in or out of a model, with the data of an input. */
export interface ModelValue {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data?: Float32Array | BigInt64Array;
}

/** A model's bytes, the inputs to feed and the outputs to expect. */
export interface OnnxCase {
  readonly model: Uint8Array;
  readonly inputs: readonly Required<ModelValue>[];
  readonly output: ModelValue;
}

/** Integer attributes of a node; every attribute that the cases need is one or a list. */
type Attributes = Readonly<Record<string, number | readonly number[]>>;

/** A node; `domain` where the operator is not one of ONNX itself. */
export function node(
  opType: string,
  input: readonly string[],
  output: string,
  attributes: Attributes = {},
  domain = '',
) {
  return create(NodeProtoSchema, {
    opType,
    domain,
    input: [...input],
    output: [output],
    attribute: Object.entries(attributes).map(([name, value]) =>
      typeof value === 'number'
        ? create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) })
        : create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INTS, ints: value.map(BigInt) }),
    ),
  });
}

function valueInfo({ name, dims, data }: ModelValue) {
  const elemType = data instanceof BigInt64Array ? TensorProto_DataType.INT64 : TensorProto_DataType.FLOAT;
  const shape = create(TensorShapeProtoSchema, {
    dim: dims.map((size) =>
      create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: BigInt(size) } }),
    ),
  });
  const tensorType = create(TypeProto_TensorSchema, { elemType, shape });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensorType } }),
  });
}

/** A constant of a model. */
export interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array | Uint8Array;
}

/** Weights: onnxruntime lays them out for its kernels when the session is made. */
function initializer({ name, dims, data }: Weight) {
  const bytes = new Uint8Array(data.byteLength);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: data instanceof Uint8Array ? TensorProto_DataType.UINT8 : TensorProto_DataType.FLOAT,
    rawData: bytes,
  });
}

/** A model of nodes in order. */
export function assemble(
  nodes: readonly ReturnType<typeof node>[],
  inputs: readonly Required<ModelValue>[],
  output: ModelValue,
  weights: readonly Weight[] = [],
): OnnxCase {
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: 17n }),
      create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n }),
    ],
    graph: create(GraphProtoSchema, {
      name: 'case',
      node: [...nodes],
      input: inputs.map(valueInfo),
      output: [valueInfo(output)],
      initializer: weights.map(initializer),
    }),
  });
  return { model: toBinary(ModelProtoSchema, model), inputs, output };
}

const input = (name: string, dims: readonly number[], seed: number): Required<ModelValue> => ({
  name,
  dims,
  data: uniform(
    dims.reduce((a, b) => a * b, 1),
    seed,
  ),
});
const scalar = (name: string, value: number): Weight => ({ name, dims: [1], data: new Float32Array([value]) });

/** The model of a case, or undefined when the case is not an inference case. */
export function onnxCase(spec: CaseSpec): OnnxCase | undefined {
  switch (spec.kind) {
    case 'matmul': {
      const { m, k, n, weight } = spec;
      const a = input('a', [m, k], 1);
      const b = input('b', [k, n], 2);
      return assemble(
        [node('MatMul', ['a', 'b'], 'y')],
        weight ? [a] : [a, b],
        { name: 'y', dims: [m, n] },
        weight ? [b as Weight] : [],
      );
    }
    case 'chain':
      return chain(spec.elements, spec.inputs);
    case 'exp':
      return assemble([node('Exp', ['a'], 'y')], [input('a', [spec.elements], 1)], {
        name: 'y',
        dims: [spec.elements],
      });
    case 'softmax': {
      const dims = [spec.rows, spec.columns];
      return assemble([node('Softmax', ['a'], 'y', { axis: -1 })], [input('a', dims, 1)], { name: 'y', dims });
    }
    case 'layer-norm': {
      const dims = [spec.rows, spec.columns];
      const weights = ['w', 'b'].map((name, i) => ({ name, dims: [spec.columns], data: uniform(spec.columns, 2 + i) }));
      return assemble(
        [node('LayerNormalization', ['a', 'w', 'b'], 'y', { axis: -1 })],
        [input('a', dims, 1)],
        { name: 'y', dims },
        weights,
      );
    }
    case 'cross-entropy': {
      const targets = BigInt64Array.from(labels(spec.rows, spec.columns), BigInt);
      return assemble(
        [node('SoftmaxCrossEntropyLoss', ['a', 't'], 'y')],
        [input('a', [spec.rows, spec.columns], 1), { name: 't', dims: [spec.rows], data: targets }],
        { name: 'y', dims: [] },
      );
    }
    case 'conv2d':
      return conv(spec);
    default:
      return undefined;
  }
}

function chain(elements: number, inputs: 1 | 3): OnnxCase {
  const dims = [elements];
  const [times, plus] = inputs === 3 ? ['b', 'c'] : ['scale', 'shift'];
  return assemble(
    [
      node('Mul', ['a', times], 't1'),
      node('Add', ['t1', plus], 't2'),
      node('Relu', ['t2'], 't3'),
      node('Mul', ['t3', 'half'], 't4'),
      node('Sub', ['t4', 'a'], 't5'),
      node('Abs', ['t5'], 't6'),
      node('Sqrt', ['t6'], 'y'),
    ],
    (inputs === 3 ? ['a', 'b', 'c'] : ['a']).map((name, i) => input(name, dims, 1 + i)),
    { name: 'y', dims },
    [scalar('half', 0.5), ...(inputs === 3 ? [] : [scalar('scale', 1.5), scalar('shift', 0.25)])],
  );
}

function conv({ batch, channels, size, filters, kernel, stride, padding, groups }: ConvSpec): OnnxCase {
  const out = Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const weights = input('w', [filters, channels / groups, kernel, kernel], 2) as Weight;
  const attributes = {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    group: groups,
  };
  return assemble(
    [node('Conv', ['x', 'w'], 'y', attributes)],
    [input('x', [batch, channels, size, size], 1)],
    { name: 'y', dims: [batch, filters, out, out] },
    [weights],
  );
}
