"""A plugin to start from. It works as it is, with the reference evaluator of
the onnx package (PyPI: onnx, slow and exact): put your engine in its place
wherever a comment says so, then try it with `bespoke device test`.
"""

import onnx
from bespoke_plugin import LoadError, Plugin, Session, Unsupported, serve
from onnx.reference import ReferenceEvaluator


class Template(Plugin):
    # Under this name measurements are filed.
    name = "template"

    def version(self):
        # Your engine's version.
        return onnx.__version__

    def load(self, onnx_path, input, batch, threads):
        if threads != 1:
            raise Unsupported(f"{threads} threads: it runs on one")
        # Whatever your engine does once at start-up. Raise Unsupported for an
        # operator that it lacks and LoadError for what is no model; anything
        # else that is raised here counts as LoadError too.
        try:
            evaluator = ReferenceEvaluator(onnx_path)
        except NotImplementedError as error:
            raise Unsupported(str(error)) from error
        except Exception as error:
            raise LoadError(str(error)) from error
        return Loaded(evaluator, input.array())


class Loaded(Session):
    def __init__(self, evaluator, data):
        self.evaluator = evaluator
        self.inputs = {evaluator.input_names[0]: data}

    def run(self):
        # One inference, no more: this is what is timed. It must not return
        # before the output is computed.
        self.evaluator.run(None, self.inputs)

    def output(self):
        # What the network computes, as a numpy array with the batch first: it is
        # compared with another engine's. Leave it out, and "output" out of
        # `offers`, if your engine cannot tell.
        return self.evaluator.run(None, self.inputs)[0]


serve(Template())
