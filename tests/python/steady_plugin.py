"""A device whose latencies follow from the size of the model alone, so that
searches for it can be compared to the last bit. Standard library only."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "devices" / "plugins"))

from bespoke_plugin import Plugin, Session, serve


class Steady(Session):
    load_ms = 0.0

    def __init__(self, latency_ms):
        self.latency_ms = latency_ms

    def samples_ms(self, runs):
        return [self.latency_ms] * runs


class Device(Plugin):
    name = "steady"
    simulated = True
    offers = []

    def version(self):
        return "1"

    def load(self, onnx_path, input, batch, threads):
        return Steady(0.05 + os.path.getsize(onnx_path) / 1e6)


serve(Device())
