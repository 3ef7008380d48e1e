"""The four losses through the network, beside their formulas in plain NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import har
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.loop import CLASSIFICATION, Loop

SHAPE, CLASSES, N = (9, 3), 4, 7
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, *SHAPE)).astype(np.float32)
Y = RNG.integers(0, CLASSES, N).astype(np.int32)


# Each formula as it is printed, on outputs a at every step; y is one-hot.
FORMULAS = {
    "softmax": lambda a, y: -(y * np.log(a)).sum(-1),
    "normalised": lambda a, y: -(y * np.log(a / a.sum(-1, keepdims=True))).sum(-1),
    "binary": lambda a, y: -(y * np.log(a) + (1 - y) * np.log(1 - a)).sum(-1),
    "raw": lambda a, y: -(y * np.log(a)).sum(-1),
}


def formula(loss, outputs, labels):
    """The loss of each sample, float64."""
    a = np.asarray(outputs, np.float64)
    one_hot = np.eye(CLASSES)[labels][:, None]
    return FORMULAS[loss](a, one_hot).mean(-1)


def network(loss, scale=1.0):
    """A network whose outputs are far from each other, some near 0 and some near 1."""
    model = har.build(units=5, input_shape=SHAPE, num_classes=CLASSES, loss=loss, seed=1)
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(scale=scale, size=w.shape) for w in model.get_weights()])
    return model


def forward(weights, x, loss):
    """The network in NumPy: h_t = tanh(x_t W + h_{t-1} U + b), outputs of h_t V + c."""
    w, u, b, v, c = weights
    h, outputs = np.zeros((len(x), len(u))), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w + h @ u + b)
        z = h @ v + c
        e = np.exp(z - z.max(-1, keepdims=True))
        outputs.append(e / e.sum(-1, keepdims=True) if loss == "softmax" else 1 / (1 + np.exp(-z)))
    return np.stack(outputs, 1)


@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
@pytest.mark.parametrize("loss", har.LOSSES)
def test_a_loss_is_its_formula_through_the_model(loss, how):
    model, objective = network(loss), har.objective(loss, CLASSES)

    def values(x, y):
        outputs = model(x)
        return outputs, objective.loss(y, outputs)

    if how != "eager":
        values = tf.function(values, jit_compile=how == "xla")
    outputs, found = values(tf.constant(X), tf.constant(Y))
    np.testing.assert_allclose(outputs, forward(model.get_weights(), X, loss), atol=1e-5)
    np.testing.assert_allclose(found, formula(loss, outputs, Y), rtol=1e-5)
    # The formulas are four different ones: none passes for another.
    others = {other: formula(other, outputs, Y) for other in FORMULAS}
    same = [other for other, value in others.items() if np.allclose(found, value, rtol=1e-2)]
    alike = {"raw", "softmax"} | ({"normalised"} if loss == "softmax" else set())
    assert set(same) == (alike if loss in alike else {loss})


@pytest.mark.parametrize("loss", har.LOSSES)
def test_a_loss_is_its_formula_in_the_loop(loss):
    """Evaluated and trained on, in shards, with a last batch that is padded."""
    model = network(loss)
    objective = har.objective(loss, CLASSES)
    execution = Execution(xla=True, shards=2, steps_per_call=3)
    loop = Loop(model, keras.optimizers.SGD(0.0), objective, 3, execution)
    x, y = tf.constant(X), tf.constant(Y)
    expected = formula(loss, forward(model.get_weights(), X, loss), Y).mean()
    assert loop.evaluate(x, y)["loss"] == pytest.approx(expected, rel=1e-5)
    assert loop.epoch(x, y, np.arange(N))["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", har.LOSSES)
def test_gradients_are_those_of_the_formula(loss):
    """Of every weight, against central differences of the network in NumPy, float64."""
    model, objective = network(loss), har.objective(loss, CLASSES)

    @tf.function(jit_compile=True)
    def gradients(x, y):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(objective.loss(y, model(x, training=True)))
        return tape.gradient(value, [w.value for w in model.trainable_variables])

    found = gradients(tf.constant(X), tf.constant(Y))
    weights = [w.astype(np.float64) for w in model.get_weights()]
    for weight, gradient in zip(weights, found, strict=True):
        expected = np.empty_like(weight)
        for place in np.ndindex(weight.shape):
            kept, values = weight[place], []
            for step in (1e-5, -1e-5):
                weight[place] = kept + step
                values.append(formula(loss, forward(weights, X, loss), Y).mean())
            weight[place] = kept
            expected[place] = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(gradient, expected, atol=2e-5)
        assert np.abs(expected).max() > 1e-3  # far above the tolerance


# With logits of -100 for the right class and 100 for the three others (all 100 for
# "normalised"): the loss, and its slope by the logit of each class.
SATURATED = {
    "softmax": (200 + np.log(3), [-1, 1 / 3, 1 / 3, 1 / 3]),
    "raw": (100, [-1, 0, 0, 0]),
    "binary": (100 + 3 * 100, [-1, 1, 1, 1]),
    "normalised": (np.log(4), [0, 0, 0, 0]),
}


@pytest.mark.parametrize("loss", har.LOSSES)
def test_saturated_outputs_keep_their_loss_and_their_gradient(loss):
    """Where float32 rounds outputs to 0 and 1, the compiled loss is still the formula's."""
    model, objective = network(loss), har.objective(loss, CLASSES)
    weights = [np.zeros_like(w) for w in model.get_weights()]
    weights[-1][:] = 100.0
    weights[-1][0] *= 1 if loss == "normalised" else -1
    model.set_weights(weights)

    @tf.function(jit_compile=True)
    def both(x, y):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(objective.loss(y, model(x)))
        return value, tape.gradient(value, model.trainable_variables[-1].value)

    value, slopes = both(tf.constant(X), tf.zeros(N, tf.int32))
    assert float(value) == pytest.approx(SATURATED[loss][0], rel=1e-6)
    np.testing.assert_allclose(slopes, SATURATED[loss][1], atol=1e-6)


