"""Figures of a training, returned and never saved here."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

History = Sequence[Mapping[str, float]]  # the metrics of each epoch

_SPLITS = (("train", "training", "tab:blue"), ("val", "validation", "tab:orange"))


def curves(history: History, title: str) -> Figure:
    """Loss and accuracy of training and validation by epoch (speech_rnn, figure 1).

    Args:
        history: Metrics of each epoch, as :class:`tfnets.training.Trained` has them.
        title: What was trained.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = np.arange(1, len(history) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, name, colour in _SPLITS:
            if f"{key}/{metric}" not in history[0]:
                continue
            values = [metrics[f"{key}/{metric}"] for metrics in history]
            label = f"{name}, last {values[-1]:.3f}"
            axes.plot(epochs, values, color=colour, marker="o", markersize=2, label=label)
        axes.set(xlabel="epoch", ylabel=metric)
        _by_epoch(axes)
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


def side_by_side(histories: Mapping[str, Sequence[History]], title: str) -> Figure:
    """Loss and accuracy of several networks, a column each, on the same scales.

    Args:
        histories: For each network, by its name, the history of each of its trainings.
        title: What they were trained on.
    """
    count = len(histories)
    figure = Figure(figsize=(2 + 3.2 * count, 6.5), layout="constrained")
    panels = figure.subplots(2, count, sharex=True, sharey="row", squeeze=False)
    for column, (name, trainings) in zip(panels.T, histories.items(), strict=True):
        for axes, metric in zip(column, ("loss", "accuracy"), strict=True):
            for key, split, colour in _SPLITS:
                last = np.mean([history[-1][f"{key}/{metric}"] for history in trainings])
                for number, history in enumerate(trainings):
                    values = [metrics[f"{key}/{metric}"] for metrics in history]
                    label = None if number else f"{split}, last {last:.3f}"
                    epochs = np.arange(1, len(values) + 1)
                    axes.plot(epochs, values, color=colour, linewidth=1.2, label=label)
            _by_epoch(axes)
            axes.legend(fontsize="small")
        column[0].set_title(name)
        column[-1].set_xlabel("epoch")
    for axes, metric in zip(panels[:, 0], ("loss", "accuracy"), strict=True):
        axes.set_ylabel(metric)
    figure.suptitle(title)
    return figure


def gaps(histories: Mapping[str, Sequence[History]], title: str) -> Figure:
    """How far training is ahead of validation, by epoch: the reports' sign of overfitting.

    Args:
        histories: As for :func:`side_by_side`; of several trainings the mean is drawn, and
            the range shaded.
        title: What they were trained on.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, metric, (better, worse) in zip(
        panels, ("accuracy", "loss"), (("train", "val"), ("val", "train")), strict=True
    ):
        for name, trainings in histories.items():
            values = np.array(
                [
                    [metrics[f"{better}/{metric}"] - metrics[f"{worse}/{metric}"] for metrics in h]
                    for h in trainings
                ]
            )
            epochs = np.arange(1, values.shape[1] + 1)
            label = f"{name}, last {values[:, -1].mean():+.3f}"
            (line,) = axes.plot(epochs, values.mean(axis=0), label=label)
            axes.fill_between(
                epochs, values.min(axis=0), values.max(axis=0), alpha=0.2, color=line.get_color()
            )
        axes.axhline(0, color="black", linewidth=0.8)
        names = {"train": "training", "val": "validation"}
        axes.set(xlabel="epoch", ylabel=f"{names[better]} - {names[worse]} {metric}")
        _by_epoch(axes)
        axes.legend()
    figure.suptitle(f"{title}: gap between training and validation")
    return figure


def _by_epoch(axes) -> None:
    """Whole epochs below, a faint grid."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)
