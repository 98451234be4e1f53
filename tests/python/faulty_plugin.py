"""A plugin that keeps to the protocol except in the one way that its argument
names. Without one it is a device on which every run takes 2 ms."""

import json
import subprocess
import sys
import time

mode = sys.argv[1] if len(sys.argv) > 1 else ""


def send(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if mode == "exits":
    sys.stderr.write("the board is not plugged in\n")
    sys.exit(3)

loads = 0
for line in sys.stdin:
    request = json.loads(line)
    command, number = request["command"], request["id"]

    def ok(value):
        send(json.dumps({"id": number, "ok": value}))

    def error(kind, message):
        send(json.dumps({"id": number, "error": {"kind": kind, "message": message}}))

    if command == "hello":
        if mode == "greets-with-a-banner":
            send("Loading the engine, please wait")
        protocol = 99 if mode == "another-version" else 1
        ok({"protocol": protocol, "name": "faulty", "version": "1", "offers": [], "simulated": mode == "simulates"})
    elif command == "load":
        loads += 1
        if mode == "lacks-an-operator":
            error("unsupported", "the operator GroupNorm")
        elif mode == "limits":
            error("limit", "600 KiB of activations, but the device has 512 KiB")
        elif mode == "hangs-after-a-load" and loads == 1:
            # With a child, which must not be left over either.
            subprocess.run([sys.executable, "-c", "import time; time.sleep(1000)"])
        elif mode == "hangs-for-an-agent":
            # The child's arguments tell whose it is.
            sleep = "import time; time.sleep(1000)"
            subprocess.run([sys.executable, "-c", sleep, "faulty_plugin.py", mode])
        elif mode == "takes-memory":
            taken = b"x" * (400 << 20)
            time.sleep(30)
        else:
            ok({"load_ms": 0.5})
    elif command == "run":
        runs = request["runs"]
        sample = 2.0
        if mode == "crashes":
            sys.stderr.write("Segmentation fault, almost\n")
            sys.exit(4)
        if mode == "hangs":
            time.sleep(1000)
        if mode == "prints-rubbish":
            send("[debug] running")
        elif mode == "prints-a-nan":
            send('{"id": %d, "ok": {"samples_ms": [NaN]}}' % number)
        elif mode == "floods":
            send("x" * (3 << 20))
        elif mode == "answers-another":
            number += 1
            ok({"samples_ms": [sample] * runs})
        elif mode == "miscounts":
            ok({"samples_ms": [sample] * (runs + 1)})
        elif mode == "answers-nothing":
            send(json.dumps({"id": number}))
        elif mode == "fails-to-run":
            error("run", "out of scratch memory")
        else:
            if mode == "simulates":
                ok({"samples_ms": [5000.0] * runs})
                continue
            start = time.perf_counter()
            while time.perf_counter() - start < 1e-3 * sample * runs:
                pass
            scripted = {"null": None, "negative": -1.0, "zero": 0.0, "absurd": 1e9, "seconds": 2e-3}
            ok({"samples_ms": [scripted.get(mode, sample)] * runs})
    elif command == "unload":
        ok({})
    else:
        error("run", f"there is no command {command}")
