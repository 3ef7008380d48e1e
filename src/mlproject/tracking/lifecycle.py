"""Starts runs, ends them however their process ends, and finds those that were abandoned."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator

import mlflow
from mlflow.entities import LoggedModelStatus, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.utils import name_utils
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT, MLFLOW_PROJECT_ENV

from mlproject.process import environment, signals
from mlproject.tracking import store
from mlproject.tracking.run import Run, RunReference, discard
from mlproject.tracking.views import VIEWS
from tfnets.errors import InputError, first_line


@contextlib.contextmanager
def start_run(
    name: str,
    *,
    task: str,
    stage: str,
    options: dict,
    tags: dict[str, str] | None = None,
    parent: RunReference | None = None,
) -> Iterator[Run]:
    """The run that everything inside is logged to.

    Under ``mlflow run`` it is the run that this made, else a new one in the experiment
    that MLFLOW_EXPERIMENT_NAME names. It ends as FINISHED, after an exception as
    FAILED, after an interruption as KILLED, the latter two with a tag ``error``.

    Args:
        name: The run's name, unless the user has given one.
        task: ``"speech"``, ``"har"`` or ``"addition"``; becomes a tag.
        stage: What the run does in the task: ``"train"``, ``"trial"``, ``"classify"``; a tag.
        options: The command's options, which are logged as the run's parameters.
        tags: More tags.
        parent: The run that it is a child of, in this process or in another.
    """
    started = time.perf_counter()
    active = current = None
    try:
        with signals.deferred():
            # With its tags from the first moment: they tell whose it is, if we are killed.
            active = _start(
                {"task": task, "stage": stage, **(tags or {}), **environment.tags()}, parent
            )
            current = Run(active, task, started)
            if _is_generated(current.name):
                current.name = name
                current.log_tags({"mlflow.runName": name})
            current.log_parameters(options)
            _end_abandoned(current.experiment_id)
            _save_views(current.experiment_id, task)
        if parent is None:
            _follow_mlflow_run(active.data.tags)
        yield current
        signals.check()
        with signals.deferred():
            _finish(current)
            active = None  # ended, whatever comes now
    except BaseException as error:
        signals.acknowledge()
        interrupted = isinstance(error, signals.Interrupted | KeyboardInterrupt)
        with signals.deferred():
            reason = " ".join(str(error).split()) or type(error).__name__
            if active is not None:
                if current is not None:
                    with contextlib.suppress(MlflowException):  # ending matters more
                        current.flush()
                _end(active.info.run_id, "KILLED" if interrupted else "FAILED", reason)
        raise


def _start(tags: dict[str, str], parent: RunReference | None = None) -> mlflow.ActiveRun:
    waiting = os.environ.get("MLFLOW_RUN_ID")
    try:
        store.prepare()
        if parent is None:
            return mlflow.start_run(tags=tags, log_system_metrics=False)
        # It belongs into its parent's experiment, whatever the environment names.
        return mlflow.start_run(
            experiment_id=parent.experiment_id,
            parent_run_id=parent.id,
            nested=True,
            tags=tags,
            log_system_metrics=False,
        )
    except BaseException as error:
        if waiting:  # MLflow has forgotten it; it still has to be ended
            os.environ["MLFLOW_RUN_ID"] = waiting
        if isinstance(error, Exception) and not isinstance(error, InputError):
            # SQLAlchemy, a missing driver, sqlite, the network: each has its own.
            where = mlflow.get_tracking_uri()
            raise InputError(f"cannot start a run at {where}: {first_line(error)}.") from None
        raise


def _follow_mlflow_run(tags: dict[str, str]) -> None:
    """Ends the run when the ``mlflow run`` that started this process for it goes.

    It may be gone already: Python and MLflow took seconds to start. From a container we
    cannot see it. A user who continues such a run by hand names no experiment in the environment.
    """
    started = MLFLOW_PROJECT_ENTRY_POINT in tags and "MLFLOW_EXPERIMENT_ID" in os.environ
    if os.name == "posix" and started and tags.get(MLFLOW_PROJECT_ENV) != "docker":
        signals.end_with(environment.launchers())


def _finish(current: Run) -> None:
    try:
        current.flush()
        mlflow.end_run("FINISHED")
    except MlflowException as error:
        where = f"run {current.id} at {mlflow.get_tracking_uri()}"
        raise InputError(f"cannot end {where} as FINISHED: {first_line(error)}.") from error


def _end(run_id: str, status: str, reason: str) -> None:
    """Ends a run. Raises nothing: an unreachable store must not hide the first error."""
    client = mlflow.MlflowClient()
    with contextlib.suppress(Exception):
        client.set_tag(run_id, "error", reason[:500])
    try:
        active = mlflow.active_run()
        if active is not None and active.info.run_id == run_id:
            mlflow.end_run(status)
        else:  # MLflow has forgotten it: its end failed before
            client.set_terminated(run_id, status)
    except Exception as error:
        where = f"run {run_id} at {mlflow.get_tracking_uri()}"
        print(f"cannot end {where} as {status}: {first_line(error)}.", file=sys.stderr)


def end_waiting(status: str, reason: str) -> None:
    """Ends the run that ``mlflow run`` made for this process and that nothing took over.

    It is named after its entry point, unless the user has given a name.
    """
    with contextlib.suppress(Exception):  # what brought us here has been said
        active = _start({})
        _end(active.info.run_id, status, reason)
        entry_point = active.data.tags.get(MLFLOW_PROJECT_ENTRY_POINT)
        if entry_point and _is_generated(active.info.run_name):
            mlflow.MlflowClient().set_tag(active.info.run_id, "mlflow.runName", entry_point)


def _is_generated(name: str) -> bool:
    """Whether a run's name is one of MLflow's own, ``"bold-fish-123"``."""
    parts = name.split("-")
    return (
        len(parts) == 3
        and parts[0] in getattr(name_utils, "_GENERATOR_PREDICATES", ())
        and parts[1] in getattr(name_utils, "_GENERATOR_NOUNS", ())
    )


def _save_views(experiment_id: str, task: str) -> None:
    """Gives the experiment the task's views; those that are there already stay as they are."""
    client = mlflow.MlflowClient()
    with contextlib.suppress(MlflowException):  # a convenience, no reason to fail
        there = client.get_experiment(experiment_id).tags
        for key, value in (view.tag(time.time()) for view in VIEWS.get(task, ())):
            if key not in there:
                client.set_experiment_tag(experiment_id, key, value)


def _end_abandoned(experiment_id: str) -> None:
    """Ends, as KILLED, the runs whose process is proven to be gone (kill -9, power cut)."""
    if os.name != "posix":
        return
    client = mlflow.MlflowClient()
    host = socket.gethostname()
    with contextlib.suppress(MlflowException):  # the next run will try again
        running = mlflow.search_runs(
            [experiment_id],
            filter_string=f"attributes.status = 'RUNNING' and tags.host = '{host}'",
            output_format="list",
        )
        for each in running:
            if environment.is_gone(each.data.tags):
                _discard_pending(experiment_id, each.info.run_id)
                client.set_tag(each.info.run_id, "error", "its process is gone")
                client.set_terminated(each.info.run_id, RunStatus.to_string(RunStatus.KILLED))


def _discard_pending(experiment_id: str, run_id: str) -> None:
    """Removes the models of a run that it was about to log when its process went."""
    found = mlflow.MlflowClient().search_logged_models(
        [experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    for model in found:
        if model.status == LoggedModelStatus.PENDING:
            discard(model)


def use(store: str) -> None:
    """Makes this process log to a store from now on."""
    if mlflow.get_tracking_uri() != store:
        mlflow.set_tracking_uri(store)
