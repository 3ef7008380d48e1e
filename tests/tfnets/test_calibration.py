import numpy as np
import pytest

from tfnets import calibration

RNG = np.random.default_rng(0)


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.05, 0.95]])
    labels = np.array([0, 1, 1, 1])
    # Of 10 bins: 0.9 and 0.95 together, right both; 0.8 wrong; 0.7 right.
    expected = (2 * abs(0.925 - 1) + abs(0.8 - 0) + abs(0.7 - 1)) / 4
    assert calibration.calibration_error(probabilities, labels, bins=10) == pytest.approx(expected)
    table = calibration.reliability(probabilities, labels, bins=10)
    assert table["samples"] == [1, 1, 2]
    assert table["accuracy"] == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(true):
    z = RNG.normal(scale=2, size=(40_000, 4))
    exact = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    labels = (exact.cumsum(1) > RNG.random((len(z), 1))).argmax(1)
    told = calibration.scaled(exact, 1 / true)  # as sure as at 1 / true
    assert calibration.temperature(told, labels) == pytest.approx(true, rel=0.05)
    back = calibration.scaled(told, true)
    np.testing.assert_allclose(back, exact, atol=1e-5)
    assert calibration.calibration_error(back, labels) < 0.02
    assert (back.argmax(1) == told.argmax(1)).all()


def test_certainty_has_a_temperature():
    probabilities = np.eye(3)[RNG.integers(0, 3, 60)]
    labels = np.where(
        np.arange(60) < 50, probabilities.argmax(1), (probabilities.argmax(1) + 1) % 3
    )
    assert 1 < calibration.temperature(probabilities, labels) < 21
