"""ONNX Runtime (PyPI: onnxruntime) on the CPU."""

import time

import onnxruntime
from bespoke_plugin import LoadError, Plugin, Session, Unsupported, serve


class OnnxRuntime(Plugin):
    name = "onnxruntime"

    def version(self):
        return onnxruntime.__version__

    def load(self, onnx, input, batch, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        start = time.perf_counter()
        try:
            session = onnxruntime.InferenceSession(
                onnx, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            missing = type(error).__name__ == "NotImplemented"
            raise (Unsupported if missing else LoadError)(str(error)) from error
        load_ms = 1e3 * (time.perf_counter() - start)
        return Loaded(session, input.array(), load_ms)


class Loaded(Session):
    def __init__(self, session, data, load_ms):
        self.session = session
        self.load_ms = load_ms
        # Bound once, so that no run copies the input or looks up names.
        self.binding = session.io_binding()
        self.binding.bind_cpu_input(session.get_inputs()[0].name, data)
        self.binding.bind_output(session.get_outputs()[0].name)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def output(self):
        self.run()
        return self.binding.copy_outputs_to_cpu()[0]


serve(OnnxRuntime())
