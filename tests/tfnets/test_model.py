"""``tfnets.model.Model`` against ``keras.Model``: the same fit in many steps a call."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfnets import layers
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.model import Model
from tfnets.steps import calls

N, BATCH, CLASSES = 53, 10, 4
ALONE, PARTS = (
    Execution(xla=True, steps_per_call=3),
    Execution(xla=True, shards=3, steps_per_call=9),
)
PLAIN = Execution(shards=2, steps_per_call=2)
CLOSE = {"rtol": 1e-5, "atol": 3e-6}

rng = np.random.default_rng(0)
X = rng.normal(size=(N, 6, 3)).astype(np.float32)
Y = rng.integers(0, CLASSES, N)
PER_STEP = rng.integers(0, CLASSES, (N, 6))
WEIGHT = rng.uniform(0.2, 3, N).astype(np.float32)


class Doubled(keras.layers.Layer):
    """A user's own layer, of which nobody knows what it does."""

    def call(self, x):
        """Adds the mean over the batch."""
        return x + keras.ops.mean(x, axis=0, keepdims=True)


class Own(keras.metrics.Metric):
    """A user's own metric, the count of samples."""

    def __init__(self, name="own"):
        super().__init__(name=name)
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts."""
        self.count.assign_add(keras.ops.cast(keras.ops.shape(y_pred)[0], "float32"))

    def result(self):
        """The count."""
        return self.count


def own_accuracy(y_true, y_pred):
    """A user's function that looks at the whole batch."""
    same = keras.ops.argmax(y_pred, -1) == keras.ops.cast(y_true, "int32")
    return keras.ops.mean(keras.ops.cast(same, "float32"))


def own_loss(y_true, y_pred):
    """A user's function that looks at the whole batch."""
    return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y_true, y_pred)) ** 2


def softmax(x):
    return keras.layers.Dense(CLASSES, activation="softmax")(x)


def rnn(i):
    return softmax(layers.SimpleRNN(8, return_sequences=True)(i))


def gru(i):
    return softmax(layers.GRU(5)(i))


def dense(i):
    return softmax(keras.layers.Dense(7, activation="relu")(keras.layers.Flatten()(i)))


def normalised(i):
    return softmax(keras.layers.BatchNormalization()(keras.layers.Flatten()(i)))


def regularised(i):
    flat = keras.layers.Flatten()(i)
    inner = keras.layers.Dense(5, kernel_regularizer="l2", activity_regularizer="l2")(flat)
    return softmax(inner)


def masked(i):
    return softmax(keras.layers.GRU(5)(keras.layers.Masking(0.0)(i)))


def unknown(i):
    return softmax(Doubled()(keras.layers.Flatten()(i)))


def operation(i):
    flat = keras.layers.Flatten()(i)
    return softmax(flat - keras.ops.mean(flat, axis=0, keepdims=True))


def frozen(i):
    return softmax(keras.layers.Dense(7, trainable=False)(keras.layers.Flatten()(i)))


def nested(i):
    inside = keras.Input((6, 3))
    return softmax(keras.Model(inside, layers.SimpleRNN(6)(inside))(i))


def made(kind, network, *, loss="sparse_categorical_crossentropy", seed=1, optimizer=None, **more):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 3))
    model = kind(inputs, network(inputs))
    if kind is keras.Model:
        more = {k: v for k, v in more.items() if k not in ("execution", "jit_compile")}
    metrics = more.pop("metrics", ["accuracy"])
    more["metrics"] = metrics() if callable(metrics) else metrics
    model.compile((optimizer or (lambda: keras.optimizers.Adam(0.01)))(), loss, **more)
    return model


def both(network, execution=None, y=Y, fitted=None, **more):
    """History, weights and evaluation of either, which must be the same; and ours."""
    fitted = {"validation_data": (X[:17], y[:17]), "epochs": 3} | (fitted or {})
    results = []
    for kind in (keras.Model, Model):
        model = made(kind, network, execution=execution, **more)
        history = model.fit(X, y, batch_size=BATCH, verbose=0, shuffle=False, **fitted).history
        evaluated = model.evaluate(X, y, batch_size=BATCH, verbose=0, return_dict=True)
        results.append((history, model.get_weights(), evaluated))
    (history, weights, evaluated), (ours, our_weights, our_evaluated) = results
    assert ours.keys() == history.keys()
    for name, values in history.items():
        np.testing.assert_allclose(ours[name], values, err_msg=name, **CLOSE)
    for one, other in zip(our_weights, weights, strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)
    assert our_evaluated == pytest.approx(evaluated, rel=1e-5, abs=1e-6)
    assert any(np.ptp(values) > 1e-3 for values in history.values())  # it has learnt something
    return model


