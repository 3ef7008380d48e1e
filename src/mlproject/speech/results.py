"""What every run with a network logs of its data and its test, and its part of the summary."""

from dataclasses import dataclass

import keras
import numpy as np

import tfnets.speech
from mlproject.tracking import models, summaries
from mlproject.tracking.limits import escaped
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import classes, log_confusion, log_network, sizes
from tfnets import calibration, evaluation, figures, programs
from tfnets.dataset import Dataset
from tfnets.parameters import Derivation
from tfnets.speech import features


@dataclass(frozen=True)
class Evaluated:
    """A network with what the test says of it, logged.

    Attributes:
        network: From :func:`tfnets.speech.build`, with its weights.
        test: Its judgement on the test split.
        table: Where its parameters come from.
        uri: The URI of its deployable model.
    """

    network: keras.Model
    test: evaluation.Evaluation
    table: Derivation
    uri: str

    def rows(self, data: Dataset) -> list[tuple[str, str]]:
        """What a summary says of it."""
        accuracy = f"{self.test.metrics['accuracy']:.4f}"
        return [
            ("Test accuracy", f"{accuracy}  ({len(data.test):,} samples of {data.name})"),
            ("Parameters", f"{self.table.total:,}"),
        ]


def log_loading(data: Dataset, run: Run) -> None:
    """Logs what took how long while the data were loaded."""
    run.log_metrics({f"time/{name}_s": value for name, value in data.seconds.items()})


def log_data(data: Dataset, architecture: str, run: Run) -> None:
    """Logs what a network is trained or judged on, and which it is."""
    run.log_dataset(data)
    inputs = "waveforms" if data.from_audio else "matrices"
    run.log_tags({"model": architecture, "inputs": inputs})


def evaluate(
    network: keras.Model, data: Dataset, run: Run, *, calibrate: bool = False
) -> Evaluated:
    """Evaluates a network on the test split; logs that, the network and where it comes from.

    Args:
        network: From :func:`tfnets.speech.build`, with its weights.
        data: What to evaluate it on.
        run: Where to log.
        calibrate: Whether the exported model's probabilities are scaled by the temperature that
            fits the validation split best.
    """
    assert data.mean is not None
    assert data.std is not None  # load has standardised it
    temperature = 1.0
    if calibrate:
        assert data.val is not None  # load gives one
        on_validation = programs.predict(network, data.val.x)
        temperature = calibration.temperature(on_validation, data.val.y)
        run.log_metrics({"temperature": temperature})
    test = evaluation.evaluate(network, data.test, data.classes, temperature=temperature)
    deployed = tfnets.speech.deployable(
        network,
        data.classes,
        mean=data.mean,
        std=data.std,
        waveforms=data.from_audio,
        level=data.level,
        temperature=temperature,
    )
    metrics = {f"test/{name}": value for name, value in test.metrics.items()}
    run.log_metrics(metrics)
    log_reliability(test, data.name, run)
    log_confusion(test, data, run)
    table = log_network(network, run)
    return Evaluated(network, test, table, models.log(run, deployed, _example(data), _about(data)))


def log_reliability(test: evaluation.Evaluation, data: str, run: Run) -> None:
    """Logs how often a classifier is right by how sure it is."""
    title = f"{run.name}\n{data}, test"
    figure = figures.reliability(test.reliability, test.metrics["ece"], title)
    run.log_figure(figure, "reliability.png")
    run.log_table(test.reliability, "reliability.json")


def describe(architecture: str, about: str, evaluated: Evaluated, data: Dataset, run: Run) -> None:
    """Logs the description that the UI shows on top of a run.

    Args:
        architecture: The network's name.
        about: How it came to its weights; goes on after a comma.
        evaluated: What the test says of it.
        data: What it was tested on.
        run: Where to log.
    """
    takes = "waveforms of 16 kHz" if data.from_audio else "feature matrices"
    lines = [
        f"**{architecture}** on *{escaped(data.name)}* ({classes(data)}): test accuracy "
        f"**{evaluated.test.metrics['accuracy']:.4f}**, {evaluated.table.total:,} parameters, "
        f"{about}",
        f"Data: {sizes(data)} samples, split {data.split_kind}.",
    ]
    model = (
        f"The deployed model (`{evaluated.uri}`) takes {takes} and answers with a probability for "
        "each class:"
    )
    summaries.describe(lines, model, evaluated.table, run)


def _example(data: Dataset) -> np.ndarray:
    """One input of the deployed model: a second of silence, or the first test matrix."""
    if data.from_audio:
        return np.zeros((1, features.SAMPLES), np.float32)
    return data.test.x[:1] * np.float32(data.std) + np.float32(data.mean)


def _about(data: Dataset) -> dict:
    """What a user of the deployed model must know; stands in its MLmodel file."""
    about = {"classes": list(data.classes), "data": data.name}
    if data.from_audio:
        return about | {
            "sample_rate": features.SAMPLE_RATE,
            "input": "waveform in [-1, 1]",
            "level": data.level,
            # A level of the whole clip is no step of a stream.
            "window_only": data.level == "clip",
        }
    return about | {"input": f"matrices {data.input_shape}"}
