"""What runs have logged, for tests."""

import json

import mlflow


def children_of(store, parent):
    """The runs that belong to a run, by their names."""
    found = store.search_runs(["0"], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    return {run.info.run_name: run for run in found}


def text_of(run, path):
    """A text artifact."""
    return mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{path}")


def rows_of(run, path):
    """The rows of a table artifact, each by column."""
    table = json.loads(text_of(run, path))
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
