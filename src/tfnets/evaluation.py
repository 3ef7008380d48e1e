"""Evaluates a trained classifier on a split."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from tfnets import calibration, forms, losses, programs
from tfnets.dataset import Split
from tfnets.errors import InputError
from tfnets.probabilities import fault


@dataclass(frozen=True)
class Judgement:
    """Confusion matrix and per-class scores of a classifier.

    Attributes:
        confusion: Counts ``(classes, classes)``, row: the true class, column: the
            prediction.
        by_class: For each class its ``precision``, ``recall``, ``f1-score`` and
            ``support``, by columns.
    """

    confusion: np.ndarray
    by_class: dict[str, list]


@dataclass(frozen=True)
class Evaluation(Judgement):
    """Judgement of a classifier on one split.

    Attributes:
        metrics: ``loss`` (mean cross-entropy, natural logarithm), ``accuracy`` (top-1), ``ece``
            (expected calibration error, :mod:`tfnets.calibration`) and, with more than two
            classes, ``top2``.
        reliability: How often it is right by how sure it is, by columns.
        predicted: The class number of each sample as the classifier has it, ``(n,)``.
    """

    metrics: dict[str, float]
    reliability: dict[str, list]
    predicted: np.ndarray


def evaluate(
    model: keras.Model,
    split: Split,
    classes: Sequence[str],
    batch_size: int = 1024,
    temperature: float = 1.0,
) -> Evaluation:
    """Evaluates a classifier that answers with class probabilities ``(n, classes)``.

    Args:
        model: The classifier.
        split: What to evaluate it on.
        classes: Class names.
        batch_size: How many samples are computed at once.
        temperature: At which its probabilities are exported.

    Raises:
        InputError: If the model does not take the samples or does not answer with a probability
            for each of the classes, or a label is none.
    """
    split = forms.as_arrays(split, "evaluated")
    with forms.taken("the model", split.x):
        probabilities = programs.predict(model, split.x, batch_size)
    if probabilities.ndim != 2 or probabilities.shape[-1] != len(classes):
        raise InputError(
            f"the model answers with {probabilities.shape[1:]} numbers for a sample; expected "
            f"({len(classes)},), one for each of the classes {', '.join(classes)}."
        )
    split = forms.numbers(split, probabilities.shape, "evaluated", "the model")
    wrong = int((~np.isfinite(probabilities).all(axis=1)).sum())
    if wrong:
        raise InputError(f"the outputs of the model for {wrong} samples are NaN or infinite.")
    why = fault(probabilities)
    if why:
        raise InputError(f"the outputs of model {model.name!r} are no probabilities: {why}.")
    if temperature != 1:
        probabilities = calibration.scaled(probabilities, temperature)
    return of_probabilities(probabilities, split, classes)


def of_probabilities(
    probabilities: np.ndarray, split: Split, classes: Sequence[str]
) -> Evaluation:
    """Evaluates probabilities ``(n, classes)`` for a split."""
    predicted = probabilities.argmax(axis=1)
    true = probabilities[np.arange(len(split)), split.y].astype(np.float64)
    metrics = {
        "loss": float(-np.log(np.clip(true, losses.TINY, None)).mean()),
        "accuracy": float((predicted == split.y).mean()),
        "ece": calibration.calibration_error(probabilities, split.y),
    }
    if len(classes) > 2:
        labels = np.arange(len(classes))
        metrics["top2"] = float(top_k_accuracy_score(split.y, probabilities, k=2, labels=labels))
    judgement = judge(predicted, split, classes)
    reliability = calibration.reliability(probabilities, split.y)
    return Evaluation(judgement.confusion, judgement.by_class, metrics, reliability, predicted)


def judge(predicted: np.ndarray, split: Split, classes: Sequence[str]) -> Judgement:
    """Sets predicted class numbers ``(n,)`` beside a split's own."""
    labels = np.arange(len(classes))
    # By number: in a report by name a class called "accuracy" would be taken for the accuracy.
    by_number = precision_recall_fscore_support(split.y, predicted, labels=labels, zero_division=0)
    columns = ("precision", "recall", "f1-score", "support")
    by_class = {"class": list(classes)}
    by_class |= {k: values.tolist() for k, values in zip(columns, by_number, strict=True)}
    return Judgement(confusion_matrix(split.y, predicted, labels=labels), by_class)


def mistakes(scores: np.ndarray, y: np.ndarray, most: int = 10) -> np.ndarray:
    """Numbers of the samples that are wrong with the highest score, the most certain first.

    Args:
        scores: Of each class, ``(n, classes)``.
        y: The true classes, ``(n,)``.
        most: How many at most.
    """
    wrong = np.flatnonzero(scores.argmax(axis=1) != y)
    return wrong[np.argsort(-scores[wrong].max(axis=1), kind="stable")][:most]
