"""Reads the directory that `bespoke runs export --format mlflow` wrote with MLflow,
and prints what it sees as JSON."""

import json
import logging
import pathlib
import sys
import warnings

warnings.simplefilter("ignore")
import mlflow

logging.disable(logging.WARNING)
mlflow.set_tracking_uri(pathlib.Path(sys.argv[1]).resolve().as_uri())
client = mlflow.MlflowClient()
(experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
runs = mlflow.search_runs([experiment.experiment_id], max_results=1000)
parent = runs["tags.mlflow.parentRunId"].isna()
candidates, search = runs[~parent], runs[parent]
front = mlflow.search_runs([experiment.experiment_id], filter_string="tags.front = 'true' and metrics.accuracy > 0")
best = candidates.loc[candidates["metrics.accuracy"].idxmax()]
curve = client.get_metric_history(best["run_id"], "search.train_loss")
print(
    json.dumps(
        {
            "experiment": experiment.name,
            "candidates": len(candidates),
            "searches": len(search),
            "best_accuracy": float(best["metrics.accuracy"]),
            "front": len(front),
            "epochs": [metric.step for metric in curve],
            "measured": int(candidates["metrics.measured_ms"].notna().sum()),
            "params": sum(bool(c.startswith("params.") and candidates[c].notna().any()) for c in candidates.columns),
            "artifacts": len(client.list_artifacts(search.iloc[0]["run_id"])),
            "statuses": sorted(set(runs["status"])),
        }
    )
)