@pytest.mark.parametrize(
    ("network", "execution"), [(rnn, PARTS), (gru, None), (dense, ALONE), (dense, PLAIN)]
)
def test_the_same_as_keras_where_samples_are_alone(network, execution):
    y = PER_STEP if network is rnn else Y
    model = both(network, execution, y, weighted_metrics=["accuracy"])
    assert model._is_padded


@pytest.mark.parametrize(
    ("network", "more"),
    [
        (normalised, {"execution": PARTS}),
        (regularised, {"execution": ALONE}),
        (masked, {}),
        (unknown, {"jit_compile": True}),
        (operation, {}),
        (dense, {"loss": own_loss}),
        (dense, {"metrics": lambda: [own_accuracy, Own()]}),
        (dense, {"loss": keras.losses.SparseCategoricalCrossentropy(reduction="sum")}),
    ],
)
def test_the_same_as_keras_where_samples_may_not_be_alone(network, more):
    model = both(network, **more)
    assert not model._is_padded


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "weights"),
    [
        (dense, {"sample_weight": WEIGHT}),
        (dense, {"class_weight": {1: 3.0, 2: 0.5}}),
        (dense, {"sample_weight": WEIGHT, "validation_data": (X[:17], Y[:17], WEIGHT[:17])}),
        (normalised, {"class_weight": {1: 3.0}}),
    ],
)
def test_weights_reach_the_loss_and_the_metrics_that_take_them(network, weights):
    both(network, PARTS, fitted=weights, metrics=["accuracy"], weighted_metrics=["accuracy"])


@pytest.mark.slow
@pytest.mark.parametrize("network", [frozen, nested])
def test_parts_of_a_network(network):
    assert both(network, PARTS)._is_padded


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.1, weight_decay=0.01),
        lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=4),
        lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
        lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.02, 3, 0.5)),
    ],
)
def test_optimizers(optimizer):
    both(dense, ALONE, optimizer=optimizer)


@pytest.mark.slow
def test_pieces_of_an_embedding_are_what_keras_optimizer_takes():
    numbers = rng.integers(0, 9, (N, 6))

    def fitted(kind, execution):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((6,), dtype="int32")
        hidden = layers.SimpleRNN(5)(keras.layers.Embedding(9, 4)(inputs))
        model = kind(inputs, softmax(hidden))
        more = {} if kind is keras.Model else {"execution": execution}
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", **more)
        model.fit(numbers, Y, batch_size=BATCH, epochs=2, verbose=0, shuffle=False)
        return model.get_weights()

    weights = fitted(keras.Model, None)
    for execution in (None, ALONE, PARTS):
        for one, other in zip(fitted(Model, execution), weights, strict=True):
            np.testing.assert_allclose(one, other, **CLOSE)


