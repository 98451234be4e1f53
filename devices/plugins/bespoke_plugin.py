"""The protocol's side of a bespoke plugin (docs/plugins.md), for engines that
Python can reach. Derive from Plugin, then call serve(). Standard library only,
apart from numpy where an engine uses `Input.array`.
"""

import gc
import json
import os
import sys
import time

PROTOCOL = 1


class Unsupported(Exception):
    """The engine lacks an operator, or cannot take the batch or the threads."""

    kind = "unsupported"


class Limit(Exception):
    """The network exceeds what the device can hold."""

    kind = "limit"


class LoadError(Exception):
    """The network cannot be loaded for any other reason."""

    kind = "load"


class RunError(Exception):
    """A loaded network cannot be run."""

    kind = "run"


class Input:
    """Numbers for the network's only input, batch first."""

    def __init__(self, description):
        self.path = description["path"]
        self.dims = description["dims"]
        self.dtype = description["dtype"]

    def array(self):
        """As a numpy array."""
        import numpy

        little_endian = {"float32": "<f4", "int64": "<i8"}[self.dtype]
        return numpy.fromfile(self.path, dtype=little_endian).reshape(self.dims)


class Session:
    """A loaded network with its input. `run` is all that is timed; `output`
    returns what it computes as a numpy array, for the comparison with another
    engine. `load_ms` is the engine's own loading, without conversions that a
    deployment would have done beforehand."""

    load_ms = None

    def run(self):
        raise NotImplementedError

    def samples_ms(self, runs):
        """Milliseconds of each of so many consecutive runs."""
        run = self.run
        clock = time.perf_counter_ns
        samples = []
        for _ in range(runs):
            start = clock()
            run()
            samples.append((clock() - start) / 1e6)
        return samples

    def output(self):
        raise NotImplementedError

    def energy_mj(self, runs):
        """Millijoules of one inference, from a meter of your own."""
        raise NotImplementedError

    def memory(self):
        """(bytes before loading, peak bytes), where the network does not run in
        this process."""
        raise NotImplementedError

    def close(self):
        """The network is not needed any more."""


class Plugin:
    """An engine. `offers` lists the optional commands that it answers: facts,
    output, energy, memory."""

    name = ""
    offers = ["output"]
    # Whether latencies are computed by a model of a device.
    simulated = False

    def version(self):
        return ""

    def limits(self, limits):
        """The limits in the device's profile: latency_ms, sram_bytes,
        flash_bytes, each a number or None."""

    def facts(self):
        """A dictionary of what the device says of itself."""
        raise NotImplementedError

    def load(self, onnx, input, batch, threads):
        """Loads the ONNX file at this path; returns a Session. Both files are
        gone when it has returned."""
        raise NotImplementedError


def answer(plugin, sessions, request):
    command = request["command"]
    if command == "hello":
        plugin.limits(request.get("limits") or {})
        return {
            "protocol": PROTOCOL,
            "name": plugin.name,
            "version": plugin.version(),
            "offers": plugin.offers,
            "simulated": plugin.simulated,
        }
    if command == "facts" and "facts" in plugin.offers:
        return plugin.facts()
    if command == "load":
        start = time.perf_counter()
        try:
            session = plugin.load(
                request["onnx"], Input(request["input"]), request["batch"], request["threads"]
            )
        except (Unsupported, Limit, LoadError):
            raise
        except Exception as error:
            raise LoadError(f"{type(error).__name__}: {error}") from error
        waited = 1e3 * (time.perf_counter() - start)
        sessions[request["session"]] = session
        return {"load_ms": waited if session.load_ms is None else session.load_ms}
    if command not in ("run", "output", "energy", "memory", "unload") or (
        command in ("output", "energy", "memory") and command not in plugin.offers
    ):
        raise RunError(f"there is no command {command}")
    if request["session"] not in sessions:
        raise RunError(f"there is no session {request['session']}")
    if command == "unload":
        sessions.pop(request["session"]).close()
        gc.collect()
        return {}
    session = sessions[request["session"]]
    if command == "run":
        # A collection in the middle of a run would be taken for the engine's.
        gc.disable()
        try:
            return {"samples_ms": session.samples_ms(request["runs"])}
        finally:
            gc.enable()
    if command == "output":
        import numpy

        output = numpy.ascontiguousarray(session.output(), dtype="<f4")
        output.tofile(request["path"])
        return {"dims": list(output.shape)}
    if command == "energy":
        return {"energy_mj": session.energy_mj(request["runs"])}
    before, peak = session.memory()
    return {"before_bytes": before, "peak_bytes": peak}


def serve(plugin):
    """Answers requests until standard input ends."""
    # Engines print: whatever they write to standard output goes to standard
    # error instead, whose end bespoke shows when something fails.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sessions = {}
    for line in sys.stdin:
        request = json.loads(line)
        reply = {"id": request["id"]}
        try:
            reply["ok"] = answer(plugin, sessions, request)
        except (Unsupported, Limit, LoadError, RunError) as error:
            reply["error"] = {"kind": error.kind, "message": str(error)}
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            reply["error"] = {"kind": "run", "message": message}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    # Some engines take seconds to put away what the process's end frees anyway.
    os._exit(0)
