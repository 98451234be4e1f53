"""Runs exported models under onnxruntime and compares them with what the
exporting side expects.

usage: onnx_check.py DIR

For every CASE.json in DIR, holding {"input_dims": [...], "output_dims": [...]},
reads CASE.onnx and the raw little-endian 32-bit floats CASE.input.bin and
CASE.expected.bin. Prints one JSON object a case: its name, the greatest absolute
difference, the greatest expected magnitude, the output's shape, the model's
operator types and whether onnx.checker accepted it (null where the onnx package
is absent).
"""

import json
import pathlib
import sys

import numpy
import onnxruntime

try:
    import onnx
except ImportError:
    onnx = None


def inspect(path):
    """Operator types and the checker's verdict, or nulls without onnx."""
    if onnx is None:
        return None, None
    model = onnx.load(path)
    try:
        onnx.checker.check_model(model, full_check=True)
        verdict = "accepted"
    except Exception as error:
        verdict = str(error)
    return sorted({node.op_type for node in model.graph.node}), verdict


def check(case):
    dims = json.loads(case.read_text())
    stem = case.with_suffix("")
    data = numpy.fromfile(f"{stem}.input.bin", dtype="<f4").reshape(dims["input_dims"])
    expected = numpy.fromfile(f"{stem}.expected.bin", dtype="<f4").reshape(dims["output_dims"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        f"{stem}.onnx", options, providers=["CPUExecutionProvider"]
    )
    (declared,) = session.get_inputs()
    if declared.type == "tensor(int64)":
        data = data.astype("int64")
    (output,) = session.run(None, {declared.name: data})
    operators, verdict = inspect(f"{stem}.onnx")
    same_shape = output.shape == expected.shape
    return {
        "case": stem.name,
        "max_abs_diff": float(numpy.abs(output - expected).max()) if same_shape else None,
        "max_abs": float(numpy.abs(expected).max()),
        "shape": list(output.shape),
        "operators": operators,
        "checker": verdict,
    }


def main():
    for case in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
        print(json.dumps(check(case)))


if __name__ == "__main__":
    main()