def test_steps_by_hand():
    """Softmax regression in NumPy, with weights, batches of 10 and a last one of 3."""
    x, w, b = X.reshape(N, -1).astype(np.float64), np.zeros((18, CLASSES)), np.zeros(CLASSES)
    losses, right = [], []
    for _ in range(3):
        total = correct = 0.0
        for start in range(0, N, BATCH):
            rows, labels, weight = (each[start : start + BATCH] for each in (x, Y, WEIGHT))
            z = rows @ w + b
            p = np.exp(z - z.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            own = np.arange(len(rows)), labels
            total += -(weight * np.log(p[own])).sum()
            correct += (p.argmax(1) == labels).sum()
            d = p.copy()
            d[own] -= 1
            d *= weight[:, None] / len(rows)
            w -= 0.1 * rows.T @ d
            b -= 0.1 * d.sum(0)
        losses.append(total / N)
        right.append(correct / N)
    for execution in (ALONE, PARTS):
        inputs = keras.Input((6, 3))
        flat = keras.layers.Flatten()(inputs)
        zeros = keras.layers.Dense(CLASSES, activation="softmax", kernel_initializer="zeros")
        model = Model(inputs, zeros(flat))
        model.compile(
            keras.optimizers.SGD(0.1),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            execution=execution,
        )
        history = model.fit(
            X, Y, batch_size=BATCH, epochs=3, sample_weight=WEIGHT, shuffle=False, verbose=0
        ).history
        np.testing.assert_allclose(history["loss"], losses, rtol=1e-5)
        np.testing.assert_allclose(history["accuracy"], right, rtol=1e-6)
        np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_one_weight_for_each_sample_is_enough_for_many_targets():
    losses = []
    for weight in (WEIGHT, WEIGHT[:, None], np.repeat(WEIGHT[:, None], 6, 1), None):
        model = made(Model, rnn, execution=PLAIN)
        history = model.fit(X, PER_STEP, batch_size=BATCH, sample_weight=weight, verbose=0)
        losses.append(history.history["loss"][0])
    assert losses[:3] == pytest.approx([losses[0]] * 3, rel=1e-6)
    assert losses[3] != pytest.approx(losses[0], rel=0.01)


class Heard(keras.callbacks.Callback):
    """What it is called with, in order."""

    def __init__(self, batches):
        super().__init__()
        self.calls = []
        hooks = ["on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end"]
        hooks += ["on_test_begin", "on_test_end"]
        if batches:
            hooks += ["on_train_batch_begin", "on_train_batch_end"]
            hooks += ["on_test_batch_begin", "on_test_batch_end"]
        for hook in hooks:
            setattr(self, hook, self._record(hook))

    def _record(self, hook):
        def called(number=None, logs=None):
            if not isinstance(number, int):  # hooks of a whole training have no number
                number, logs = None, number or logs
            self.calls.append((hook, number, {k: float(v) for k, v in (logs or {}).items()}))

        return called


@pytest.mark.parametrize("network", [dense, normalised])
@pytest.mark.parametrize(("batches", "each"), [(False, 1), (True, 1), (True, 4)])
def test_callbacks_hear_what_they_hear_of_keras(network, batches, each):
    heard = []
    for kind in (keras.Model, Model):
        model = made(kind, network, steps_per_execution=each)
        callback = Heard(batches)
        model.fit(
            X,
            Y,
            batch_size=BATCH,
            epochs=2,
            verbose=0,
            shuffle=False,
            callbacks=[callback],
            validation_data=(X[:17], Y[:17]),
        )
        assert callback.params["steps"] == 6
        heard.append(callback.calls)
    assert [call[:2] for call in heard[1]] == [call[:2] for call in heard[0]]
    for (_, _, ours), (_, _, keras_own) in zip(heard[1], heard[0], strict=True):
        assert ours == pytest.approx(keras_own, rel=1e-5, abs=1e-6)


@pytest.mark.slow
def test_callbacks_of_keras_work(tmp_path):
    results = []
    for kind in (keras.Model, Model):
        model = made(kind, dense, optimizer=lambda: keras.optimizers.SGD(0.3))
        history = model.fit(
            X,
            Y,
            batch_size=BATCH,
            epochs=30,
            verbose=0,
            shuffle=False,
            validation_data=(X[:17], (Y[:17] + 1) % CLASSES),
            callbacks=[
                keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True),
                keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=1),
                keras.callbacks.ModelCheckpoint(
                    tmp_path / f"{kind.__name__}.weights.h5", save_weights_only=True
                ),
                keras.callbacks.CSVLogger(tmp_path / f"{kind.__name__}.csv"),
            ],
        )
        results.append((history.history, model.get_weights()))
        assert (tmp_path / "Model.weights.h5").exists()
    (history, weights), (ours, our_weights) = results
    assert len(history["loss"]) < 30
    assert ours.keys() == history.keys()
    for name, values in history.items():
        np.testing.assert_allclose(ours[name], values, **CLOSE)
    np.testing.assert_allclose(our_weights[0], weights[0], **CLOSE)


@pytest.mark.parametrize("network", [dense, normalised])
def test_a_second_fit_with_other_data_labels_and_batches(network):
    results = []
    for kind in (keras.Model, Model):
        model = made(kind, network)
        every = []
        for x, y, batch in ((X, Y, 10), (X[:31] * 2, Y[:31].astype("int64"), 7), (X[::-1], Y, 10)):
            history = model.fit(x, y, batch_size=batch, epochs=2, verbose=0, shuffle=False)
            every += history.history["loss"]
            every += model.evaluate(x, y, verbose=0)
        one = model.train_on_batch(X[:5], Y[:5])
        results.append([*every, *one, *model.test_on_batch(X[:5], Y[:5])])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


