"""Trains configurations with early stopping; the better model becomes the champion."""

import json
import re
from dataclasses import dataclass

import numpy as np

from mlproject.har import published
from mlproject.har.published import Configuration
from mlproject.har.results import TOPS, Result, accuracies, draw
from mlproject.har.settings import load, resolve
from mlproject.har.train import train_on
from mlproject.tracking import models, registry
from mlproject.tracking.lifecycle import start_run
from mlproject.tracking.registry import CHAMPION, Version
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import CONFUSION, log_times, sizes, summary
from tfnets import tables
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.figures import has_counts
from tfnets.progress import count, duration

_STOPPING = ("patience", "min_delta")

# The options that count for a registered model, too, and those that are no options of a training.
_OF_BOTH = ("model", "configuration", "validation_fraction", "max_epochs", *_STOPPING)
_OF_COMMAND = (*_OF_BOTH, "register_as")


@dataclass(frozen=True)
class Stopped:
    """An evaluation by early stopping.

    Attributes:
        text: What came out, for the user.
        version: The new version of the registered model; None if none was wanted.
    """

    text: str
    version: Version | None


def early_stopping(options: dict, defaults: dict, run: Run) -> str:
    """Trains configurations with early stopping, as option c of report har_rnn.

    Args:
        options: The command's options by name; ``configuration`` is a tuple, or ``"none"``
            for that of the registered ``model``.
        defaults: The options' defaults.
        run: Where to log; of several configurations the parent.

    Returns:
        A summary for the user.

    Raises:
        InputError: For options that contradict each other, or a model that is not there.
    """
    if options["configuration"] == "none":
        _refuse_unused(options, defaults)
        parts = [evaluate_registered(options, run).text]
    else:
        parts = _evaluate_configurations(options, run)
    log_times(run)
    return "".join(parts) + summary(("Wall time", duration(run.elapsed)), run=run)


def _refuse_unused(options: dict, defaults: dict) -> None:
    """Refuses options that a registered model's own configuration would override."""
    for name, value in options.items():
        if name not in _OF_BOTH and value != defaults[name]:
            raise InputError(
                f"{name} is {value!r}, but model {options['model']!r} says itself how it is "
                "trained; give a configuration, such as 30x100x0.1, for which it counts."
            )


def _evaluate_configurations(options: dict, run: Run) -> list[str]:
    """One configuration in the run itself, several in runs of their own under it."""
    register_as = options["register_as"]
    registry.check_name(register_as)
    of_training = {k: v for k, v in options.items() if k not in _OF_COMMAND}
    chosen = [of_training | each._asdict() for each in options["configuration"]]
    for each in chosen:
        resolve(_stopping(each, options))
    if len(chosen) == 1:
        return [_evaluate(chosen[0], options, register_as, run).text]
    parts = []
    for each in chosen:
        shown = label(each) or configuration_of(each)
        with start_run(
            f"early stopping {shown}",
            task=run.task,
            stage="early-stopping",
            options=_stopping(each, options),
            tags={"study": f"early stopping {run.id[:6]}"},
            parent=run.reference,
        ) as child:
            parts.append(_evaluate(each, options, register_as, child).text)
            log_times(child)
    return parts


def evaluate_registered(options: dict, run: Run) -> Stopped:
    """Trains the configuration of a registered model; the champion is the better of the two.

    Args:
        options: ``model``, ``validation_fraction`` and the options of early stopping.
        run: Where to log.
    """
    source = registry.find(options["model"])
    configuration = _configuration(source)
    run.log_tags({"model.source": f"{source.name}/{source.number}"})
    return _evaluate(configuration, options, source.name, run, source)


def _stopping(configuration: dict, options: dict) -> dict:
    """The options of a training that stops early."""
    return configuration | {
        "epochs": options["max_epochs"],
        "validation_fraction": options["validation_fraction"],
        **{name: options[name] for name in _STOPPING},
    }


def _evaluate(
    configuration: dict,
    options: dict,
    register_as: str,
    run: Run,
    source: Version | None = None,
) -> Stopped:
    """Trains, evaluates, draws; registers under a name, unless that is ``"none"``."""
    called = source.tags.get("run", "") if source else label(configuration)
    used = _stopping(configuration, options)
    settings = resolve(used)
    run.log_parameters({f"options/{key}": v for key, v in used.items()})
    data = load(settings.data)
    result = train_on(data, settings, run)
    judgement = draw(result, data, run)
    table = _tables(called, result, judgement, data)
    run.log_text(f"{table}\n", "tables.txt")
    trained = result.trained
    epochs = len(trained.history)
    reason = "" if epochs < options["max_epochs"] else ", the most that were allowed"
    stopped = f"stopped after {count(epochs, 'epoch')}{reason}; best epoch {trained.best}"
    shown = f"{source or configuration_of(used)} ({called or 'no run of the report'})"
    text = f"\n{shown} on {data.name}, {sizes(data)}: {stopped}.\n\n{table}\n\n"
    if register_as == "none":
        return Stopped(text, None)
    version, verdict = _register(register_as, source, called, used, stopped, result, data, run)
    return Stopped(f"{text}Registered as {version}. {verdict}\n", version)


