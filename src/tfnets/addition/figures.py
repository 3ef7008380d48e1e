"""Curves over steps (addition_rnn, section 2.2), returned and never saved here."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfnets.figures import plain

History = Mapping[int, Mapping[str, float]]  # the metrics that were logged at each step

# What :func:`compared` draws: the validation, and the loss that the training made smaller.
COMPARED = ("val/accuracy", "val/digit_accuracy", "val/loss", "train/loss")

_METRICS = {
    "accuracy": "exact-match accuracy",
    "digit_accuracy": "digit accuracy",
    "loss": "cross-entropy of a digit",
}
_SPLITS = {"train": "training", "val": "validation"}

_Line = tuple[str | None, str, History, str]  # label, metric, history, colour


def curves(history: History, title: str) -> Figure:
    """Accuracies and loss of one training, by step.

    Args:
        history: ``train/`` and ``val/`` with ``accuracy``, ``digit_accuracy`` and ``loss``.
        title: What was trained.
    """
    colours = dict(zip(_SPLITS, ("tab:blue", "tab:orange"), strict=True))
    panels = {
        words: [(_SPLITS[s], f"{s}/{metric}", history, colour) for s, colour in colours.items()]
        for metric, words in _METRICS.items()
    }
    return _panels(panels, title)


def compared(histories: Mapping[str, Sequence[History]], title: str) -> Figure:
    """Several trainings in one figure, by step: a panel for each of :data:`COMPARED`.

    Args:
        histories: By name the trainings with each seed; a name has a colour, a seed a line.
        title: What was compared.
    """
    panels = {}
    for key in COMPARED:
        split, metric = key.split("/")
        panels[f"{_METRICS[metric]}, {_SPLITS[split]}"] = [
            (name if not place else None, key, history, f"C{number}")
            for number, (name, seeds) in enumerate(histories.items())
            for place, history in enumerate(seeds)
        ]
    return _panels(panels, title)


def _panels(panels: Mapping[str, Sequence[_Line]], title: str) -> Figure:
    """The lines of each panel under its name, side by side."""
    figure = Figure(figsize=(5 * len(panels), 4.4), layout="constrained")
    for axes, (words, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for label, metric, history, colour in lines:
            axes.plot(
                list(history),
                [metrics[metric] for metrics in history.values()],
                color=colour,
                label=label,
                linewidth=1.2,
                marker="o" if len(history) == 1 else "",  # one point makes no line
            )
        axes.set(xlabel="step", ylabel=words)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if words.startswith(_METRICS["loss"]):
            axes.set_yscale("log")
        else:
            axes.set_ylim(-0.03, 1.03)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(plain(title))
    return figure
