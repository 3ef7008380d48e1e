import math
import random
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import evaluation, figures, optimizers, speech, training
from tfnets.dataset import Dataset, Split
from tfnets.errors import InputError


def toy(n=90, seed=0):
    """Three classes of sequences (12, 5), told apart by the direction of their mean."""
    rng = np.random.default_rng(seed)

    def split(count):
        y = (np.arange(count) % 3).astype(np.int32)
        x = rng.normal(size=(count, 12, 5)).astype(np.float32) + np.eye(5)[y][:, None] * 0.7
        return Split(x.astype(np.float32), y)

    return Dataset("toy", "toy", ("a", "b", "c"), split(n), split(30), split(30), "random", "0")


def train(data, seed=0, on_epoch=lambda epoch, metrics: None, **recipe):
    recipe = {"epochs": 3, "batch_size": 32, "learning_rate": 0.01} | recipe
    return training.train(
        lambda: speech.build("gru", input_shape=data.input_shape),
        data,
        training.Recipe(seed=seed, **recipe),
        on_epoch,
    )


def figures_of(trained):
    return [{k: v for k, v in m.items() if not k.startswith("time/")} for m in trained.history]


def test_same_seed_same_bits_other_seed_others():
    data = toy()
    first, again, other = train(data, 7), train(data, 7), train(data, 8)
    assert figures_of(first) == figures_of(again)
    for one, two in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert figures_of(first) != figures_of(other)


def test_the_seed_alone_decides_whatever_was_drawn_before():
    data = toy()
    first = train(data, 7)
    random.random()
    np.random.random(3)  # noqa: NPY002  it is the global state that is to be disturbed
    tf.random.normal((10,))
    keras.random.normal((10,))
    keras.Sequential([keras.layers.Dense(3)]).build((None, 2))
    assert figures_of(train(data, 7)) == figures_of(first)


def test_it_learns():
    trained = train(toy(300), epochs=6)
    assert trained.history[-1]["val/accuracy"] > 0.7  # chance is 0.33
    assert evaluation.evaluate(trained.model, toy().test, "abc").metrics["accuracy"] > 0.7


def test_every_epoch_is_reported_with_its_number():
    seen = []
    trained = train(toy(), on_epoch=lambda epoch, metrics: seen.append((epoch, metrics)))
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert [metrics for _, metrics in seen] == trained.history
    assert set(trained.history[0]) == {
        "train/loss",
        "train/accuracy",
        "val/loss",
        "val/accuracy",
        "time/epoch_s",
    }


def test_validation_figures_are_those_after_the_epoch():
    data = toy()
    trained = train(data)
    after = evaluation.evaluate(trained.model, data.val, "abc").metrics
    assert trained.history[-1]["val/accuracy"] == pytest.approx(after["accuracy"], abs=1e-6)
    assert trained.history[-1]["val/loss"] == pytest.approx(after["loss"], abs=1e-5)


def test_the_recipe_reaches_the_optimizer():
    trained = train(toy(), batch_size=90, learning_rate=0.02, epochs=2)
    optimizer = trained.optimizer
    assert int(optimizer.iterations.numpy()) == 2
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.02)
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.9, 0.999, 1e-8)


