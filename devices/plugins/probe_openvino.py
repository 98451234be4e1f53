"""OpenVINO (PyPI: openvino) on the CPU, in 32-bit floats."""

import time

import openvino
from bespoke_plugin import LoadError, Plugin, Session, Unsupported, serve


class OpenVino(Plugin):
    name = "openvino"

    def __init__(self):
        self.core = openvino.Core()

    def version(self):
        return openvino.__version__

    def load(self, onnx, input, batch, threads):
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Some CPUs would otherwise compute in 16 bits.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        start = time.perf_counter()
        try:
            model = self.core.read_model(onnx)
            compiled = self.core.compile_model(model, "CPU", config)
        except Exception as error:
            missing = "conversion is not supported" in str(error) or "No conversion rule" in str(error)
            raise (Unsupported if missing else LoadError)(str(error)) from error
        load_ms = 1e3 * (time.perf_counter() - start)
        return Loaded(compiled, input.array(), load_ms)


class Loaded(Session):
    def __init__(self, compiled, data, load_ms):
        self.load_ms = load_ms
        self.request = compiled.create_infer_request()
        # Shared memory: the input is not copied in each run.
        self.input = openvino.Tensor(data, shared_memory=True)
        self.request.set_input_tensor(self.input)

    def run(self):
        self.request.infer()

    def output(self):
        self.run()
        return self.request.get_output_tensor().data.copy()


serve(OpenVino())
