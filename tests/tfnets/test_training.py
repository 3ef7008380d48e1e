import functools
import math
import random
from dataclasses import dataclass, field, replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import evaluation, figures, layers, optimizers, training
from tfnets.dataset import Dataset, Split, Stream
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.loop import CLASSIFICATION, Objective, in_top_k

TOP2 = Objective(
    CLASSIFICATION.loss, {"accuracy": in_top_k, "top2": functools.partial(in_top_k, k=2)}
)


def toy(n=90, seed=0):
    """Three classes of sequences (12, 5), told apart by the direction of their mean."""
    rng = np.random.default_rng(seed)

    def split(count):
        y = (np.arange(count) % 3).astype(np.int32)
        x = rng.normal(size=(count, 12, 5)).astype(np.float32) + np.eye(5)[y][:, None] * 0.7
        return Split(x.astype(np.float32), y)

    return Dataset("toy", "toy", ("a", "b", "c"), split(n), split(30), split(30), "random", "0")


def recurrent(data):
    inputs = keras.Input(data.input_shape)
    x = layers.SimpleRNN(16)(inputs)
    return keras.Model(inputs, keras.layers.Dense(len(data.classes), activation="softmax")(x))


def after_each(function):
    """A callback that hands on what the history has of an epoch, from 1."""

    def on_epoch_end(epoch, logs):
        function(epoch + 1, {name: v for name, v in logs.items() if "/" in name})

    return keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)


def train(data, seed=0, callbacks=(), **recipe):
    recipe = {"epochs": 3, "batch_size": 32, "learning_rate": 0.01} | recipe
    recipe = training.Recipe(seed=seed, **recipe)
    return training.train(lambda: recurrent(data), data, recipe, callbacks=callbacks)


