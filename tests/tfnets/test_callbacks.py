"""Keras callbacks in our training: a user's own, Keras' own, and those that cannot work here."""

import csv
import time

import keras
import numpy as np
import pytest

from tfnets import callbacks, training
from tfnets.dataset import Dataset, Split
from tfnets.errors import InputError
from tfnets.execution import Execution

XLA = Execution(xla=True, steps_per_call=10)


def toy(n=60):
    rng = np.random.default_rng(0)

    def split(count):
        y = (np.arange(count) % 3).astype(np.int32)
        x = rng.normal(size=(count, 4)).astype(np.float32) + 2 * np.eye(4, dtype=np.float32)[y]
        return Split(x, y)

    return Dataset("toy", "toy", ("a", "b", "c"), split(n), split(30), split(30), "random", "0")


def linear():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])


def train(*callbacks, execution=None, **options):
    recipe = {"epochs": 3, "batch_size": 20, "optimizer": "sgd", "learning_rate": 0.1}
    recipe |= {"momentum": 0.0, "weight_decay": 0.0} | options
    return training.train(
        linear,
        toy(),
        training.Recipe(**recipe),
        progress=False,
        callbacks=callbacks,
        execution=execution,
    )


def weights(trained):
    return np.concatenate([w.ravel() for w in trained.model.get_weights()])


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append(("train begin", logs))

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(("begin", epoch))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("end", epoch, logs))

    def on_train_end(self, logs=None):
        self.calls.append(("train end", logs))


def test_hooks_are_called_as_fit_calls_them():
    recorder = Recorder()
    trained = train(recorder)
    names = [call[:2] if call[0] in ("begin", "end") else call[0] for call in recorder.calls]
    epochs = [(what, epoch) for epoch in range(3) for what in ("begin", "end")]
    assert names == ["train begin", *epochs, "train end"]
    assert recorder.model is trained.model
    assert recorder.params["epochs"] == 3
    logs = recorder.calls[2][2]
    history = trained.history[0]
    assert history.items() <= logs.items()
    assert logs["loss"] == history["train/loss"]
    assert logs["accuracy"] == history["train/accuracy"]
    assert logs["val_loss"] == history["val/loss"]
    assert logs["val_accuracy"] == history["val/accuracy"]
    assert set(history) == {
        "train/loss", "train/accuracy", "val/loss", "val/accuracy", "time/epoch_s"
    }  # fmt: skip


def test_the_first_hook_gets_the_metrics_of_the_initial_weights():
    recorder = Recorder()
    trained = training.train(
        linear,
        toy(),
        training.Recipe(epochs=1),
        progress=False,
        callbacks=[recorder],
        from_start=True,
    )
    found = recorder.calls[0][1]
    assert found == {name: found[name] for name in trained.start[0]} == trained.start[0]


def test_callbacks_change_no_bit():
    alone, watched = train(), train(Recorder(), keras.callbacks.History())
    np.testing.assert_array_equal(weights(alone), weights(watched))


def test_a_callback_can_stop_the_training():
    def stop(epoch, logs):
        callback.model.stop_training = epoch == 1

    callback = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    trained = train(callback, epochs=9)
    assert len(trained.history) == trained.best == 2


def test_kerass_early_stopping_by_kerass_names():
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    trained = train(stopping, epochs=50, learning_rate=5.0)
    losses = [metrics["val/loss"] for metrics in trained.history]
    assert len(losses) < 50
    assert trained.best == int(np.argmin(losses)) + 1 == len(losses) - 2
    assert trained.evaluate(toy().val)["loss"] == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.parametrize("execution", [None, XLA], ids=["plain", "xla"])
def test_a_learning_rate_that_a_callback_sets_counts(execution):
    """Against plain NumPy: gradient steps with a rate of its own in each epoch."""
    rates = [0.5, 0.05, 0.2]
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rates[epoch])
    trained = train(schedule, execution=execution, batch_size=60)
    keras.utils.set_random_seed(0)
    kernel, bias = (w.astype(np.float64) for w in linear().get_weights())
    split = toy().train
    x, one_hot = split.x.astype(np.float64), np.eye(3)[split.y]
    for rate in rates:
        scores = np.exp(x @ kernel + bias)
        error = (scores / scores.sum(axis=1, keepdims=True) - one_hot) / len(x)
        kernel, bias = kernel - rate * x.T @ error, bias - rate * error.sum(axis=0)
    found = trained.model.get_weights()
    np.testing.assert_allclose(found[0], kernel, atol=1e-6)
    np.testing.assert_allclose(found[1], bias, atol=1e-6)


