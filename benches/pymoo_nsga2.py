"""pymoo's NSGA-II on the table that `benches/strategies.rs` writes: a row of two
losses for each NAS-Bench-201 cell. Population 200, 10^5 evaluations, pymoo's
operators for integers (simulated binary crossover and polynomial mutation with
rounding), evaluated by the generation in one NumPy look-up. Prints a line of
JSON a seed.

    python benches/pymoo_nsga2.py TABLE.csv
"""

import json
import sys
import time

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

EDGES, OPERATORS = 6, 5
POPULATION, EVALUATIONS = 200, 100_000


class Table(Problem):
    def __init__(self, losses):
        super().__init__(n_var=EDGES, n_obj=2, xl=0, xu=OPERATORS - 1, vtype=int)
        self.losses = losses
        self.weights = OPERATORS ** np.arange(EDGES - 1, -1, -1)
        self.latest = []

    def _evaluate(self, x, out, *args, **kwargs):
        out["F"] = self.losses[x.astype(int) @ self.weights]
        self.latest.append(out["F"])


def volume(points, reference=(0.0, 20.0)):
    area, ceiling = 0.0, reference[1]
    for x, y in sorted(map(tuple, points)):
        if x < reference[0] and y < ceiling:
            area += (reference[0] - x) * (ceiling - y)
            ceiling = y
    return area


def main():
    losses = np.loadtxt(sys.argv[1], delimiter=",")
    for seed in range(3):
        problem = Table(losses)
        algorithm = NSGA2(
            pop_size=POPULATION,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=0.9, eta=3.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        started = time.perf_counter()
        minimize(problem, algorithm, ("n_eval", EVALUATIONS), seed=seed, verbose=False)
        seconds = time.perf_counter() - started
        found = np.concatenate(problem.latest)
        share = volume(found) / volume(losses)
        print(json.dumps({"seconds": seconds, "evaluations": len(found), "hypervolume": share}), flush=True)


if __name__ == "__main__":
    main()
