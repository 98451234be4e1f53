"""From the ONNX files that bespoke writes for convolutional networks to TFLite,
in 32-bit floats. The converters on PyPI bring TensorFlow or PyTorch along; this
one needs onnx, numpy and LiteRT's own schema, and refuses what it does not know.

Maps are stored channels last (NHWC), as TFLite has them. As the usual converters
do, it folds batch normalisation into the convolution before it and activations
into the operator before them.
"""

import flatbuffers
import numpy
import onnx
from ai_edge_litert import schema_py_generated as tfl
from onnx import numpy_helper

FLOAT32, INT32 = tfl.TensorType.FLOAT32, tfl.TensorType.INT32
SAME, VALID = tfl.Padding.SAME, tfl.Padding.VALID
FUSED = {"Relu": tfl.ActivationFunctionType.RELU, "Relu6": tfl.ActivationFunctionType.RELU6}
BINARY = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV"}
OPTIONS = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div"}
UNARY = {
    "Relu": "RELU",
    "Relu6": "RELU6",
    "Sigmoid": "LOGISTIC",
    "Tanh": "TANH",
    "HardSwish": "HARD_SWISH",
    "Elu": "ELU",
}


class UnknownOperator(Exception):
    """An operator, or a use of one, that this converter does not know."""


class Node:
    def __init__(self, node):
        self.type = node.op_type
        self.inputs = list(node.input)
        self.output = node.output[0]
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        self.fused = tfl.ActivationFunctionType.NONE


def simplify(nodes, constants, result):
    """Folds batch normalisation, names ReLU6 and Gelu, fuses activations."""

    def uses():
        found = {}
        for node in nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node)
        return found

    def only_use(name, users):
        return users[name][0] if name != result and len(users.get(name, [])) == 1 else None

    for node in nodes:
        if node.type == "Clip" and [float(constants[i]) for i in node.inputs[1:]] == [0.0, 6.0]:
            node.type, node.inputs = "Relu6", node.inputs[:1]
    users = uses()
    made_by = {node.output: node for node in nodes}
    for node in list(nodes):
        # x / 2 * (1 + erf(x / sqrt 2))
        if node.type != "Erf":
            continue
        scaled = made_by[node.inputs[0]]
        shifted = only_use(node.output, users)
        product = only_use(shifted.output, users) if shifted else None
        halved = only_use(product.output, users) if product else None
        chain = [scaled, node, shifted, product, halved]
        if None in chain or [n.type for n in chain] != ["Div", "Erf", "Add", "Mul", "Mul"]:
            raise UnknownOperator("Erf")
        halved.type, halved.inputs = "Gelu", [scaled.inputs[0]]
        for part in chain[:-1]:
            nodes.remove(part)
    users = uses()
    for conv in [n for n in nodes if n.type == "Conv"]:
        norm = only_use(conv.output, users)
        if norm is None or norm.type != "BatchNormalization":
            continue
        factor, offset = affine(norm, constants)
        weights = constants[conv.inputs[1]]
        bias = constants[conv.inputs[2]] if len(conv.inputs) > 2 else 0.0
        names = [f"{conv.output}.weights", f"{conv.output}.bias"]
        constants[names[0]] = weights * factor[:, None, None, None]
        constants[names[1]] = (bias * factor + offset).astype("f4")
        conv.inputs[1:] = names
        conv.output = norm.output
        nodes.remove(norm)
    users = uses()
    for node in [n for n in nodes if n.type in ("Conv", "Gemm", *BINARY)]:
        activation = only_use(node.output, users)
        if activation is not None and activation.type in FUSED:
            node.fused = FUSED[activation.type]
            node.output = activation.output
            nodes.remove(activation)


def affine(norm, constants):
    """Batch normalisation as a factor and an offset a channel."""
    scale, shift, mean, variance = (constants[i] for i in norm.inputs[1:])
    factor = scale / numpy.sqrt(variance + norm.attributes.get("epsilon", 1e-5))
    return factor.astype("f4"), (shift - mean * factor).astype("f4")


