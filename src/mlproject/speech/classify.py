"""Classifies a clip with a trained model."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from mlproject.speech.judging import load_model
from mlproject.tracking.run import Run
from tfnets.speech import audio

_MOST = 20  # words with a bar


@dataclass(frozen=True)
class Heard:
    """A model's prediction for a clip; ``print`` it.

    Attributes:
        clip: The clip's path.
        model: URI of the model.
        probabilities: By word, the most probable first.
        run: Name of the model's run, if nobody named the model.
        notes: What of the recording was not heard.
    """

    clip: Path
    model: str
    probabilities: dict[str, float]
    run: str = ""
    notes: tuple[str, ...] = ()

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
        notes = [f"Note: {note}" for note in self.notes]
        return "\n".join([f"{self.clip.name}: {self.word}", *bars, *notes, model])


def classify(path: str, model: str, run: Run) -> Heard:
    """Classifies one clip.

    Args:
        path: A recording, as for :func:`tfnets.speech.audio.read`.
        model: As for :func:`mlproject.tracking.models.load`.
        run: Its experiment is searched first for the latest model.

    Raises:
        InputError: For a clip that cannot be read or a model that does not take waveforms.
    """
    sound = audio.read(path)
    loaded = load_model(model, run)
    answers = dict(zip(loaded.classes, loaded.hear(sound.samples[np.newaxis])[0], strict=True))
    probabilities = {name: float(value) for name, value in answers.items()}
    ranked = dict(sorted(probabilities.items(), key=lambda item: -item[1]))
    notes = [f"{path}: {sound.repaired}; what is there was read"] if sound.repaired else []
    if sound.seconds > 1 + 1e-6:
        notes.append(f"the recording has {sound.seconds:.2f} s; the first second was classified")
    return Heard(Path(path), loaded.uri, ranked, loaded.run, tuple(notes))


def log(heard: Heard, run: Run) -> None:
    """Logs the probabilities of a clip as a table."""
    columns = {
        "word": list(heard.probabilities),
        "probability": list(heard.probabilities.values()),
    }
    run.log_table(columns, "probabilities.json")
    run.log_tags({"word": heard.word, "model.uri": heard.model})
