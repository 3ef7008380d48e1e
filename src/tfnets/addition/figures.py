"""Curves over steps (addition_rnn, section 2.2), returned and never saved here."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

History = Mapping[int, Mapping[str, float]]  # the metrics that were logged at each step

_METRICS = {
    "accuracy": "exact-match accuracy",
    "digit_accuracy": "digit accuracy",
    "loss": "cross-entropy of a digit",
}


def curves(history: History, title: str) -> Figure:
    """Accuracies and loss of one training, by step.

    Args:
        history: ``train/`` and ``val/`` with ``accuracy``, ``digit_accuracy`` and ``loss``.
        title: What was trained.
    """
    lines = [("training", "train", history, "tab:blue")]
    return _panels([*lines, ("validation", "val", history, "tab:orange")], title)


def compared(histories: Mapping[str, Sequence[History]], title: str) -> Figure:
    """Validation accuracies and loss of several trainings in one figure, by step.

    Args:
        histories: By name the trainings with each seed; a name has a colour, a seed a line.
        title: What was compared.
    """
    lines = [
        (name if not place else None, "val", history, f"C{number}")
        for number, (name, seeds) in enumerate(histories.items())
        for place, history in enumerate(seeds)
    ]
    return _panels(lines, title)


def _panels(lines: Sequence[tuple[str | None, str, History, str]], title: str) -> Figure:
    """A panel a metric; lines by label, split, history and colour."""
    figure = Figure(figsize=(15, 4.4), layout="constrained")
    panels = figure.subplots(1, len(_METRICS))
    for axes, (metric, words) in zip(panels, _METRICS.items(), strict=True):
        for label, split, history, colour in lines:
            axes.plot(
                list(history),
                [metrics[f"{split}/{metric}"] for metrics in history.values()],
                color=colour,
                label=label,
                linewidth=1.2,
                marker="o" if len(history) == 1 else "",  # one point makes no line
            )
        axes.set(xlabel="step", ylabel=words)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if metric == "loss":
            axes.set_yscale("log")
        else:
            axes.set_ylim(-0.03, 1.03)
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(title)
    return figure
