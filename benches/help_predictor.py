"""HELP's latency predictor, written again in PyTorch to time it beside ours.

From the paper (Lee et al., NeurIPS 2021, arXiv 2106.08630) and its published
settings, in our own words: a graph convolutional encoder of the cell (an MLP on
one-hot choices for FBNet) and an encoder of the device's ten reference
latencies, joined and regressed; its last layers are modulated by z, inferred
from the device; Meta-SGD learns the inner rates, with second-order gradients,
two inner steps on ten samples, eight devices an episode, 2,000 episodes.

    benches/compare_with_help.sh              # both, and the ratios
    python benches/help_predictor.py --full   # all 2,000 episodes and Spearman

Prints one JSON object. Without --full a few episodes are timed and the whole
is extrapolated, as every episode is alike.
"""

import argparse
import csv
import gzip
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

TRAIN = {
    "nasbench201": "1080ti_1 1080ti_32 1080ti_256 silver_4114 silver_4210r samsung_a50 pixel3 essential_ph_1 samsung_s7",
    "fbnet": "1080ti_1 1080ti_32 1080ti_64 silver_4114 silver_4210r samsung_a50 pixel3 essential_ph_1 samsung_s7",
}
TEST = {
    "nasbench201": "titan_rtx_256 gold_6226 fpga pixel2 raspi4 eyeriss",
    "fbnet": "fpga raspi4 eyeriss",
}
REFERENCES = {
    "nasbench201": [11982, 431, 55, 9, 14451, 8636, 9881, 13479, 6196, 1462],
    "fbnet": [3328, 3790, 3313, 890, 3052, 2538, 1640, 2514, 457, 2100],
}
WIDTH = 100
POOL, SAMPLES, TASKS, EPISODES, INNER_STEPS = 900, 10, 8, 2000, 2
Z_SCALE, KL_SCALE, META_RATE, Z_DRAWS = 0.01, 0.1, 1e-4, 10
# The layers that z modulates, in the order of its entries.
MODULATED = ["join1", "join2", "out"]


def read(folder, space):
    """Architecture texts and {device: latencies in ms}."""
    path = os.path.join(folder, space + ".csv.gz")
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.reader(file))
    columns = list(zip(*rows[1:]))
    devices = {name: np.array(column, dtype=np.float64) for name, column in zip(rows[0][1:], columns[1:])}
    return list(columns[0]), devices


def encode(space, texts):
    """What the network reads: (node features, adjacency) or one-hot rows."""
    if space == "fbnet":
        choices = torch.tensor([[int(c) for c in t.split()] for t in texts])
        return (F.one_hot(choices, 9).flatten(1).float(),)
    # A cell as a graph of its six operators, an input and an output node.
    names = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    adjacency = torch.eye(8)
    for i, (start, end) in enumerate(edges):
        for j, (other_start, other_end) in enumerate(edges):
            if end == other_start:
                adjacency[j + 1, i + 1] = 1
        if start == 0:
            adjacency[i + 1, 0] = 1
        if end == 3:
            adjacency[7, i + 1] = 1
    adjacency = adjacency / adjacency.sum(1, keepdim=True)
    nodes = torch.zeros(len(texts), 8, 8)
    nodes[:, 0, 5] = 1
    nodes[:, 7, 6] = 1
    for row, text in enumerate(texts):
        operators = [w.split("~")[0] for w in text.replace("+", "").split("|") if w]
        for i, operator in enumerate(operators):
            nodes[row, i + 1, names.index(operator)] = 1
    return nodes, adjacency.expand(len(texts), 8, 8)


class Help:
    """Weights are plain tensors by name, so that inner steps can replace them."""

    def __init__(self, space, inputs):
        shapes = {}
        if space == "fbnet":
            shapes.update(arch1=(WIDTH, inputs), arch2=(WIDTH, WIDTH))
        else:
            shapes.update({f"arch{i}": (WIDTH, inputs if i == 1 else WIDTH) for i in range(1, 5)})
        shapes.update(device1=(WIDTH, SAMPLES), device2=(WIDTH, WIDTH))
        shapes.update(join1=(2 * WIDTH, 2 * WIDTH), join2=(2 * WIDTH, 2 * WIDTH), out=(1, 2 * WIDTH))
        self.graph = space != "fbnet"
        self.depth = 4 if self.graph else 2
        self.weights = {}
        for name, (rows, columns) in shapes.items():
            reach = columns**-0.5
            self.weights[name + ".w"] = torch.empty(rows, columns).uniform_(-reach, reach)
            self.weights[name + ".b"] = torch.empty(rows).uniform_(-reach, reach)
        self.rates = {name: torch.full_like(w, 1e-3) for name, w in self.weights.items()}
        size = (2 * WIDTH + 1) * len(MODULATED)
        self.encoder = torch.nn.Sequential(
            torch.nn.Linear(SAMPLES, 10), torch.nn.ReLU(), torch.nn.Linear(10, 2 * size)
        )
        for tensor in [*self.weights.values(), *self.rates.values()]:
            tensor.requires_grad_()

    def parameters(self):
        return [*self.weights.values(), *self.rates.values(), *self.encoder.parameters()]

    def forward(self, arch, device, w):
        if self.graph:
            x, adjacency = arch
        else:
            (x,) = arch
        for i in range(1, self.depth + 1):
            x = F.linear(x, w[f"arch{i}.w"], None if self.graph else w[f"arch{i}.b"])
            if self.graph:
                x = torch.bmm(adjacency, x) + w[f"arch{i}.b"]
            x = F.relu(x)
        if self.graph:
            x = x[:, -1]
        d = F.relu(F.linear(device, w["device1.w"], w["device1.b"]))
        d = F.relu(F.linear(d, w["device2.w"], w["device2.b"]))
        x = torch.cat([x, d.expand(len(x), -1)], 1)
        x = F.relu(F.linear(x, w["join1.w"], w["join1.b"]))
        x = F.relu(F.linear(x, w["join2.w"], w["join2.b"]))
        return F.linear(x, w["out.w"], w["out.b"]).squeeze(1)

    def adapt(self, device, xs, ys, second_order):
        """Weights for one device after the inner steps, and z's divergence."""
        mean, spread = self.encoder(device).chunk(2)
        z = torch.distributions.Normal(mean, F.softplus(spread) + 1e-6)
        prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        kl = torch.distributions.kl_divergence(z, prior).sum()
        draw = z.rsample()
        w = dict(self.weights)
        for i, name in enumerate(MODULATED):
            w[name + ".w"] = w[name + ".w"] * (1 + Z_SCALE * draw[2 * WIDTH * i : 2 * WIDTH * (i + 1)])
            w[name + ".b"] = w[name + ".b"] + Z_SCALE * draw[2 * WIDTH * len(MODULATED) + i]
        for _ in range(INNER_STEPS):
            loss = F.mse_loss(self.forward(xs, device, w), ys)
            gradients = torch.autograd.grad(loss, list(w.values()), create_graph=second_order)
            w = {n: v - self.rates[n] * g for (n, v), g in zip(w.items(), gradients)}
        return w, kl