def test_the_recipe_reaches_sgd():
    recipe = {"optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.25, "epochs": 1}
    optimizer = train(toy(), learning_rate=None, **recipe).optimizer
    assert isinstance(optimizer, optimizers.SGD)
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    assert (optimizer.momentum, optimizer.coupled_weight_decay) == (0.5, 0.25)


def test_a_recipe_says_what_counts():
    assert training.Recipe().step == {"learning_rate": 0.001}
    assert training.Recipe(optimizer="sgd", momentum=0.5).step == {
        "learning_rate": 0.01,
        "momentum": 0.5,
        "weight_decay": 1e-5,
    }


def test_the_gap_is_that_of_the_last_epoch():
    trained = train(toy())
    last = trained.history[-1]
    assert trained.gap == {
        "accuracy": last["train/accuracy"] - last["val/accuracy"],
        "loss": last["val/loss"] - last["train/loss"],
    }


def test_without_validation_data(capsys):
    data = replace(toy(), val=None)
    trained = train(data)
    assert set(trained.history[0]) == {"train/loss", "train/accuracy", "time/epoch_s"}
    assert trained.gap == {}
    with_it = train(toy())
    for name in ("train/loss", "train/accuracy"):
        assert [m[name] for m in trained.history] == [m[name] for m in with_it.history]
    assert "val" not in capsys.readouterr().err.splitlines()[0]
    assert len(figures.curves(trained.history, "t").axes[0].lines) == 1


def test_time_in_callbacks_is_not_training_time():
    import time

    trained = train(toy(), epochs=2, on_epoch=lambda epoch, metrics: time.sleep(3))
    assert trained.seconds < sum(m["time/epoch_s"] for m in trained.history) + 3


def test_a_loss_that_is_no_number_ends_the_training():
    with pytest.raises(InputError, match=r"loss is nan after epoch \d with learning_rate 1e\+38"):
        train(toy(), learning_rate=1e38)


def test_a_validation_loss_that_is_no_number_ends_the_training():
    """One step: its loss is that before the step, so that only validation sees the damage."""
    with pytest.raises(InputError, match="the validation loss is nan after epoch 1 with"):
        train(toy(), learning_rate=1e38, batch_size=90, epochs=1)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"epochs": 0}, "epochs is 0; a whole number from 1 to"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5; a whole number"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0; a positive"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296; a whole number from 0 to 4,294,967,295"),
        ({"batch_size": 10**20}, "batch_size is 1000.* to 2,147,483,647 is needed"),
        ({"epochs": math.nan}, "epochs is nan"),
        ({"epochs": 2.0}, r"epochs is 2\.0; a whole number"),
        ({"epochs": "2"}, "epochs is '2'; a whole number"),
        ({"seed": True}, "seed is True"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; a positive"),
        ({"optimizer": "adamw"}, "unknown optimizer 'adamw'; there is: adam, sgd."),
        ({"momentum": 1}, "momentum is 1; a number from 0 to below 1"),
        ({"weight_decay": -1}, "weight_decay is -1; a number of 0 or more"),
    ],
)
def test_bad_recipes(recipe, message):
    with pytest.raises(InputError, match=message):
        training.Recipe(**recipe)


class Fixed:
    """A classifier that gives the same answers whatever it is asked."""

    def __init__(self, probabilities):
        self.probabilities = np.array(probabilities, np.float32)

    def predict(self, x, **kwargs):
        return self.probabilities


def test_evaluation_by_hand():
    model = Fixed([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    split = Split(np.zeros((4, 1), np.float32), np.array([0, 1, 2, 2], np.int32))
    result = evaluation.evaluate(model, split, ("a", "b", "c"))
    assert result.metrics["accuracy"] == 0.5
    assert result.metrics["top2"] == 0.75
    loss = -np.log([0.7, 0.4, 0.7, 0.1]).mean()
    assert result.metrics["loss"] == pytest.approx(loss, rel=1e-6)
    assert result.confusion.tolist() == [[1, 0, 0], [1, 0, 0], [1, 0, 1]]
    assert result.by_class["class"] == ["a", "b", "c"]
    assert result.by_class["recall"] == [1, 0, 0.5]
    assert result.by_class["support"] == [1, 1, 2]


def test_two_classes_have_no_top2():
    split = Split(np.zeros((2, 1), np.float32), np.array([0, 1], np.int32))
    result = evaluation.evaluate(Fixed([[0.9, 0.1], [0.2, 0.8]]), split, ("a", "b"))
    assert set(result.metrics) == {"loss", "accuracy"}
    assert result.metrics["accuracy"] == 1
