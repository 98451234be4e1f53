"""A model of a microcontroller-class device, for where no board is at hand. It
computes latencies from the ONNX graph (PyPI: onnx) and checks the device's
limits; it runs nothing.

The model, for networks quantised to 8 bits as such devices run them:

- A layer takes as long as the longer of its arithmetic and its traffic
  (roofline, Williams et al. 2009), and a fixed number of cycles to be called.
- Arithmetic: multiply-accumulates over a rate, in MACs a cycle, that depends on
  the kind of layer; other operators cost cycles an element of their output.
- Traffic: weights are read from flash once a layer, activations from and to
  SRAM once each, at a rate in bytes a cycle.
- Convolutions absorb the batch normalisation and the activation after them.
- SRAM holds the greatest sum of live activations in the order of the graph,
  and a scratch buffer of two input patches of the largest convolution
  (im2col). Flash holds weights (1 byte each), biases (4) and 64 bytes a layer.

The rates are assumptions. Those of the Cortex-M4 are set so that the four
networks of MLPerf Tiny take about what Krai published of a NUCLEO-L4R5ZI with
X-CUBE-AI 8.0 (github.com/mlcommons/tiny_results_v1.1, closed/Krai): the one of
convolutions follows from ResNet-8, the one of linear layers from the
autoencoder. Its figures do not tell pointwise from depthwise convolutions, so the
latter are assumed to take twice the cycles a MAC. A Cortex-M7 is assumed to do 1.8
times as much in a cycle, whatever it does. compare_mcu.py prints how far off that
is, by board and network. Other software on the same board differs by more:
relative latencies are to be trusted more than absolute ones. Change the rates with
--set NAME=VALUE.
"""

import sys

import onnx
from bespoke_plugin import Limit, LoadError, Plugin, Session, Unsupported, serve

# Frequency in MHz; the rest as described above.
DEVICES = {
    "cortex-m4": dict(
        mhz=80.0,
        macs_per_cycle_conv=0.48,
        macs_per_cycle_pointwise=0.31,
        macs_per_cycle_depthwise=0.15,
        macs_per_cycle_linear=0.30,
        cycles_per_element=4.0,
        sram_bytes_per_cycle=4.0,
        flash_bytes_per_cycle=2.0,
        cycles_per_layer=2000.0,
    ),
    # Dual issue and caches.
    "cortex-m7": dict(
        mhz=216.0,
        macs_per_cycle_conv=0.86,
        macs_per_cycle_pointwise=0.56,
        macs_per_cycle_depthwise=0.27,
        macs_per_cycle_linear=0.54,
        cycles_per_element=2.5,
        sram_bytes_per_cycle=8.0,
        flash_bytes_per_cycle=4.0,
        cycles_per_layer=1500.0,
    ),
}

# Nothing is computed: the next layer reads the same bytes.
FREE = {"Flatten", "Identity", "Reshape"}
# Absorbed by the convolution or sum before them.
ABSORBED = {"BatchNormalization", "Relu", "Clip"}
# Cycles an element, relative to an addition.
ELEMENTWISE = {
    "Add": 1.0,
    "Sub": 1.0,
    "Mul": 1.0,
    "Div": 4.0,
    "Relu": 0.5,
    "Clip": 0.5,
    "BatchNormalization": 1.5,
    "HardSwish": 2.0,
    "HardSigmoid": 1.5,
    # From tables of 256 entries.
    "Sigmoid": 2.0,
    "Tanh": 2.0,
    "Erf": 2.0,
    "Concat": 0.5,
}


class Layer:
    def __init__(self, macs=0.0, rate="", elements=0.0, cost=0.0, sram=0.0, flash=0.0):
        self.macs, self.rate = macs, rate
        self.elements, self.cost = elements, cost
        self.sram, self.flash = sram, flash

    def cycles(self, device):
        arithmetic = self.elements * self.cost * device["cycles_per_element"]
        if self.macs:
            arithmetic += self.macs / device["macs_per_cycle_" + self.rate]
        traffic = self.sram / device["sram_bytes_per_cycle"]
        traffic += self.flash / device["flash_bytes_per_cycle"]
        return max(arithmetic, traffic) + device["cycles_per_layer"]


def product(dims):
    result = 1
    for dim in dims:
        result *= dim
    return result


