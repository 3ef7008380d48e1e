"""The only place that talks to MLflow tracking: starts runs, logs to them, ends them."""

import contextlib
import functools
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.data.dataset_source_registry import get_dataset_source_from_json
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.utils import name_utils
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT, MLFLOW_PROJECT_ENV
from mlflow.utils.validation import (
    MAX_INPUT_TAG_VALUE_SIZE,
    MAX_PARAM_VAL_LENGTH,
    MAX_TAG_VAL_LENGTH,
)

from mlproject import circumstances, fitting, interrupt
from mlproject.views import VIEWS
from tfnets.dataset import SPLITS, Dataset, Split
from tfnets.errors import InputError, first_line

CLASSES = "classes.txt"  # where all names of classes are, if there are too many for a tag
_CONTEXTS = {"train": "training", "val": "validation", "test": "test"}


def timed(method: Callable) -> Callable:
    """Adds the time that a function of a run takes to its ``seconds``; says where it failed.

    Signals wait until it is done: a transaction that one breaks off can keep the database
    locked, and then the run could not be ended.
    """

    @functools.wraps(method)
    def timed_method(self, *args, **kwargs):
        interrupt.check()
        started = time.perf_counter()
        try:
            with interrupt.held():
                return method(self, *args, **kwargs)
        except MlflowException as error:
            where = mlflow.get_tracking_uri()
            raise InputError(f"cannot log to {where}: {first_line(error)}.") from error
        finally:
            self.seconds += time.perf_counter() - started

    return timed_method


@dataclass(frozen=True)
class Parent:
    """A run that others belong to, also in other processes.

    Attributes:
        id: The run's id.
        experiment_id: Its experiment's.
        task: What it is about.
        store: Where it is: the tracking URI.
    """

    id: str
    experiment_id: str
    task: str
    store: str


