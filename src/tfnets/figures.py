"""Figures of a training, returned and never saved here."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfnets.evidence import Ranks

History = Sequence[Mapping[str, float]]  # the metrics of each epoch

_SPLITS = (("train", "training", "tab:blue"), ("val", "validation", "tab:orange"))
_SPLITS_AND_TEST = (*_SPLITS, ("test", "test", "tab:green"))
_TOP = {"accuracy": "top-1", "top2": "top-2", "top3": "top-3"}  # what the reports call them
_STYLES = ("solid", "dashed", "dotted")

_MOST_COUNTED = 20  # classes of a confusion matrix with counts
_LARGEST = 20.0  # a figure's side, in inches


def plain(text: str) -> str:
    """A text that matplotlib shows as it is: two dollars would make a formula of it."""
    return text.replace("$", r"\$")


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
    figure.suptitle(plain(title))
    return figure


def has_counts(classes: Sequence[str]) -> bool:
    """Whether a confusion matrix of these classes has room for counts."""
    return len(classes) <= _MOST_COUNTED


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """A confusion matrix with counts and shares of each true class.

    Of many classes it has shares only, as colours, and not every name.

    Args:
        counts: ``(classes, classes)``, row: the true class, column: the prediction.
        classes: Names of the classes.
        title: What was predicted by what.
    """
    n = len(classes)
    counted = has_counts(classes)
    labels = [plain(name if len(name) <= 20 else f"{name[:19]}…") for name in classes]
    long = max(map(len, labels)) > 10
    size = min(max(4.5, (0.9 if counted else 0.15) * n + 2) + 1.5 * long, _LARGEST)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts) if counted else ():
        axes.text(
            column,
            row,
            f"{count}\n{shares[row, column]:.0%}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.5 else "black",
        )
    # A label needs an eighth of an inch; where classes are closer, not each gets one.
    every = max(1, -(-n // round(8 * (size - 2.5))))
    labels = labels[::every]
    font: dict[str, Any] = {} if counted else {"fontsize": 7}
    axes.set_xticks(range(0, n, every), labels, rotation=90 if n > 6 or long else 0, **font)
    axes.set_yticks(range(0, n, every), labels, **font)
    axes.set(xlabel="predicted", ylabel="true")
    figure.suptitle(plain(title), fontsize="medium")
    figure.colorbar(image, ax=axes, fraction=0.046, pad=0.04, label="share of the true class")
    return figure


def reliability(table: Mapping[str, Sequence[float]], error: float, title: str) -> Figure:
    """How often a classifier is right by how sure it is; on the diagonal it says the truth.

    Args:
        table: From :func:`tfnets.calibration.reliability`.
        error: Expected calibration error.
        title: What was judged.
    """
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="dashed", label="as sure as right")
    sizes = np.array(table["samples"], float)
    axes.plot(table["confidence"], table["accuracy"], color="tab:blue", linewidth=1)
    axes.scatter(
        table["confidence"],
        table["accuracy"],
        s=20 + 280 * sizes / sizes.max(),
        color="tab:blue",
        alpha=0.6,
        label="area: how many",
    )
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(title=f"calibration error {error:.3f}")
    figure.suptitle(plain(title))
    return figure


def by_condition(
    panels: Mapping[str, tuple[Sequence[float], Sequence[float]]], level: float, title: str
) -> Figure:
    """Accuracy by how strongly clips were changed, a panel for each kind.

    Args:
        panels: By the kind with its unit, values and accuracies.
        level: Accuracy of the clips as they are, a line in each panel.
        title: What was judged.
    """
    columns = 4
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.8 * rows), layout="constrained")
    every = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (name, (values, accuracies)) in zip(every, panels.items(), strict=False):
        places = range(len(values))
        axes.plot(places, accuracies, marker="o", color="tab:blue")
        axes.axhline(level, color="grey", linestyle="dashed")
        axes.set_xticks(list(places), [f"{value:g}" for value in values])
        axes.set(xlabel=name, ylim=(0, 1.02))
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    every[0].set_ylabel("accuracy")
    figure.suptitle(plain(title))
    return figure


def by_person(accuracies: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Each person's accuracy by each configuration, the means as lines.

    Args:
        accuracies: By configuration and person.
        title: What was tested.
    """
    people = list(dict.fromkeys(who for each in accuracies.values() for who in each))
    width = min(max(6.0, 2.5 + 0.35 * len(people)), _LARGEST)
    height = 4.2 + 0.25 * len(accuracies)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for number, (name, of_people) in enumerate(accuracies.items()):
        color = f"C{number % 10}"
        places = [people.index(who) for who in of_people]
        axes.plot(places, list(of_people.values()), "o", color=color, label=plain(name))
        axes.axhline(float(np.mean(list(of_people.values()))), color=color, linewidth=1)
    every = max(1, len(people) // 40)
    shown = [plain(who if len(who) <= 12 else f"{who[:11]}…") for who in people[::every]]
    axes.set_xticks(range(0, len(people), every), shown, rotation=90 if len(people) > 8 else 0)
    axes.set(xlabel="person tested on", ylabel="accuracy (line: mean)", ylim=(0, 1.02))
    figure.legend(loc="outside lower center", ncols=1)
    figure.suptitle(plain(title))
    return figure


def parallel_coordinates(
    points: Mapping[str, Sequence],
    logarithmic: Mapping[str, bool],
    values: Sequence[float],
    title: str,
) -> Figure:
    """Trials as lines through their options; the last axis, and the colour, is the accuracy.

    Args:
        points: By option the value that each trial has.
        logarithmic: Which options are shown on a logarithmic scale.
        values: Accuracy of each trial.
        title: What was searched.
    """
    figure = Figure(figsize=(2.4 + 1.8 * (len(points) + 1), 4.6), layout="constrained")
    axes = figure.subplots()
    columns = [_placed(each, logarithmic[name]) for name, each in points.items()]
    columns.append(_placed(values, False))
    low, high = min(values), max(values)
    places = range(len(columns))
    for number in np.argsort(values):  # the best on top
        share = (values[number] - low) / (high - low) if high > low else 1.0
        heights = [heights[number] for heights, _ in columns]
        axes.plot(places, heights, color=colormaps["viridis"](share), alpha=0.8)
    for place, (_, marks) in zip(places, columns, strict=True):
        axes.axvline(place, color="grey", linewidth=1)
        for height, label in marks:
            axes.annotate(
                plain(label),
                (place, height),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=8,
            )
    axes.set_xticks(places, [plain(name) for name in (*points, "validation accuracy")])
    axes.set(yticks=[], ylim=(-0.05, 1.05), xlim=(-0.2, len(columns) - 0.4))
    figure.suptitle(plain(title))
    return figure


def _placed(values: Sequence, logarithmic: bool) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights from 0 to 1 of values on their axis, and what stands beside it where."""
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        numbers = np.log(values) if logarithmic else np.asarray(values, float)
        low, high = float(numbers.min()), float(numbers.max())
        heights = (numbers - low) / (high - low) if high > low else np.full(len(numbers), 0.5)
        ends = {
            float(height): f"{value:.4g}" for height, value in zip(heights, values, strict=True)
        }
        marks = [(height, ends[height]) for height in (min(ends), max(ends))]
        return heights.tolist(), marks
    names = sorted(set(map(str, values)))
    height_of = {name: (n + 0.5) / len(names) for n, name in enumerate(names)}
    return [height_of[str(each)] for each in values], [(h, n) for n, h in height_of.items()]


def bars(shares: Mapping[str, float], label: str, title: str) -> Figure:
    """Shares of a whole as horizontal bars, the largest on top.

    Args:
        shares: By name.
        label: What they are shares of.
        title: What they are about.
    """
    figure = Figure(figsize=(7, 1.6 + 0.35 * len(shares)), layout="constrained")
    axes = figure.subplots()
    names = sorted(shares, key=lambda name: shares[name])
    axes.barh([plain(name) for name in names], [shares[name] for name in names], color="tab:blue")
    axes.set(xlabel=label, xlim=(0, 1))
    figure.suptitle(plain(title))
    return figure


def critical_difference(ranked: Ranks, title: str) -> Figure:
    """Average ranks on a line; bars join what is not separated (Demsar 2006, figure 1).

    Args:
        ranked: From :func:`tfnets.evidence.ranks`.
        title: What was compared.
    """
    count = len(ranked.average)
    figure = Figure(figsize=(9, 1.8 + 0.32 * (count + len(ranked.groups))), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0.8, count + 0.2), xlabel="average rank over people (1 is best)")
    for place, (name, rank) in enumerate(ranked.average.items(), 1):
        axes.plot([rank, rank], [0, place], color="grey", linewidth=1)
        axes.annotate(
            plain(f"{name}, {rank:.2f}"), (rank, place), xytext=(3, 0), textcoords="offset points"
        )
        axes.plot(rank, 0, "o", color="black")
    for level, group in enumerate(ranked.groups, 1):
        ends = ranked.average[group[0]], ranked.average[group[-1]]
        axes.plot(ends, [-0.35 * level] * 2, color="tab:red", linewidth=4, solid_capstyle="butt")
    axes.set(ylim=(-0.35 * (len(ranked.groups) + 1), count + 1), yticks=[])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    critical = f"critical difference {ranked.critical:.2f}, {ranked.people} people"
    figure.suptitle(plain(f"{title}\n{critical}; red: not separated"))
    return figure


def spectrograms(x: np.ndarray, labels: Sequence[str], title: str) -> Figure:
    """Log-mel matrices side by side, up to five a row, brighter is louder.

    Args:
        x: The matrices, ``(n, frames, bands)``.
        labels: What stands above each.
        title: What they are.
    """
    columns = min(len(x), 5)
    rows = -(-len(x) // columns)
    frames, bands = x.shape[1:]
    wide, high = frames + 6, bands + 10  # with room for the labels
    sheet = np.full((rows * high, columns * wide), np.nan)
    for number, matrix in enumerate(x):
        top, left = (number // columns) * high + 10, (number % columns) * wide
        sheet[top : top + bands, left : left + frames] = matrix.T[::-1]
    figure = Figure(figsize=(2.6 * columns, 0.6 + 1.7 * rows), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, aspect="auto", cmap="magma", interpolation="nearest")
    for number, label in enumerate(labels):
        place = (number % columns) * wide, (number // columns) * high + 8
        axes.text(*place, plain(label), fontsize=8)
    axes.set_axis_off()
    figure.suptitle(plain(title), fontsize="medium")
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
        column[0].set_title(plain(name))
        column[-1].set_xlabel("epoch")
    for axes, metric in zip(panels[:, 0], ("loss", "accuracy"), strict=True):
        axes.set_ylabel(metric)
    figure.suptitle(plain(title))
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
            label = plain(f"{name}, last {values[:, -1].mean():+.3f}")
            (line,) = axes.plot(epochs, values.mean(axis=0), label=label)
            axes.fill_between(
                epochs, values.min(axis=0), values.max(axis=0), alpha=0.2, color=line.get_color()
            )
        axes.axhline(0, color="black", linewidth=0.8)
        names = {"train": "training", "val": "validation"}
        axes.set(xlabel="epoch", ylabel=f"{names[better]} - {names[worse]} {metric}")
        _by_epoch(axes)
        axes.legend()
    figure.suptitle(plain(f"{title}: gap between training and validation"))
    return figure


def grid(
    histories: Mapping[str, History], metrics: Sequence[str], title: str, first: int = 1
) -> Figure:
    """The same metrics of many trainings, a panel each (har_rnn, figures 1 and 2).

    Panels go from left to right and from top to bottom, four a row, with one y axis for all.

    Args:
        histories: Metrics of each epoch of each training, by the title of its panel; a split
            or metric that one does not have is left out.
        metrics: What to draw of every split, ``("accuracy", "top2", "top3")`` for figure 1 and
            ``("loss",)`` for figure 2; the first names the y axis.
        title: What was trained.
        first: Number of the first epoch: 0 where the initial weights were evaluated, too.
    """
    columns = min(len(histories), 4)
    rows = -(-len(histories) // columns)
    figure = Figure(figsize=(max(6, 3.6 * columns), 1.4 + 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    used, unused = panels.flat[: len(histories)], panels.flat[len(histories) :]
    for axes, (name, history) in zip(used, histories.items(), strict=True):
        _lines(axes, history, metrics, first)
        axes.set_title(plain(name), fontsize="medium")
    for axes in panels[:, 0]:
        axes.set_ylabel(metrics[0])
    for axes in unused:
        axes.set_visible(False)
    lines = {line.get_label(): line for axes in used for line in axes.lines}
    # A legend is filled by columns: each gets a split.
    splits = len({line.get_color() for line in lines.values()})
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=max(splits, 1))
    figure.suptitle(plain(title))
    return figure


def stopping(history: History, best: int, title: str, first: int = 1) -> Figure:
    """Losses and accuracies of a training that stopped early (har_rnn, figures 3 and 4).

    Args:
        history: Metrics of each epoch; a split or metric that it does not have is left out.
        best: The epoch whose weights were kept, from 1.
        title: What was trained.
        first: As for :func:`grid`.
    """
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    for axes, metrics in zip(figure.subplots(1, 2), (("loss",), tuple(_TOP)), strict=True):
        _lines(axes, history, metrics, first)
        axes.axvline(best, color="black", linestyle="dashed", label=f"best epoch {best}")
        if best != (last := first + len(history) - 1):
            label = f"stopped after epoch {last}"
            axes.axvline(last, color="grey", linestyle="dashed", label=label)
        axes.set_ylabel(metrics[0])
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(plain(title))
    return figure


def _lines(axes, history: History, metrics: Sequence[str], first: int) -> None:
    """A line for each split, by colour, and metric, by style, that the history has."""
    epochs = first + np.arange(len(history))
    for key, split, colour in _SPLITS_AND_TEST:
        for metric, style in zip(metrics, cycle(_STYLES)):
            if f"{key}/{metric}" not in history[0]:
                continue
            axes.plot(
                epochs,
                [each[f"{key}/{metric}"] for each in history],
                color=colour,
                linestyle=style,
                linewidth=1.2,
                marker="o" if len(history) == 1 else "",  # one point makes no line
                label=f"{split} {_TOP.get(metric, metric)}",
            )
    axes.set_xlabel("epoch")
    _by_epoch(axes)


def _by_epoch(axes) -> None:
    """Whole epochs below, a faint grid."""
    whole = MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    axes.xaxis.set_major_locator(whole)
    axes.grid(alpha=0.3)