class Writer:
    def __init__(self, shapes, constants):
        self.shapes = shapes
        self.constants = constants
        self.buffers = [tfl.BufferT()]
        self.tensors, self.index = [], {}
        self.codes, self.operators = {}, []

    def tensor(self, name, shape, kind=FLOAT32, data=None):
        tensor = tfl.TensorT()
        tensor.name, tensor.shape, tensor.type = name, [int(d) for d in shape], kind
        if data is not None:
            buffer = tfl.BufferT()
            buffer.data = numpy.frombuffer(data.tobytes(), dtype="u1")
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.index[name] = len(self.tensors)
        self.tensors.append(tensor)
        return self.index[name]

    def constant(self, name, array):
        if name not in self.index:
            kind = INT32 if array.dtype.kind == "i" else FLOAT32
            array = numpy.ascontiguousarray(array, dtype="<i4" if kind == INT32 else "<f4")
            self.tensor(name, array.shape, kind, array)
        return self.index[name]

    def value(self, name):
        """A tensor of the graph, in TFLite's layout."""
        if name in self.index:
            return self.index[name]
        if name in self.constants:
            array = self.constants[name]
            if array.ndim == 4:
                array = array.transpose(0, 2, 3, 1)
            elif array.ndim > 1:
                raise UnknownOperator("a constant that is no number")
            return self.constant(name, array.reshape(array.shape or (1,)))
        return self.tensor(name, self.layout(name))

    def layout(self, name):
        shape = self.shapes[name]
        if len(shape) == 4:
            return [shape[0], shape[2], shape[3], shape[1]]
        if len(shape) != 2:
            raise UnknownOperator(f"tensors of {len(shape)} dimensions (sequences)")
        return shape

    def emit(self, code, inputs, outputs, options=None, **fields):
        number = getattr(tfl.BuiltinOperator, code)
        if code not in self.codes:
            entry = tfl.OperatorCodeT()
            entry.builtinCode = number
            entry.deprecatedBuiltinCode = min(number, 127)
            self.codes[code] = (len(self.codes), entry)
        operator = tfl.OperatorT()
        operator.opcodeIndex = self.codes[code][0]
        operator.inputs, operator.outputs = inputs, outputs
        if options:
            operator.builtinOptionsType = getattr(tfl.BuiltinOptions, options)
            operator.builtinOptions = getattr(tfl, options + "T")()
            for field, value in fields.items():
                assert hasattr(operator.builtinOptions, field), field
                setattr(operator.builtinOptions, field, value)
        self.operators.append(operator)

    def model(self, inputs, outputs):
        graph = tfl.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = inputs, outputs
        model = tfl.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes = [entry for _, entry in self.codes.values()]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def padded(self, node, kernel, strides, dilations, filler):
        """The node's input and TFLite's name for its padding; a symmetric
        padding that TFLite has no name for becomes an operator of its own."""
        name = node.inputs[0]
        pads = list(node.attributes.get("pads", [0, 0, 0, 0]))
        if not any(pads):
            return self.value(name), VALID
        height, width = self.shapes[name][2:]
        same = []
        for size, k, s, d in zip((height, width), kernel, strides, dilations):
            total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            same.append((total // 2, total - total // 2))
        if same == list(zip(pads[:2], pads[2:])):
            return self.value(name), SAME
        amounts = numpy.array([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], dtype="i4")
        n, h, w, c = self.layout(name)
        shape = [n, h + pads[0] + pads[2], w + pads[1] + pads[3], c]
        padded = self.tensor(f"{node.output}.padded", shape)
        inputs = [self.value(name), self.constant(f"{node.output}.pads", amounts)]
        if filler == 0.0:
            self.emit("PAD", inputs, [padded], "PadOptions")
        else:
            inputs.append(self.constant(f"{node.output}.filler", numpy.array([filler], "f4")))
            self.emit("PADV2", inputs, [padded], "PadV2Options")
        return padded, VALID


def conv(w, node):
    a = node.attributes
    weights = w.constants[node.inputs[1]]
    if weights.ndim != 4:
        raise UnknownOperator("convolutions of sequences")
    out, per_group, *kernel = weights.shape
    strides, dilations = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    groups = a.get("group", 1)
    bias = w.constants[node.inputs[2]] if len(node.inputs) > 2 else numpy.zeros(out, "f4")
    x, padding = w.padded(node, kernel, strides, dilations, 0.0)
    depthwise = groups > 1 and per_group == 1
    order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    inputs = [
        x,
        w.constant(f"{node.output}.filter", weights.transpose(order)),
        w.constant(f"{node.output}.biases", bias),
    ]
    fields = dict(
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        dilationHFactor=dilations[0],
        dilationWFactor=dilations[1],
        fusedActivationFunction=node.fused,
    )
    if depthwise:
        fields["depthMultiplier"] = out // groups
        w.emit("DEPTHWISE_CONV_2D", inputs, [w.value(node.output)], "DepthwiseConv2DOptions", **fields)
    else:
        w.emit("CONV_2D", inputs, [w.value(node.output)], "Conv2DOptions", **fields)


def pool(w, node):
    a = node.attributes
    kernel, strides = a["kernel_shape"], a.get("strides", [1, 1])
    if len(kernel) != 2:
        raise UnknownOperator("pools over sequences")
    largest = node.type == "MaxPool"
    x, padding = w.padded(node, kernel, strides, [1, 1], -3.4e38 if largest else 0.0)
    fields = dict(
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=kernel[0],
        filterWidth=kernel[1],
    )
    pads = a.get("pads", [0, 0, 0, 0])
    y = w.value(node.output)
    if largest or padding == SAME or not any(pads) or a.get("count_include_pad", 0):
        w.emit("MAX_POOL_2D" if largest else "AVERAGE_POOL_2D", [x], [y], "Pool2DOptions", **fields)
        return
    # The zeros of the padding were averaged too: scaled back, place by place.
    mean = w.tensor(f"{node.output}.mean", w.layout(node.output))
    w.emit("AVERAGE_POOL_2D", [x], [mean], "Pool2DOptions", **fields)

    def inside(size, out, k, s, begin):
        starts = numpy.arange(out) * s - begin
        return numpy.minimum(starts + k, size) - numpy.maximum(starts, 0)

    sizes, outs = w.shapes[node.inputs[0]][2:], w.shapes[node.output][2:]
    rows, columns = (
        inside(size, out, k, s, begin)
        for size, out, k, s, begin in zip(sizes, outs, kernel, strides, pads)
    )
    counts = numpy.outer(rows, columns)[None, :, :, None]
    factor = w.constant(f"{node.output}.factor", (kernel[0] * kernel[1] / counts).astype("f4"))
    w.emit("MUL", [mean, factor], [y], "MulOptions")


def global_pool(w, node):
    axes = w.constant(f"{node.output}.axes", numpy.array([1, 2], "i4"))
    code = {"GlobalAveragePool": "MEAN", "GlobalMaxPool": "REDUCE_MAX"}[node.type]
    inputs = [w.value(node.inputs[0]), axes]
    w.emit(code, inputs, [w.value(node.output)], "ReducerOptions", keepDims=True)


def flatten(w, node):
    name = node.inputs[0]
    x, shape = w.value(name), w.shapes[name]
    if len(shape) == 4 and shape[2] * shape[3] > 1:
        # The order of features is that of maps with channels first.
        order = w.constant(f"{node.output}.order", numpy.array([0, 3, 1, 2], "i4"))
        first = w.tensor(f"{node.output}.first", shape)
        w.emit("TRANSPOSE", [x, order], [first], "TransposeOptions")
        x = first
    target = numpy.array(w.shapes[node.output], "i4")
    inputs = [x, w.constant(f"{node.output}.shape", target)]
    w.emit("RESHAPE", inputs, [w.value(node.output)], "ReshapeOptions", newShape=list(target))


def gemm(w, node):
    weights = w.constants[node.inputs[1]]
    if not node.attributes.get("transB", 0):
        weights = weights.T
    bias = w.constants[node.inputs[2]] if len(node.inputs) > 2 else numpy.zeros(len(weights), "f4")
    inputs = [
        w.value(node.inputs[0]),
        w.constant(f"{node.output}.weights", weights),
        w.constant(f"{node.output}.biases", bias),
    ]
    fused = dict(fusedActivationFunction=node.fused)
    w.emit("FULLY_CONNECTED", inputs, [w.value(node.output)], "FullyConnectedOptions", **fused)


def binary(w, node, code, inputs, output):
    fused = dict(fusedActivationFunction=node.fused)
    w.emit(code, inputs, [output], OPTIONS[code] + "Options", **fused)


def batch_norm(w, node):
    factor, offset = affine(node, w.constants)
    scaled = w.tensor(f"{node.output}.scaled", w.layout(node.output))
    inputs = [w.value(node.inputs[0]), w.constant(f"{node.output}.factor", factor)]
    binary(w, node, "MUL", inputs, scaled)
    inputs = [scaled, w.constant(f"{node.output}.offset", offset)]
    binary(w, node, "ADD", inputs, w.value(node.output))


def hard_sigmoid(w, node):
    # relu6(6 (a x + b)) / 6
    number = lambda part, v: w.constant(f"{node.output}.{part}", numpy.array([v], "f4"))
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    scaled = w.tensor(f"{node.output}.scaled", w.layout(node.output))
    binary(w, node, "MUL", [w.value(node.inputs[0]), number("slope", 6 * alpha)], scaled)
    bounded = w.tensor(f"{node.output}.bounded", w.layout(node.output))
    node.fused = FUSED["Relu6"]
    binary(w, node, "ADD", [scaled, number("shift", 6 * beta)], bounded)
    node.fused = tfl.ActivationFunctionType.NONE
    binary(w, node, "MUL", [bounded, number("sixth", 1 / 6)], w.value(node.output))


def concat(w, node):
    axis = node.attributes["axis"]
    if len(w.shapes[node.output]) == 4:
        axis = [0, 3, 1, 2][axis]
    inputs = [w.value(i) for i in node.inputs]
    w.emit("CONCATENATION", inputs, [w.value(node.output)], "ConcatenationOptions", axis=axis)


def convert(path):
    """The model as TFLite."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.input, *graph.value_info, *graph.output)
    }
    source, result = graph.input[0].name, graph.output[0].name
    nodes = [Node(n) for n in graph.node]
    simplify(nodes, constants, result)
    w = Writer(shapes, constants)
    first = w.value(source)
    for node in nodes:
        kind = node.type
        if kind == "Conv":
            conv(w, node)
        elif kind in ("MaxPool", "AveragePool"):
            pool(w, node)
        elif kind in ("GlobalAveragePool", "GlobalMaxPool"):
            global_pool(w, node)
        elif kind == "Gemm":
            gemm(w, node)
        elif kind == "Flatten":
            flatten(w, node)
        elif kind == "Concat":
            concat(w, node)
        elif kind == "BatchNormalization":
            batch_norm(w, node)
        elif kind == "HardSigmoid":
            hard_sigmoid(w, node)
        elif kind == "Gelu":
            w.emit("GELU", [w.value(node.inputs[0])], [w.value(node.output)], "GeluOptions")
        elif kind in BINARY:
            binary(w, node, BINARY[kind], [w.value(i) for i in node.inputs], w.value(node.output))
        elif kind in UNARY:
            w.emit(UNARY[kind], [w.value(node.inputs[0])], [w.value(node.output)])
        else:
            raise UnknownOperator(kind)
    return w.model([first], [w.value(result)])
