"""An active MLflow run, and everything that is logged to it."""

import contextlib
import functools
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.data.dataset_source_registry import get_dataset_source_from_json
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.validation import (
    MAX_INPUT_TAG_VALUE_SIZE,
    MAX_PARAM_VAL_LENGTH,
    MAX_TAG_VAL_LENGTH,
)

from mlproject.process import signals
from mlproject.tracking import limits, outages, store
from mlproject.tracking.outbox import Outbox
from tfnets.dataset import SPLITS, Dataset, Split
from tfnets.errors import InputError, first_line

CLASSES = "classes.txt"  # where all names of classes are, if there are too many for a tag
MODEL = "model"  # the name of a run's deployable model
_CONTEXTS = {"train": "training", "val": "validation", "test": "test"}


def timed(method: Callable) -> Callable:
    """Adds the time that a function of a run takes to its ``seconds``; says where it failed.

    It is tried again as long as the store is away. Signals wait until an attempt is over: a
    transaction that one breaks off can keep the database locked, and then the run could not
    be ended.
    """
    patient_method = outages.patient(method)

    @functools.wraps(method)
    def timed_method(self, *args, **kwargs):
        started = time.perf_counter()
        try:
            return patient_method(self, *args, **kwargs)
        except (MlflowException, OSError) as error:
            raise _not_logged(error) from error
        finally:
            self.seconds += time.perf_counter() - started

    return timed_method


def _not_logged(error: MlflowException | OSError) -> InputError:
    where = store.shown()
    if isinstance(error, OSError) and error.filename:  # artifacts are files
        where = error.filename
    return InputError(f"cannot log to {where}: {first_line(error)}.")


