"""Figures of a training, returned and never saved here."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_SPLITS = (("train", "training", "tab:blue"), ("val", "validation", "tab:orange"))


def curves(history: Sequence[dict[str, float]], title: str) -> Figure:
    """Loss and accuracy of training and validation by epoch (speech_rnn, figure 1).

    Args:
        history: Metrics of each epoch, as :class:`tfnets.training.Trained` has them.
        title: What was trained.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = np.arange(1, len(history) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, name, colour in _SPLITS:
            values = [metrics[f"{key}/{metric}"] for metrics in history]
            label = f"{name}, last {values[-1]:.3f}"
            axes.plot(epochs, values, color=colour, marker="o", markersize=2, label=label)
        axes.set(xlabel="epoch", ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    return figure


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """A confusion matrix with counts and shares of each true class.

    Args:
        counts: ``(classes, classes)``, row: the true class, column: the prediction.
        classes: Names of the classes.
        title: What was predicted by what.
    """
    n = len(classes)
    size = max(4.5, 0.9 * n + 2)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(
            column,
            row,
            f"{count}\n{shares[row, column]:.0%}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.5 else "black",
        )
    axes.set_xticks(range(n), classes, rotation=0 if n <= 6 else 90)
    axes.set_yticks(range(n), classes)
    axes.set(xlabel="predicted", ylabel="true")
    figure.suptitle(title, fontsize="medium")
    figure.colorbar(image, ax=axes, fraction=0.046, pad=0.04, label="share of the true class")
    return figure
