"""Searches of other projects on the table that `bespoke bench search
--export-table` writes: pymoo's NSGA-II, Optuna's TPE and NSGA-II, and
regularised evolution as in NASLib, written here in our own words. Every search
minimises error and predicted latency, may look up as many accuracies as ours,
and asks for none twice at a price: a repeat is answered from memory, and after
three times as many repeats as lookups the search ends. Writes
strategy,device,seed,architecture in the order of evaluation, which `bespoke
bench search --peers` scores like its own.

    search_peers.py TABLE.csv OUT.csv [--evaluations 200] [--seeds 20]
        [--device NAME,...] [--peers NAME,...]
"""

import argparse
import csv
import random
import time
import warnings

import numpy as np

OPERATORS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def text(cell):
    a, b, c, d, e, f = (OPERATORS[int(i)] for i in cell)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


class Spent(Exception):
    """The budget of accuracies is used up."""


class Table:
    """One device with one seed's predictions, and what a search looked up."""

    def __init__(self, error, predicted, budget):
        self.error, self.predicted, self.budget = error, predicted, budget
        self.visited = []
        self.seen = set()
        self.repeats = 0

    def look_up(self, cell):
        cell = tuple(int(i) for i in cell)
        if cell not in self.seen:
            if len(self.visited) >= self.budget:
                raise Spent
            self.seen.add(cell)
            self.visited.append(cell)
        else:
            # A search that mostly repeats itself has ended.
            self.repeats += 1
            if self.repeats > 3 * self.budget:
                raise Spent
        return self.error[cell], self.predicted[cell]


def pymoo_nsga2(table, seed):
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.optimize import minimize

    class Cells(Problem):
        def __init__(self):
            super().__init__(n_var=6, n_obj=2, xl=0, xu=4, vtype=int)

        def _evaluate(self, x, out, *args, **kwargs):
            out["F"] = np.array([table.look_up(cell) for cell in x])

    # pymoo's operators for whole numbers, as its documentation sets them.
    algorithm = NSGA2(
        pop_size=20,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    minimize(Cells(), algorithm, ("n_gen", 100_000), seed=seed, verbose=False)


def optuna_search(sampler):
    def search(table, seed):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler(optuna, seed))

        def objective(trial):
            cell = [trial.suggest_categorical(f"edge{i}", list(range(5))) for i in range(6)]
            return table.look_up(cell)

        study.optimize(objective, n_trials=4 * table.budget)

    return search


def regularised_evolution(table, seed):
    """Real et al. 2019 with NASLib's settings (population 30, sample 10); of two
    objectives, the parent is drawn from the non-dominated of the sample."""
    rng = random.Random(seed)
    population = []
    while True:
        if len(population) < 30:
            cell = tuple(rng.randrange(5) for _ in range(6))
        else:
            sample = rng.sample(population, 10)
            best = [
                a
                for a in sample
                if not any(
                    all(x <= y for x, y in zip(b[1], a[1])) and b[1] != a[1] for b in sample
                )
            ]
            parent = list(rng.choice(best)[0])
            edge = rng.randrange(6)
            parent[edge] = rng.choice([o for o in range(5) if o != parent[edge]])
            cell = tuple(parent)
        population.append((cell, table.look_up(cell)))
        if len(population) > 30:
            population.pop(0)


PEERS = {
    "pymoo NSGA-II": pymoo_nsga2,
    "Optuna TPE": optuna_search(lambda optuna, seed: optuna.samplers.TPESampler(seed=seed)),
    "Optuna NSGA-II": optuna_search(
        lambda optuna, seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20)
    ),
    "NASLib-style evolution": regularised_evolution,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("out")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--device")
    parser.add_argument("--peers")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    with open(args.table, newline="") as file:
        rows = list(csv.reader(file))
    header, rows = rows[0], rows[1:]
    index = {row[0]: i for i, row in enumerate(rows)}
    values = np.array([row[1:] for row in rows], dtype=float)
    order = [index[text(cell)] for cell in np.ndindex(5, 5, 5, 5, 5, 5)]
    grid = lambda column: values[order, column].reshape([5] * 6)
    error = 1.0 - grid(0)
    devices = dict.fromkeys(name.rsplit(":", 1)[0] for name in header[2:])
    wanted = args.device.split(",") if args.device else list(devices)
    peers = args.peers.split(",") if args.peers else list(PEERS)
    with open(args.out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["strategy", "device", "seed", "architecture"])
        for peer in peers:
            start = time.monotonic()
            for device in wanted:
                for seed in range(args.seeds):
                    predicted = grid(header.index(f"{device}:{seed}") - 1)
                    table = Table(error, predicted, args.evaluations)
                    try:
                        PEERS[peer](table, seed)
                    except Spent:
                        pass
                    for cell in table.visited:
                        writer.writerow([peer, device, seed, text(cell)])
            print(f"{peer}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