class Run:
    """An active MLflow run.

    Attributes:
        id: The run's id.
        experiment_id: Its experiment's.
        name: Its name.
        task: What it is about.
        seconds: Time spent in talking to MLflow so far.
    """

    def __init__(self, active: mlflow.ActiveRun, task: str, started: float):
        self.task = task
        self._waiting: list[Metric] = []
        self._logged, self._cost = started, 0.0  # when epochs were, and how long it took
        self.id = active.info.run_id
        self.experiment_id = active.info.experiment_id
        self.name = active.info.run_name
        self.seconds = time.perf_counter() - started
        self._started = started
        self._known_parameters = set(active.data.params)

    @property
    def as_parent(self) -> Parent:
        """What a child's process must know of it."""
        return Parent(self.id, self.experiment_id, self.task, _absolute(mlflow.get_tracking_uri()))

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._started

    @timed
    def log_parameters(self, parameters: dict) -> None:
        """Logs parameters; what ``mlflow run`` has logged already stays as the user wrote it."""
        new = {key: v for key, v in parameters.items() if key not in self._known_parameters}
        mlflow.log_params({key: parameter(key, value) for key, value in new.items()})
        self._log_long({key: str(value) for key, value in new.items()}, MAX_PARAM_VAL_LENGTH)

    @timed
    def log_tags(self, tags: dict) -> None:
        """Logs tags; one that is too long is cut, and all of it becomes an artifact."""
        texts = {key: str(value) for key, value in tags.items()}
        mlflow.set_tags(
            {key: fitting.text(v, MAX_TAG_VAL_LENGTH, _place(key)) for key, v in texts.items()}
        )
        self._log_long(texts, MAX_TAG_VAL_LENGTH)

    def _log_long(self, texts: dict[str, str], most: int) -> None:
        for key, value in texts.items():
            if len(value) > most:
                mlflow.log_text(value, _place(key))

    @timed
    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Logs the metrics of one epoch, with its number, from 1, or the optimizer's step.

        At once, unless epochs are so short that this would take a fiftieth of the time;
        then those of up to five seconds together, the last ones at the run's end, however
        it comes.
        """
        now = round(time.time() * 1000)
        self._waiting += [Metric(name, value, now, epoch) for name, value in metrics.items()]
        since = time.perf_counter() - self._logged
        if since >= min(50 * self._cost, 5) or len(self._waiting) > 900:
            self._log_waiting()

    def _log_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            started = time.perf_counter()
            mlflow.MlflowClient().log_batch(self.id, metrics=waiting, synchronous=True)
            self._logged = time.perf_counter()
            self._cost = self._logged - started

    @timed
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Logs single values, or those at a step."""
        mlflow.log_metrics(metrics, step, synchronous=True)

    @timed
    def log_dataset(self, data: Dataset) -> None:
        """Logs each split as an input of the run."""
        # Named in full: MLflow knows its local source by two names and warns that it must choose.
        source = get_dataset_source_from_json(json.dumps({"uri": data.source}), "local")
        tags = {
            "split": fitting.text(data.split_kind, MAX_INPUT_TAG_VALUE_SIZE, _place("data.split")),
            "classes": fitting.names(data.classes, MAX_INPUT_TAG_VALUE_SIZE, CLASSES),
        }
        if len(data.split_kind) > MAX_INPUT_TAG_VALUE_SIZE:
            mlflow.log_text(data.split_kind, _place("data.split"))
        if tags["classes"] != ", ".join(data.classes):
            mlflow.log_text("".join(f"{name}\n" for name in data.classes), CLASSES)
        for name in SPLITS:
            split = getattr(data, name)
            about = {"source": source, "name": data.name, "digest": f"{data.digest[:12]}-{name}"}
            if isinstance(split, Split):
                described = mlflow.data.from_numpy(split.x, targets=split.y, **about)
            elif split is not None:  # drawn anew for every epoch: there is nothing to describe
                described = MetaDataset(**about)
            else:
                continue
            given = {"context": _CONTEXTS[name], "tags": tags}
            try:
                mlflow.log_input(described, **given)
            except MlflowException:
                # Another process has made the same entry since MLflow looked for it.
                mlflow.log_input(described, **given)
        mlflow.set_tags({"data.name": data.name, "data.digest": data.digest})

    @timed
    def log_text(self, text: str, path: str) -> None:
        """Logs a text file."""
        mlflow.log_text(text, path)

    @timed
    def log_table(self, columns: dict[str, Sequence], path: str) -> None:
        """Logs a table, given by columns, that the UI shows as one."""
        mlflow.log_table(columns, path)

    @timed
    def log_figure(self, figure, path: str) -> None:
        """Logs a matplotlib figure."""
        mlflow.log_figure(figure, path)

    @timed
    def describe(self, text: str) -> None:
        """Sets the run's description, in Markdown."""
        note = fitting.markdown(text, MAX_TAG_VAL_LENGTH, "description.md")
        mlflow.set_tag("mlflow.note.content", note)
        if note != text:
            mlflow.log_text(text, "description.md")


@contextlib.contextmanager
def run(
    name: str,
    *,
    task: str,
    stage: str,
    parameters: dict,
    tags: dict[str, str] | None = None,
    parent: Parent | None = None,
) -> Iterator[Run]:
    """The run that everything inside is logged to.

    Under ``mlflow run`` it is the run that this made, else a new one in the experiment
    that MLFLOW_EXPERIMENT_NAME names. It ends as FINISHED, after an exception as
    FAILED, after an interruption as KILLED, the latter two with a tag ``error``.

    Args:
        name: The run's name, unless the user has given one.
        task: ``"speech"``, ``"har"`` or ``"addition"``; becomes a tag.
        stage: What the run does in the task: ``"train"``, ``"trial"``, ``"classify"``; a tag.
        parameters: The command's parameters, which are logged.
        tags: More tags.
        parent: The run that it is a child of, in this process or in another.
    """
    started = time.perf_counter()
    active = current = None
    try:
        with interrupt.held():
            # With its tags from the first moment: they tell whose it is, should we be killed.
            active = _start(
                {"task": task, "stage": stage, **(tags or {}), **circumstances.tags()}, parent
            )
            current = Run(active, task, started)
            if _is_generated(current.name):
                current.name = name
                current.log_tags({"mlflow.runName": name})
            current.log_parameters(parameters)
            _end_abandoned(current.experiment_id)
            _save_views(current.experiment_id, task)
        if parent is None:
            _follow_mlflow_run(active.data.tags)
        yield current
        interrupt.check()
        with interrupt.held():
            _finish(current)
            active = None  # ended, whatever comes now
    except BaseException as error:
        interrupt.answered()
        interrupted = isinstance(error, interrupt.Interrupted | KeyboardInterrupt)
        with interrupt.held():
            reason = " ".join(str(error).split()) or type(error).__name__
            if active is not None:
                if current is not None:
                    with contextlib.suppress(MlflowException):  # that it ends matters more
                        current._log_waiting()
                _end(active.info.run_id, "KILLED" if interrupted else "FAILED", reason)
        raise


