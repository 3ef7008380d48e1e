"""Networks, samples and labels in every form that users have: trained right, or one line."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfnets import evaluation, training
from tfnets import layers as fast
from tfnets.dataset import Dataset, Split, Stream, Varied
from tfnets.errors import InputError
from tfnets.loop import Objective, in_top_k
from tfnets.losses import cross_entropy

RECIPE = training.Recipe(epochs=2, batch_size=16, learning_rate=0.01)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6)).astype(np.float32)
Y = ((X[:, 0] > 0).astype(np.int32) + (X[:, 1] > 1)).astype(np.int32)


def data(x=X, y=Y):
    train, val, test = (Split(x[a:b], y[a:b]) for a, b in ((0, 40), (40, 50), (50, 60)))
    return Dataset("d", "own", ("a", "b", "c"), train, val, test, "given", "0")


def network():
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, activation="tanh")(inputs)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(hidden))


def train(build, given, **options):
    return training.train(build, given, RECIPE, progress=False, **options)


def figures(trained):
    return [{k: v for k, v in m.items() if k != "time/epoch_s"} for m in trained.history]


def check(trained, given):
    """History, returned model, both evaluations and NumPy tell the same of the validation."""
    answers = np.asarray(trained.model(X[40:50]))
    loss = -np.log(answers[np.arange(10), Y[40:50]]).mean()
    accuracy = (answers.argmax(1) == Y[40:50]).mean()
    judged = evaluation.evaluate(trained.model, given.val, given.classes).metrics
    again = trained.evaluate(given.val)
    last = trained.history[-1]
    assert last["val/loss"] == pytest.approx(loss, abs=1e-5)
    assert last["val/accuracy"] == pytest.approx(accuracy, abs=1e-6)
    for other in (judged, again):
        assert other["loss"] == pytest.approx(loss, abs=1e-5)
        assert other["accuracy"] == pytest.approx(accuracy, abs=1e-6)


@pytest.fixture(scope="module")
def expected():
    trained = train(network, data())
    check(trained, data())
    return figures(trained)


# --- samples and labels ---


@pytest.mark.parametrize(
    "kind",
    ["int8", "uint8", "int16", "uint16", "int64", "uint32", "uint64", "float32", "float64"],
)
def test_labels_of_any_width(kind, expected):
    given = data(y=Y.astype(kind))
    trained = train(network, given)
    assert figures(trained) == expected
    check(trained, given)


@pytest.mark.parametrize(
    "form",
    {
        "one-hot, float": lambda y: np.eye(3, dtype=np.float32)[y],
        "one-hot, int": lambda y: np.eye(3, dtype=np.int64)[y],
        "one-hot, bool": lambda y: np.eye(3, dtype=bool)[y],
        "a column": lambda y: y[:, None],
        "a tensor": tf.constant,
    }.items(),
    ids=lambda item: item[0],
)
def test_labels_in_other_forms(form, expected):
    given = data(y=form[1](Y))
    trained = train(network, given)
    assert figures(trained) == expected
    check(trained, given)


def test_lists(expected):
    given = data()
    listed = {
        name: Split(split.x.tolist(), split.y.tolist()) for name, split in given.splits.items()
    }
    trained = train(network, replace(given, **listed))
    assert figures(trained) == expected


def test_samples_of_other_precision(expected):
    assert figures(train(network, data(x=X.astype(np.float64)))) == expected
    rounded = X.astype(np.float16)
    found = figures(train(network, data(x=rounded)))
    assert found == figures(train(network, data(x=rounded.astype(np.float32))))
    whole = np.round(3 * X).astype(np.int16)
    found = figures(train(network, data(x=whole)))
    assert found == figures(train(network, data(x=whole.astype(np.float32))))


def test_labels_of_each_step():
    # As many steps as classes: digits, not one-hot rows.
    def steps():
        inputs = keras.Input((3, 2))
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(inputs))

    def loss(labels, outputs):
        return tf.reduce_mean(cross_entropy(labels, outputs), -1)

    def accuracy(labels, outputs):
        return tf.reduce_mean(in_top_k(labels, outputs), -1)

    objective = Objective(loss, {"accuracy": accuracy}, outputs="softmax")
    digits = np.tile([[0, 1, 0], [1, 0, 0]], (30, 1))  # each row has one 1
    x = X.reshape(60, 3, 2)
    trained = train(steps, data(x=x, y=digits), objective=objective)
    hot = np.eye(3, dtype=np.float32)[digits]
    assert figures(train(steps, data(x=x, y=hot), objective=objective)) == figures(trained)
    answers = np.asarray(trained.model(x[40:50]))
    of_label = np.take_along_axis(answers, digits[40:50][..., None], -1)
    assert trained.history[-1]["val/loss"] == pytest.approx(-np.log(of_label).mean(), abs=1e-5)


def test_samples_that_change(expected):
    given = data(y=np.eye(3)[Y])
    varied = Varied(given.train.x, given.train.y, None, lambda x, generator: x)
    assert figures(train(network, replace(given, train=varied)))[0]["val/loss"] > 0


BAD = {
    "ragged": (
        {"y": [0, [1]] * 30},
        r"own: train\.y is a list of unlike parts; expected an array",
    ),
    "no labels": ({"y": np.full(60, None)}, r"train\.y has shape \(40,\) and dtype object"),
    "labels of names": (
        {"y": np.array(list("abc"))[Y]},
        "own: train labels are <U1; expected whole numbers from 0 to 2",
    ),
    "fractions": ({"y": Y + 0.5}, "train labels are float64 from 0.5 to 2.5; expected whole"),
    "NaN labels": (
        {"y": np.where(np.arange(60) == 3, np.nan, Y)},
        "train labels are float64 from nan to nan",
    ),
    "too many": ({"y": Y + 1}, "train labels are int32 from 1 to 3; expected whole numbers fro"),
    "soft labels": (
        {"y": np.full((60, 3), 1 / 3)},
        r"train labels have shape \(40, 3\) where functional.* expected class numbers",
    ),
    "two-hot": (
        {"y": np.ones((60, 3), np.float32)},
        r"labels have shape \(40, 3\) where functional.* expected class numbers",
    ),
    "NaN": ({"x": np.where(X > 2, np.nan, X)}, r"own: train\.x\[\d+\] holds nan at \[\d\]; all"),
    "infinity": ({"x": np.where(X > 2, np.inf, X)}, r"own: train\.x\[\d+\] holds inf at"),
    "words": (
        {"x": np.full((60, 6), "a")},
        r"own: train\.x has shape \(40, 6\) and dtype <U1; expe",
    ),
    "fewer labels": ({"y": Y[:55]}, "own: test has 10 samples and 5 labels; expected one label"),
    "another width": ({"x": X[:, :5]}, r"does not take samples of shape \(5,\) and dtype float32"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_samples_and_labels(what):
    changes, message = BAD[what]
    with pytest.raises(InputError, match=message) as caught:
        train(network, data(**changes))
    assert "\n" not in str(caught.value)


def test_samples_of_another_shape_for_a_network_of_ours():
    from tfnets import har

    with pytest.raises(InputError, match=r"takes samples of shape \(150, 3\); those of own have"):
        train(lambda: har.build("rnn"), data())


@pytest.mark.parametrize("steps", [16, 7])
def test_labels_of_each_step_need_a_loss_of_each_sample(steps):
    # As many steps as samples in a batch: (batch, batch) numbers, which could be weighted wrongly.
    def build():
        inputs = keras.Input((steps, 2))
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(inputs))

    x = RNG.normal(size=(60, steps, 2)).astype(np.float32)
    y = np.arange(60 * steps).reshape(60, steps) % 3
    for labels in (y, np.eye(3, dtype=np.float32)[y]):
        with pytest.raises(
            InputError, match=r"loss has the shape \(\d+, \d+\) for labels .* expec"
        ):
            train(build, data(x=x, y=labels))


def test_a_validation_split_of_another_shape():
    given = data()
    other = replace(given, val=Split(X[:, :5], Y))
    with pytest.raises(InputError, match=r"own: val samples have shape \(5,\), others \(6,\)"):
        train(network, other)


def test_labels_of_a_stream():
    def stream(change):
        return Stream(lambda generator, n: Split(X[:n], change(Y[:n])))

    recipe = replace(RECIPE, steps=4, epochs=2, batch_size=8)

    def found(change):
        given = replace(data(), train=stream(change))
        return figures(training.train(network, given, recipe, progress=False))

    expected = found(lambda y: y)
    assert found(lambda y: np.eye(3)[y]) == expected
    assert found(lambda y: y.tolist()) == expected
    with pytest.raises(
        InputError, match="own: train labels are int32 from 1 to 3; expected whole"
    ):
        found(lambda y: y + 1)


def test_what_cannot_be_evaluated():
    trained = train(network, data())
    good = data().val
    nan = np.where(np.arange(60).reshape(10, 6) == 3, np.nan, good.x)
    for split, classes, message in (
        (
            good,
            ("a", "b"),
            r"answers with \(3,\) numbers for a sample; expected \(2,\), one for ea",
        ),
        (good, tuple("abcd"), r"answers with \(3,\) numbers for a sample; expected \(4,\)"),
        (Split(good.x[:0], good.y[:0]), "abc", "evaluated has 0 samples and 0 labels"),
        (Split(good.x, good.y[:5]), "abc", "evaluated has 10 samples and 5 labels"),
        (Split(good.x[:, :5], good.y), "abc", r"does not take samples of shape \(5,\)"),
        (Split([["a"]] * 10, good.y), "abc", r"evaluated\.x has shape \(10, 1\) and dtype <U1"),
        (Split(nan, good.y), "abc", "outputs of the model for 1 samples are NaN or infinite"),
    ):
        with pytest.raises(InputError, match=message):
            evaluation.evaluate(trained.model, split, classes)
    for split in (Split(good.x[:0], good.y[:0]), Split(good.x, good.y[:5])):
        with pytest.raises(InputError, match="evaluated has"):
            trained.evaluate(split)


# --- networks ---


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(8, activation="tanh")
        self.answers = layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.answers(self.hidden(x))


class Built(Own):
    def __init__(self):
        super().__init__()
        self(np.zeros((1, 6), np.float32))


def unbuilt():
    return keras.Sequential(
        [layers.Dense(8, activation="tanh"), layers.Dense(3, activation="softmax")]
    )


@pytest.mark.parametrize("build", [Own, Built, unbuilt])
def test_networks_without_an_input(build):
    given = data()
    trained = train(build, given)
    check(trained, given)
    assert trained.model.count_params() == 8 * 7 + 3 * 9
    assert figures(train(build, given)) == figures(trained)
    assert trained.history[-1]["train/loss"] < trained.history[0]["train/loss"]


@pytest.mark.parametrize("layer", [layers.SimpleRNN, layers.GRU, fast.SimpleRNN, fast.GRU])
def test_a_frozen_cell_stays_as_it_is(layer):
    def build():
        inputs = keras.Input((6,))
        recurrent = layer(4, name="recurrent")
        hidden = recurrent(layers.Reshape((6, 1))(inputs))
        model = keras.Model(inputs, layers.Dense(3, activation="softmax")(hidden))
        recurrent.cell.trainable = False
        before.append([w.numpy().copy() for w in recurrent.weights])
        return model

    before = []
    given = data()
    trained = train(build, given)
    check(trained, given)
    for one, other in zip(before[0], trained.model.get_layer("recurrent").weights, strict=True):
        np.testing.assert_array_equal(one, other)


def two_outputs():
    inputs = keras.Input((6,))
    return keras.Model(inputs, [layers.Dense(3, activation="softmax")(inputs) for _ in range(2)])


def by_name():
    inputs = keras.Input((6,))
    return keras.Model(inputs, {"p": layers.Dense(3, activation="softmax")(inputs)})


def two_inputs():
    inputs = [keras.Input((6,)), keras.Input((6,))]
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Add()(inputs)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (two_outputs, "answers with a list of 2; expected one tensor, a number for each class"),
        (by_name, "answers with a dict of 1; expected one tensor"),
        (two_inputs, r"does not take samples of shape \(6,\) and dtype float32: Layer"),
        (lambda: None, "build gives a NoneType; expected a keras.Model"),
        (network(), "build is a Functional; expected a function that builds a network"),
    ],
)
def test_other_networks_are_one_line(build, message):
    with pytest.raises(InputError, match=message) as caught:
        train(build, data())
    assert "\n" not in str(caught.value)
    if build in (two_outputs, by_name):
        with pytest.raises(InputError, match=r"answers with a .*; expected one tensor"):
            evaluation.evaluate(build(), data().val, ("a", "b", "c"))
