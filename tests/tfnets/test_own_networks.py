"""Networks, losses and callbacks of a user's own: what is given is what is trained.

History, returned model, ``evaluate`` and NumPy tell the same; nothing is lost of what a network
carries besides its weights.
"""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

from tfnets import evaluation, har, losses, probabilities, training
from tfnets.dataset import Dataset, Split
from tfnets.errors import InputError
from tfnets.loop import CLASSIFICATION, Loop, Objective, in_top_k


def samples(n, seed):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3).astype(np.int32)
    x = 50 + 10 * (rng.normal(size=(n, 6)) + 2 * np.eye(3, 6)[y])  # raw units
    return Split(x.astype(np.float32), y)


DATA = Dataset("r", "r", tuple("abc"), samples(60, 0), samples(30, 1), samples(30, 2), "none", "0")


def train(build, objective=CLASSIFICATION, callbacks=(), data=DATA, from_start=False, **recipe):
    recipe = {"optimizer": "sgd", "learning_rate": 0.05, "epochs": 3, "batch_size": 20} | recipe
    recipe = training.Recipe(**recipe)
    return training.train(
        build,
        data,
        recipe,
        progress=False,
        objective=objective,
        callbacks=callbacks,
        from_start=from_start,
    )


def network(*between, last="softmax", classes=3):
    inputs = keras.Input((6,), name="in")
    x = layers.Rescaling(0.1, -5.0, name="scaled")(inputs)
    for layer in between:
        x = layer(x)
    x = layers.Dense(classes, activation=last, name="last")(x)
    return keras.Model(inputs, x, name="own")


def numpy_loss(model, split):
    """Mean cross-entropy and accuracy of what a model answers, in float64."""
    answers = np.asarray(model.predict(split.x, verbose=0), np.float64)
    right = answers[np.arange(len(split)), split.y]
    return -np.log(right).mean(), (answers.argmax(axis=1) == split.y).mean()


def assert_all_agree(trained, data=DATA):
    loss, accuracy = numpy_loss(trained.model, data.val)
    for found in (
        {name: trained.history[-1][f"val/{name}"] for name in ("loss", "accuracy")},
        trained.evaluate(data.val),
        evaluation.evaluate(trained.model, data.val, data.classes).metrics,
    ):
        assert found["loss"] == pytest.approx(loss, rel=1e-5, abs=1e-6)
        assert found["accuracy"] == pytest.approx(accuracy)


def gelu(x):
    return -x


def relu(x):
    return tf.nn.leaky_relu(x, 0.3)


def softmax(x):
    return keras.ops.softmax(3 * x)


def adapted():
    layer = layers.Normalization()
    layer.adapt(10 * DATA.train.x)
    return layer


def looked_up():
    layer = layers.IntegerLookup()
    layer.adapt(np.arange(-5, 9))
    return [
        layers.Lambda(lambda x: keras.ops.cast(x, "int64"), output_shape=(6,)),
        *(layer, layers.Embedding(20, 4), layers.Flatten()),
    ]


def frozen():
    layer = layers.Dense(8, activation="tanh")
    layer.build((None, 6))
    layer.kernel.trainable = False
    return layer


def constrained():
    layer = layers.Dense(8, activation="tanh")
    layer.build((None, 6))
    layer.kernel.constraint = keras.constraints.NonNeg()
    return layer


class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x


def body():
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(6, activation=gelu)(inputs))


PARTS = {
    "Normalization": lambda: [layers.Rescaling(10.0, 50.0), adapted()],
    "IntegerLookup": looked_up,
    "a function called gelu": lambda: [layers.Dense(8, activation=gelu)],
    "a function called relu": lambda: [layers.Activation(relu)],
    "lambda": lambda: [layers.Dense(8, activation=lambda x: keras.ops.tanh(2 * x))],
    "Lambda": lambda: [layers.Lambda(lambda x: x**2, output_shape=(6,))],
    "a layer of one's own": lambda: [Doubled()],
    "a frozen kernel": lambda: [frozen()],
    "a constraint": lambda: [constrained()],
    "a model inside": lambda: [body()],
    "dropout": lambda: [layers.Dropout(0.5)],
    "dense": lambda: [layers.Dense(8, activation="tanh")],
}


