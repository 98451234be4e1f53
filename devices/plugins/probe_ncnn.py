"""ncnn (PyPI: ncnn), with networks converted by pnnx (PyPI: pnnx, of which only
its program is used, so that PyTorch need not be there)."""

import importlib.util
import pathlib
import subprocess
import tempfile
import time

import ncnn
import numpy
from bespoke_plugin import LoadError, Plugin, Session, Unsupported, serve


class Ncnn(Plugin):
    name = "ncnn"

    def version(self):
        return ncnn.__version__

    def load(self, onnx, input, batch, threads):
        if batch != 1:
            raise Unsupported(f"a batch of {batch}: its tensors have no batch")
        with tempfile.TemporaryDirectory() as directory:
            param, weights = convert(onnx, input, pathlib.Path(directory))
            net = ncnn.Net()
            net.opt.num_threads = threads
            net.opt.use_vulkan_compute = False
            # 32-bit floats as everywhere else.
            net.opt.use_fp16_packed = False
            net.opt.use_fp16_storage = False
            net.opt.use_fp16_arithmetic = False
            net.opt.use_bf16_storage = False
            start = time.perf_counter()
            if net.load_param(str(param)) != 0:
                raise Unsupported("a layer that pnnx writes: ncnn cannot load it")
            if net.load_model(str(weights)) != 0:
                raise LoadError("ncnn cannot load the converted weights")
            load_ms = 1e3 * (time.perf_counter() - start)
        return Loaded(net, input.array()[0], load_ms)


def convert(onnx, input, directory):
    package = importlib.util.find_spec("pnnx").submodule_search_locations[0]
    model = directory / "model.onnx"
    model.write_bytes(pathlib.Path(onnx).read_bytes())
    kind = {"float32": "f32", "int64": "i64"}[input.dtype]
    shape = "[" + ",".join(map(str, input.dims)) + "]" + kind
    param, weights = directory / "model.ncnn.param", directory / "model.ncnn.bin"
    done = subprocess.run(
        [f"{package}/pnnx", model, f"inputshape={shape}", "fp16=0"],
        cwd=directory,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode != 0 or not param.exists():
        lines = (done.stderr + done.stdout).strip().splitlines()
        raise LoadError("pnnx cannot convert it: " + " / ".join(lines[-3:]))
    lines = param.read_text().splitlines()[2:]
    # What pnnx knows no ncnn layer for, it writes with its own name.
    foreign = sorted({line.split()[0] for line in lines if "." in line.split()[0]})
    if foreign:
        raise Unsupported(f"the operators {', '.join(foreign)}")
    return param, weights


class Loaded(Session):
    def __init__(self, net, data, load_ms):
        self.net = net
        self.load_ms = load_ms
        self.data = numpy.ascontiguousarray(data)
        self.input = ncnn.Mat(self.data)
        self.input_name = net.input_names()[0]
        self.output_name = net.output_names()[0]

    def extract(self):
        extractor = self.net.create_extractor()
        extractor.input(self.input_name, self.input)
        code, output = extractor.extract(self.output_name)
        if code != 0:
            raise RuntimeError(f"ncnn ended with {code}")
        return output

    def run(self):
        self.extract()

    def output(self):
        return numpy.array(self.extract())[None]


serve(Ncnn())
