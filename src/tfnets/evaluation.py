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

from tfnets import programs
from tfnets.dataset import Split


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
        metrics: ``loss`` (mean cross-entropy, natural logarithm), ``accuracy`` (top-1)
            and, with more than two classes, ``top2``.
    """

    metrics: dict[str, float]


def evaluate(
    model: keras.Model, split: Split, classes: Sequence[str], batch_size: int = 1024
) -> Evaluation:
    """Evaluates a classifier that answers with class probabilities ``(n, classes)``."""
    probabilities = programs.predict(model, split.x, batch_size)
    predicted = probabilities.argmax(axis=1)
    true = probabilities[np.arange(len(split)), split.y].astype(np.float64)
    metrics = {
        "loss": float(-np.log(np.clip(true, 1e-7, None)).mean()),
        "accuracy": float((predicted == split.y).mean()),
    }
    if len(classes) > 2:
        labels = np.arange(len(classes))
        metrics["top2"] = float(top_k_accuracy_score(split.y, probabilities, k=2, labels=labels))
    judgement = judge(predicted, split, classes)
    return Evaluation(judgement.confusion, judgement.by_class, metrics)


def judge(predicted: np.ndarray, split: Split, classes: Sequence[str]) -> Judgement:
    """Sets predicted class numbers ``(n,)`` beside a split's own."""
    labels = np.arange(len(classes))
    # By number: in a report by name a class called "accuracy" would be taken for the accuracy.
    by_number = precision_recall_fscore_support(split.y, predicted, labels=labels, zero_division=0)
    columns = ("precision", "recall", "f1-score", "support")
    by_class = {"class": list(classes)}
    by_class |= {k: values.tolist() for k, values in zip(columns, by_number, strict=True)}
    return Judgement(confusion_matrix(split.y, predicted, labels=labels), by_class)
