"""PyTorch (PyPI: torch, with onnx2torch for the conversion) on the CPU: eager
mode or, with `--script`, traced and frozen TorchScript."""

import sys
import time

import onnx as onnx_format
import torch
from bespoke_plugin import LoadError, Plugin, Session, Unsupported, serve
from onnx2torch import convert


class PyTorch(Plugin):
    script = "--script" in sys.argv
    name = "torch-script" if script else "torch"

    def version(self):
        return torch.__version__

    def load(self, onnx, input, batch, threads):
        torch.set_num_threads(threads)
        try:
            graph = onnx_format.load(onnx)
        except Exception as error:
            raise LoadError(f"not an ONNX model: {error}") from error
        try:
            module = convert(graph).eval()
        except NotImplementedError as error:
            raise Unsupported(str(error)) from error
        data = torch.from_numpy(input.array())
        start = time.perf_counter()
        if self.script:
            with torch.inference_mode():
                module = torch.jit.optimize_for_inference(torch.jit.trace(module, data))
        load_ms = 1e3 * (time.perf_counter() - start)
        return Loaded(module, data, load_ms)


class Loaded(Session):
    def __init__(self, module, data, load_ms):
        self.module = module
        self.data = data
        self.load_ms = load_ms

    def run(self):
        with torch.inference_mode():
            self.module(self.data)

    def output(self):
        with torch.inference_mode():
            return self.module(self.data).numpy()


serve(PyTorch())
