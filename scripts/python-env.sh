#!/bin/sh
# Makes .venv with the Python packages that some tests compare against, and the
# engines that the plugins in devices/plugins run. The tests skip, with a message,
# where they are absent. `scripts/python-env.sh --torch` adds PyTorch (4 GB).
set -eu
cd "$(dirname "$0")/.."
python3 -m venv .venv
install() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
}
install --requirement tests/python/requirements.txt
.venv/bin/python -c 'import onnx, onnxruntime; print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)'
# What exported runs are read with.
install --requirement tests/python/exports.txt || echo '*** SKIPPED: pandas, pyarrow, optuna or mlflow-skinny cannot be installed ***' >&2
# Engines that have no wheel for this machine are left out.
install --requirement tests/python/engines.txt || echo '*** SKIPPED: some engines cannot be installed ***' >&2
# Only pnnx's program is used; what it depends on is PyTorch, for its Python side.
install --no-deps --requirement tests/python/pnnx.txt || echo '*** SKIPPED: pnnx cannot be installed ***' >&2
if [ "${1:-}" = --torch ]; then
    install --requirement tests/python/torch.txt
fi
