"""Reads from MLflow what runs have logged, and ends runs whose process cannot."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import mlflow
from mlflow.exceptions import MlflowException

from mlproject.process import signals
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
    """

    id: str
    experiment_id: str
    name: str
    status: str
    parameters: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


def get(run_id: str) -> Record:
    """A run by its id.

    Raises:
        InputError: If there is none.
    """
    try:
        with signals.deferred():
            return _record(mlflow.MlflowClient().get_run(run_id))
    except MlflowException as error:
        where = mlflow.get_tracking_uri()
        raise InputError(f"no run {run_id!r} at {where}: {first_line(error)}.") from None


def children(parent_id: str, experiment_id: str, condition: str = "") -> list[Record]:
    """The runs that belong to a parent, the oldest first."""
    query = f"tags.mlflow.parentRunId = '{parent_id}'" + (condition and f" and {condition}")
    with signals.deferred():
        found = mlflow.search_runs(
            [experiment_id],
            filter_string=query,
            order_by=["attributes.start_time ASC"],
            output_format="list",
        )
    return [_record(run) for run in found]


def history(run_id: str, names: Iterable[str]) -> dict[int, dict[str, float]]:
    """The metrics of a run at each step (epoch) where it has some, in their order."""
    client = mlflow.MlflowClient()
    by_step: dict[int, dict[str, float]] = {}
    with signals.deferred():
        for name in names:
            for metric in client.get_metric_history(run_id, name):
                by_step.setdefault(metric.step, {})[name] = metric.value
    return dict(sorted(by_step.items()))


def end_running(parent: RunReference, reason: str, name: str | None = None) -> None:
    """Ends, as KILLED, the children of a parent that are still running, or the one of a name."""
    client = mlflow.MlflowClient()
    # The next run will find them if the store cannot be reached.
    with signals.deferred(), contextlib.suppress(MlflowException):
        for each in children(parent.id, parent.experiment_id, "attributes.status = 'RUNNING'"):
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
    )
