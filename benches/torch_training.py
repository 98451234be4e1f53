"""Times training steps of the networks that `bespoke bench training` times, in
PyTorch and in bespoke by turns, and prints both with their ratio.

The networks are built from the graphs that `bespoke bench training --export`
writes, of plain torch.nn operators. A step is forward, cross-entropy, backward
and SGD with Nesterov momentum, on batches of noise made beforehand, as ours is.
Each round times ours and then theirs, network by network; a figure is the
median over rounds. Of PyTorch's memory formats (channels first and last) and
ways to use the cores (one candidate with all threads, one candidate a thread)
the fastest counts, and so it does for ours.

Started by benches/compare_training.sh.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

BATCHES = 4
LEARNING_RATE = 0.01


def build(graph):
    """The network of an exported graph as a torch.nn.Module."""
    import torch
    from torch import nn
    from torch.nn import functional

    activations = {
        "relu": lambda: nn.ReLU(inplace=True),
        "relu6": lambda: nn.ReLU6(inplace=True),
        "hard_swish": lambda: nn.Hardswish(inplace=True),
        "hard_sigmoid": lambda: nn.Hardsigmoid(inplace=True),
        "sigmoid": nn.Sigmoid,
        "swish": lambda: nn.SiLU(inplace=True),
        "gelu": nn.GELU,
        "tanh": nn.Tanh,
    }

    class Add(nn.Module):
        def forward(self, first, *others):
            for other in others:
                first = first + other
            return first

    class Mul(nn.Module):
        def forward(self, a, b):
            return a * b

    class Concat(nn.Module):
        def forward(self, *parts):
            return torch.cat(parts, 1)

    class Zero(nn.Module):
        def __init__(self, stride):
            super().__init__()
            self.stride = stride

        def forward(self, x):
            return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])

    class Linear(nn.Module):
        def __init__(self, inputs, outputs, bias):
            super().__init__()
            self.inner = nn.Linear(inputs, outputs, bias=bias)

        def forward(self, x):
            return self.inner(x.flatten(1))

    nodes, output = graph["nodes"], graph["output"]
    readers = [0] * len(nodes)
    for node in nodes:
        for reader in node["inputs"]:
            readers[reader] += 1

    def size(shape):
        kind, sizes = next(iter(shape.items()))
        return sizes["channels"] if kind == "image" else sizes["features"]

    def layer(node):
        op = node["op"]
        name, arguments = (op, {}) if isinstance(op, str) else next(iter(op.items()))
        channels = size(nodes[node["inputs"][0]]["shape"]) if node["inputs"] else 0
        if name == "conv":
            return nn.Conv2d(
                channels,
                arguments["out_channels"],
                arguments["kernel"],
                arguments["stride"],
                arguments["padding"],
                arguments["dilation"],
                arguments["groups"],
                arguments["bias"],
            )
        if name == "linear":
            return Linear(channels, arguments["out_features"], arguments["bias"])
        if name == "batch_norm":
            return nn.BatchNorm2d(channels)
        if name == "activation":
            made = activations[arguments]()
            # In place only where nothing else reads the input, nor batch norm's
            # neighbours need it: torch refuses what would be wrong.
            source = node["inputs"][0]
            if readers[source] > 1 or source == 0:
                made.inplace = False
            return made
        if name == "pool":
            window = arguments["kernel"], arguments["stride"], arguments["padding"]
            if arguments["kind"] == "max":
                return nn.MaxPool2d(*window)
            return nn.AvgPool2d(*window, count_include_pad=False)
        if name == "global_pool":
            return nn.AdaptiveMaxPool2d(1) if arguments["kind"] == "max" else nn.AdaptiveAvgPool2d(1)
        if name == "add":
            return Add()
        if name == "mul":
            return Mul()
        if name == "concat":
            return Concat()
        if name == "zero":
            return Zero(arguments["stride"])
        if name == "flatten":
            return nn.Flatten()
        raise SystemExit(f"the operator {name} is not known here")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(layer(node) for node in nodes[1:])
            self.last = [0] * len(nodes)
            for index, node in enumerate(nodes):
                for source in node["inputs"]:
                    self.last[source] = index

        def forward(self, x):
            values = [None] * len(nodes)
            values[0] = x
            for index, module in enumerate(self.layers, 1):
                inputs = nodes[index]["inputs"]
                values[index] = module(*[values[i] for i in inputs])
                for i in inputs:
                    if self.last[i] == index and i != output:
                        values[i] = None
            return values[output].flatten(1)

    return Net()


def resident(field):
    """A field of /proc/self/status in bytes, or None where there is none."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith(field):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def forget_peak():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def train(graph, channels_last, batch, seed):
    """A function that does one step."""
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    net = build(graph).train()
    shape = graph["nodes"][0]["shape"]["image"]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(memory_format=layout)
    images = [
        torch.randn(batch, shape["channels"], shape["height"], shape["width"]).to(memory_format=layout)
        for _ in range(BATCHES)
    ]
    decayed = [p for p in net.parameters() if p.dim() > 1]
    plain = [p for p in net.parameters() if p.dim() <= 1]
    optimiser = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 5e-4}, {"params": plain}],
        lr=LEARNING_RATE,
        momentum=0.9,
        nesterov=True,
    )
    classes = net(images[0]).shape[1]
    labels = torch.arange(batch) % classes
    count = 0

    def step():
        nonlocal count
        logits = net(images[count % BATCHES])
        (logits.argmax(1) == labels).sum().item()
        loss = functional.cross_entropy(logits, labels)
        loss.item()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        count += 1

    return step


