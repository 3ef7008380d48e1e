import keras
import numpy as np
import pytest

from tfnets import har
from tfnets.errors import InputError
from tfnets.layers import SimpleRNN


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 3_006),
        ({"units": 100}, 11_006),
        ({"cell": "gru"}, (3 + 50 + 2) * 3 * 50 + 306),
        ({"cell": "lstm"}, (3 + 50 + 1) * 4 * 50 + 306),
        ({"input_shape": (128, 9), "num_classes": 4}, (9 + 50 + 1) * 50 + 51 * 4),
    ],
)
def test_counts(options, count):
    assert har.build(**options).count_params() == count


def test_it_answers_at_every_step_and_starts_between_a_tenth():
    keras.utils.set_random_seed(0)
    model = har.build()
    assert isinstance(model.layers[1], SimpleRNN)
    assert model.output_shape == (None, 150, 6)
    for weights in model.get_weights():
        assert 0.05 < np.abs(weights).max() <= 0.1
    x = np.random.default_rng(0).normal(size=(2, 150, 3)).astype(np.float32)
    # What it says at a step does not depend on what comes later.
    later = x.copy()
    later[:, 100:] = 0
    np.testing.assert_array_equal(model(x)[:, :100], model(later)[:, :100])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "transformer"}, "unknown cell 'transformer'; there is: rnn, lstm, gru"),
        ({"activation": "relu"}, "unknown activation 'relu'; there is: sigmoid, softmax"),
        ({"units": 0}, "units is 0"),
        ({"num_classes": 1}, "num_classes is 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        har.build(**options)