def label(options: dict) -> str:
    """``"run 8"`` for what the report trained, else nothing."""
    row = published.row_of(options, configuration_of(options))
    return f"run {row.number}" if row else ""


def configuration_of(options: dict) -> Configuration:
    """The configuration among the options of a training."""
    return Configuration(**{name: options[name] for name in Configuration._fields})


def _configuration(source: Version) -> dict:
    try:
        configuration = json.loads(source.tags["configuration"])
        resolve(configuration)
    except InputError as error:
        raise InputError(f"{source} cannot be trained as it says: {error}") from None
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InputError(
            f"{source} does not say how it was trained (tag 'configuration'); expected a model "
            "that har_sweep or har_early_stopping registered."
        ) from None
    subjects = configuration.get("test_subjects")
    if isinstance(subjects, list):
        configuration["test_subjects"] = tuple(subjects)
    return configuration


def _tables(called: str, result: Result, judgement, data: Dataset) -> str:
    """The report's tables VI (its run 8) or VII (run 7), and VIII, the confusion matrix."""
    match = re.fullmatch(r"run (\d+)", called)
    number = int(match[1]) if match else 0
    theirs = published.EARLY_STOPPING.get(number)
    numeral = {8: "VI", 7: "VII"}.get(number, "VI, VII")
    there = [name for name in TOPS if name in result.metrics["test"]]
    columns = {"accuracy, %": [f"top-{number}" for number in range(1, len(there) + 1)]}
    for split, title in (("train", "training"), ("val", "validation"), ("test", "test")):
        columns[title] = [f"{100 * result.metrics[split][name]:.3f}" for name in there]
        if theirs:
            columns[f"har_rnn, {title}"] = [f"{v:.3f}" for v in theirs[split][: len(there)]]
    return (
        f"Table {numeral}: accuracy at the last step\n\n{tables.text(columns)}\n\n"
        f"At the last step and of the mean over steps\n\n{accuracies(result.metrics)}\n\n"
        f"Table VIII: confusion matrix, test\n\n{_confusion(judgement, data)}"
    )


def _confusion(judgement, data: Dataset) -> str:
    if not has_counts(data.classes):
        return f"(of {len(data.classes)} classes: {CONFUSION})"
    confusion = {"true \\ predicted": list(data.classes)}
    for name, column in zip(data.classes, judgement.confusion.T, strict=True):
        confusion[name] = [str(value) for value in column]
    return tables.text(confusion)


def _register(
    name: str,
    source: Version | None,
    called: str,
    configuration: dict,
    stopped: str,
    result: Result,
    data: Dataset,
    run: Run,
) -> tuple[Version, str]:
    validation = result.metrics["val"]["accuracy"]
    tags = {
        "stage": "early-stopping",
        "configuration": {k: v for k, v in configuration.items() if k not in _STOPPING},
        "run": called,
        "from": f"{source.name}/{source.number}" if source else "",
        "val.accuracy": validation,
        "data.name": data.name,
        "data.digest": data.digest,
    }
    what = f" of {source}" if source else ""
    trained = f"{called or configuration_of(configuration)}{what}"
    text = f"{trained}: {stopped}; validation {validation:.4f}."
    version = registry.register(name, run.id, tags, text)
    wins, verdict = _contest(version, data, run)
    if wins:
        registry.alias(version, CHAMPION)
    registry.tag(version, {"champion": verdict})
    run.log_tags({"registered": f"{version.name}/{version.number}", "champion": verdict})
    return version, verdict


def _contest(version: Version, data: Dataset, run: Run) -> tuple[bool, str]:
    """Whether a version beats the present champion on the same validation split, and how."""
    number = registry.aliases(version.name).get(CHAMPION)
    if number is None:
        return True, "It is the first champion."
    champion = registry.find(f"{version.name}/{number}")
    mine = _validation(f"models:/{version.name}/{version.number}", data, run)
    try:
        theirs = _validation(f"models:/{champion.name}/{champion.number}", data, run)
    except InputError as error:
        return False, f"The champion stays {champion}, which cannot be compared: {error}"
    caution = ""
    if champion.tags.get("data.digest") != data.digest:
        caution = " That champion was trained on other data and may have seen these windows."
    score = f"{mine:.4f} to {theirs:.4f} on the same {len(data.splits['val'])} validation windows"
    if mine > theirs:
        return True, f"It is the champion now, in place of {champion}: {score}.{caution}"
    return False, f"The champion stays {champion}: {score}.{caution}"


def _validation(uri: str, data: Dataset, run: Run) -> float:
    """Accuracy of a deployable model on the validation split."""
    network, _, _ = models.load(uri, "acceleration", run)
    shape, outputs = getattr(network, "input_shape", None), getattr(network, "output", None)
    if not isinstance(outputs, dict) or tuple(shape or ())[1:] != data.input_shape:
        raise InputError(f"it takes {shape}, these windows are {data.input_shape}.")
    if set(outputs) != set(data.classes):
        raise InputError(f"it knows {', '.join(outputs)}, not {', '.join(data.classes)}.")
    validation = data.splits["val"]
    answers = network.predict(validation.x, batch_size=1024, verbose=0)
    scores = np.stack([np.asarray(answers[name]) for name in data.classes], axis=1)
    return float((scores.argmax(axis=1) == validation.y).mean())
