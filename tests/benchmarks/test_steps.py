"""What the benchmarks do without PyTorch, which the tests do not need."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def keras_steps(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import keras_steps

    yield keras_steps
    for name in ("keras_steps", "tasks"):
        sys.modules.pop(name)


def test_operations_by_hand(keras_steps):
    from tasks import TASKS

    # Input 3 x 50 without, recurrence 50 x 50 and scores 50 x 6 with a gradient of the input.
    a_row = 2 * (2 * 3 * 50 + 3 * 50 * 50 + 3 * 50 * 6)
    assert keras_steps.flops(TASKS["har-10-50"]) == 10 * 150 * a_row
    layers = 4040 * 128 * 2 + 3 * 128 * 128 * 3 + 128 * 3 * 3
    assert keras_steps.flops(TASKS["speech-fc"]) == 1024 * 2 * layers
    first, second = 97 * 36 * 5 * 5 * 32 * 2, 44 * 14 * 5 * 5 * 32 * 16 * 3
    layers = first + second + 2464 * 128 * 3 + 128 * 128 * 3 + 128 * 3 * 3
    assert keras_steps.flops(TASKS["speech-cnn"]) == 1024 * 2 * layers


@pytest.mark.parametrize("variant", ["tfnets", "model", "layers", "stock xla"])
@pytest.mark.parametrize("family", ["har", "addition"])
def test_a_round_of_each_side_takes_time(keras_steps, family, variant):
    from tasks import Task

    task = Task("tiny", family, "rnn", batch=4, steps=2, time=5, units=3)
    assert keras_steps.prepare(task, variant)() > 0


def test_the_stock_side_has_the_layers_of_keras(keras_steps):
    import keras

    from tfnets import speech

    model = keras.models.clone_model(speech.build("gru"), clone_function=keras_steps._stock)
    kinds = [type(layer) for layer in model.layers if isinstance(layer, keras.layers.RNN)]
    assert kinds == [keras.layers.GRU] * 2
    assert model.count_params() == 70_147
