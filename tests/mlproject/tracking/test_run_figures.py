"""Figures are drawn once, and are what matplotlib draws in two goes."""

import io

import numpy as np

from mlproject.tracking import queries
from mlproject.tracking.lifecycle import start_run
from tfnets import figures


def test_a_logged_figure_is_what_matplotlib_saves(store):
    def make():
        return figures.confusion_matrix(np.arange(9).reshape(3, 3), ["a", "b", "long name c"], "x")

    with start_run("x", task="speech", stage="train", options={}) as run:
        run.log_figure(make(), "matrix.png")
    expected = io.BytesIO()
    make().savefig(expected)
    assert queries.content(run.id, "matrix.png") == expected.getvalue()
