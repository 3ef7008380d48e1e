import io
import itertools

import numpy as np
import pytest
from matplotlib import cbook
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from tfnets import figures


def history(start, gap, epochs=4):
    """Accuracy from ``start``, validation ``gap`` below it; losses the other way round."""
    return [
        {
            "train/loss": 2 - start - 0.1 * n,
            "val/loss": 2 - start - 0.1 * n + gap,
            "train/accuracy": start + 0.1 * n,
            "val/accuracy": start + 0.1 * n - gap,
        }
        for n in range(epochs)
    ]


HISTORIES = {"FC + SGD": [history(0.3, 0.1), history(0.4, 0.2)], "GRU + Adam": [history(0.5, 0)]}


def test_side_by_side_has_a_column_a_network_on_the_same_scales():
    figure = figures.side_by_side(HISTORIES, "data")
    panels = np.array(figure.axes).reshape(2, 2)
    assert [axes.get_title() for axes in panels[0]] == list(HISTORIES)
    for metric, row in zip(("loss", "accuracy"), panels, strict=True):
        assert row[0].get_ylabel() == metric
        assert row[0].get_ylim() == row[1].get_ylim()
        for axes, trainings in zip(row, HISTORIES.values(), strict=True):
            drawn = [line.get_ydata().tolist() for line in axes.lines]
            assert drawn == [
                [metrics[f"{split}/{metric}"] for metrics in each]
                for split in ("train", "val")
                for each in trainings
            ]
    labels = [text.get_text() for text in panels[1, 0].get_legend().get_texts()]
    assert labels == ["training, last 0.650", "validation, last 0.500"]


def test_gaps_are_means_over_the_trainings():
    accuracy, loss = figures.gaps(HISTORIES, "data").axes
    for axes in (accuracy, loss):
        fc, gru, _ = axes.lines
        np.testing.assert_allclose(fc.get_ydata(), 0.15)
        np.testing.assert_allclose(gru.get_ydata(), 0, atol=1e-12)
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels[0] == "FC + SGD, last +0.150"


@pytest.mark.parametrize("draw", [figures.side_by_side, figures.gaps])
def test_one_training_of_one_epoch_is_enough(draw, tmp_path):
    draw({"CNN + Adam": [history(0.3, 0.1, epochs=1)]}, "data").savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_curves_show_what_was_measured():
    history = [
        {"train/loss": 1.0, "train/accuracy": 0.4, "val/loss": 1.1, "val/accuracy": 0.3},
        {"train/loss": 0.5, "train/accuracy": 0.8, "val/loss": 0.9, "val/accuracy": 0.6},
    ]
    figure = figures.curves(history, "gru adam seed0")
    loss, accuracy = figure.axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[1.0, 0.5], [1.1, 0.9]]
    assert [line.get_ydata().tolist() for line in accuracy.lines] == [[0.4, 0.8], [0.3, 0.6]]
    assert loss.lines[0].get_xdata().tolist() == [1, 2]


def test_confusion_figure_shows_counts_and_shares():
    figure = figures.confusion_matrix(np.array([[3, 1], [0, 0]]), ("yes", "no"), "t")
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "3\n75%",
        "1\n25%",
        "0\n0%",
        "0\n0%",
    ]


TOP = ("accuracy", "top2", "top3")
COLOURS = {"training": "tab:blue", "validation": "tab:orange", "test": "tab:green"}


def scored(epochs, splits=("train", "test"), metrics=("loss", *TOP)):
    """Every value another one, so that a line that is drawn from wrong ones shows."""
    return [
        {
            f"{split}/{metric}": 100 * s + 10 * m + n / 10
            for s, split in enumerate(splits)
            for m, metric in enumerate(metrics)
        }
        | {"time/epoch_s": 1.0}
        for n in range(epochs)
    ]


def drawn(axes):
    """Label and values of each line of as many points as there are epochs."""
    lines = [line for line in axes.lines if line.get_label().split()[0] in COLOURS]
    return {line.get_label(): line.get_ydata().tolist() for line in lines}


def column(history, key):
    return [metrics[key] for metrics in history]


def legend(figure):
    (only,) = figure.legends
    return [text.get_text() for text in only.get_texts()]


def vertical(axes):
    """Where the vertical lines are, by label."""
    lines = [line for line in axes.lines if line.get_label().split()[0] not in COLOURS]
    assert all(line.get_linestyle() == "--" and len(set(line.get_xdata())) == 1 for line in lines)
    return {line.get_label(): line.get_xdata()[0] for line in lines}


@pytest.mark.parametrize("count", [2, 20, 21, 130, 1000])
@pytest.mark.parametrize("length", [3, 100])
def test_a_confusion_matrix_of_any_size_can_be_read(count, length):
    names = [f"{number:03}".ljust(length, "x") for number in range(count)]
    counts = np.eye(count, dtype=int)
    figure = figures.confusion_matrix(counts, names, "t")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert np.prod(canvas.get_width_height()) <= 4e6
    axes, _ = figure.axes
    assert len(axes.texts) == (count**2 if count <= 20 else 0)
    assert figures.has_counts(names) == (count <= 20)
    # The matrix has most of the room, and no name lies on its neighbour.
    assert axes.get_position().width > 0.5
    labels = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(labels) >= min(count, 100)
    pairs = itertools.pairwise(labels)
    assert all(lower.y0 >= upper.y1 or upper.y0 >= lower.y1 for lower, upper in pairs)
    labels = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(a.x1 <= b.x0 for a, b in itertools.pairwise(labels))


