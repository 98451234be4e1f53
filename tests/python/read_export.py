"""Reads the directory that `bespoke runs export` wrote with pandas, pyarrow and
Optuna, and prints what each of them sees as JSON."""

import json
import os
import sys

import optuna
import pandas
import pyarrow.parquet
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.ERROR)
directory = sys.argv[1]


def path(name):
    return os.path.join(directory, name)


csv = pandas.read_csv(path("candidates.csv"))
parquet = pandas.read_parquet(path("candidates.parquet"))
measured = pandas.read_parquet(path("measurements.parquet"))
with open(path("events.jsonl")) as lines:
    events = pandas.DataFrame([json.loads(line) for line in lines])
storage = JournalStorage(JournalFileBackend(path("optuna.journal")))
(name,) = [study.study_name for study in optuna.get_all_study_summaries(storage)]
study = optuna.load_study(study_name=name, storage=storage)
states = [trial.state.name for trial in study.trials]
print(
    json.dumps(
        {
            "csv_rows": len(csv),
            "csv_equals_parquet": all(
                csv[c].fillna(-1).tolist() == parquet[c].fillna(-1).tolist()
                for c in csv.columns
                if csv[c].notna().any()
            ),
            "types": {c: str(t) for c, t in parquet.dtypes.items()},
            "arrow": str(pyarrow.parquet.read_schema(path("candidates.parquet")).field("genotype").type),
            "best_accuracy": parquet["accuracy"].max(),
            "measurements": len(measured),
            "events": len(events),
            "study": name,
            "directions": [d.name for d in study.directions],
            "complete": states.count("COMPLETE"),
            "failed": states.count("FAIL"),
            "front": sorted(trial.user_attrs["candidate"] for trial in study.best_trials),
            "params": study.trials[0].params,
            "curve": len(study.best_trials[0].user_attrs["curve"]),
        }
    )
)