def pick(arch, rows):
    return tuple(part[rows] for part in arch)


def scale(values, by):
    """Latencies between the least and the greatest of the measured ones."""
    low, high = by.min(), by.max()
    return torch.tensor((values - low) / max(high - low, 1e-12), dtype=torch.float32)


def spearman(a, b):
    def ranks(values):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        return (ends - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def meta_train(model, arch, devices, names, references, episodes, rng):
    optimiser = torch.optim.Adam(model.parameters(), META_RATE)
    pool = rng.choice(len(arch[0]), POOL, replace=False)
    embeddings = {n: scale(devices[n][references], devices[n][references]) for n in names}
    for _ in range(episodes):
        loss = 0
        for name in rng.choice(names, min(TASKS, len(names)), replace=False):
            rows = rng.permutation(pool)
            known, asked = rows[:SAMPLES], rows[SAMPLES:]
            latency, device = devices[name], embeddings[name]
            w, kl = model.adapt(device, pick(arch, known), scale(latency[known], latency[pool]), True)
            out = model.forward(pick(arch, asked), device, w)
            loss = loss + (F.mse_loss(out, scale(latency[asked], latency[pool])) + KL_SCALE * kl / TASKS) / TASKS
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test(model, arch, latency, references):
    """Spearman's correlation over what is not a reference, mean of z's draws."""
    device = scale(latency[references], latency[references])
    total = 0
    for _ in range(Z_DRAWS):
        w, _ = model.adapt(device, pick(arch, references), device, False)
        with torch.no_grad():
            total = total + model.forward(arch, device, w)
    others = np.setdiff1d(np.arange(len(latency)), references)
    return spearman(total.numpy()[others], latency[others])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=os.path.join(os.path.dirname(__file__), "../predictors/data"))
    parser.add_argument("--space", choices=sorted(TRAIN), default="nasbench201")
    parser.add_argument("--episodes", type=int, default=20, help="timed, where not --full")
    parser.add_argument("--full", action="store_true", help="all 2,000 episodes, and score the test devices")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    texts, devices = read(args.tables, args.space)
    arch = encode(args.space, texts)
    references = np.array(REFERENCES[args.space])
    names = TRAIN[args.space].split()
    model = Help(args.space, arch[0].shape[-1])
    # Threads hurt on small matrices and on a busy machine: the faster number.
    best = None
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        start = time.perf_counter()
        meta_train(model, arch, devices, names, references, 2, rng)
        taken = time.perf_counter() - start
        best = min(best or (taken, threads), (taken, threads))
    torch.set_num_threads(best[1])
    episodes = EPISODES if args.full else args.episodes
    start = time.perf_counter()
    meta_train(model, arch, devices, names, references, episodes, rng)
    seconds = time.perf_counter() - start
    report = {
        "space": args.space,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "episodes_timed": episodes,
        "meta_training_s": seconds * EPISODES / episodes,
        "extrapolated": not args.full,
    }
    if args.full:
        report["spearman"] = {n: test(model, arch, devices[n], references) for n in TEST[args.space].split()}
    torch.set_num_threads(1)
    device = scale(devices[names[0]][references], devices[names[0]][references])
    model.adapt(device, pick(arch, references), device, False)
    start = time.perf_counter()
    for _ in range(Z_DRAWS):
        w, _ = model.adapt(device, pick(arch, references), device, False)
    report["adaptation_ms"] = 1e3 * (time.perf_counter() - start)
    # One draw of z, a batch of 1,000 at a time: the kindest reading.
    with torch.no_grad():
        batches = [pick(arch, slice(i, i + 1000)) for i in range(0, len(texts), 1000)]
        model.forward(batches[0], device, w)
        start = time.perf_counter()
        for batch in batches:
            model.forward(batch, device, w)
    report["predictions_per_s"] = len(texts) / (time.perf_counter() - start)
    # One architecture at a time, as a search asks.
    with torch.no_grad():
        singles = [pick(arch, slice(i, i + 1)) for i in range(300)]
        start = time.perf_counter()
        for single in singles:
            model.forward(single, device, w)
    report["single_predictions_per_s"] = len(singles) / (time.perf_counter() - start)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
