"""The simulated microcontroller beside published latencies of boards: the four
networks of MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597), which are built
here from their description, on the boards of Krai's submission to round 1.1
(https://github.com/mlcommons/tiny_results_v1.1, closed/Krai/results/README.md and
closed/Krai/systems). Prints a table.
"""

import math
import os
import sys
import tempfile

import onnx
from onnx import TensorProto, helper
from simulate_mcu import DEVICES, Graph

# Board, software, and inferences a second.
PUBLISHED = [
    (
        "NUCLEO-L4R5ZI (Cortex-M4, 120 MHz)",
        "microTVM with CMSIS-NN",
        ("cortex-m4", 120.0),
        {"ResNet-8": 2.567, "MobileNetV1": 3.324, "DS-CNN": 10.019, "autoencoder": 116.212},
    ),
    (
        "NUCLEO-L4R5ZI (Cortex-M4, 120 MHz)",
        "X-CUBE-AI 8.0",
        ("cortex-m4", 120.0),
        {"ResNet-8": 4.505, "MobileNetV1": 4.522, "DS-CNN": 13.759, "autoencoder": 131.950},
    ),
    (
        "NUCLEO-H7A3ZI-Q (Cortex-M7, 280 MHz)",
        "X-CUBE-AI 8.0",
        ("cortex-m7", 280.0),
        {"ResNet-8": 18.215, "MobileNetV1": 19.867, "DS-CNN": 60.988, "autoencoder": 547.234},
    ),
]


class Builder:
    """A network of one input, layer by layer; weights are zeros, which the model
    does not look at."""

    def __init__(self, *shape):
        self.nodes, self.weights = [], []
        self.shape = list(shape)
        self.input = self.here = "input"
        self.first_shape = [1, *shape]

    def add(self, kind, inputs, shape, **attributes):
        out = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        self.here, self.shape = out, list(shape)
        return self

    def weight(self, *dims):
        name = f"w{len(self.weights)}"
        zeros = [0.0] * math.prod(dims)
        self.weights.append(helper.make_tensor(name, TensorProto.FLOAT, dims, zeros))
        return name

    def conv(self, out, kernel, stride=1, groups=1):
        kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        channels, *sides = self.shape
        sides = [math.ceil(side / stride) for side in sides]
        weight = self.weight(out, channels // groups, *kernel)
        # Batch normalisation is folded into the bias, as on the boards.
        return self.add(
            "Conv",
            [self.here, weight, self.weight(out)],
            [out, *sides],
            kernel_shape=kernel,
            strides=[stride, stride],
            group=groups,
            auto_pad="SAME_UPPER",
        )

    def relu(self):
        return self.add("Relu", [self.here], self.shape)

    def dense(self, out):
        weight = self.weight(out, self.shape[0])
        return self.add("Gemm", [self.here, weight, self.weight(out)], [out], transB=1)

    def pooled(self):
        channels = self.shape[0]
        self.add("GlobalAveragePool", [self.here], [channels, 1, 1])
        return self.add("Flatten", [self.here], [channels])

    def save(self, path):
        value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(
            self.nodes,
            "network",
            [value("input", self.first_shape)],
            [value(self.here, [1, *self.shape])],
            self.weights,
        )
        onnx.save(helper.make_model(graph), path)


def resnet8():
    net = Builder(3, 32, 32).conv(16, 3).relu()
    for out, stride in ((16, 1), (32, 2), (64, 2)):
        before, shape = net.here, net.shape
        net.conv(out, 3, stride).relu().conv(out, 3)
        branch, made = net.here, net.shape
        if stride > 1:
            net.here, net.shape = before, shape
            net.conv(out, 1, stride)
            before = net.here
        net.add("Add", [branch, before], made).relu()
    return net.pooled().dense(10)


def mobilenet_v1():
    """Of width 0.25, on 96 x 96 pixels."""
    net = Builder(3, 96, 96).conv(8, 3, 2).relu()
    for out, stride in (
        (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2),
        (128, 1), (128, 1), (128, 1), (128, 1), (128, 1), (256, 2), (256, 1),
    ):
        channels = net.shape[0]
        net.conv(channels, 3, stride, channels).relu().conv(out, 1).relu()
    return net.pooled().dense(2)


def ds_cnn():
    net = Builder(1, 49, 10).conv(64, (10, 4), 2).relu()
    for _ in range(4):
        net.conv(64, 3, 1, 64).relu().conv(64, 1).relu()
    return net.pooled().dense(12)


def autoencoder():
    net = Builder(640)
    for out in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        net.dense(out).relu()
    return net.dense(640)


NETWORKS = {
    "ResNet-8": resnet8,
    "MobileNetV1": mobilenet_v1,
    "DS-CNN": ds_cnn,
    "autoencoder": autoencoder,
}


def graphs():
    with tempfile.TemporaryDirectory() as directory:
        for name, build in NETWORKS.items():
            path = os.path.join(directory, "network.onnx")
            build().save(path)
            yield name, Graph(path)


def main():
    built = dict(graphs())
    for name, graph in built.items():
        macs = sum(layer.macs for layer in graph.layers)
        print(f"{name}: {macs / 1e6:.2f} M MACs, {graph.flash / 1024:.0f} KiB of weights")
    for board, software, (device, mhz), published in PUBLISHED:
        print(f"\n{board}, {software}")
        print(f"{'network':12} {'published ms':>12} {'simulated ms':>12} {'ratio':>6}")
        rates = {**DEVICES[device], "mhz": mhz}
        ratios = []
        for name, rate in published.items():
            cycles = sum(layer.cycles(rates) for layer in built[name].layers)
            simulated, true = cycles / (1e3 * mhz), 1e3 / rate
            ratios.append(simulated / true)
            print(f"{name:12} {true:12.2f} {simulated:12.2f} {ratios[-1]:6.2f}")
        print(f"between {min(ratios):.2f} and {max(ratios):.2f} times the published latency")


if __name__ == "__main__":
    sys.exit(main())
