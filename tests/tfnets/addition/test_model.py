import numpy as np
import pytest

from tfnets import addition
from tfnets.errors import InputError


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 17_482),
        ({"num_layers": 1}, 17_482 - 8_256),
        ({"base": 2}, 2 * 32 + 2 * 8_256 + 65 * 2),
        ({"cell": "lstm"}, 320 + 2 * (64 + 64 + 1) * 4 * 64 + 650),
        ({"cell": "gru"}, 320 + 2 * (64 + 64 + 2) * 3 * 64 + 650),
        (
            {"embedding_dim": 8, "hidden_size": 16},
            80 + (16 + 16 + 1) * 16 + (16 + 16 + 1) * 16 + 170,
        ),
    ],
)
def test_counts(options, count):
    assert addition.build(**options).count_params() == count


def test_it_takes_numbers_of_any_length_digit_by_digit():
    model = addition.build()
    digits = np.random.default_rng(0).integers(0, 10, (3, 7, 2)).astype(np.int32)
    assert model(digits).shape == (3, 7, 10)
    # The lower digits of the sum do not depend on the higher ones of the numbers.
    np.testing.assert_allclose(model(digits)[:, :4], model(digits[:, :4]), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "transformer"}, "unknown cell 'transformer'; there is: rnn, lstm, gru"),
        ({"base": 1}, "base is 1; it must be from 2 to 36"),
        ({"base": 37}, "base is 37"),
        ({"embedding_dim": 0}, "embedding_dim is 0; it must be 1 or more"),
        ({"num_layers": 0}, "num_layers is 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        addition.build(**options)
