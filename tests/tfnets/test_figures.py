import numpy as np
import pytest

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
