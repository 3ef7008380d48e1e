from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import addition, har, layers, speech
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.loop import CLASSIFICATION, Loop, in_top_k

EXECUTIONS = [
    Execution(),
    Execution(shards=2),
    Execution(xla=True, shards=2, steps_per_call=2),
    Execution(xla=True, steps_per_call=100),
    Execution(shards=3, steps_per_call=3),
]


def network():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 4))
    x = layers.GRU(5, return_sequences=True)(inputs)
    x = layers.SimpleRNN(5)(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def samples(n=23):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 6, 4)).astype(np.float32), rng.integers(0, 3, n, np.int32)


@cache
def two_epochs_of_keras():
    """Order of the samples, losses and accuracies, judgement, and weights in the end."""
    x, y = samples()
    order = np.random.default_rng(1).permutation(len(x))
    model = network()
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(x[order], y[order], batch_size=5, epochs=2, shuffle=False, verbose=0)
    figures = list(zip(history.history["loss"], history.history["accuracy"], strict=True))
    return order, figures, model.evaluate(x, y, verbose=0), model.get_weights()


@pytest.mark.parametrize("execution", EXECUTIONS, ids=str)
def test_an_epoch_is_what_keras_makes_of_the_same_batches(execution):
    """23 samples in batches of 5: the last batch has 3, and no batch can be halved."""
    order, expected, verdict, weights = two_epochs_of_keras()
    x, y = samples()
    model, optimizer = network(), keras.optimizers.SGD(0.1, momentum=0.9)
    loop = Loop(model, optimizer, CLASSIFICATION, 5, execution)
    figures = [loop.epoch(tf.constant(x), tf.constant(y), order) for _ in range(2)]
    judged = loop.evaluate(tf.constant(x), tf.constant(y))

    np.testing.assert_allclose([list(f.values()) for f in figures], expected, rtol=1e-5)
    assert list(judged) == ["loss", "accuracy"]
    np.testing.assert_allclose(list(judged.values()), verdict, rtol=1e-5)
    for mine, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
    assert int(optimizer.iterations.numpy()) == 10


def test_fewer_samples_than_a_batch():
    x, y = samples(4)
    loop = Loop(network(), keras.optimizers.SGD(0.1), CLASSIFICATION, 100, EXECUTIONS[2])
    loop.epoch(tf.constant(x), tf.constant(y), np.arange(4))
    theirs = network()
    theirs.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    theirs.fit(x, y, batch_size=100, shuffle=False, verbose=0)
    judged = loop.evaluate(tf.constant(x), tf.constant(y))
    assert list(judged.values()) == pytest.approx(theirs.evaluate(x, y, verbose=0), rel=1e-5)


TASKS = {
    "fc": (speech, "fc", (16, 16), 3),
    "cnn": (speech, "cnn", (16, 16), 3),
    "gru": (speech, "gru", (16, 16), 3),
    "har": (har, "rnn", (8, 3), 6),
    "har lstm": (har, "lstm", (8, 3), 6),
    "addition": (addition, "rnn", (7, 2), 10),
    "addition gru": (addition, "gru", (7, 2), 10),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.nightly
def test_every_task_learns_a_batch_by_heart_as_it_is_executed(name):
    task, kind, shape, classes = TASKS[name]
    keras.utils.set_random_seed(0)
    options = {} if task is addition else {"input_shape": shape}
    model = task.build(kind, **options)
    rng = np.random.default_rng(2)
    n = 30
    if task is addition:
        x, y = rng.integers(0, 10, (n, *shape)), rng.integers(0, 10, (n, shape[0]))
        x, y = tf.constant(x, tf.int32), tf.constant(y, tf.int32)
    else:
        x = tf.constant(rng.normal(size=(n, *shape)), tf.float32)
        y = tf.constant(rng.integers(0, classes, n), tf.int32)
    loop = Loop(model, keras.optimizers.Adam(0.01), task.OBJECTIVE, n, task.execution(kind, n))
    first = loop.evaluate(x, y)["loss"]
    for _ in range(30):
        loop.epoch(x, y, np.arange(n))
    last = loop.evaluate(x, y)["loss"]
    assert first == pytest.approx(np.log(classes), rel=0.2)  # what guessing costs
    assert last < 0.9 * first


def model_with(*layers_, **options):
    inputs = keras.Input((6, 4))
    x = keras.layers.Flatten()(inputs)
    for layer in layers_:
        x = layer(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", **options)(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model_with(keras.layers.BatchNormalization(name="bn")), "layer 'bn' normalises"),
        (lambda: model_with(kernel_regularizer="l2"), "has losses of its own"),
    ],
)
def test_models_that_would_be_trained_wrongly_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        Loop(make(), keras.optimizers.SGD(0.1), CLASSIFICATION, 5, Execution())


