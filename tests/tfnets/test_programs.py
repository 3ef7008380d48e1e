"""A network is compiled once a process, and nothing of one training reaches another."""

import random
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import addition, har, optimizers, programs, seeds, speech, training
from tfnets.dataset import Dataset, Split
from tfnets.loop import Loop

EXECUTION = har.execution(10)


def windows(n, seed):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3).astype(np.int32)
    return Split((rng.normal(size=(n, 8, 3)) + y[:, None, None]).astype(np.float32), y)


DATA = Dataset("r", "r", tuple("abc"), windows(45, 0), windows(15, 1), windows(15, 2), "none", "0")


def train(build=None, seed=0, units=6, callbacks=(), **recipe):
    recipe = {"optimizer": "sgd", "learning_rate": 0.1, "epochs": 3, "batch_size": 10} | recipe
    return training.train(
        build or (lambda: har.build(input_shape=(8, 3), num_classes=3, units=units, seed=seed)),
        DATA,
        training.Recipe(seed=seed, **recipe),
        progress=False,
        callbacks=callbacks,
        objective=har.objective("softmax", 3),
        execution=EXECUTION,
    )


def bits(trained):
    figures = [
        {k: v for k, v in epoch.items() if k != "time/epoch_s"} for epoch in trained.history
    ]
    return figures, [weight.tobytes() for weight in trained.model.get_weights()]


@pytest.fixture
def traced(monkeypatch):
    """How often Python has gone through a step: once for each time that it is compiled."""
    found = []
    step = Loop._gradients

    def counted(self, *arguments):
        found.append(arguments)
        return step(self, *arguments)

    monkeypatch.setattr(Loop, "_gradients", counted)
    return found


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 7},
        {"learning_rate": 0.03},
        {"momentum": 0.5},
        {"weight_decay": 0.01},
        {"clipnorm": 0.5},
        {"epochs": 5},
        {"schedule": "linear", "epochs": 4},
        {"schedule": "cosine", "learning_rate": 0.02},
    ],
    ids=str,
)
def test_the_same_shapes_are_compiled_once(other, traced):
    start = {"clipnorm": 1.0, "schedule": other.get("schedule", "constant"), "units": 5}
    train(**start)
    traced.clear()
    train(**start | other)
    assert not traced


@pytest.mark.slow
def test_what_is_compiled_differs_is_compiled_anew(traced):
    train(units=4)
    for other in ({"units": 7}, {"momentum": 0.0}, {"nesterov": True}, {"optimizer": "adam"}):
        traced.clear()
        train(**{"units": 4} | other)
        assert traced, other


def test_the_bits_of_a_seed_do_not_depend_on_what_was_trained_before():
    first = bits(train(seed=3, clipnorm=1.0))
    train(seed=4, learning_rate=0.5, momentum=0.2, clipnorm=0.1)
    train(optimizer="adam", units=9)
    assert bits(train(seed=3, clipnorm=1.0)) == first