@pytest.mark.parametrize("part", PARTS)
def test_what_a_network_carries_is_trained(part):
    trained = train(lambda: network(*PARTS[part]()))
    assert_all_agree(trained)
    assert trained.history[-1]["train/loss"] < trained.history[0]["train/loss"]


def test_an_output_function_called_softmax():
    trained = train(lambda: network(last=softmax))
    assert_all_agree(trained)
    scores = trained.model.get_layer("last")
    logits = (0.1 * DATA.val.x - 5) @ scores.kernel.numpy() + scores.bias.numpy()
    powers = np.exp(3 * (logits - logits.max(axis=1, keepdims=True)))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        trained.model.predict(DATA.val.x, verbose=0), expected, rtol=1e-4, atol=1e-6
    )


def test_what_is_frozen_stays_and_constraints_hold():
    kept = {}

    def build(make):
        model = network(make())
        kept["start"] = model.layers[2].kernel.numpy()
        return model

    trained = train(lambda: build(frozen))
    np.testing.assert_array_equal(trained.model.layers[2].kernel.numpy(), kept["start"])
    trained = train(lambda: build(constrained))
    assert kept["start"].min() < 0 <= trained.model.layers[2].kernel.numpy().min()


@pytest.mark.slow
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.lists(st.sampled_from([p for p in PARTS if p != "Normalization"]), max_size=3), st.data()
)
def test_any_graph_of_such_parts(parts, data):
    """Each part in a branch of its own, beside a dense one; the branches are added up."""
    shared = data.draw(st.booleans())

    def build():
        inputs = keras.Input((6,))
        x = layers.Rescaling(0.1, -5.0)(inputs)
        meet = layers.Dense(5)
        branches = [meet(x)]
        for part in parts:
            branch = x
            for layer in PARTS[part]():
                branch = layer(branch)
            same = shared and branch.shape[-1] == 6
            branches.append((meet if same else layers.Dense(5))(branch))
        x = layers.Add()(branches) if len(branches) > 1 else branches[0]
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))

    assert_all_agree(train(build, epochs=2, learning_rate=0.01))


# Networks of tfnets, which share what is compiled, and a user's own.

WINDOWS = Dataset(
    "r", "r", tuple("abc"),
    *(Split(np.repeat(s.x[:, None, :] / 10 - 5, 4, axis=1), s.y)
      for s in (DATA.train, DATA.val, DATA.test)),
    "none", "0",
)  # fmt: skip


def builders():
    def own():
        inputs = keras.Input((4, 6))
        x = layers.Dense(8, activation="tanh", name="hidden")(layers.Flatten()(inputs))
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))

    ours = har.objective("softmax", 3)
    return {
        "own": (own, CLASSIFICATION),
        "tfnets": (lambda: har.build(input_shape=(4, 6), num_classes=3, units=5, seed=0), ours),
    }