@dataclass(frozen=True)
class RunReference:
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
        tags: Its tags when it began.
        has_ended: Whether nothing is left to be done for its end.
        task: What it is about.
        outbox: What sends its epochs' metrics.
        seconds: Time spent on logging to MLflow so far, but for epochs, which are sent in the
            background.
    """

    def __init__(self, active: mlflow.ActiveRun, task: str, started: float):
        self.task = task
        self.id = active.info.run_id
        self.outbox = Outbox(self.id, current_store())
        self.experiment_id = active.info.experiment_id
        self.tags = dict(active.data.tags)
        self.has_ended = False
        self.name = active.info.run_name
        self.seconds = time.perf_counter() - started
        self._started = started
        self._known_parameters = set(active.data.params)
        self._single: list[Metric] = []

    @property
    def reference(self) -> RunReference:
        """What a child's process must know of it."""
        return RunReference(self.id, self.experiment_id, self.task, current_store())

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._started

    @timed
    def log_parameters(self, parameters: dict) -> None:
        """Logs parameters; what ``mlflow run`` has logged already stays as the user wrote it."""
        new = {key: v for key, v in parameters.items() if key not in self._known_parameters}
        mlflow.log_params({key: parameter(key, value) for key, value in new.items()})
        self._log_long({k: _written(v) for k, v in new.items()}, MAX_PARAM_VAL_LENGTH)

    @timed
    def log_tags(self, tags: dict) -> None:
        """Logs tags; one that is too long is cut, and all of it becomes an artifact."""
        texts = {key: str(value) for key, value in tags.items()}
        mlflow.set_tags(
            {key: limits.text(v, MAX_TAG_VAL_LENGTH, _place(key)) for key, v in texts.items()}
        )
        self._log_long(texts, MAX_TAG_VAL_LENGTH)

    def _log_long(self, texts: dict[str, str], most: int) -> None:
        for key, value in texts.items():
            if len(value) > most:
                mlflow.log_text(value, _place(key))

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Logs the metrics of one epoch, with its number, from 1, or the optimizer's step.

        In the background, and at once, unless epochs are so short that this would take a
        fiftieth of the time; then those of up to five seconds together, the last ones at the
        run's end, however it comes. While the store is away they wait.
        """
        now = round(time.time() * 1000)
        signals.check()
        try:
            with signals.deferred():
                self.outbox.add([Metric(name, v, now, epoch) for name, v in metrics.items()])
        except (MlflowException, OSError) as error:
            raise _not_logged(error) from error

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Logs single values, or those at a step."""
        now = round(time.time() * 1000)
        logged = [Metric(name, float(v), now, step or 0) for name, v in metrics.items()]
        self._log_points(logged)
        if step is None:
            self._single += logged

    @timed
    def _log_points(self, points: list[Metric]) -> None:
        mlflow.MlflowClient().log_batch(self.id, metrics=points, synchronous=True)

    @timed
    def log_model(self, save: Callable[[Path, Model], None], description: dict) -> str:
        """Logs a model, with the single metrics that were logged before.

        What ``log_model`` of MLflow's flavours does, but for one thing: they load each model
        again and run it on its example, which costs half a second a run.

        Args:
            save: Writes the model into a new folder; gets the folder and the metadata that its
                flavour's ``save_model`` takes as ``mlflow_model``.
            description: What stands beside the model: class names, sample rate.

        Returns:
            The model's URI.
        """
        client = mlflow.MlflowClient()
        parameters = client.get_run(self.id).data.params
        made = mlflow.initialize_logged_model(MODEL, source_run_id=self.id, params=parameters)
        try:
            about = Model(
                artifact_path=made.artifact_location,
                model_uuid=made.model_id,
                run_id=self.id,
                metadata=description,
                model_id=made.model_id,
            )
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / MODEL
                save(target, about)
                for cache in target.rglob("__pycache__"):
                    shutil.rmtree(cache, ignore_errors=True)
                client.log_model_artifacts(made.model_id, str(target))
            client.finalize_logged_model(made.model_id, "READY")
        except BaseException:
            with contextlib.suppress(MlflowException, OSError):  # why it failed matters more
                discard(made)
            raise
        client.log_outputs(self.id, [LoggedModelOutput(made.model_id, step=0)])
        # At the time that they have in the run, or they would be there twice.
        of_model = [
            Metric(m.key, m.value, m.timestamp, m.step, model_id=made.model_id, run_id=self.id)
            for m in self._single
        ]
        client.log_batch(self.id, metrics=of_model, synchronous=True)
        return about.get_model_info().model_uri

    @timed
    def log_dataset(self, data: Dataset) -> None:
        """Logs each split as an input of the run."""
        # Named in full: MLflow knows its local source by two names and warns that it must choose.
        source = get_dataset_source_from_json(json.dumps({"uri": data.source}), "local")
        tags = {
            "split": limits.text(data.split_kind, MAX_INPUT_TAG_VALUE_SIZE, _place("data.split")),
            "classes": limits.names(data.classes, MAX_INPUT_TAG_VALUE_SIZE, CLASSES),
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
        about = {"data.name": data.name, "data.digest": data.digest}
        counts = {"test_samples": len(data.test), "duplicates": data.duplicates}
        mlflow.set_tags(about | {f"data.{name}": str(count) for name, count in counts.items()})

    @timed
    def log_text(self, text: str, path: str) -> None:
        """Logs a text file."""
        mlflow.log_text(text, path)

    @timed
    def log_file(self, write: Callable[[Path], None], path: str) -> None:
        """Logs a file.

        Args:
            write: Writes it to the path that it is given.
            path: Its place among the artifacts, ``"mistakes/1.wav"``.
        """
        folder, _, name = path.rpartition("/")
        with tempfile.TemporaryDirectory() as place:
            write(Path(place, name))
            mlflow.log_artifact(str(Path(place, name)), folder or None)

    @timed
    def log_table(self, columns: dict[str, Sequence], path: str) -> None:
        """Logs a table, given by columns, that the UI shows as one."""
        mlflow.log_table(columns, path)

    @timed
    def log_figure(self, figure, path: str) -> None:
        """Logs a matplotlib figure, which has its final layout afterwards."""
        engine = figure.get_layout_engine()
        if engine is not None:
            # matplotlib would draw it all once more to be sure that this has been done.
            engine.execute(figure)
            figure.set_layout_engine(None)
        mlflow.log_figure(figure, path)

    @timed
    def describe(self, text: str) -> None:
        """Sets the run's description, in Markdown."""
        note = limits.markdown(text, MAX_TAG_VAL_LENGTH, "description.md")
        mlflow.set_tag("mlflow.note.content", note)
        if note != text:
            mlflow.log_text(text, "description.md")


def discard(model: LoggedModel) -> None:
    """Removes a model that was not logged to its end, with its files where these can be."""
    client = mlflow.MlflowClient()
    client.finalize_logged_model(model.model_id, "FAILED")
    client.delete_logged_model(model.model_id)
    with contextlib.suppress(Exception):  # each kind of place has its own; some cannot delete
        get_artifact_repository(model.artifact_location).delete_artifacts()


def parameter(key: str, value: object) -> str:
    """A parameter as it is logged, cut to MLflow's limit."""
    return limits.text(_written(value), MAX_PARAM_VAL_LENGTH, _place(key))


def _written(value: object) -> str:
    """An option's value as a user writes it: ``"1,2"`` for (1, 2), ``"none"`` for ()."""
    if type(value) is tuple:  # not a named one, which says itself how it is written
        return ",".join(map(_written, value)) or "none"
    return str(value)


def _place(key: str) -> str:
    """The artifact that holds all of a value that is too long."""
    return f"long/{key.replace('/', '.')}.txt"


def current_store() -> str:
    """The tracking URI, as one that means the same in any folder."""
    return store.absolute(mlflow.get_tracking_uri())
