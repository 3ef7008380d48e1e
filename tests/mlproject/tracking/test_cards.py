"""Model cards say what the run has logged, and how sure a test of its size is."""

import pytest
from scipy.stats import binomtest

from mlproject.tracking import cards
from mlproject.tracking.queries import Record


def record(**tags):
    return Record(
        "0123abc",
        "0",
        "gru adam | seed0",
        "FINISHED",
        {"seed": "7"},
        {"test/accuracy": 0.9, "val/accuracy": 0.8, "params/total": 70531.0},
        {"task": "speech", "data.name": "own", "data.digest": "f" * 64} | tags,
    )


def test_a_card_has_what_was_logged():
    text = cards.of(record(**{"data.test_samples": "50", "data.test_subjects": "9, 10"}))
    ends = binomtest(45, 50).proportion_ci(method="wilson")
    words = "accuracy 0.9000 on 50 samples, 95 % interval of these samples alone"
    assert f"{words} {ends.low:.4f}" in text
    for row in (
        "| Trained on | own (digest ffffffffffff) |",
        "| Tested on | 9, 10 |",
        "| Validation | accuracy 0.8000 |",
        "| Parameters | 70,531 |",
        "| Seed | 7 |",
    ):
        assert row in text
    assert "whatever it hears" in text


@pytest.mark.parametrize("tags", [{}, {"task": "another"}])
def test_what_is_not_known_is_left_out(tags):
    text = cards.of(record(**tags))
    assert "interval" not in text
    assert "Tested on" not in text