def _start(tags: dict[str, str], parent: Parent | None = None) -> mlflow.ActiveRun:
    waiting = os.environ.get("MLFLOW_RUN_ID")
    try:
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
        if isinstance(error, MlflowException | OSError):
            where = mlflow.get_tracking_uri()
            raise InputError(f"cannot start a run at {where}: {first_line(error)}.") from None
        raise


def _follow_mlflow_run(tags: dict[str, str]) -> None:
    """Ends the run when the ``mlflow run`` that started this process for it goes.

    It may be gone already: Python and MLflow took seconds to start. From a container we
    cannot see it. Who goes on with such a run by hand names no experiment in the environment.
    """
    started = MLFLOW_PROJECT_ENTRY_POINT in tags and "MLFLOW_EXPERIMENT_ID" in os.environ
    if os.name == "posix" and started and tags.get(MLFLOW_PROJECT_ENV) != "docker":
        interrupt.end_with(circumstances.launchers())


def _finish(current: Run) -> None:
    try:
        current._log_waiting()
        mlflow.end_run("FINISHED")
    except MlflowException as error:
        where = f"run {current.id} at {mlflow.get_tracking_uri()}"
        raise InputError(f"cannot end {where} as FINISHED: {first_line(error)}.") from error


def _end(run_id: str, status: str, reason: str) -> None:
    """Ends a run; that it ends matters more than that we know why.

    Raises nothing: an unreachable store must not hide what went wrong before.
    """
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


def parameter(key: str, value: object) -> str:
    """A parameter as it is logged."""
    return fitting.text(str(value), MAX_PARAM_VAL_LENGTH, _place(key))


def _place(key: str) -> str:
    """The artifact that holds all of a value that is too long."""
    return f"long/{key.replace('/', '.')}.txt"


def use(store: str) -> None:
    """Says where this process logs to from now on."""
    if mlflow.get_tracking_uri() != store:
        mlflow.set_tracking_uri(store)


def _absolute(uri: str) -> str:
    """A tracking URI that means the same in any folder."""
    kind, slashes, path = uri.partition(":///")
    if kind == "sqlite" and slashes and path and not os.path.isabs(path):
        return f"{kind}{slashes}{Path.cwd() / path}"
    return uri


def ui_lines(current: Run) -> tuple[str, str]:
    """The command that opens the UI, or none, and the address of a run's experiment in it."""
    uri = mlflow.get_tracking_uri()
    place = f"/#/experiments/{current.experiment_id}/runs?workflowType=machine_learning"
    for view in VIEWS.get(current.task, ())[:1]:
        place += f"&viewStateShareKey={view.key}"
    if uri.startswith("http"):
        return "", f"{uri.rstrip('/')}{place}"
    default = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    command = "mlflow ui" if uri in (default, "sqlite:///mlflow.db") else ""
    command = command or f"mlflow ui --backend-store-uri {uri}"
    return command, f"http://127.0.0.1:5000{place}"


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
    """Ends, as KILLED, the runs of this machine whose process is gone (kill -9, power cut)."""
    if os.name != "posix":
        return
    client = mlflow.MlflowClient()
    host = socket.gethostname()
    with contextlib.suppress(MlflowException):  # the next run will try again
        for each in client.search_runs(
            [experiment_id],
            filter_string=f"attributes.status = 'RUNNING' and tags.host = '{host}'",
        ):
            process = each.data.tags.get("pid", "")
            if process and not circumstances.is_alive(process):
                client.set_tag(each.info.run_id, "error", "its process is gone")
                client.set_terminated(each.info.run_id, RunStatus.to_string(RunStatus.KILLED))