def test_grid_has_a_panel_a_training_in_their_order_and_one_legend():
    histories = {f"run {n}": scored(n + 1) for n in range(1, 7)}
    figure = figures.grid(histories, TOP, "eight runs")
    assert figure.get_suptitle() == "eight runs"
    panels = np.array(figure.axes).reshape(2, 4)
    shown = [axes.get_visible() for axes in figure.axes]
    assert shown == [True] * 6 + [False] * 2
    assert [axes.get_title() for axes in figure.axes[:6]] == list(histories)
    for axes, history in zip(figure.axes, histories.values(), strict=False):
        assert drawn(axes) == {
            f"{split} top-{k}": column(history, f"{key}/{metric}")
            for key, split in (("train", "training"), ("test", "test"))
            for k, metric in enumerate(TOP, 1)
        }
        assert axes.lines[0].get_xdata().tolist() == list(range(1, len(history) + 1))
        assert axes.get_ylim() == panels[0, 0].get_ylim()
        assert axes.get_legend() is None
    assert legend(figure) == list(drawn(panels[0, 0]))
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["accuracy"] * 2
    assert not any(axes.get_ylabel() for axes in panels[:, 1:].flat)


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (1, 4)), (9, (3, 4))])
def test_grid_is_at_most_four_wide(count, shape):
    figure = figures.grid({str(n): scored(2) for n in range(count)}, ("loss",), "t")
    gridspec = figure.axes[0].get_gridspec()
    assert (gridspec.nrows, gridspec.ncols) == shape
    assert sum(axes.get_visible() for axes in figure.axes) == count


def test_grid_tells_splits_by_colour_and_metrics_by_style():
    history = scored(3, splits=("train", "val", "test"))
    (axes,) = figures.grid({"run": history}, TOP, "t").axes
    assert len(axes.lines) == 9
    for line in axes.lines:
        split, name = line.get_label().split()
        assert line.get_color() == COLOURS[split]
        assert line.get_linestyle() == {"top-1": "-", "top-2": "--", "top-3": ":"}[name]


def test_grid_leaves_out_what_a_history_lacks():
    two_classes = scored(3, splits=("train", "val"), metrics=("loss", "accuracy"))
    figure = figures.grid({"a": scored(3), "b": two_classes}, ("loss", "top2"), "t")
    a, b = figure.axes
    assert list(drawn(a)) == ["training loss", "training top-2", "test loss", "test top-2"]
    assert drawn(b) == {
        "training loss": column(two_classes, "train/loss"),
        "validation loss": column(two_classes, "val/loss"),
    }
    assert legend(figure) == [*drawn(a), "validation loss"]
    assert legend(figures.grid({"b": two_classes}, ("loss",), "t")) == list(drawn(b))


def test_one_epoch_is_a_point_above_a_whole_number(tmp_path):
    figure = figures.grid({"one": scored(1), "two": scored(2)}, ("loss",), "t")
    figure.savefig(tmp_path / "figure.png")
    one, two = figure.axes
    assert {line.get_marker() for line in one.lines} == {"o"}
    assert {line.get_marker() for line in two.lines} == {""}
    low, high = one.get_xlim()
    assert [tick for tick in one.get_xticks() if low <= tick <= high] == [1]


def test_stopping_shows_losses_accuracies_and_where_it_ended():
    history = scored(47, splits=("train", "val", "test"))
    figure = figures.stopping(history, 17, "run 8")
    assert figure.get_suptitle() == "run 8"
    loss, accuracy = figure.axes
    splits = (("train", "training"), ("val", "validation"), ("test", "test"))
    assert drawn(loss) == {f"{name} loss": column(history, f"{key}/loss") for key, name in splits}
    assert drawn(accuracy) == {
        f"{name} top-{k}": column(history, f"{key}/{metric}")
        for key, name in splits
        for k, metric in enumerate(TOP, 1)
    }
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        assert axes.get_ylabel() == name
        assert vertical(axes) == {"best epoch 17": 17, "stopped after epoch 47": 47}
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels == [*drawn(axes), *vertical(axes)]


def test_stopping_without_validation_at_its_best():
    history = scored(5, metrics=("loss", "accuracy"))
    loss, accuracy = figures.stopping(history, 5, "two classes").axes
    assert list(drawn(loss)) == ["training loss", "test loss"]
    assert list(drawn(accuracy)) == ["training top-1", "test top-1"]
    assert vertical(loss) == vertical(accuracy) == {"best epoch 5": 5}


@pytest.mark.parametrize("name", [r"$\frac{$", "a $b$ c", r"\$x$", "$"])
def test_names_are_no_formulas(name):
    """Matplotlib draws each as it is; as a formula the first would be an error."""
    drawn = {
        "curves": figures.curves(history(0.3, 0.1), name),
        "confusion matrix": figures.confusion_matrix(np.eye(2), [name, "b"], name),
        "side by side": figures.side_by_side({name: [history(0.3, 0.1)]}, name),
        "gaps": figures.gaps({name: [history(0.3, 0.1)]}, name),
        "grid": figures.grid({name: history(0.3, 0.1)}, ("loss",), name),
        "stopping": figures.stopping(history(0.3, 0.1), 1, name),
    }
    for figure in drawn.values():
        figure.savefig(io.BytesIO())
        texts = [each.get_text() for each in figure.findobj(Text) if "$" in each.get_text()]
        assert texts
        assert not any(map(cbook.is_math_text, texts))
        assert all(name in text.replace(r"\$", "$") for text in texts)  # as matplotlib draws them
