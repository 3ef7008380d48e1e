import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import optimizers, torch_weights
from tfnets.errors import InputError

OF_PYTORCH = {
    "sgd": {"name": "sgd"},
    "nesterov": {"name": "sgd", "weight_decay": 0.1, "nesterov": True},
    "adam": {"name": "adam"},
}


def minimise(optimizer, start, steps=4):
    """The places that f(w) = w^2 / 2 leads to."""
    w = keras.Variable([start], dtype="float32")
    places = []
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(w)], [w])
        places.append(w.numpy()[0])
    return places


@pytest.mark.parametrize("name", OF_PYTORCH)
def test_training_makes_pytorchs_steps(golden, name):
    weights = golden.part("weights")
    if golden.one_bias:
        # Where Keras has one bias, PyTorch's second was frozen at zero.
        weights = {k: a * 0 if "bias_hh" in k else a for k, a in weights.items()}
    model, loss = golden.build(), golden.loss
    torch_weights.load(model, weights)
    optimizer = optimizers.build(**OF_PYTORCH[name])
    expected = golden.part("losses")[name]
    losses = []
    for _ in expected:
        with tf.GradientTape() as tape:
            value = loss(golden.arrays["y"], model(golden.arrays["x"]))
        losses.append(float(value))
        optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
    np.testing.assert_allclose(losses, expected, atol=1e-5, rtol=0)
    assert expected[-1] < expected[0] - 1e-3


@pytest.mark.parametrize("nesterov", [False, True])
def test_decay_goes_through_the_momentum(nesterov):
    # A decay that is large enough to be seen, against PyTorch's own formula.
    w, b, expected = 2.0, 0.0, []
    for _ in range(4):
        g = w + 0.5 * w
        b = 0.9 * b + g
        w -= 0.1 * (g + 0.9 * b if nesterov else b)
        expected.append(w)
    optimizer = optimizers.build("sgd", 0.1, weight_decay=0.5, nesterov=nesterov)
    np.testing.assert_allclose(minimise(optimizer, 2.0), expected, rtol=1e-5)
    coupled = optimizers.SGD(0.1, momentum=0.0, coupled_weight_decay=0.5)
    np.testing.assert_allclose(minimise(coupled, 2.0), 2 * 0.85 ** np.arange(1, 5), rtol=1e-5)


