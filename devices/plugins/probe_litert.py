"""LiteRT, once TensorFlow Lite (PyPI: ai-edge-litert, with onnx for the
conversion), with its XNNPACK delegate on the CPU. onnx_to_tflite.py converts
convolutional networks; sequences are refused."""

import importlib.metadata
import time

import numpy
from ai_edge_litert.interpreter import Interpreter
from bespoke_plugin import LoadError, Plugin, Session, Unsupported, serve
from onnx_to_tflite import UnknownOperator, convert


class LiteRt(Plugin):
    name = "litert"

    def version(self):
        return importlib.metadata.version("ai-edge-litert")

    def load(self, onnx, input, batch, threads):
        try:
            model = convert(onnx)
        except UnknownOperator as error:
            raise Unsupported(f"{error}: the converter does not know it") from error
        data = input.array()
        if data.ndim == 4:
            # As a deployment would have its images: channels last.
            data = numpy.ascontiguousarray(data.transpose(0, 2, 3, 1))
        start = time.perf_counter()
        try:
            interpreter = Interpreter(model_content=model, num_threads=threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise LoadError(str(error)) from error
        load_ms = 1e3 * (time.perf_counter() - start)
        return Loaded(interpreter, data, load_ms)


class Loaded(Session):
    def __init__(self, interpreter, data, load_ms):
        self.interpreter = interpreter
        self.load_ms = load_ms
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], data)
        self.result = interpreter.get_output_details()[0]["index"]

    def run(self):
        self.interpreter.invoke()

    def output(self):
        self.run()
        output = self.interpreter.get_tensor(self.result)
        return output.transpose(0, 3, 1, 2) if output.ndim == 4 else output


serve(LiteRt())