@pytest.mark.parametrize("how", ["eager", "graph"])
def test_what_keras_hides_behind_a_tensor_is_not_looked_at(how):
    """Keras' activations leave their input on their output, and its losses take that."""
    objective = har.objective("normalised", CLASSES)
    logits = tf.constant(RNG.normal(size=(N, 9, CLASSES)), tf.float32)

    def compare(logits):
        outputs = keras.activations.sigmoid(logits)
        assert outputs._keras_logits is logits
        every = tf.repeat(Y[:, None], 9, axis=1)
        theirs = keras.losses.sparse_categorical_crossentropy(every, outputs)
        return outputs, objective.loss(Y, outputs), tf.reduce_mean(theirs, 1)

    outputs, ours, theirs = (tf.function(compare) if how == "graph" else compare)(logits)
    np.testing.assert_allclose(ours, formula("normalised", outputs, Y), rtol=1e-5)
    assert (np.abs(theirs - ours) > 0.01).all()  # what was trained until this was found


def test_a_loss_refuses_a_network_of_other_outputs():
    for objective, loss in (("softmax", "raw"), ("binary", "softmax")):
        with pytest.raises(InputError, match=r"outputs of model 'har_rnn' are those of s\w+; the"):
            Loop(
                network(loss),
                keras.optimizers.SGD(),
                har.objective(objective, CLASSES),
                3,
                Execution(),
            )
    sigmoid = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="sigmoid")])
    with pytest.raises(InputError, match="those of sigmoid; the loss is a formula on those of so"):
        Loop(sigmoid, keras.optimizers.SGD(), CLASSIFICATION, 3, Execution())
    softmax = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Softmax()])
    Loop(softmax, keras.optimizers.SGD(), CLASSIFICATION, 3, Execution())