def test_what_a_callback_calls_finds_the_model_as_it_is_outside():
    results = []
    for kind in (keras.Model, Model):
        model, found = made(kind, dense), []

        def look(epoch, logs, model=model, found=found):
            found.extend(model.train_on_batch(X[:5], Y[:5]))
            found.extend(model.test_on_batch(X[:5], Y[:5]))
            found.append(model.predict(X[:7], verbose=0)[0, 0])
            found.extend(model.evaluate(X, Y, verbose=0))

        history = model.fit(
            X,
            Y,
            batch_size=BATCH,
            epochs=2,
            shuffle=False,
            verbose=0,
            validation_data=(X[:17], Y[:17]),
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=look)],
        ).history
        results.append([*found, *history["loss"], *history["val_loss"]])
        assert model.steps_per_execution == 1
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


def test_what_is_not_known_of_a_model_is_not_assumed():
    """Losses over another axis, steps of an instance, calls and metrics of a subclass."""

    class Across(Model):
        def call(self, inputs, training=None, mask=None):
            return super().call(inputs - keras.ops.mean(inputs, 0), training=training)

    assert made(Model, dense)._is_padded
    assert not made(Across, dense)._is_padded
    over_samples = keras.losses.CosineSimilarity(axis=0)
    assert not made(Model, dense, loss=over_samples)._is_padded
    assert not made(Model, dense, metrics=[keras.metrics.CosineSimilarity(axis=0)])._is_padded
    model = made(Model, dense)
    model.layers[2].activity_regularizer = keras.regularizers.L2(0.1)
    assert not model._is_padded
    model = made(Model, dense)
    model.extra = keras.metrics.Mean(name="extra")
    assert model.fit(X, Y, verbose=0).history["extra"] == [0]
    model.train_step = lambda data: {"own": tf.constant(3.0)}
    assert model.fit(X, Y, verbose=0).history == {"own": [3]}


@pytest.mark.slow
def test_truth_values_and_optimizers_with_steps_of_their_own():
    class Reversed(keras.optimizers.SGD):
        def apply_gradients(self, grads_and_vars):
            return super().apply_gradients([(-g, v) for g, v in grads_and_vars])

    both(dense, ALONE, fitted={"sample_weight": WEIGHT > 1})
    both(dense, PARTS, optimizer=lambda: Reversed(0.01))
    histories = []
    for kind in (keras.Model, Model):
        model = made(kind, dense)

        def stop_at_once(logs, model=model):
            model.stop_training = True

        stop = keras.callbacks.LambdaCallback(on_train_begin=stop_at_once)
        fitted = model.fit(X, Y > 1, shuffle=False, verbose=0, callbacks=[stop], epochs=3)
        histories.append(fitted.history["loss"])
    assert histories[1] == pytest.approx(histories[0], rel=1e-5)
    with pytest.raises(InputError, match="y has the label 9"):
        made(Model, gru).fit(X, Y, validation_data=(X[:3], np.array([0, 9, 1])), verbose=0)


