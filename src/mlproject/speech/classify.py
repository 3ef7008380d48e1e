"""Classifies a clip with a trained model."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from mlproject.tracking import models
from mlproject.tracking.run import Run
from tfnets.errors import InputError
from tfnets.speech import wav

_MOST = 20  # words with a bar


@dataclass(frozen=True)
class Heard:
    """A model's prediction for a clip; ``print`` it.

    Attributes:
        clip: The clip's path.
        model: URI of the model.
        probabilities: By word, the most probable first.
        run: Name of the model's run, if nobody named the model.
    """

    clip: Path
    model: str
    probabilities: dict[str, float]
    run: str = ""

    @property
    def word(self) -> str:
        """The most probable word."""
        return next(iter(self.probabilities))

    def __str__(self) -> str:
        shown = dict(islice(self.probabilities.items(), _MOST))
        width = max(map(len, shown))
        bars = [
            f"  {name:<{width}}  {probability:.4f}  {'#' * round(40 * probability)}"
            for name, probability in shown.items()
        ]
        if len(shown) < len(self.probabilities):
            rest = sum(self.probabilities.values()) - sum(shown.values())
            bars.append(f"  {len(self.probabilities) - len(shown)} others, together {rest:.4f}")
        model = f"Model: {self.model} ({self.run})" if self.run else f"Model: {self.model}"
        return "\n".join([f"{self.clip.name}: {self.word}", *bars, model])


def classify(path: str, model: str, run: Run) -> Heard:
    """Classifies one clip.

    Args:
        path: A WAV file, 16 kHz mono 16-bit PCM.
        model: As for :func:`mlproject.tracking.models.load`.
        run: Its experiment is searched first for the latest model.

    Raises:
        InputError: For a clip that cannot be read or a model that does not take waveforms.
    """
    samples = wav.read(path).astype(np.float32) / 32768
    network, uri, name = models.load(model, "waveforms", run)
    inputs, outputs = getattr(network, "input_shape", None), getattr(network, "output", None)
    if not isinstance(outputs, dict) or not isinstance(inputs, tuple) or len(inputs) != 2:
        what = f"takes inputs of shape {inputs}, not waveforms" if inputs else "is not one of ours"
        raise InputError(f"model {uri} {what}; expected a model of a run on audio.")
    answers = network.predict(samples[np.newaxis], verbose=0)
    probabilities = {name: float(values[0]) for name, values in answers.items()}
    ranked = dict(sorted(probabilities.items(), key=lambda item: -item[1]))
    return Heard(Path(path), uri, ranked, name)


def log(heard: Heard, run: Run) -> None:
    """Logs the probabilities of a clip as a table."""
    columns = {
        "word": list(heard.probabilities),
        "probability": list(heard.probabilities.values()),
    }
    run.log_table(columns, "probabilities.json")
    run.log_tags({"word": heard.word, "model.uri": heard.model})