def test_reduce_on_plateau_and_what_it_cannot_reduce():
    def plateau():
        return keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=10)

    trained = train(plateau(), epochs=4)
    assert float(trained.optimizer.learning_rate) == pytest.approx(1e-4)
    with pytest.raises(InputError, match=r"^schedule is 'cosine', so that no callback can"):
        train(plateau(), epochs=4, schedule="cosine")


def test_checkpoints_and_a_csv_file(tmp_path):
    files = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}-{val_loss:.3f}.keras"))
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    trained = train(files, log)
    losses = [metrics["val/loss"] for metrics in trained.history]
    names = [f"{number}-{loss:.3f}.keras" for number, loss in enumerate(losses, 1)]
    assert sorted(path.name for path in tmp_path.glob("*.keras")) == sorted(names)
    last = keras.saving.load_model(tmp_path / names[-1])
    np.testing.assert_array_equal(last.predict(toy().val.x), trained.model.predict(toy().val.x))
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(row["val_loss"]) for row in rows] == losses
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]


def test_the_model_is_left_without_the_optimizer():
    recorder = Recorder()
    seen = []
    recorder.on_epoch_end = lambda epoch, logs=None: seen.append(recorder.model.optimizer)
    trained = train(recorder)
    assert seen[0] is trained.optimizer
    assert not hasattr(trained.model, "optimizer")


def test_time_in_any_hook_is_not_training_time(pass_time):
    def hook(*arguments):
        pass_time(1e4)

    hooks = {f"on_{name}": hook for name in ("train_begin", "epoch_begin", "epoch_end")}
    trained = train(keras.callbacks.LambdaCallback(**hooks, on_train_end=hook), epochs=2)
    assert time.perf_counter() > 6e4
    assert 0 < trained.seconds < 1e4
    assert 0 < sum(metrics["time/epoch_s"] for metrics in trained.history) < 1e4
    assert 0 <= trained.drawing < 1e4


def test_an_error_of_a_callback_comes_through(tmp_path):
    def fail(epoch, logs):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        train(keras.callbacks.LambdaCallback(on_epoch_end=fail))


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (print, "callbacks has <built-in function print>; each must be a keras.callbacks.Callb"),
        (keras.callbacks.Callback, "callbacks has <class 'keras.src"),
        (
            keras.callbacks.TerminateOnNaN(),
            "callback TerminateOnNaN works on batches (on_batch_end), and there are none to see: "
            "one call makes many steps; a loss that is no number ends the training anyway.",
        ),
        (
            keras.callbacks.LambdaCallback(on_train_batch_end=print),
            "callback LambdaCallback works on batches (on_train_batch_end), and there are none",
        ),
        (
            keras.callbacks.ModelCheckpoint("x.keras", save_freq=10),
            "callback ModelCheckpoint has save_freq=10; it must be 'epoch', for there are no",
        ),
        (
            keras.callbacks.BackupAndRestore("x"),
            "callback BackupAndRestore cannot work here: a training always starts anew.",
        ),
        (keras.callbacks.ProgbarLogger(), "callback ProgbarLogger cannot work here; progress="),
    ],
    ids=lambda value: getattr(type(value), "__name__", None),
)
def test_what_cannot_work_is_refused_before_anything_is_built(callback, message):
    built = []
    with pytest.raises(InputError) as error:
        training.train(
            lambda: built.append(1), toy(), training.Recipe(epochs=1), callbacks=[callback]
        )
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not built


def test_who_acts_on_batches_only_if_asked_is_taken_for_epochs(tmp_path):
    callbacks.check(keras.callbacks.TensorBoard(tmp_path / "a", update_freq="epoch"))
    train(keras.callbacks.ModelCheckpoint(tmp_path / "a.keras", save_freq="epoch"), epochs=1)
    assert (tmp_path / "a.keras").is_file()
    with pytest.raises(InputError, match="TensorBoard has update_freq=1; it must be 'epoch'"):
        train(keras.callbacks.TensorBoard(tmp_path / "b", update_freq="batch"))

    class Cyclical(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.optimizer.learning_rate = 1e-6

        def on_train_batch_end(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.05

    class Keeper(keras.callbacks.ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            self.seen = batch

    for callback in (Cyclical(), Keeper(tmp_path / "c.keras")):
        with pytest.raises(
            InputError, match=r"works on batches \(on_train_batch_end\), and there"
        ):
            train(callback)
