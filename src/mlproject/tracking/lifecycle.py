"""Starts runs, ends them however their process ends, and finds those that were abandoned."""

import contextlib
import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import mlflow
from mlflow.entities import LoggedModelStatus
from mlflow.entities import Run as Entity
from mlflow.exceptions import MlflowException
from mlflow.tracking.fluent import _active_run_stack
from mlflow.utils import name_utils
from mlflow.utils.mlflow_tags import (
    MLFLOW_PROJECT_ENTRY_POINT,
    MLFLOW_PROJECT_ENV,
    MLFLOW_USER,
)

from mlproject.process import environment, signals
from mlproject.tracking import outages, outbox, store
from mlproject.tracking.run import Run, RunReference, current_store, discard
from mlproject.tracking.views import VIEWS
from tfnets.errors import InputError, first_line
from tfnets.progress import say

# How long a run that is broken off waits for its last points to be sent, in seconds: while
# the store is known to be away, and otherwise.
_SHORT, _LONG = 3.0, 30.0


class PrunedError(InputError):
    """A trial of a search that was not worth going on with; its run ends as KILLED."""


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
    current: Run | None = None
    places = contextlib.ExitStack()

    def start() -> None:
        # With its tags from the first moment: they tell whose it is, if we are killed.
        nonlocal current
        if current is None:
            of_run = {"task": task, "stage": stage, **(tags or {}), **environment.tags()}
            current = Run(_start(of_run, places, parent), task, started)
        if "error" in current.tags:  # ended before we came
            mlflow.delete_tag("error")
            del current.tags["error"]
        if _is_generated(current.name):
            mlflow.set_tag("mlflow.runName", name)
            current.name = name

    try:
        outages.patience()  # refused before a run is there
        _explained(outages.patient(start, _may_pass if parent is None else outages.is_temporary))
        assert current is not None
        current.log_parameters(options)
        with signals.deferred():
            _end_abandoned(current.experiment_id)
            _save_views(current.experiment_id, task)
        if parent is None:
            _say_where_files_go(current)
            _follow_mlflow_run(current.tags)
        yield current
        signals.check()
        _finish(current, is_child=parent is not None)
    except BaseException as error:
        signals.acknowledge()
        stopped = signals.Interrupted | KeyboardInterrupt | PrunedError
        interrupted = isinstance(error, stopped)
        with signals.deferred():
            reason = " ".join(str(error).split()) or type(error).__name__
            if current is not None and not current.has_ended:
                _break_off(current, "KILLED" if interrupted else "FAILED", reason)
        raise
    finally:
        places.close()


def _start(
    tags: dict[str, str], places: contextlib.ExitStack, parent: RunReference | None = None
) -> mlflow.ActiveRun:
    """A new run, or MLflow's; ``places`` removes in the end what MLflow leaves behind."""
    waiting = os.environ.get("MLFLOW_RUN_ID")
    # It belongs into its parent's experiment, whatever the environment names.
    of_parent = (
        {"experiment_id": parent.experiment_id, "parent_run_id": parent.id, "nested": True}
        if parent
        else {}
    )
    try:
        uri = store.settle()
        if parent is None and uri.startswith("http"):
            with outages.quick():  # asked once more than needed, but nothing is made
                mlflow.MlflowClient().search_experiments(max_results=1)
        places.enter_context(store.without_strays(uri))
        store.prepare()
        return mlflow.start_run(tags=tags, log_system_metrics=False, **of_parent)
    except BaseException:
        if waiting:  # MLflow has forgotten it; it still has to be ended
            os.environ["MLFLOW_RUN_ID"] = waiting
        raise


def _explained(start: Callable[[], None]) -> None:
    try:
        start()
    except InputError:
        raise
    except Exception as error:  # SQLAlchemy, a missing driver, sqlite, the network: each its own
        where = store.shown()
        raise InputError(f"cannot start a run at {where}: {first_line(error)}.") from None


def _may_pass(error: BaseException) -> bool:
    """Whether it is worth to wait at a command's start: an address may simply be wrong."""
    return outages.is_temporary(error) and "failed with" not in str(error)


def _say_where_files_go(run: Run) -> None:
    """Says it where MLflow decodes the folder's name (``My%20Project``) in the files' place.

    A ``file:`` URI for them would not help: MLflow writes to one, but decodes it twice to read.
    """
    place = mlflow.MlflowClient().get_run(run.id).info.artifact_uri or ""
    read = place if ":" in place else unquote(place)
    if read != place:
        say(
            f"the run's files are in {read}: MLflow decodes the percent signs of {place}. "
            "In a folder without them they stay inside it."
        )


def _follow_mlflow_run(tags: dict[str, str]) -> None:
    """Ends the run when the ``mlflow run`` that started this process for it goes.

    It may be gone already: Python and MLflow took seconds to start. From a container we
    cannot see it. A user who continues such a run by hand names no experiment in the environment.
    """
    started = MLFLOW_PROJECT_ENTRY_POINT in tags and "MLFLOW_EXPERIMENT_ID" in os.environ
    if os.name == "posix" and started and tags.get(MLFLOW_PROJECT_ENV) != "docker":
        signals.end_with(environment.launchers())