def test_other_wrong_input_is_refused():
    def loop(optimizer=None, batch=5):
        return Loop(
            network(), optimizer or keras.optimizers.SGD(), CLASSIFICATION, batch, Execution()
        )

    with pytest.raises(InputError, match="scales the loss"):
        loop(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()))
    with pytest.raises(InputError, match="batch_size is 0"):
        loop(batch=0)
    with pytest.raises(InputError, match="shards is 0; expected 1 or more"):
        Execution(shards=0)
    x, y = map(tf.constant, samples())
    with pytest.raises(InputError, match="10 samples but 23 labels"):
        loop().evaluate(x[:10], y)
    with pytest.raises(InputError, match="sample numbers are 0 to 29; expected some of 0 to 22"):
        loop().epoch(x, y, np.arange(30))
    with pytest.raises(InputError, match="sample numbers are none"):
        loop().evaluate(x[:0], y[:0])
    with pytest.raises(InputError, match=r"labels have shape \(23, 1\) where outputs"):
        loop().evaluate(x, y[:, None])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_k_best_are_the_first_k_in_order(k):
    """Equal scores are ordered as argmax does: the first one leads."""
    rng = np.random.default_rng(4)
    scores = rng.integers(0, 4, (50, 7, 6)).astype(np.float32)
    labels = rng.integers(0, 6, (50, 7), np.int32)
    best = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    expected = (best == labels[..., None]).any(-1)
    np.testing.assert_array_equal(in_top_k(labels, scores, k), expected)
    np.testing.assert_array_equal(
        tf.function(in_top_k, jit_compile=True)(labels, scores, k), expected
    )


def test_the_raw_loss_of_har_is_of_the_scores_as_they_are():
    scores = np.full((2, 4, 6), 0.9, np.float32)
    scores[1, :, 3] = 0.5
    labels = np.array([0, 3], np.int32)
    loss = har.objective("raw").loss(labels, scores)
    np.testing.assert_allclose(loss, [-np.log(0.9), -np.log(0.5)], rtol=1e-6)


def test_har_counts_at_the_last_step_and_on_the_mean_of_shares():
    scores = np.full((1, 4, 6), 0.01, np.float32)
    scores[0, :3, 1] = 0.02  # far ahead at three steps, if the scores are made to sum to 1
    scores[0, 3] = [0.2, 0.3, 0.9, 0.8, 0.7, 0.1]
    label = np.array([1], np.int32)
    counted = har.objective("normalised").metrics
    metrics = {k: float(f(label, scores)[0]) for k, f in counted.items()}
    assert metrics == {
        "accuracy": 0,
        "accuracy_mean": 1,
        "top2": 0,
        "top2_mean": 1,
        "top3": 0,
        "top3_mean": 1,
    }
    assert set(har.objective(num_classes=2).metrics) == {"accuracy", "accuracy_mean"}
    with pytest.raises(InputError, match="unknown loss 'mse'; choose from softmax, norm"):
        har.objective("mse")


def test_an_addition_is_right_if_every_digit_is():
    digits = np.array([[1, 2, 3], [4, 5, 6]], np.int32)
    logits = np.eye(10, dtype=np.float32)[digits] * 5
    logits[1, 2] = np.eye(10)[7]
    assert addition.OBJECTIVE.metrics["accuracy"](digits, logits).numpy().tolist() == [1, 0]
    odds = np.exp(5) / (np.exp(5) + 9)
    assert float(addition.OBJECTIVE.loss(digits, logits)[0]) == pytest.approx(
        -np.log(odds), rel=1e-4
    )


def test_what_a_run_says_of_its_execution():
    said = str(Execution(xla=True, shards=2, steps_per_call=4))
    assert said == "XLA, batches in 2 parts, up to 4 steps a call"
    assert str(Execution()) == "TensorFlow, up to 1 steps a call"


def test_shares_are_never_more_than_all():
    """Sums in float32 can be rounded up; the loss stays what it is."""
    softmax = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((6, 4)), keras.layers.Flatten(), softmax])
    loop = Loop(model, keras.optimizers.SGD(0.1), CLASSIFICATION, 23, Execution())
    rounded_up = tf.constant([2.0, 1.0000001]) * 23
    x, y = samples()
    means = loop._run(lambda *arguments: rounded_up, x, y, np.arange(23), 23)
    assert means == {"loss": 2.0, "accuracy": 1.0}
