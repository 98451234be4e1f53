#!/bin/sh
# Makes .venv with the Python packages that some tests compare against. The
# tests skip, with a message, where it is absent.
set -eu
cd "$(dirname "$0")/.."
python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --requirement tests/python/requirements.txt
.venv/bin/python -c 'import onnx, onnxruntime; print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)'