def test_a_trained_model_stays_what_it_is():
    one = train(seed=1)
    weights, test = one.model.get_weights(), one.evaluate(DATA.test)
    state = [variable.numpy() for variable in one.optimizer.variables]
    other = train(seed=2)
    assert other.evaluate(DATA.test) != test
    assert one.evaluate(DATA.test) == test
    for before, after in zip(weights, one.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, variable in zip(state, one.optimizer.variables, strict=True):
        np.testing.assert_array_equal(before, variable.numpy())
    one.model.set_weights([0 * weight for weight in weights])
    assert one.evaluate(DATA.test)["loss"] == pytest.approx(np.log(3), abs=1e-6)


@pytest.mark.nightly
@pytest.mark.parametrize("recipe", [{"momentum": 0.7, "weight_decay": 1e-3, "clipnorm": 0.3}])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_numbers_as_variables_make_the_steps_of_constants(recipe, nesterov, schedule, monkeypatch):
    recipe = recipe | {"nesterov": nesterov, "schedule": schedule, "epochs": 4}
    with monkeypatch.context() as patched:
        patched.setattr(programs, "_configuration", lambda model: None)
        constants = train(**recipe)
    train(**recipe | {"momentum": 0.1, "weight_decay": 0.1, "clipnorm": 9.0, "epochs": 9})
    variables = train(**recipe)
    for one, other in zip(constants.history, variables.history, strict=True):
        assert one["train/loss"] == pytest.approx(other["train/loss"], abs=2e-6)
        assert one["val/loss"] == pytest.approx(other["val/loss"], abs=2e-6)
    assert int(variables.optimizer.iterations) == 4 * 5


def test_callbacks_see_and_change_the_weights_that_are_trained():
    seen = []

    class Zeros(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.get_weights()[0].copy())
            self.model.set_weights([0 * weight for weight in self.model.get_weights()])

    trained = train(callbacks=[Zeros()], learning_rate=1e-6, momentum=0.0, weight_decay=0.0)
    assert not np.array_equal(seen[0], seen[1])  # the second epoch began with zeros
    assert np.abs(seen[1]).max() < 1e-3
    assert trained.history[1]["train/loss"] == pytest.approx(np.log(3), abs=1e-4)
    assert not np.any(trained.model.get_weights()[0])


def test_networks_with_code_of_their_own_are_not_mixed_up():
    """Two layers that Keras serialises alike, but that compute different things."""

    def build(factor):
        class Scale(keras.layers.Layer):
            def call(self, x):
                return factor * x

            def compute_output_shape(self, input_shape):
                return input_shape

        inputs = keras.Input((8, 3))
        outputs = keras.layers.Dense(3, activation="softmax", kernel_initializer="ones")(
            Scale()(inputs)
        )
        return keras.Model(inputs, outputs, name="scaled")

    def lambdas(factor):
        inputs = keras.Input((8, 3))
        x = keras.layers.Lambda(lambda each: each * factor, output_shape=(8, 3))(inputs)
        outputs = keras.layers.Dense(3, activation=lambda x: keras.ops.softmax(factor * x))(x)
        outputs = keras.layers.Softmax()(outputs)
        return keras.Model(inputs, outputs, name="scaled")

    for make in (build, lambdas):
        one, other = train(lambda make=make: make(1.0)), train(lambda make=make: make(-3.0))
        assert one.history[0] != other.history[0]
        for trained in (one, other):
            outputs = trained.model(DATA.test.x).numpy()[np.arange(15), -1]
            found = (outputs.argmax(axis=1) == DATA.test.y).mean()
            assert trained.evaluate(DATA.test)["accuracy"] == pytest.approx(found)
            np.testing.assert_allclose(
                programs.predict(trained.model, DATA.test.x, 4),
                trained.model(DATA.test.x).numpy(),
                atol=1e-6,
            )


def test_threads_train_side_by_side_as_alone():
    alone = {seed: bits(train(seed=seed)) for seed in (11, 12, 13)}
    together = {}
    threads = [
        threading.Thread(target=lambda seed=seed: together.update({seed: bits(train(seed=seed))}))
        for seed in alone
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


@pytest.mark.parametrize("whose", ["ours", "a user's"])
def test_threads_whose_networks_have_no_seed_train_as_alone(whose):
    # Without a lock the second thread seeds the process while the first one builds.
    def build(wait):
        time.sleep(wait)
        if whose == "ours":
            return speech.build("fc", input_shape=(5, 4))
        inputs = keras.Input((5, 4))
        hidden = keras.layers.Dropout(0.2)(keras.layers.Flatten()(inputs))
        return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 5, 4)).astype(np.float32), np.arange(30, dtype=np.int32) % 3
    data = Dataset("d", "own", tuple("abc"), Split(x, y), Split(x, y), Split(x, y), "", "")

    def found(seed, wait=0.0):
        recipe = training.Recipe(epochs=2, batch_size=8, seed=seed)
        return bits(training.train(lambda: build(wait), data, recipe, progress=False))

    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    alone = {seed: found(seed) for seed in (1, 2)}
    together = {}

    def train_one(seed):
        together[seed] = found(seed, 0.3)

    threads = [threading.Thread(target=train_one, args=[seed]) for seed in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_predictions_are_those_of_the_model():
    models = [har.build(input_shape=(8, 3), num_classes=3, seed=seed) for seed in (0, 1)]
    for model in models:
        expected = model.predict(DATA.train.x, verbose=0)
        np.testing.assert_allclose(programs.predict(model, DATA.train.x, 7), expected, atol=1e-6)
    assert programs.predict(models[0], DATA.train.x[:0]).shape == (0, 8, 3)


def test_few_programs_are_kept():
    pool, made = programs.Pool(most=2), []

    def take(key):
        with pool.take(key, lambda: made.append(key) or key) as one:
            assert one == key

    for key in "abcabccb":
        take(key)
    assert "".join(made) == "abcabc"


def test_seeds_are_those_of_keras():
    def drawn():
        return (
            random.random(),
            np.random.random(),  # noqa: NPY002
            float(keras.random.normal(())),
            float(keras.initializers.RandomNormal()((1,))[0]),
            float(tf.random.normal(())),
            float(tf.random.normal(())),
        )

    keras.utils.set_random_seed(5)
    expected = drawn()
    for _ in range(2):  # after numbers have been drawn, and after none have
        for between in (lambda: tf.random.normal(()), lambda: None):
            between()
            seeds.set_all(4)
            seeds.set_all(5)
            assert drawn() == expected


def test_another_optimizer_is_left_alone():
    assert optimizers.form(keras.optimizers.SGD()) is None
    with programs.program(
        model := har.build(input_shape=(8, 3), num_classes=3),
        optimizer := keras.optimizers.RMSprop(),
        har.objective("softmax", 3),
        10,
        EXECUTION,
    ) as program:
        assert not program.own
        assert (program.loop.model, program.loop.optimizer) == (model, optimizer)


def test_what_fills_a_part_is_not_evaluated():
    """Five steps in two parts are two and three: one compiled shape, but other samples."""

    def start(steps, epochs):
        recipe = training.Recipe(steps=steps, epochs=epochs, batch_size=7)
        trained = training.train(
            lambda: addition.build(hidden_size=4, seed=0),
            addition.load(3, val_pairs=5, test_pairs=5),
            recipe,
            progress=False,
            objective=addition.OBJECTIVE,
            from_start=True,
        )
        return trained.start[0]["train/loss"]

    assert start(5, 2) == pytest.approx(start(2, 1), abs=1e-6)
