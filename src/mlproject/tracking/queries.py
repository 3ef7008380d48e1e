"""Reads from MLflow what runs have logged, and ends runs whose process cannot."""

import contextlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from mlproject.process import signals
from mlproject.tracking import outages, store
from mlproject.tracking.run import RunReference
from tfnets.errors import InputError, first_line


@dataclass(frozen=True)
class Record:
    """A run as it was logged.

    Attributes:
        id: The run's id.
        experiment_id: Its experiment's.
        name: Its name.
        status: ``"FINISHED"``, ``"RUNNING"`` ...
        parameters: Its parameters, as text.
        metrics: The last value of each metric.
        tags: Its tags.
        started: When it began, in seconds since 1970.
    """

    id: str
    experiment_id: str
    name: str
    status: str
    parameters: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    started: float = 0.0


def get(run_id: str) -> Record:
    """A run by its id.

    Raises:
        InputError: If there is none.
    """
    try:
        return _record(outages.patient(mlflow.MlflowClient().get_run)(run_id))
    except MlflowException as error:
        where = store.shown()
        raise InputError(f"no run {run_id!r} at {where}: {first_line(error)}.") from None


def children(parent_id: str, experiment_id: str, condition: str = "") -> list[Record]:
    """The runs that belong to a parent, the oldest first."""
    return outages.patient(_children)(parent_id, experiment_id, condition)


def _children(parent_id: str, experiment_id: str, condition: str) -> list[Record]:
    query = f"tags.mlflow.parentRunId = '{parent_id}'" + (condition and f" and {condition}")
    found = mlflow.search_runs(
        [experiment_id],
        filter_string=query,
        order_by=["attributes.start_time ASC"],
        output_format="list",
    )
    return [_record(run) for run in found]


def history(run_id: str, names: Iterable[str]) -> dict[int, dict[str, float]]:
    """The metrics of a run at each step (epoch) where it has some, in their order."""
    read = outages.patient(mlflow.MlflowClient().get_metric_history)
    by_step: dict[int, dict[str, float]] = {}
    for name in names:
        for metric in read(run_id, name):
            by_step.setdefault(metric.step, {})[name] = metric.value
    return dict(sorted(by_step.items()))


def table(run_id: str, path: str) -> dict[str, list]:
    """A table that a run has logged, by columns.

    Raises:
        InputError: If it has logged none, or it cannot be read.
    """
    try:
        read = outages.patient(mlflow.artifacts.load_dict)(f"runs:/{run_id}/{path}")
        columns, rows = read["columns"], read["data"]
    except (MlflowException, KeyError, OSError) as error:
        raise InputError(f"run {run_id!r} has no table {path}: {first_line(error)}.") from None
    return {name: [row[number] for row in rows] for number, name in enumerate(columns)}


def text(run_id: str, path: str) -> str:
    """A text that a run has logged; empty if it has none."""
    try:
        return outages.patient(mlflow.artifacts.load_text)(f"runs:/{run_id}/{path}")
    except (MlflowException, OSError):
        return ""


def artifacts(run_id: str) -> list[str]:
    """The files that a run has logged at its top."""
    found = outages.patient(mlflow.MlflowClient().list_artifacts)(run_id)
    return [entry.path for entry in found if not entry.is_dir]


def content(run_id: str, path: str) -> bytes:
    """A file that a run has logged.

    Raises:
        InputError: If it cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            fetch = outages.patient(mlflow.artifacts.download_artifacts)
            return Path(fetch(run_id=run_id, artifact_path=path, dst_path=folder)).read_bytes()
        except (MlflowException, OSError) as error:
            raise InputError(
                f"run {run_id!r}: {path} cannot be read: {first_line(error)}."
            ) from None


def finished(condition: str, most: int = 1000) -> list[Record]:
    """The finished runs of all experiments that meet a condition, the newest first."""
    found = outages.patient(mlflow.search_runs)(
        search_all_experiments=True,
        filter_string=f"attributes.status = 'FINISHED' and {condition}",
        order_by=["attributes.start_time DESC"],
        max_results=most,
        output_format="list",
    )
    return [_record(run) for run in found]


def end_running(parent: RunReference, reason: str, name: str | None = None) -> None:
    """Ends, as KILLED, the children of a parent that are still running, or the one of a name."""
    client = mlflow.MlflowClient()
    # The next run will find them if the store cannot be reached.
    with signals.deferred(), contextlib.suppress(MlflowException):
        for each in _children(parent.id, parent.experiment_id, "attributes.status = 'RUNNING'"):
            if name is None or each.name == name:
                client.set_tag(each.id, "error", reason)
                client.set_terminated(each.id, "KILLED")


def _record(run: mlflow.entities.Run) -> Record:
    return Record(
        run.info.run_id,
        run.info.experiment_id,
        run.info.run_name,
        run.info.status,
        run.data.params,
        run.data.metrics,
        run.data.tags,
        run.info.start_time / 1000,
    )