def test_an_interrupt_and_going_on():
    def interrupt(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    whole, parts = made(Model, gru), made(Model, gru)
    common = {"batch_size": BATCH, "verbose": 0, "shuffle": False}
    history = whole.fit(X, Y, epochs=4, **common).history["loss"]
    stop = keras.callbacks.LambdaCallback(on_epoch_end=interrupt)
    with pytest.raises(KeyboardInterrupt):
        parts.fit(X, Y, epochs=4, callbacks=[stop], **common)
    assert parts.steps_per_execution == 1
    rest = parts.fit(X, Y, epochs=4, initial_epoch=2, **common)
    assert rest.epoch == [2, 3]
    assert rest.history["loss"] == history[2:]
    for one, other in zip(parts.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_what_is_no_array_is_left_to_keras():
    results = []
    for kind in (keras.Model, Model):
        model = made(kind, dense)
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
        more = {"verbose": 0, "shuffle": False, "validation_data": data.take(2)}
        history = model.fit(data, epochs=2, **more).history
        second = model.fit(X, Y, **more).history
        evaluated = model.evaluate(data, verbose=0)
        results.append([*history["loss"], *history["val_loss"], *second["val_loss"], *evaluated])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


def test_several_inputs_and_outputs():
    results = []
    for kind in (keras.Model, Model):
        keras.utils.set_random_seed(1)
        a, b = keras.Input((6, 3), name="a"), keras.Input((4,), name="b")
        hidden = keras.layers.Concatenate()([layers.GRU(4)(a), b])
        outputs = {"class": softmax(hidden), "value": keras.layers.Dense(1)(hidden)}
        model = kind({"a": a, "b": b}, outputs)
        model.compile(
            keras.optimizers.Adam(0.01),
            {"class": "sparse_categorical_crossentropy", "value": "mse"},
            metrics={"class": ["accuracy"], "value": ["mae"]},
        )
        x = {"a": X, "b": X[:, :4, 0]}
        y = {"class": Y, "value": X[:, 0, :1]}
        fitted = model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, shuffle=False)
        results.append(fitted.history)
    keras_own, ours = results
    assert ours.keys() == keras_own.keys()
    for name, values in keras_own.items():
        if name not in ("class_loss", "value_loss"):
            np.testing.assert_allclose(ours[name], values, **CLOSE)
    # Of a batch whose size is not compiled Keras takes the mean of means, the short one's too.
    parts = np.add(ours["class_loss"], ours["value_loss"])
    np.testing.assert_allclose(parts, ours["loss"], **CLOSE)


@pytest.mark.slow
def test_validation_split_and_frequency():
    for kind in (keras.Model, Model):
        with pytest.raises((ValueError, InputError), match=r"validation|split"):
            made(kind, dense).fit(X[:1], Y[:1], validation_split=0.5, verbose=0)
    both(dense, ALONE, fitted={"validation_data": None, "validation_split": 0.3})
    both(dense, ALONE, fitted={"validation_freq": 2, "epochs": 4})


def test_shuffling_is_seeded_and_complete():
    def fitted(seed, shuffle=True):
        model = made(Model, dense, seed=seed)
        return model.fit(X, Y, batch_size=BATCH, epochs=2, verbose=0, shuffle=shuffle).history

    assert fitted(1) == fitted(1)
    assert fitted(1) != fitted(1, shuffle=False)
    assert fitted(1, np.random.default_rng(3)) == fitted(1, np.random.default_rng(3))
    assert fitted(1, np.random.default_rng(3)) != fitted(1, np.random.default_rng(4))


def test_a_label_that_is_no_class_is_one_line():
    model = made(Model, gru)
    for wrong in (-1, CLASSES):
        y = Y.copy()
        y[7] = wrong
        with pytest.raises(InputError, match=rf"y has the label {wrong}; .* labels are 0 to 3\."):
            model.fit(X, y, verbose=0)


def test_what_keras_refuses_is_refused_by_keras():
    model = made(Model, dense)
    with pytest.raises(ValueError, match="cardinality"):
        model.fit(X, Y[:-1], verbose=0)
    with pytest.raises(ValueError, match="same time"):
        model.fit(X, Y, sample_weight=WEIGHT, class_weight={0: 2.0}, verbose=0)
    with pytest.raises(TypeError, match="wrong"):
        model.fit(X, Y, wrong=1)


def test_a_saved_model_is_compiled_as_it_was(tmp_path):
    model = made(Model, gru)
    model.fit(X, Y, batch_size=BATCH, verbose=0, shuffle=False)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert type(again) is Model
    assert again._execution(BATCH) == model._execution(BATCH)
    assert again._execution(BATCH).xla
    for each in (model, again):
        each.fit(X, Y, batch_size=BATCH, verbose=0, shuffle=False)
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_train_step_of_ones_own_is_left_to_keras():
    class Noted(Model):
        steps = 0

        def train_step(self, data):
            Noted.steps += 1
            return super().train_step(data) | {"own": tf.constant(5.0)}

    history = made(Noted, dense).fit(X, Y, batch_size=BATCH, verbose=0).history
    assert Noted.steps > 0
    assert history["own"] == [5.0]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_each_epoch_has_each_sample_once_in_steps_of_a_batch(data):
    n = data.draw(st.integers(1, 60))
    batch, a_call = data.draw(st.integers(1, n)), data.draw(st.integers(1, 9))
    divisor = data.draw(st.none() | st.integers(1, 4))
    steps = -(-n // batch)
    order = np.random.default_rng(n).permutation(n)
    made_calls = calls(lambda: order, batch, a_call, divisor)
    for _ in range(2):
        seen, shapes, short = [], set(), []
        for start in range(0, steps, a_call):
            parts = next(made_calls)
            assert sum(part.used for part in parts) == min(a_call, steps - start)
            for part in parts:
                for row, count in zip(part.rows[: part.used], part.counts, strict=False):
                    seen += row[:count].tolist()
                    short.append(count)
                    assert not divisor or row[count:].tolist() == [0] * (len(row) - count)
                shapes.add(part.rows.shape)
        assert seen == order.tolist()
        assert short[:-1] == [batch] * (steps - 1)
        assert len(shapes) == 1 if divisor else len(shapes) <= 2
        assert all(width % (divisor or 1) == 0 for _, width in shapes)