def _finish(current: Run, is_child: bool) -> None:
    """Ends a run as FINISHED, once all its points are logged.

    A child that its sweep has taken for dead stays ended: it may be running again elsewhere.

    Raises:
        InputError: If the store does not take it; what is left can be recovered, if it is away.
            For such a child, too.
    """
    ended = ""

    def end() -> None:
        nonlocal ended
        status = mlflow.MlflowClient().get_run(current.id).info.status if is_child else "RUNNING"
        ended = status if status != "RUNNING" else ""
        _terminate(current.id, ended or "FINISHED")
        current.has_ended = True
        current.outbox.close()

    try:
        current.outbox.drain(outages.patience())
        outages.patient(end)()
    except (MlflowException, OSError) as error:
        why = first_line(error)
        left = None
        if isinstance(error, outages.GaveUpError) or outages.is_temporary(error):
            left = current.outbox.close("FINISHED")
            current.has_ended = left is not None
            if left:
                _forget(current.id)
        raise InputError(_not_ended(current.id, "FINISHED", why, left)) from error
    if ended:
        raise InputError(f"run {current.id} was ended as {ended} while it trained.")


def _break_off(current: Run, status: str, reason: str) -> None:
    """Ends a run that has not come to its end. Raises no error: it must not hide the first."""
    where = store.shown()
    with outages.announced(where, "Ctrl-C again ends at once"):
        try:
            try:
                current.outbox.drain(_SHORT if current.outbox.is_stuck else _LONG)
            except outages.GaveUpError:
                raise
            except MlflowException:  # refused for good; ending matters more
                pass
            _end(current.id, status, reason)
        except Exception as error:
            away = isinstance(error, outages.GaveUpError) or outages.is_temporary(error)
            left = current.outbox.close(*((status, reason[:500]) if away else ()))
            _forget(current.id)
            say(_not_ended(current.id, status, first_line(error), left))
        else:
            current.outbox.close()


def _not_ended(run_id: str, status: str, why: str, left: Path | None) -> str:
    where = f"run {run_id} at {store.shown()}"
    more = f" `tfnets recover` sends what is missing, from {left}." if left else ""
    return f"cannot end {where} as {status}: {why}.{more}"


def _end(run_id: str, status: str, reason: str) -> None:
    try:
        mlflow.MlflowClient().set_tag(run_id, "error", reason[:500])
    finally:  # if only for MLflow in this process to forget it
        _terminate(run_id, status)


def _terminate(run_id: str, status: str) -> None:
    active = mlflow.active_run()
    if active is not None and active.info.run_id == run_id:
        mlflow.end_run(status)
    else:  # MLflow has forgotten it: its end failed before
        mlflow.MlflowClient().set_terminated(run_id, status)


def _forget(run_id: str) -> None:
    """Makes MLflow forget, in this process, that a run is active: its store cannot be told."""
    stack = _active_run_stack.get()
    stack[:] = [run for run in stack if run.info.run_id != run_id]


def end_waiting(status: str, reason: str) -> None:
    """Ends the run that ``mlflow run`` made for this process and that nothing took over.

    It is named after its entry point, unless the user has given a name.
    """
    # What brought us here has been said.
    with contextlib.suppress(Exception), contextlib.ExitStack() as places:
        active = _start({}, places)
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
    host = socket.gethostname()
    with contextlib.suppress(MlflowException):  # the next run will try again
        for each in _running(experiment_id, f"tags.host = '{host}'"):
            if environment.is_gone(each.data.tags):
                _discard_pending(experiment_id, each.info.run_id)
                _end(each.info.run_id, "KILLED", "its process is gone")
                outbox.send_left(current_store(), each.info.run_id)
        if store.is_local():
            for each in _running(experiment_id, f"tags.`{MLFLOW_PROJECT_ENTRY_POINT}` LIKE '%'"):
                if _nobody_comes_for(each):
                    _end(each.info.run_id, "KILLED", "its `mlflow run` is gone")


def _running(experiment_id: str, condition: str) -> list[Entity]:
    condition = f"attributes.status = 'RUNNING' and {condition}"
    return mlflow.search_runs([experiment_id], filter_string=condition, output_format="list")


def _nobody_comes_for(run: Entity) -> bool:
    """Whether a run is one that ``mlflow run`` made, and both are gone: no process will start it.

    Should one come all the same (of another container, or a program that calls MLflow and still
    makes an environment), it takes the run over as if it had not been ended.
    """
    tags = run.data.tags
    try:
        is_ours = tags.get(MLFLOW_USER) == getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        return False
    if "machine" in tags or not is_ours:
        return False
    return not environment.may_be_awaited(run.info.run_id, run.info.start_time / 1000)


def _discard_pending(experiment_id: str, run_id: str) -> None:
    """Removes the models of a run that it was about to log when its process went."""
    found = mlflow.MlflowClient().search_logged_models(
        [experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    for model in found:
        if model.status == LoggedModelStatus.PENDING:
            discard(model)


def use(uri: str) -> None:
    """Makes this process log to a store from now on."""
    if mlflow.get_tracking_uri() != uri:
        mlflow.set_tracking_uri(uri)