class Graph:
    def __init__(self, path):
        graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
        self.nodes = list(graph.node)
        self.weights = {t.name: list(t.dims) for t in graph.initializer}
        self.shapes = {
            v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in (*graph.input, *graph.value_info, *graph.output)
        }
        self.inputs = [v.name for v in graph.input]
        self.outputs = [v.name for v in graph.output]
        self.uses = {}
        for node in self.nodes:
            for name in node.input:
                self.uses.setdefault(name, []).append(node)
        # A tensor that is another one in place has that one's name here.
        self.place = {}
        self.scratch = 0
        self.flash = 0
        self.layers = [layer for layer in map(self.layer, self.nodes) if layer]

    def size(self, name):
        return product(self.shapes[name])

    def home(self, name):
        return self.place.get(name, name)

    def layer(self, node):
        kind, out = node.op_type, node.output[0]
        data = [i for i in node.input if i and i not in self.weights]
        weights = [self.weights[i] for i in node.input if i in self.weights]
        sram = sum(self.size(i) for i in data) + self.size(out)
        if kind in FREE:
            self.place[out] = self.home(data[0])
            return None
        if kind in ABSORBED and self.absorbed(data[0]):
            self.place[out] = self.home(data[0])
            return None
        if kind in ("Conv", "Gemm"):
            flash = product(weights[0]) + sum(4 * product(w) for w in weights[1:])
            self.flash += flash
            if kind == "Gemm":
                return Layer(product(weights[0]), "linear", sram=sram, flash=flash)
            patch = product(weights[0][1:])
            # Two patches of 16-bit values, as the kernels for 8 bits unpack them.
            self.scratch = max(self.scratch, 2 * 2 * patch)
            rate = "conv"
            if patch == product(weights[0][2:]) and weights[0][0] > 1 and self.group(node) > 1:
                rate = "depthwise"
            elif product(weights[0][2:]) == 1:
                rate = "pointwise"
            return Layer(patch * self.size(out), rate, sram=sram, flash=flash)
        if kind in ("MaxPool", "AveragePool"):
            window = product(next(a.ints for a in node.attribute if a.name == "kernel_shape"))
            return Layer(elements=window * self.size(out), cost=0.5, sram=sram)
        if kind in ("GlobalAveragePool", "GlobalMaxPool"):
            return Layer(elements=self.size(data[0]), cost=0.5, sram=sram)
        if kind in ELEMENTWISE:
            self.flash += sum(4 * product(w) for w in weights)
            return Layer(elements=self.size(out), cost=ELEMENTWISE[kind], sram=sram)
        raise Unsupported(f"the operator {kind}: the model has no cost for it")

    @staticmethod
    def group(node):
        return next((a.i for a in node.attribute if a.name == "group"), 1)

    def absorbed(self, name):
        """Whether only this operator reads what a layer wrote."""
        written = any(n.output[0] == self.home(name) for n in self.nodes)
        makers = [n for n in self.nodes if n.output[0] == name]
        fits = makers and makers[0].op_type in {"Conv", "Gemm", "Add", *ABSORBED}
        return written and fits and len(self.uses[name]) == 1 and name not in self.outputs

    def peak_activations(self):
        """The greatest sum of live tensors, in bytes of 8-bit activations."""
        last = {}
        for at, node in enumerate(self.nodes):
            for name in node.input:
                if name not in self.weights:
                    last[self.home(name)] = at
        for name in self.outputs:
            last[self.home(name)] = len(self.nodes)
        live = {name: self.size(name) for name in self.inputs}
        peak = sum(live.values())
        for at, node in enumerate(self.nodes):
            out = self.home(node.output[0])
            live.setdefault(out, self.size(out))
            peak = max(peak, sum(live.values()))
            live = {name: size for name, size in live.items() if last.get(name, at) > at}
        return peak


def kib(size):
    return f"{size / 1024:.1f} KiB"


class Mcu(Plugin):
    simulated = True
    offers = ["facts", "memory"]

    def __init__(self, name, device):
        self.name = f"mcu-{name}"
        self.model = name
        self.device = device
        self.sram = self.flash = None

    def version(self):
        return "2"

    def limits(self, limits):
        self.sram = limits.get("sram_bytes")
        self.flash = limits.get("flash_bytes")

    def facts(self):
        return {
            "cpu_model": f"{self.model} at {self.device['mhz']:g} MHz (simulated)",
            "architecture": "thumbv7em",
            "logical_cores": 1,
            "physical_cores": 1,
            "memory_bytes": self.sram,
        }

    def load(self, onnx_path, input, batch, threads):
        if batch != 1 or threads != 1:
            raise Unsupported("more than one sample or thread: it has one core")
        try:
            graph = Graph(onnx_path)
        except Unsupported:
            raise
        except Exception as error:
            raise LoadError(f"no ONNX model that it understands: {error}") from error
        sram = graph.peak_activations() + graph.scratch
        flash = graph.flash + 64 * len(graph.layers)
        for what, needed, limit in (("SRAM", sram, self.sram), ("flash", flash, self.flash)):
            if limit is not None and needed > limit:
                raise Limit(f"it needs {kib(needed)} of {what}, and the device has {kib(limit)}")
        cycles = sum(layer.cycles(self.device) for layer in graph.layers)
        return Loaded(cycles / (1e3 * self.device["mhz"]), sram)


class Loaded(Session):
    load_ms = 0.0

    def __init__(self, latency_ms, sram):
        self.latency_ms = latency_ms
        self.sram = sram

    def samples_ms(self, runs):
        return [self.latency_ms] * runs

    def memory(self):
        return 0, self.sram


def main(arguments):
    name = "cortex-m7"
    changes = []
    while arguments:
        flag, value = arguments[0], arguments[1] if len(arguments) > 1 else ""
        if flag == "--device" and value in DEVICES:
            name = value
        elif flag == "--set" and value.partition("=")[0] in DEVICES[name]:
            field, _, number = value.partition("=")
            changes.append((field, float(number)))
        else:
            sys.exit(
                f"simulate_mcu.py: {flag} {value}: use --device {' or '.join(DEVICES)}, "
                f"--set {' or '.join(DEVICES[name])}=NUMBER"
            )
        arguments = arguments[2:]
    serve(Mcu(name, {**DEVICES[name], **dict(changes)}))


if __name__ == "__main__":
    main(sys.argv[1:])