def test_without_decay_it_is_keras_sgd():
    ours, keras_own = optimizers.SGD(0.1, momentum=0.5), keras.optimizers.SGD(0.1, momentum=0.5)
    assert minimise(ours, 1.0) == pytest.approx(minimise(keras_own, 1.0), rel=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_falling_rate_counts_for_all_that_the_momentum_holds(nesterov):
    """PyTorch's formula, which Keras' SGD leaves as soon as the rate changes."""
    rates = {
        "linear": [0.1 * (1 - step / 4) for step in range(4)],
        "cosine": [0.1 * (1 + np.cos(np.pi * step / 4)) / 2 for step in range(4)],
    }
    for schedule, each in rates.items():
        w, b, expected = 2.0, 0.0, []
        for rate in each:
            b = 0.9 * b + w
            w -= rate * (w + 0.9 * b if nesterov else b)
            expected.append(w)
        options = {"momentum": 0.9, "weight_decay": 0, "nesterov": nesterov}
        optimizer = optimizers.build("sgd", 0.1, schedule=schedule, steps=4, **options)
        np.testing.assert_allclose(minimise(optimizer, 2.0), expected, rtol=1e-5)
    keras_own = keras.optimizers.SGD(
        keras.optimizers.schedules.CosineDecay(0.1, 4), momentum=0.9, nesterov=nesterov
    )
    assert abs(minimise(keras_own, 2.0)[-1] - expected[-1]) > 0.01
    with pytest.raises(InputError, match="unknown schedule 'step'; choose from constant, linear"):
        optimizers.build("sgd", schedule="step")


def test_defaults_are_the_reports():
    adam = optimizers.build("adam")
    assert isinstance(adam, optimizers.Adam)
    assert adam.get_config()["epsilon"] == 1e-8
    assert float(adam.learning_rate) == pytest.approx(0.001)
    sgd = optimizers.build("sgd")
    assert isinstance(sgd, optimizers.SGD)
    assert (sgd.momentum, sgd.nesterov, sgd.coupled_weight_decay) == (0.9, False, 1e-5)
    assert float(sgd.learning_rate) == pytest.approx(0.01)
    assert float(optimizers.build("sgd", 2, momentum=0).learning_rate) == 2


def test_settings_are_what_counts():
    assert optimizers.settings("adam", momentum=0.5) == {"learning_rate": 0.001}
    assert optimizers.settings("sgd", 0.5, weight_decay=0) == {
        "learning_rate": 0.5,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "nesterov": False,
    }


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_limit_of_the_gradient_counts_if_there_is_one(name):
    without = optimizers.settings(name)
    assert "clipnorm" not in without
    assert optimizers.settings(name, clipnorm=0) == without
    assert optimizers.settings(name, clipnorm=2) == without | {"clipnorm": 2.0}
    # Keras' own clipnorm is for each variable alone.
    assert optimizers.build(name, clipnorm=2).get_config()["global_clipnorm"] == 2
    assert optimizers.build(name, clipnorm=2).get_config()["clipnorm"] is None
    for unlimited in (optimizers.build(name), optimizers.build(name, clipnorm=0)):
        assert not unlimited.get_config()["global_clipnorm"]


# Of norms 5 and 12, together 13.
GRADIENTS = (np.array([3, -4], np.float32), np.array([[0, 12]], np.float32))


def apply(optimizer, *steps):
    """Where gradients lead two variables from zero."""
    variables = [keras.Variable(np.zeros_like(g)) for g in GRADIENTS]
    for gradients in steps:
        optimizer.apply([tf.constant(g) for g in gradients], variables)
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("clipnorm", [0.013, 6.5, 12.9])
def test_long_gradients_are_shortened_all_together(clipnorm):
    optimizer = optimizers.build("sgd", 1, momentum=0, weight_decay=0, clipnorm=clipnorm)
    for step, g in zip(apply(optimizer, GRADIENTS), GRADIENTS, strict=True):
        np.testing.assert_allclose(step, -g * clipnorm / 13, rtol=1e-5)


@pytest.mark.parametrize("clipnorm", [13.5, 100, 1e6])
def test_short_gradients_are_left_alone(clipnorm):
    optimizer = optimizers.build("sgd", 1, momentum=0, weight_decay=0, clipnorm=clipnorm)
    for step, g in zip(apply(optimizer, GRADIENTS), GRADIENTS, strict=True):
        np.testing.assert_allclose(step, -g, rtol=3e-7)


@pytest.mark.parametrize("name", OF_PYTORCH)
def test_the_rest_of_the_step_is_that_of_the_shortened_gradient(name):
    """Momentum, decay and Adam's means see the gradient after it was shortened."""
    options = OF_PYTORCH[name] | {"learning_rate": 0.1}
    long, short = GRADIENTS, [g / 100 for g in GRADIENTS]  # of norm 13 and 0.13
    by_hand = [[g / 13 for g in long], short, [-g / 13 for g in long]]
    shortened = apply(optimizers.build(**options, clipnorm=1), long, short, [-g for g in long])
    expected = apply(optimizers.build(**options), *by_hand)
    as_they_are = apply(optimizers.build(**options), long, short, [-g for g in long])
    for one, other, unlimited in zip(shortened, expected, as_they_are, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
        assert np.abs(one - unlimited).max() > 1e-3


@pytest.mark.parametrize("name", OF_PYTORCH)
def test_gradients_that_are_all_zero_have_no_length_to_divide_by(name):
    zeros = [np.zeros_like(g) for g in GRADIENTS]
    for w in apply(optimizers.build(**OF_PYTORCH[name], clipnorm=0.5), zeros, zeros):
        np.testing.assert_array_equal(w, 0)


@pytest.mark.parametrize("clipnorm", [0, 0.1])
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_saved_model_trains_on_as_if_nothing_had_been(tmp_path, name, clipnorm):
    x, y = np.ones((4, 3), np.float32), np.zeros((4, 1), np.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    options = {"weight_decay": 0.5, "nesterov": True, "clipnorm": clipnorm}
    model.compile(optimizers.build(name, 0.1, **options), "mse")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    assert type(again.optimizer) is type(model.optimizer)
    for one in (model, again):
        one.fit(x, y, verbose=0)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "adamw"}, "unknown optimizer 'adamw'; choose from adam, sgd."),
        ({"learning_rate": 0}, "learning_rate is 0; expected a positive number."),
        ({"learning_rate": float("nan")}, "learning_rate is nan; expected a positive"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; expected a positive"),
        ({"momentum": 1.0}, "momentum is 1.0; expected a number from 0 to below 1."),
        ({"momentum": -0.1}, "momentum is -0.1; expected a number"),
        ({"weight_decay": -1e-5}, "weight_decay is -1e-05; expected a number of 0 or more."),
        ({"weight_decay": float("inf")}, "weight_decay is inf; expected a number"),
        ({"clipnorm": -1}, "clipnorm is -1; expected a number of 0 or more."),
        ({"clipnorm": float("nan")}, "clipnorm is nan; expected a number of 0 or more"),
        ({"name": "adam", "clipnorm": float("inf")}, "clipnorm is inf; expected a number of 0 or"),
        ({"clipnorm": "1"}, "clipnorm is '1'; expected a number of 0 or more"),
        ({"momentum": 0, "nesterov": True}, "momentum is 0; with nesterov=True it must be above"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        optimizers.build(**{"name": "sgd"} | options)


@pytest.mark.parametrize("name", OF_PYTORCH)
def test_an_embeddings_gradient_is_added_up_first(name):
    # One entry used three times in a batch, as a dense kernel of one row has it.
    indices = np.zeros((3, 1), np.int32)
    kernels = []
    for layer in (keras.layers.Embedding(1, 2), keras.layers.Dense(2, use_bias=False)):
        dense = isinstance(layer, keras.layers.Dense)
        x = np.ones((3, 1, 1), np.float32) if dense else indices
        model = keras.Sequential([keras.Input(x.shape[1:], dtype=x.dtype), layer])
        model.set_weights([np.array([[1, 2]], np.float32)])
        model.compile(optimizers.build(**OF_PYTORCH[name]), "mse")
        model.fit(x, np.arange(6, dtype=np.float32).reshape(3, 1, 2), epochs=3, verbose=0)
        kernels.append(model.get_weights()[0])
    np.testing.assert_allclose(*kernels, rtol=1e-6)


def test_a_bad_option_of_the_classes():
    with pytest.raises(InputError, match="amsgrad is True; keras"):
        optimizers.Adam(amsgrad=True)
    with pytest.raises(InputError, match="coupled_weight_decay is -1; expected a number of 0 or"):
        optimizers.SGD(coupled_weight_decay=-1)