def linear(data):
    return keras.Sequential(
        [
            keras.Input(data.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(len(data.classes), activation="softmax"),
        ]
    )


_OTHERS = ("objective", "execution", "watched", "from_start", "callbacks")


def train_linear(data, build=linear, **options):
    """Quick; what the recipe does not know goes to the training."""
    others = {k: options.pop(k) for k in _OTHERS if k in options}
    recipe = {"epochs": 3, "batch_size": 32, "optimizer": "sgd", "learning_rate": 0.1} | options
    return training.train(
        lambda: build(data), data, training.Recipe(**recipe), progress=False, **others
    )


def figures_of(trained):
    return [{k: v for k, v in m.items() if not k.startswith("time/")} for m in trained.history]


def of(split, metrics):
    """The figures of one split."""
    start = f"{split}/"
    return {k.removeprefix(start): v for k, v in metrics.items() if k.startswith(start)}


def by_hand(model, split):
    shares = model.predict(split.x, verbose=0).astype(np.float64)
    ranks = (-shares).argsort(axis=1)
    return {
        "loss": -np.log(shares[np.arange(len(split)), split.y]).mean(),
        "accuracy": (ranks[:, 0] == split.y).mean(),
        "top2": (ranks[:, :2] == split.y[:, None]).any(axis=1).mean(),
    }


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
    trained = train(toy(), callbacks=[after_each(lambda *each: seen.append(each))])
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


@pytest.mark.parametrize(
    ("options", "there"),
    [
        ({}, {"val"}),
        ({"watched": ("val", "test")}, {"val", "test"}),
        ({"watched": ("test",)}, {"test"}),
        ({"watched": ()}, set()),
    ],
)
def test_the_history_has_every_metric_of_what_is_watched(options, there):
    trained = train_linear(toy(), objective=TOP2, **options)
    names = {f"{split}/{name}" for split in {"train"} | there for name in ("loss", *TOP2.metrics)}
    for metrics in trained.history:
        assert set(metrics) == names | {"time/epoch_s"}


def test_the_figures_of_a_split_are_those_of_its_samples():
    data = toy()
    trained = train_linear(data, objective=TOP2, watched=("val", "test"), seed=1)
    last = trained.history[-1]
    for name in ("val", "test"):
        assert of(name, last) == pytest.approx(by_hand(trained.model, data.splits[name]), rel=1e-5)
        assert trained.evaluate(data.splits[name]) == of(name, last)
    values = [*of("val", last).values(), *of("test", last).values()]
    assert len(set(values)) == len(values)  # nothing above is right by accident
    # The weights changed while those of training were taken.
    after = trained.evaluate(data.train)
    assert after == pytest.approx(by_hand(trained.model, data.train), rel=1e-5)
    assert after["loss"] < of("train", last)["loss"]


def test_a_model_is_evaluated_as_it_is():
    data = toy()
    trained = train_linear(data, objective=TOP2)
    before = trained.evaluate(data.val)
    trained.model.set_weights([weights * 0 for weights in trained.model.get_weights()])
    assert trained.evaluate(data.val)["loss"] == pytest.approx(np.log(3))
    assert trained.evaluate(data.val) != before


def test_to_watch_more_changes_nothing():
    data = toy()
    less, more = train_linear(data), train_linear(data, watched=("val", "test"))
    for one, other in zip(less.history, more.history, strict=True):
        assert of("train", one) == of("train", other)
        assert of("val", one) == of("val", other)
    for one, other in zip(less.model.get_weights(), more.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@dataclass
class Erratic:
    """A training whose validation accuracy goes up and down: half its labels are drawn."""

    data: Dataset
    full: training.Trained | None = None
    weights: list[list[np.ndarray]] = field(default_factory=list)  # after each epoch

    def train(self, *args, **options):
        return train_linear(self.data, *args, **{"epochs": 20, "batch_size": 20} | options)

    @property
    def accuracies(self):
        return [metrics["val/accuracy"] for metrics in self.full.history]


@pytest.fixture(scope="module")
def erratic():
    data = toy(300)
    rng = np.random.default_rng(1)
    y = np.where(rng.random(300) < 0.5, rng.integers(0, 3, 300), data.train.y).astype(np.int32)
    erratic = Erratic(replace(data, train=replace(data.train, y=y)))
    models = []

    def build(data):
        models.append(linear(data))
        return models[-1]

    def on_epoch(epoch, metrics):
        erratic.weights.append(models[-1].get_weights())

    erratic.full = erratic.train(build=build, callbacks=[after_each(on_epoch)])
    return erratic


def best_and_last(accuracies, patience, min_delta=1e-5):
    """The best epoch and the one after which early stopping ends, from 1."""
    best = 1
    for epoch, accuracy in enumerate(accuracies, 1):
        if accuracy > accuracies[best - 1] + min_delta:
            best = epoch
        elif epoch == best + patience:
            return best, epoch
    return best, len(accuracies)


def test_what_early_stopping_is_by_hand():
    accuracies = [0.3, 0.5, 0.5, 0.4, 0.6, 0.5, 0.5, 0.5, 0.9]
    assert best_and_last(accuracies, 1) == (2, 3)
    assert best_and_last(accuracies, 3) == (5, 8)
    assert best_and_last(accuracies, 3, min_delta=0.15) == (2, 5)
    assert best_and_last(accuracies, 9) == (9, 9)


@pytest.mark.parametrize(
    "recipe",
    [
        {"patience": 1},
        {"patience": 2},
        {"patience": 3},
        {"patience": 4},
        {"patience": 3, "min_delta": 0.05},
        {"patience": 5, "min_delta": 0.05},
        {"patience": 10, "epochs": 7},
    ],
    ids=str,
)
def test_early_stopping_ends_a_training_and_goes_back_to_its_best_epoch(erratic, recipe):
    seen = []
    trained = erratic.train(callbacks=[after_each(lambda epoch, _: seen.append(epoch))], **recipe)
    epochs = recipe.get("epochs", 20)
    by_the_definition = {k: v for k, v in recipe.items() if k != "epochs"}
    best, last = best_and_last(erratic.accuracies[:epochs], **by_the_definition)
    assert best < last < 20
    assert (trained.best, len(trained.history)) == (best, last)
    assert seen == list(range(1, last + 1))
    # Up to there it is the same training, to the bit.
    assert figures_of(trained) == figures_of(erratic.full)[:last]
    for kept, then in zip(trained.model.get_weights(), erratic.weights[best - 1], strict=True):
        np.testing.assert_array_equal(kept, then)
    assert trained.evaluate(erratic.data.val) == of("val", trained.history[best - 1])


def test_min_delta_makes_a_difference(erratic):
    small, large = (best_and_last(erratic.accuracies, 3, delta) for delta in (1e-5, 0.05))
    assert small != large


def test_the_best_epoch_is_not_the_last_ones_judgement(erratic):
    trained = erratic.train(patience=2)
    accuracy = trained.evaluate(erratic.data.val)["accuracy"]
    assert accuracy == trained.history[trained.best - 1]["val/accuracy"]
    assert accuracy > trained.history[-1]["val/accuracy"]


def test_without_patience_the_last_weights_are_kept(erratic):
    full = erratic.full
    assert (full.best, len(full.history)) == (20, 20)
    assert max(erratic.accuracies) > erratic.accuracies[-1]
    for kept, then in zip(full.model.get_weights(), erratic.weights[-1], strict=True):
        np.testing.assert_array_equal(kept, then)


def test_as_many_epochs_as_the_best_without_patience_give_the_same(erratic):
    stopped = erratic.train(patience=2)
    straight = erratic.train(epochs=stopped.best)
    for one, two in zip(stopped.model.get_weights(), straight.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_only_validation_decides_when_to_stop(erratic):
    watching = erratic.train(patience=2, watched=("val", "test"))
    assert (watching.best, len(watching.history)) == best_and_last(erratic.accuracies, 2)
    of_the_test = [metrics["test/accuracy"] for metrics in watching.history]
    assert best_and_last(of_the_test, 2) != (watching.best, len(watching.history))


def test_a_patience_needs_validation_data():
    data = replace(toy(), source="here", val=None)
    built = []
    with pytest.raises(InputError) as error:
        training.train(lambda: built.append(1), data, training.Recipe(patience=2))
    assert str(error.value) == "here: without validation data there is no early stopping."
    assert not built


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
    assert training.Recipe(clipnorm=0.5).step == {"learning_rate": 0.001, "clipnorm": 0.5}
    assert training.Recipe(optimizer="sgd", clipnorm=0.5).step["clipnorm"] == 0.5
    assert "clipnorm" not in training.Recipe(optimizer="sgd").step


@pytest.mark.parametrize(
    "execution", [Execution(), Execution(shards=2), Execution(xla=True)], ids=str
)
def test_a_step_is_as_long_as_the_clipped_gradient(execution):
    """The gradient of the whole batch, not of a part of it or of one weight, is shortened."""
    recipe = {"epochs": 1, "batch_size": 90, "momentum": 0.0, "weight_decay": 0.0}
    start = []

    def build(data):
        model = linear(data)
        start[:] = model.get_weights()
        return model

    lengths = {}
    for clipnorm in (0.0, 0.01, 100.0):
        options = recipe | {"learning_rate": 0.5, "clipnorm": clipnorm, "execution": execution}
        after = train_linear(toy(), build=build, **options).model.get_weights()
        steps = [(b - a).ravel() for a, b in zip(start, after, strict=True)]
        lengths[clipnorm] = np.linalg.norm(np.concatenate(steps))
    assert lengths[0.01] == pytest.approx(0.5 * 0.01, rel=1e-3)
    assert lengths[0.0] > 10 * lengths[0.01]
    assert lengths[100.0] == pytest.approx(lengths[0.0], rel=1e-5)


def test_the_gap_is_that_of_the_last_epoch():
    trained = train(toy())
    last = trained.history[-1]
    assert trained.gap == {
        "accuracy": last["train/accuracy"] - last["val/accuracy"],
        "loss": last["val/loss"] - last["train/loss"],
    }


def test_epochs_to_a_share_of_the_final_accuracy():
    accuracies = (0.2, 0.5, 0.46, 0.45, 0.7, 0.5)
    history = [{"val/accuracy": accuracy} for accuracy in accuracies]
    trained = replace(train(toy(), epochs=1), history=history)
    assert [trained.epochs_to(share) for share in (0.4, 0.9, 1.0)] == [1, 2, 2]
    trained.history.append({"val/accuracy": 0.7})
    assert [trained.epochs_to(share) for share in (0.4, 0.9, 1.0)] == [2, 5, 5]


def test_without_validation_data(capsys):
    data = replace(toy(), val=None)
    trained = train(data)
    assert set(trained.history[0]) == {"train/loss", "train/accuracy", "time/epoch_s"}
    assert trained.gap == {}
    with pytest.raises(InputError, match="no validation accuracy to look at; hold out some data"):
        trained.epochs_to(0.9)
    with_it = train(toy())
    for name in ("train/loss", "train/accuracy"):
        assert [m[name] for m in trained.history] == [m[name] for m in with_it.history]
    assert "val" not in capsys.readouterr().err.splitlines()[0]
    assert len(figures.curves(trained.history, "t").axes[0].lines) == 1


def test_time_in_callbacks_is_not_training_time(pass_time):
    trained = train_linear(toy(), epochs=3, callbacks=[after_each(lambda *each: pass_time(1e4))])
    assert 0 < sum(m["time/epoch_s"] for m in trained.history) <= trained.seconds < 1e4


def test_a_loss_that_is_no_number_ends_the_training():
    with pytest.raises(InputError, match=r"loss is nan after epoch \d with learning_rate 1e\+38"):
        train(toy(), learning_rate=1e38)


def test_a_validation_loss_that_is_no_number_ends_the_training():
    """One step: its loss is that before the step, so that only validation sees the damage."""
    with pytest.raises(InputError, match="the validation loss is nan after epoch 1 with"):
        train(toy(), learning_rate=1e38, batch_size=90, epochs=1)


def test_a_test_loss_that_is_no_number_ends_the_training_if_it_is_watched():
    data = toy()
    bad = replace(data, test=replace(data.test, x=data.test.x * np.float32(np.nan)))
    with pytest.raises(InputError) as error:
        train_linear(bad, watched=("val", "test"))
    message = "the test loss is nan after epoch 1 with learning_rate 0.1; expected a smaller one."
    assert str(error.value) == message
    assert figures_of(train_linear(bad)) == figures_of(train_linear(data))


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"epochs": 0}, "epochs is 0; expected a whole number from 1 to"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5; expected a whole number"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0; expected a positive"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296; expected a whole number from 0 to 4,294,967,295"),
        ({"batch_size": 10**20}, "batch_size is 1000.* to 2,147,483,647"),
        ({"epochs": math.nan}, "epochs is nan"),
        ({"epochs": 2.0}, r"epochs is 2\.0; expected a whole number"),
        ({"epochs": "2"}, "epochs is '2'; expected a whole number"),
        ({"seed": True}, "seed is True"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; expected a positive"),
        ({"optimizer": "adamw"}, "unknown optimizer 'adamw'; choose from adam, sgd."),
        ({"momentum": 1}, "momentum is 1; expected a number from 0 to below 1"),
        ({"weight_decay": -1}, "weight_decay is -1; expected a number of 0 or more"),
        ({"clipnorm": -0.5}, r"clipnorm is -0\.5; expected a number of 0 or more\."),
        ({"clipnorm": math.nan}, "clipnorm is nan; expected a number of 0"),
        ({"clipnorm": math.inf, "optimizer": "sgd"}, "clipnorm is inf; expected a number of 0"),
        ({"clipnorm": None}, "clipnorm is None; expected a number of 0"),
        ({"clipnorm": "1"}, "clipnorm is '1'; expected a number of 0"),
        ({"patience": 0}, "patience is 0; expected a whole number from 1 to 2,147,483,647."),
        ({"patience": -3}, "patience is -3; expected a whole"),
        ({"patience": 2.0}, r"patience is 2\.0; expected a whole"),
        ({"patience": "5"}, "patience is '5'; expected a whole"),
        ({"patience": True}, "patience is True; expected a whole"),
        ({"min_delta": -1e-5}, "min_delta is -1e-05; expected a number from 0 to below 1."),
        ({"min_delta": 1}, "min_delta is 1; expected a number"),
        ({"min_delta": "x"}, "min_delta is 'x'; expected a number"),
        ({"min_delta": math.nan}, "min_delta is nan; expected a number"),
    ],
)
def test_bad_recipes(recipe, message):
    with pytest.raises(InputError, match=message) as error:
        training.Recipe(**recipe)
    assert "\n" not in str(error.value)


def test_the_ends_of_what_a_recipe_takes():
    recipe = training.Recipe(patience=1, min_delta=0, clipnorm=0)
    assert (recipe.patience, recipe.min_delta, recipe.clipnorm) == (1, 0, 0)
    assert training.Recipe().patience is None
    training.Recipe(patience=np.int64(3), min_delta=0.999, clipnorm=1e-3)


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
    assert set(result.metrics) == {"loss", "accuracy", "ece"}
    assert result.metrics["accuracy"] == 1
    assert result.metrics["ece"] == pytest.approx((0.1 + 0.2) / 2)  # right, but not that sure


@pytest.mark.parametrize(
    "classes",
    [
        ("a", "b", "c"),
        ("accuracy", "macro avg", "weighted avg"),
        ("micro avg", "support", "precision"),
        ("recall", "f1-score", "class"),
    ],
)
def test_judgement_by_hand(classes):
    split = Split(np.zeros((6, 1), np.float32), np.array([0, 0, 0, 1, 1, 2], np.int32))
    judgement = evaluation.judge(np.array([0, 0, 1, 1, 2, 0]), split, classes)
    # Row: the true class, column: the prediction.
    assert judgement.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert list(judgement.by_class) == ["class", "precision", "recall", "f1-score", "support"]
    assert judgement.by_class["class"] == list(classes)
    assert judgement.by_class["precision"] == pytest.approx([2 / 3, 1 / 2, 0])
    assert judgement.by_class["recall"] == pytest.approx([2 / 3, 1 / 2, 0])
    assert judgement.by_class["f1-score"] == pytest.approx([2 / 3, 1 / 2, 0])
    assert judgement.by_class["support"] == [3, 2, 1]


def test_precision_and_recall_are_not_mixed_up():
    split = Split(np.zeros((4, 1), np.float32), np.array([0, 0, 0, 1], np.int32))
    judgement = evaluation.judge(np.array([0, 1, 1, 1]), split, ("yes", "no"))
    assert judgement.confusion.tolist() == [[1, 2], [0, 1]]
    assert judgement.by_class["precision"] == pytest.approx([1, 1 / 3])
    assert judgement.by_class["recall"] == pytest.approx([1 / 3, 1])
    assert judgement.by_class["f1-score"] == pytest.approx([1 / 2, 1 / 2])


def test_a_class_that_is_never_there_counts_nothing():
    split = Split(np.zeros((3, 1), np.float32), np.array([0, 0, 2], np.int32))
    judgement = evaluation.judge(np.array([0, 2, 2]), split, ("a", "b", "c", "d"))
    assert judgement.confusion.tolist() == [[1, 0, 1, 0], [0] * 4, [0, 0, 1, 0], [0] * 4]
    for name in ("precision", "recall", "f1-score", "support"):
        assert judgement.by_class[name][1] == judgement.by_class[name][3] == 0


def test_an_evaluation_holds_the_judgement_of_the_likeliest_classes():
    rng = np.random.default_rng(5)
    probabilities = rng.dirichlet(np.ones(4), 40)
    split = Split(np.zeros((40, 1), np.float32), rng.integers(0, 4, 40, np.int32))
    result = evaluation.evaluate(Fixed(probabilities), split, "abcd")
    judgement = evaluation.judge(probabilities.argmax(axis=1), split, "abcd")
    np.testing.assert_array_equal(result.confusion, judgement.confusion)
    assert result.by_class == judgement.by_class
    assert set(result.metrics) == {"loss", "accuracy", "top2", "ece"}
    assert result.confusion.trace() / 40 == result.metrics["accuracy"]


def streamed(seen, data=None):
    """The toy data, but training samples are drawn anew; what was drawn is added to the list."""
    data = data or toy()

    def draw(generator, n):
        rows = generator.integers(0, len(data.train), n)
        seen.append(rows)
        return Split(data.train.x[rows], data.train.y[rows])

    return replace(data, train=Stream(draw))


def test_a_stream_is_drawn_anew_for_every_epoch_and_gives_as_many_steps_as_one_says():
    drawn = []
    trained = train_linear(streamed(drawn), epochs=3, steps=10, batch_size=4)
    # Ten steps in three parts.
    assert [len(rows) for rows in drawn] == [12, 12, 16]
    assert trained.optimizer.iterations == 10
    assert len(trained.history) == 3
    assert len(np.unique(np.concatenate(drawn))) > 20
    assert 0 < trained.drawing < trained.seconds
    again = []
    same = train_linear(streamed(again), epochs=3, steps=10, batch_size=4)
    assert figures_of(same) == figures_of(trained)
    other = []
    train_linear(streamed(other), epochs=3, steps=10, batch_size=4, seed=1)
    assert all((a == b).all() for a, b in zip(drawn, again, strict=True))
    assert any((a != b).any() for a, b in zip(drawn, other, strict=True))


def test_a_stream_is_trained_on_as_it_comes():
    """The same steps as by hand, one batch after the other."""
    drawn = []
    data = toy()
    given = {"epochs": 2, "steps": 4, "batch_size": 8, "momentum": 0.5, "nesterov": True}
    trained = train_linear(streamed(drawn, data), weight_decay=0.0, **given)
    keras.utils.set_random_seed(0)
    model = linear(data)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.5, nesterov=True), "sparse_categorical_crossentropy"
    )
    for rows in np.concatenate(drawn).reshape(4, 8):
        model.train_on_batch(data.train.x[rows], data.train.y[rows])
    for ours, theirs in zip(trained.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_steps_belong_to_streams_and_only_to_them():
    with pytest.raises(InputError, match="toy: steps is None; expected a number for training"):
        train_linear(streamed([]))
    with pytest.raises(InputError, match=r"toy: steps is 9; .* None for others"):
        train_linear(toy(), steps=9)
    with pytest.raises(InputError, match="steps is 2; expected a whole number from 3 to"):
        training.Recipe(epochs=3, steps=2)


def test_a_loss_that_is_no_number_names_the_step():
    with pytest.raises(InputError, match=r"loss is nan after step 20 with learning_rate 1e\+38"):
        train(streamed([]), learning_rate=1e38, epochs=1, steps=20)


def test_the_start_is_told_and_changes_nothing():
    """Metrics of the initial weights and after one step; the training is that without them."""
    data = toy(n=45)
    options = {"execution": Execution(xla=True, steps_per_call=4), "batch_size": 7, "seed": 3}
    told = train_linear(data, epochs=2, from_start=True, **options)
    plain = train_linear(data, epochs=2, **options)
    assert plain.start is None
    assert figures_of(told) == figures_of(plain)
    for one, other in zip(told.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # By hand: the same seed's weights, and one step of SGD on the first batch.
    keras.utils.set_random_seed(3)
    model = linear(data)
    kernel, bias = model.get_weights()
    first = np.random.default_rng(3).permutation(45)[:7]
    for metrics in told.start:
        for name, split in (("train", data.train), ("val", data.val)):
            model.set_weights([kernel, bias])
            for key, value in by_hand(model, split).items():
                if key != "top2":
                    assert metrics[f"{name}/{key}"] == pytest.approx(value, rel=1e-5)
        x = data.train.x[first].reshape(7, -1)
        wrong = (
            model.predict(data.train.x[first], verbose=0) - np.eye(3)[data.train.y[first]]
        ) / 7
        # The default of a recipe is momentum 0.9, which a first step does not feel.
        kernel = kernel - 0.1 * (x.T @ wrong + 1e-5 * kernel)
        bias = bias - 0.1 * (wrong.sum(0) + 1e-5 * bias)
    assert told.start[0] != told.start[1]


def test_the_best_epochs_weights_can_be_kept():
    data = toy(n=45)
    last = train_linear(data, epochs=6, learning_rate=0.5)
    best = train_linear(data, epochs=6, learning_rate=0.5, keep="best")
    accuracies = [metrics["val/accuracy"] for metrics in best.history]
    assert len(accuracies) == last.best == 6
    assert accuracies == [metrics["val/accuracy"] for metrics in last.history]
    assert best.best == int(np.argmax(accuracies)) + 1
    assert best.evaluate(data.val)["accuracy"] == pytest.approx(max(accuracies))
    with pytest.raises(InputError, match="keep is 'first'; choose from last, best"):
        training.Recipe(keep="first")
    with pytest.raises(InputError, match="without validation data there is no best epoch to keep"):
        train_linear(replace(data, val=None), keep="best")


def test_a_schedule_brings_the_rate_down_to_the_last_step():
    data = toy(n=45)
    trained = train_linear(data, epochs=2, batch_size=7, schedule="linear", learning_rate=0.3)
    rate = trained.optimizer.learning_rate
    assert float(rate) == 0  # after 2 x 7 steps
    assert float(trained.optimizer.iterations) == 14
    assert figures_of(trained) != figures_of(train_linear(data, epochs=2, batch_size=7))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(3, "test labels are int32 from 0 to 3; expected whole numbers from 0 to 2"), (-1, "fr")],
)
def test_a_label_that_is_no_output_is_refused(wrong, said):
    data = toy(n=45)
    y = data.test.y.copy()
    y[1] = wrong
    with pytest.raises(InputError, match=said):
        train_linear(replace(data, test=replace(data.test, y=y)))