def worker(pipe, threads, seed):
    """Trains what it is told, until told nothing."""
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    while (job := pipe.recv()) is not None:
        graph, channels_last, batch, warm_up, steps = job
        before = resident("VmRSS")
        forget_peak()
        step = train(graph, channels_last, batch, seed)
        for _ in range(warm_up):
            step()
        pipe.send("warm")
        pipe.recv()
        start, cpu_start = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        seconds = time.perf_counter() - start
        cpu = time.process_time() - cpu_start
        peak = resident("VmHWM")
        del step
        pipe.send((seconds, cpu, peak - before if peak and before else None))


class Workers:
    """Processes that train at the same time."""

    def __init__(self, count, threads):
        context = multiprocessing.get_context("spawn")
        self.pipes, self.processes = [], []
        for seed in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=worker, args=(theirs, threads, seed), daemon=True)
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)

    def time(self, graph, channels_last, batch, warm_up, steps):
        """Images a second of all together, the processor time of a step of one in
        ms, and the bytes that they added to memory."""
        for pipe in self.pipes:
            pipe.send((graph, channels_last, batch, warm_up, steps))
        for pipe in self.pipes:
            assert pipe.recv() == "warm"
        for pipe in self.pipes:
            pipe.send("go")
        results = [pipe.recv() for pipe in self.pipes]
        slowest = max(seconds for seconds, _, _ in results)
        cpu = statistics.mean(cpu for _, cpu, _ in results) * 1e3 / steps
        added = [bytes for _, _, bytes in results]
        total = sum(added) if all(bytes is not None for bytes in added) else None
        return len(results) * steps * batch / slowest, cpu, total

    def end(self):
        for pipe in self.pipes:
            pipe.send(None)
        for process in self.processes:
            process.join()


