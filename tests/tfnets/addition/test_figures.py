"""Curves over steps: what is drawn, from the histories that runs have logged."""

import pytest

from tfnets.addition import figures


def history(steps, level):
    names = [f"{s}/{m}" for s in ("train", "val") for m in ("accuracy", "digit_accuracy", "loss")]
    return {step: dict.fromkeys(names, level) for step in steps}


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_curves_of_one_training():
    figure = figures.curves(history((50, 100, 120), 0.5), "a title")
    assert figure.get_suptitle() == "a title"
    labels = ["exact-match accuracy", "digit accuracy", "cross-entropy of a digit"]
    assert [axes.get_ylabel() for axes in figure.axes] == labels
    for axes in figure.axes:
        assert set(lines(axes)) == {"training", "validation"}
        assert lines(axes)["validation"].get_xdata().tolist() == [50, 100, 120]
        assert lines(axes)["training"].get_ydata().tolist() == [0.5] * 3
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "linear", "log"]


def test_curves_side_by_side_have_a_colour_a_name_and_a_line_a_seed():
    given = {"8": [history((1, 2), 0.1), history((1, 2), 0.2)], "16": [history((1, 2), 0.9)]}
    for each in given["8"] + given["16"]:  # no panel has what another should
        for metrics in each.values():
            metrics.update({key: metrics[key] / n for n, key in enumerate(figures.COMPARED, 1)})
    figure = figures.compared(given, "a title")
    assert [(axes.get_ylabel(), axes.get_yscale()) for axes in figure.axes] == [
        ("exact-match accuracy, validation", "linear"),
        ("digit accuracy, validation", "linear"),
        ("cross-entropy of a digit, validation", "log"),
        ("cross-entropy of a digit, training", "log"),
    ]
    for n, axes in enumerate(figure.axes, 1):
        values = [line.get_ydata()[0] for line in axes.lines]
        assert values == pytest.approx([0.1 / n, 0.2 / n, 0.9 / n])
        colours = [line.get_color() for line in axes.lines]
        assert colours[0] == colours[1] != colours[2]
    legend = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
    assert legend == ["8", "16"]


def test_a_single_point_shows():
    figure = figures.curves(history((7,), 0.5), "one look")
    assert {line.get_marker() for axes in figure.axes for line in axes.lines} == {"o"}
