"""Judges a trained model on recordings: other ones, or the same made worse."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from scipy.stats import binomtest

from mlproject.speech.results import log_reliability
from mlproject.speech.settings import data_of
from mlproject.tracking import models
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_confusion, log_times, summary
from tfnets import evaluation, figures, tables
from tfnets.dataset import Split
from tfnets.errors import InputError
from tfnets.progress import Progress, duration
from tfnets.speech import audio, features
from tfnets.speech.clips import SILENCE, UNKNOWN
from tfnets.speech.judging import Recordings, rejection, select
from tfnets.speech.robustness import Condition, conditions

_AT_ONCE = 256
_MISSED = 0.1  # share of trained words that may be missed where false alarms are counted
_SURE = 0.9


@dataclass(frozen=True)
class _Model:
    """A model from waveforms.

    Attributes:
        network: The exported model.
        uri: Where it was loaded from.
        run: Name of its run, if nobody named the model.
        classes: Its classes.
    """

    network: keras.Model
    uri: str
    run: str
    classes: tuple[str, ...]

    def hear(self, clips: np.ndarray) -> np.ndarray:
        """Probabilities ``(n, classes)`` of clips ``(n, 16000)``."""
        answers = self.network.predict(clips, batch_size=_AT_ONCE, verbose=0)
        return np.stack([answers[name] for name in self.classes], axis=1)


def load_model(model: str, run: Run) -> _Model:
    """A model from waveforms; arguments and errors as for :func:`models.load`.

    Raises:
        InputError: Also for a model that takes something else.
    """
    network, uri, name = models.load(model, "waveforms", run)
    inputs, outputs = getattr(network, "input_shape", None), getattr(network, "output", None)
    if not isinstance(outputs, dict) or not isinstance(inputs, tuple) or len(inputs) != 2:
        what = f"takes inputs of shape {inputs}, not waveforms" if inputs else "is not one of ours"
        raise InputError(f"model {uri} {what}; expected a model of a run on audio.")
    return _Model(network, uri, name, tuple(outputs))


def evaluate(options: dict, run: Run) -> str:
    """Evaluates a model on recordings and logs figures and tables.

    Args:
        options: The command's options by name.
        run: Where to log.

    Returns:
        A summary for the user.

    Raises:
        InputError: If the model or the recordings cannot be used, or have no word in common.
    """
    model, found = _prepare(options, run)
    probabilities = _hear_all(model, found)
    known = found.labels >= 0
    split = Split(np.empty(known.sum()), found.labels[known])
    test = evaluation.of_probabilities(probabilities[known], split, model.classes)
    metrics = {f"test/{name}": value for name, value in test.metrics.items()}
    metrics["test/clips"] = len(split)
    words = [n for n, name in enumerate(model.classes) if name not in (UNKNOWN, SILENCE)]
    right = round(test.metrics["accuracy"] * len(split))
    interval = binomtest(right, len(split)).proportion_ci(method="wilson")
    metrics |= {"test/accuracy_low": interval.low, "test/accuracy_high": interval.high}
    rows = [
        ("Model", model.uri),
        ("Recordings", f"{found.name}: {found.kind}"),
        (
            "Accuracy",
            f"{test.metrics['accuracy']:.4f}, 95 % interval {interval.low:.4f} to "
            f"{interval.high:.4f}  ({len(split):,} clips of {len(np.unique(split.y))} classes)",
        ),
        ("Calibration error", f"{test.metrics['ece']:.4f}"),
    ]
    of_words = np.isin(found.labels, words)
    others = (found.labels < 0) | _is(UNKNOWN, found, model)
    if others.any():
        scores = probabilities[:, words].max(axis=1)
        threshold, accepted = rejection(scores[of_words], scores[others], _MISSED)
        metrics |= {
            "others/clips": int(others.sum()),
            "others/false_alarms": accepted,
            "others/threshold": threshold,
            "others/above_0.9": float((scores[others] > _SURE).mean()),
            "others/taken_for_a_word": float(
                np.isin(probabilities[others].argmax(axis=1), words).mean()
            ),
        }
        rows += [
            (
                "Other words",
                f"{100 * (1 - accepted):.1f} % of {others.sum():,} clips rejected where "
                f"{100 * _MISSED:.0f} % of the trained words are missed (threshold "
                f"{threshold:.4f}); {100 * metrics['others/above_0.9']:.1f} % above {_SURE}",
            )
        ]
    run.log_metrics(metrics)
    run.log_tags({"model.uri": model.uri})
    log_confusion(test, found.named(model.classes), run)
    log_reliability(test, found.name, run)
    by_speaker = _by_speaker(found, known, probabilities)
    if by_speaker:
        run.log_table(by_speaker, "by_speaker.json")
    _log_mistakes(found, known, probabilities, model, run)
    log_times(run)
    return summary(*rows, ("Wall time", duration(run.elapsed)), run=run)


def _log_mistakes(
    found: Recordings, known: np.ndarray, probabilities: np.ndarray, model: _Model, run: Run
) -> None:
    """The ten most certain mistakes: clips to listen to, their spectrograms, their scores."""
    numbers = np.flatnonzero(known)
    wrong = numbers[evaluation.mistakes(probabilities[known], found.labels[known])]
    if not len(wrong):
        return
    clips = found.waveforms(wrong)
    columns: dict[str, list] = {
        "clip": list(range(1, len(wrong) + 1)),
        "true": [model.classes[n] for n in found.labels[wrong]],
        "heard": [model.classes[n] for n in probabilities[wrong].argmax(axis=1)],
        "speaker": ["-"] * len(wrong) if found.speakers is None
        else [str(each) for each in found.speakers[wrong]],
    }  # fmt: skip
    for number, name in enumerate(model.classes):
        columns[name if name not in columns else f"score of {name}"] = [
            float(value) for value in probabilities[wrong, number]
        ]
    run.log_table(columns, "mistakes.json")
    for number, clip in enumerate(clips, 1):
        samples = np.clip(np.round(clip * 32_768), -32_768, 32_767).astype(np.int16)
        run.log_file(
            lambda path, samples=samples: audio.write(path, samples), f"mistakes/{number}.wav"
        )
    labels = [
        f"{number}: {true} heard as {heard}, {score:.2f}"
        for number, true, heard, score in zip(
            columns["clip"],
            columns["true"],
            columns["heard"],
            probabilities[wrong].max(axis=1),
            strict=True,
        )
    ]
    title = f"{found.name}: most certain mistakes"
    figure = figures.spectrograms(features.log_mel(clips), labels, title)
    run.log_figure(figure, "mistakes.png")


def _write(samples: np.ndarray, path: Path) -> None:
    audio.write(path, samples)


def robustness(options: dict, run: Run) -> str:
    """Evaluates a model on clips as they are and changed; arguments as for :func:`evaluate`."""
    model, found = _prepare(options, run)
    known = np.flatnonzero(found.labels >= 0)
    labels = found.labels[known]
    right: dict[Condition, int] = {}
    with Progress("listening", len(known), shown=True) as meter:
        for start in range(0, len(known), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            clips = found.waveforms(known[part])
            for condition, changed in conditions(clips, options["seed"] + start):
                heard = model.hear(changed).argmax(axis=1) == labels[part]
                right[condition] = right.get(condition, 0) + int(heard.sum())
            meter.step(len(clips))
    accuracy = {condition: count / len(known) for condition, count in right.items()}
    first = next(iter(accuracy.values()))
    columns = {
        "clips": [str(condition) for condition in accuracy],
        "accuracy": [f"{value:.4f}" for value in accuracy.values()],
        "difference": [f"{value - first:+.4f}" for value in accuracy.values()],
    }
    run.log_metrics({f"robustness/{c.metric}": value for c, value in accuracy.items()})
    run.log_table(
        {"kind": [c.kind for c in accuracy], "value": [float(c.value) for c in accuracy]}
        | {"accuracy": list(accuracy.values())},
        "robustness.json",
    )
    panels = {}
    for condition in accuracy:
        if condition.unit:
            name = f"{condition.kind}, {condition.unit}"
            of_kind = [c for c in accuracy if c.kind == condition.kind]
            panels[name] = ([c.value for c in of_kind], [accuracy[c] for c in of_kind])
    title = f"{found.name}, {len(known):,} clips"
    run.log_figure(figures.by_condition(panels, first, title), "robustness.png")
    run.log_tags({"model.uri": model.uri})
    log_times(run)
    return f"\n{tables.text(columns)}\n" + summary(
        ("Model", model.uri),
        ("Recordings", f"{found.name}: {found.kind}"),
        ("Wall time", duration(run.elapsed)),
        run=run,
    )


def _prepare(options: dict, run: Run) -> tuple[_Model, Recordings]:
    model = load_model(options["model"], run)
    data = {
        key: v
        for key, v in data_of(options).items()
        if key not in ("level", "augment", "duplicates")
    }
    found = select(model.classes, options["part"], **data)
    run.log_parameters({"used/words": ", ".join(found.words)})
    return model, found


def _hear_all(model: _Model, found: Recordings) -> np.ndarray:
    result = np.empty((len(found.labels), len(model.classes)), np.float32)
    with Progress("listening", len(result), shown=True) as meter:
        for start in range(0, len(result), _AT_ONCE):
            numbers = np.arange(start, min(start + _AT_ONCE, len(result)))
            result[numbers] = model.hear(found.waveforms(numbers))
            meter.step(len(numbers))
    return result


def _is(name: str, found: Recordings, model: _Model) -> np.ndarray:
    if name not in model.classes:
        return np.zeros(len(found.labels), bool)
    return found.labels == model.classes.index(name)


def _by_speaker(
    found: Recordings, known: np.ndarray, probabilities: np.ndarray
) -> dict[str, Sequence]:
    speakers = found.speakers
    if speakers is None:
        return {}
    right = probabilities.argmax(axis=1) == found.labels
    names = sorted(set(speakers[known]))
    of = [known & (speakers == name) for name in names]
    return {
        "speaker": names,
        "clips": [int(each.sum()) for each in of],
        "accuracy": [float(right[each].mean()) for each in of],
    }