@pytest.mark.parametrize("kind", builders())
def test_what_a_callback_freezes_is_frozen_from_then_on(kind):
    build, objective = builders()[kind]
    seen = []

    class Freeze(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            hidden = self.model.get_layer("hidden")
            hidden.trainable = epoch != 1
            seen.append([w.copy() for w in hidden.get_weights()])

        def on_epoch_end(self, epoch, logs=None):
            seen.append([w.copy() for w in self.model.get_layer("hidden").get_weights()])

    trained = train(build, objective, [Freeze()], data=WINDOWS)
    moved = [
        any((a != b).any() for a, b in zip(seen[2 * n], seen[2 * n + 1], strict=True))
        for n in range(3)
    ]
    assert moved == [True, False, True]
    if kind == "own":
        assert_all_agree(trained, WINDOWS)


@pytest.mark.parametrize("kind", builders())
def test_momentum_that_a_callback_changes_counts(kind):
    build, objective = builders()[kind]

    def losses_of(momentum):
        class Change(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                self.model.optimizer.momentum = 0.9 if epoch == 0 else momentum

        recipe = {"momentum": 0.9, "weight_decay": 0.0, "learning_rate": 0.02}
        trained = train(build, objective, [Change()], data=WINDOWS, **recipe)
        return [epoch["train/loss"] for epoch in trained.history]

    kept, small, none = losses_of(0.9), losses_of(1e-6), losses_of(0.0)
    assert kept[0] == small[0] == none[0]
    assert none[1:] == pytest.approx(small[1:], rel=1e-4)
    assert abs(kept[2] - none[2]) > 1e-3


@pytest.mark.parametrize("from_start", [False, True])
def test_what_is_frozen_before_the_first_step_is_never_trained(from_start):
    class Freeze(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.get_layer("hidden").trainable = False
            self.model.optimizer.momentum = 0.0

    build, start = builders()["own"][0], {}

    def built():
        start["model"] = build()
        start["weights"] = start["model"].get_layer("hidden").get_weights()
        return start["model"]

    trained = train(built, callbacks=[Freeze()], data=WINDOWS, from_start=from_start)
    for before, after in zip(
        start["weights"], trained.model.get_layer("hidden").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(before, after)
    assert not any(np.any(m.numpy()) for m in trained.optimizer.momentums)


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_end"])
def test_what_becomes_trainable_too_late_is_one_line(hook):
    def thaw(model):
        model.get_layer("hidden").trainable = True

    def gain(model):
        model.optimizer.momentum = 0.5

    def build(frozen):
        model = builders()["own"][0]()
        model.get_layer("hidden").trainable = not frozen
        return model

    for change, frozen, message in (
        (thaw, True, r"hidden/kernel.* became trainable during the training"),
        (gain, False, r"momentum became 0\.5 during the training"),
    ):

        class Change(keras.callbacks.Callback):
            def __init__(self, change=change):
                super().__init__()
                setattr(self, hook, lambda *arguments: change(self.model))

        with pytest.raises(InputError, match=message):
            train(
                lambda frozen=frozen: build(frozen),
                callbacks=[Change()],
                data=WINDOWS,
                momentum=0.0,
            )


def test_a_rate_of_a_layer_that_a_callback_changes_counts():
    class Off(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.get_layer("dropped").rate = 0.9 if epoch == 0 else self.to

        def __init__(self, to):
            super().__init__()
            self.to = to

    def losses_of(to):
        trained = train(
            lambda: network(layers.Dropout(0.9, name="dropped")), callbacks=[Off(to)], epochs=4
        )
        return [epoch["train/loss"] for epoch in trained.history]

    noisy, clean = losses_of(0.9), losses_of(0.0)
    assert noisy[0] == clean[0]
    assert clean[3] < 0.5 * noisy[3]


def test_a_network_of_ones_own_is_compiled_once_a_training(monkeypatch):
    steps, real = [], Loop._gradients
    monkeypatch.setattr(Loop, "_gradients", lambda *a: steps.append(a) or real(*a))
    for part in ("dropout", "a layer of one's own", "a model inside"):
        steps.clear()
        train(lambda part=part: network(*PARTS[part]()), epochs=4)
        assert len(steps) == 1


def test_the_process_is_left_as_it_was():
    def drawn():
        return (
            random.random(),
            np.random.random(),  # noqa: NPY002
            float(keras.random.normal(())),
            float(keras.initializers.RandomNormal()((1,))[0]),
        )

    def compiled():
        model = network()
        model.compile(keras.optimizers.RMSprop(), "mse")
        return model

    for build in (network, lambda: network(layers.Dropout(0.2)), compiled):
        keras.utils.set_random_seed(3)
        expected = drawn(), drawn()
        keras.utils.set_random_seed(3)
        assert drawn() == expected[0]
        trained = train(build, epochs=1)
        assert drawn() == expected[1]
    assert isinstance(trained.model.optimizer, keras.optimizers.RMSprop)
    assert trained.model.optimizer is not trained.optimizer
    assert not int(trained.model.optimizer.iterations)


def test_operations_with_a_seed_of_their_own_give_the_same_in_each_training():
    class Noise(layers.Layer):
        def call(self, x, training=False):
            return x + tf.random.normal(tf.shape(x), seed=5) if training else x

    def build():
        model = network(Noise())
        start = tf.random.normal((6, 3), seed=7).numpy()  # drawn at once, not in a graph
        model.get_layer("last").set_weights([start, np.zeros(3)])
        return model

    ours, objective = builders()["tfnets"]
    found = []
    for _ in range(3):
        found.append(train(build).history[-1]["train/loss"])
        train(ours, objective, data=WINDOWS, epochs=1)
    found.append(train(build).history[-1]["train/loss"])
    assert len(set(found)) == 1
    assert found[0] != train(network).history[-1]["train/loss"]


SHARE = {"alpha": 0.0}


def test_a_loss_is_what_it_computes_now():
    """What it reads from outside may change between trainings."""
    weights = np.ones(3, np.float32)

    def loss(labels, outputs):
        uniform = -tf.reduce_mean(losses.log_of(outputs), -1)
        own = losses.cross_entropy(labels, outputs) * tf.gather(tf.constant(weights), labels)
        return (1 - SHARE["alpha"]) * own + SHARE["alpha"] * uniform

    def build():
        keras.utils.set_random_seed(1)
        return network()

    metrics = {"accuracy": in_top_k}
    objective = Objective(loss, metrics)

    def last(objective=objective):
        return train(build, objective).history[-1]

    first = last()
    assert first["train/loss"] == pytest.approx(last(CLASSIFICATION)["train/loss"], rel=1e-5)
    SHARE["alpha"] = 0.5
    try:
        smoothed = last()
    finally:
        SHARE["alpha"] = 0.0
    weights[:] = 5, 1, 1
    heavy = last()
    weights[:] = 1
    assert len({first["train/loss"], smoothed["train/loss"], heavy["train/loss"]}) == 3
    metrics["accuracy"] = lambda labels, outputs: in_top_k(labels, outputs, 3)
    assert last()["val/accuracy"] == 1
    mixed = Objective(losses.cross_entropy, metrics := {"accuracy": in_top_k})
    assert last(mixed)["val/accuracy"] < 1
    metrics["accuracy"] = lambda labels, outputs: in_top_k(labels, outputs, 3)
    assert last(mixed)["val/accuracy"] == 1


def test_a_loss_with_the_networks_own_weights_has_their_gradient():
    """L2 of a kernel, as large as the step: the kernel goes down to nothing."""
    made = {}

    def build():
        made["model"] = network()
        return made["model"]

    def loss(labels, outputs):
        kernel = made["model"].get_layer("last").kernel
        return losses.cross_entropy(labels, outputs) + 50 * tf.reduce_sum(tf.square(kernel))

    recipe = {"momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.005, "epochs": 5}
    plain = train(build, **recipe)
    decayed = train(build, Objective(loss, {"accuracy": in_top_k}), **recipe)
    norms = [np.linalg.norm(t.model.get_layer("last").kernel.numpy()) for t in (plain, decayed)]
    assert norms[1] < 0.1 * norms[0]


def nested(last):
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(3, activation=last)(inputs))


ENDS = {
    "a model": lambda last: [nested(last)],
    "Identity": lambda last: [layers.Dense(3, activation=last), layers.Identity()],
    "Reshape": lambda last: [layers.Dense(3, activation=last), layers.Reshape((3,))],
    "Dropout": lambda last: [layers.Dense(3, activation=last), layers.Dropout(0.1)],
    "pooling": lambda last: [
        layers.Reshape((2, 3)),
        layers.Dense(3, activation=last),
        layers.GlobalAveragePooling1D(),
    ],
}


def ending(end, last):
    inputs = keras.Input((6,))
    x = layers.Rescaling(0.1, -5.0)(inputs)
    for layer in ENDS[end](last):
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("end", ENDS)
def test_logits_are_refused_however_a_network_ends(end):
    for last in (None, "sigmoid", "tanh"):
        with pytest.raises(
            InputError, match=r"are no probabilities: (they lie|those of a sample)"
        ):
            train(lambda last=last: ending(end, last))
        with pytest.raises(InputError, match="are no probabilities"):
            evaluation.evaluate(ending(end, last), DATA.val, DATA.classes)


OPERATIONS = {
    "ops.softmax": lambda x: keras.ops.softmax(layers.Dense(3)(x)),
    "a share of the sum": lambda x: (
        (y := layers.Dense(3, activation="softplus")(x)) / keras.ops.sum(y, -1, keepdims=True)
    ),
    "a layer as activation": lambda x: layers.Dense(3, activation=layers.Softmax())(x),
    "Softmax": lambda x: layers.Softmax()(layers.Dense(3)(x)),
}


@pytest.mark.parametrize("end", OPERATIONS)
def test_probabilities_of_operations_are_taken(end):
    def build():
        inputs = keras.Input((6,))
        return keras.Model(inputs, OPERATIONS[end](layers.Rescaling(0.1, -5.0)(inputs)))

    assert_all_agree(train(build, epochs=1))


def test_a_loss_of_logits_refuses_probabilities():
    def loss(labels, outputs):
        return losses.cross_entropy(labels, tf.nn.softmax(outputs))

    objective = Objective(loss, {"accuracy": in_top_k}, outputs="linear")
    train(lambda: network(last=None), objective, epochs=1)
    for build in (lambda: ending("Identity", "softmax"), lambda: ending("a model", "softmax")):
        with pytest.raises(InputError, match="are probabilities; the loss is a formula on logits"):
            train(build, objective, epochs=1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_probabilities_of_any_precision(dtype):
    rng = np.random.default_rng(0)
    for classes in (2, 3, 10, 1000):
        logits = rng.normal(scale=3, size=(200, classes))
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert probabilities.fault(shares.astype(dtype)) == ""
        assert "lie between" in probabilities.fault(logits.astype(dtype))
        assert "sum to" in probabilities.fault((0.8 * shares).astype(dtype))
        assert probabilities.fault((0.8 * shares).astype(dtype), "sigmoid") == ""


@pytest.mark.parametrize("end", ENDS)
def test_probabilities_are_taken_however_a_network_ends(end):
    assert_all_agree(train(lambda: ending(end, "softmax"), epochs=1))


def test_losses_of_layers_are_refused():
    class Own(layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.mean(x))
            return x

    with pytest.raises(InputError, match="has an activity_regularizer, which is not minimised"):
        train(lambda: network(layers.Dense(4, activity_regularizer="l2")))
    with pytest.raises(InputError, match="has losses of its own"):
        train(lambda: network(Own()))


def test_sure_and_wrong_answers_cost_the_same_everywhere():
    """Probabilities of 1e-20 are not rounded up to 1e-7."""
    y = DATA.val.y.copy()
    y[::5] = (y[::5] + 1) % 3
    data = Dataset(
        "r", "r", tuple("abc"), DATA.train, Split(DATA.val.x, y), DATA.test, "none", "0"
    )

    def build():
        model = network()
        model.get_layer("last").set_weights([12 * np.eye(6, 3), np.zeros(3)])
        return model

    trained = train(build, data=data, epochs=1, learning_rate=1e-6)
    assert_all_agree(trained, data)
    answers = trained.model.predict(data.val.x, verbose=0)
    assert answers[np.arange(30), y].min() < 1e-9