def ours(options, name, mode):
    command = [options.bespoke, "bench", "training", "--json", "--only", name, "--mode", mode]
    command += options.networks
    command += ["--batch-size", str(options.batch), "--steps", str(options.steps)]
    command += ["--warm-up", str(options.warm_up), "--threads", str(options.threads)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found["images_per_s"], found["cpu_step_ms"], found["added_bytes"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bespoke", required=True)
    parser.add_argument("--graphs", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="")
    # Of use where other work runs on the machine: threads that wait for each
    # other suffer most from it.
    parser.add_argument("--side-by-side", action="store_true")
    parser.add_argument("--json", action="store_true")
    options, options.networks = parser.parse_known_args()

    names = sorted(name[:-5] for name in os.listdir(options.graphs) if name.endswith(".json"))
    if options.only:
        names = [name for name in names if name in options.only.split(",")]
    import torch

    ways = {
        "one by one, channels first": ("together", False),
        "one by one, channels last": ("together", True),
        "side by side, channels first": ("apart", False),
        "side by side, channels last": ("apart", True),
    }
    modes = ["one-by-one", "side-by-side"]
    if options.side_by_side:
        modes = modes[1:]
        ways = {way: how for way, how in ways.items() if how[0] == "apart"}
    pools = {"together": Workers(1, options.threads), "apart": Workers(options.threads, 1)}
    found = {}
    for round in range(options.rounds):
        for name in names:
            with open(os.path.join(options.graphs, f"{name}.json")) as file:
                graph = json.load(file)
            for mode in modes:
                found.setdefault((name, "bespoke", mode), []).append(ours(options, name, mode))
            for way, (pool, last) in ways.items():
                result = pools[pool].time(graph, last, options.batch, options.warm_up, options.steps)
                found.setdefault((name, "torch", way), []).append(result)
        print(f"round {round + 1} of {options.rounds}", file=sys.stderr)
    for pool in pools.values():
        pool.end()

    # A process that trained something else before keeps memory, so memory is
    # compared in processes of their own.
    memory = {}
    for name in names:
        with open(os.path.join(options.graphs, f"{name}.json")) as file:
            graph = json.load(file)
        fresh = Workers(1, options.threads)
        memory[name] = fresh.time(graph, True, options.batch, 1, 2)[2]
        fresh.end()

    rows = []
    for name in names:
        def best(who):
            medians = {
                way: statistics.median(images for images, _, _ in results)
                for (network, whose, way), results in found.items()
                if network == name and whose == who
            }
            way = max(medians, key=medians.get)
            return way, medians[way], medians

        def cpu(who):
            """The least processor time of a step with one thread, in ms."""
            medians = [
                statistics.median(cpu for _, cpu, _ in results)
                for (network, whose, way), results in found.items()
                if network == name and whose == who and way.replace("-", " ").startswith("side by side")
            ]
            return min(medians)

        mine, theirs = best("bespoke"), best("torch")
        alone = found.get((name, "bespoke", "one-by-one"), [])
        added = [bytes for _, _, bytes in alone if bytes is not None]
        if options.side_by_side:
            added = [ours(options, name, "one-by-one")[2] or 0]
        rows.append({
            "network": name,
            "bespoke_images_per_s": mine[1],
            "bespoke_way": mine[0],
            "bespoke_all": mine[2],
            "torch_images_per_s": theirs[1],
            "torch_way": theirs[0],
            "torch_all": theirs[2],
            "ratio": mine[1] / theirs[1],
            "bespoke_cpu_ms": cpu("bespoke"),
            "torch_cpu_ms": cpu("torch"),
            "bespoke_added_bytes": statistics.median(added) if added else None,
            "torch_added_bytes": memory[name],
        })
    if options.json:
        print(json.dumps({"torch": torch.__version__, "rounds": options.rounds, "rows": rows}, indent=2))
        return
    print(
        f"images a second in training, batch {options.batch}, {options.threads} cores; "
        f"PyTorch {torch.__version__}; medians of {options.rounds} rounds by turns"
    )
    mib = lambda bytes: "-" if bytes is None else f"{bytes / 2**20:.0f}"
    print("| network | bespoke | way | PyTorch | way | ratio | CPU ms a step | PyTorch's | ratio | MiB added | PyTorch's |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['network']} | {row['bespoke_images_per_s']:.0f} | {row['bespoke_way'].replace('-', ' ')} "
            f"| {row['torch_images_per_s']:.0f} | {row['torch_way']} | {row['ratio']:.2f} "
            f"| {row['bespoke_cpu_ms']:.1f} | {row['torch_cpu_ms']:.1f} | {row['torch_cpu_ms'] / row['bespoke_cpu_ms']:.2f} "
            f"| {mib(row['bespoke_added_bytes'])} | {mib(row['torch_added_bytes'])} |"
        )
    for what, ratios in [
        ("images a second", [row["ratio"] for row in rows]),
        ("CPU time of one thread", [row["torch_cpu_ms"] / row["bespoke_cpu_ms"] for row in rows]),
    ]:
        print(
            f"{what}: lowest ratio {min(ratios):.2f}, geometric mean {statistics.geometric_mean(ratios):.2f}; "
            f"below 1: {sum(ratio < 1 for ratio in ratios)} of {len(ratios)}"
        )


if __name__ == "__main__":
    main()
