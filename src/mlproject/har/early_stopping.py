"""Trains a registered configuration until validation says enough; crowns a champion."""

import json
import re
from dataclasses import dataclass

import numpy as np

from mlproject import models, registry, tracking
from mlproject.har import published
from mlproject.har.results import TOPS, load, settings
from mlproject.har.train import Result, accuracies, draw, train_on
from mlproject.registry import CHAMPION, Version
from mlproject.results import CONFUSION, count, log_times, sizes, summary
from tfnets import tables
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.figures import has_counts
from tfnets.har import figures
from tfnets.progress import duration

_STOPPING = ("patience", "min_delta")


@dataclass(frozen=True)
class Stopped:
    """An evaluation by early stopping.

    Attributes:
        version: The new version of the registered model.
        text: What came out, for the user.
    """

    version: Version
    text: str


def early_stopping(parameters: dict, run: tracking.Run) -> str:
    """Trains the configuration of a registered model, as option c of report har_rnn.

    Args:
        parameters: The command's options by name.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    stopped = evaluate(parameters, run)
    log_times(run)
    return stopped.text + summary(("Wall time", duration(run.elapsed)), run=run)


def evaluate(parameters: dict, run: tracking.Run) -> Stopped:
    """Trains, evaluates, draws, registers; makes it the champion if it is better."""
    source = registry.find(parameters["model"])
    configuration = _configuration(source)
    configuration |= {name: parameters[name] for name in _STOPPING}
    configuration |= {
        "epochs": parameters["max_epochs"],
        "validation_fraction": parameters["validation_fraction"],
    }
    chosen = settings(configuration)
    run.log_parameters({f"configuration/{key}": v for key, v in configuration.items()})
    run.log_tags({"model.source": f"{source.name}/{source.number}"})
    data = load(chosen)
    result = train_on(data, configuration, run)
    judgement = draw(result, data, run)
    title = f"{run.name}: {data.name}"
    model = result.trained.model
    run.log_figure(figures.activations(model, data.test, data.classes, title), "hidden.png")
    run.log_figure(figures.weights(model, title), "weights.png")
    label = source.tags.get("run", "")
    table = _tables(label, result, judgement, data)
    run.log_text(f"{table}\n", "tables.txt")
    trained = result.trained
    epochs = len(trained.history)
    reason = "" if epochs < parameters["max_epochs"] else ", the most that were allowed"
    stopped = f"stopped after {count(epochs, 'epoch')}{reason}; best epoch {trained.best}"
    version, verdict = _register(source, configuration, label, stopped, result, data, run)
    text = (
        f"\n{source} ({label or 'no run of the report'}) on {data.name}, {sizes(data)}: {stopped}."
        f"\n\n{table}\n\nRegistered as {version}. {verdict}\n"
    )
    return Stopped(version, text)


def _configuration(source: Version) -> dict:
    try:
        configuration = json.loads(source.tags["configuration"])
        settings(configuration)
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InputError(
            f"{source} does not say how it was trained (tag 'configuration'); a model that "
            "har_sweep or har_early_stopping registered is needed."
        ) from None
    subjects = configuration.get("test_subjects")
    if isinstance(subjects, list):
        configuration["test_subjects"] = tuple(subjects)
    return configuration


def _tables(label: str, result: Result, judgement, data: Dataset) -> str:
    """The report's tables VI (its run 8) or VII (run 7), and VIII, the confusion matrix."""
    match = re.fullmatch(r"run (\d+)", label)
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
    source: Version,
    configuration: dict,
    label: str,
    stopped: str,
    result: Result,
    data: Dataset,
    run: tracking.Run,
) -> tuple[Version, str]:
    validation = result.metrics["val"]["accuracy"]
    tags = {
        "stage": "early-stopping",
        "configuration": {k: v for k, v in configuration.items() if k not in _STOPPING},
        "run": label,
        "from": f"{source.name}/{source.number}",
        "val.accuracy": validation,
        "data.name": data.name,
        "data.digest": data.digest,
    }
    text = f"{label or 'a configuration'} of {source}: {stopped}; validation {validation:.4f}."
    version = registry.register(source.name, run.id, tags, text)
    wins, verdict = _contest(version, data, run)
    if wins:
        registry.alias(version, CHAMPION)
    registry.tag(version, {"champion": verdict})
    run.log_tags({"registered": f"{version.name}/{version.number}", "champion": verdict})
    return version, verdict


def _contest(version: Version, data: Dataset, run: tracking.Run) -> tuple[bool, str]:
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
    score = f"{mine:.4f} to {theirs:.4f} on the same {len(data.val)} validation windows"
    if mine > theirs:
        return True, f"It is the champion now, in place of {champion}: {score}.{caution}"
    return False, f"The champion stays {champion}: {score}.{caution}"


def _validation(uri: str, data: Dataset, run: tracking.Run) -> float:
    """Accuracy of a deployable model on the validation split."""
    network, _, _ = models.load(uri, "acceleration", run)
    shape, outputs = getattr(network, "input_shape", None), getattr(network, "output", None)
    if not isinstance(outputs, dict) or tuple(shape or ())[1:] != data.input_shape:
        raise InputError(f"it takes {shape}, these windows are {data.input_shape}.")
    if set(outputs) != set(data.classes):
        raise InputError(f"it knows {', '.join(outputs)}, not {', '.join(data.classes)}.")
    answers = network.predict(data.val.x, batch_size=1024, verbose=0)
    scores = np.stack([np.asarray(answers[name]) for name in data.classes], axis=1)
    return float((scores.argmax(axis=1) == data.val.y).mean())
