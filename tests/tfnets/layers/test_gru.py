import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfnets.layers import GRU

FORMS = {
    "report": {"reset_after": False, "recurrent_bias": True},
    "single bias": {"reset_after": False, "recurrent_bias": False},
    "reset after": {"reset_after": True, "recurrent_bias": True},
}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def report_gru(x, kernel, recurrent_kernel, bias, h):
    """Equations (1)-(4) of report speech_rnn, gate by gate, in float64.

    Columns of the weights are z, r, h; (1) with z and 1 - z exchanged, as Keras has it.
    """
    x, kernel, recurrent_kernel, bias, h = (
        np.asarray(a, np.float64) for a in (x, kernel, recurrent_kernel, bias, h)
    )
    n = recurrent_kernel.shape[0]
    w_z, w_r, w_h = kernel[:, :n], kernel[:, n : 2 * n], kernel[:, 2 * n :]
    u_z, u_r, u_h = (recurrent_kernel[:, i * n : (i + 1) * n] for i in range(3))
    b_zw, b_rw, b_hw = (bias[0, i * n : (i + 1) * n] for i in range(3))
    b_zu, b_ru, b_hu = (bias[1, i * n : (i + 1) * n] for i in range(3))
    states = []
    for t in range(x.shape[1]):
        x_t = x[:, t]
        z = sigmoid(x_t @ w_z + b_zw + h @ u_z + b_zu)  # (3)
        r = sigmoid(x_t @ w_r + b_rw + h @ u_r + b_ru)  # (4)
        candidate = np.tanh(x_t @ w_h + b_hw + (r * h) @ u_h + b_hu)  # (2)
        h = z * h + (1 - z) * candidate  # (1)
        states.append(h)
    return np.stack(states, axis=1)


def randomise(layer, rng):
    layer.set_weights([rng.normal(scale=0.7, size=w.shape) for w in layer.weights])


@settings(max_examples=6, deadline=None)
@given(
    batch=st.integers(1, 4),
    time=st.integers(1, 12),
    features=st.integers(1, 7),
    units=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    with_state=st.booleans(),
)
def test_outputs_are_equations_1_to_4(batch, time, features, units, seed, with_state):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, time, features)).astype(np.float32)
    h = np.zeros((batch, units), np.float32)
    if with_state:
        h = rng.uniform(-1, 1, size=h.shape).astype(np.float32)
    layer = GRU(units, return_sequences=True)
    layer.build(x.shape)
    randomise(layer, rng)
    cell = layer.cell
    expected = report_gru(x, cell.kernel, cell.recurrent_kernel, cell.bias, h)

    sequences = layer(x, initial_state=h if with_state else None)

    np.testing.assert_allclose(sequences, expected, atol=2e-6)
    last = GRU(units)
    last.build(x.shape)
    last.set_weights(layer.get_weights())
    np.testing.assert_allclose(
        last(x, initial_state=h if with_state else None), expected[:, -1], atol=2e-6
    )


@pytest.mark.parametrize(
    ("form", "first", "second"),
    [("report", 20352, 24960), ("single bias", 20160, 24768), ("reset after", 20352, 24960)],
)
def test_counts_of_the_three_forms(form, first, second):
    for features, count in ((40, first), (64, second)):
        layer = GRU(64, **FORMS[form])
        layer.build((None, 101, features))
        assert layer.count_params() == count
        assert layer.reset_after is FORMS[form]["reset_after"]


def test_default_is_the_reports_form():
    layer = GRU(4)
    assert layer.reset_after is False
    assert layer.recurrent_bias is True
    layer.build((None, 5, 3))
    assert layer.cell.bias.shape == (2, 12)
    assert [w.path.rpartition("/")[2] for w in layer.weights] == [
        "kernel",
        "recurrent_kernel",
        "bias",
    ]


@pytest.mark.parametrize("form", ["single bias", "reset after"])
def test_keras_own_forms_are_keras(form):
    ours = GRU(6, return_sequences=True, **FORMS[form])
    stock = keras.layers.GRU(6, return_sequences=True, reset_after=FORMS[form]["reset_after"])
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 8, 5)).astype(np.float32)
    for layer in (ours, stock):
        layer.build(x.shape)
    randomise(ours, rng)
    stock.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x), stock(x), atol=1e-6)


def test_two_biases_act_as_their_sum():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 6, 3)).astype(np.float32)
    ours = GRU(4)
    stock = keras.layers.GRU(4, reset_after=False)
    for layer in (ours, stock):
        layer.build(x.shape)
    randomise(ours, rng)
    kernel, recurrent_kernel, bias = ours.get_weights()
    stock.set_weights([kernel, recurrent_kernel, bias.sum(axis=0)])
    np.testing.assert_allclose(ours(x), stock(x), atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_keras_file_round_trip(form, tmp_path):
    inputs = keras.Input((7, 3))
    model = keras.Model(inputs, GRU(5, name="gru", **FORMS[form])(inputs))
    randomise(model.get_layer("gru"), np.random.default_rng(3))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(4).normal(size=(2, 7, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(x), loaded(x))
    assert loaded.get_layer("gru").get_config() == model.get_layer("gru").get_config()
    assert type(loaded.get_layer("gru")) is GRU


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"recurrent_dropout": 0.5}])
def test_dropout_works_in_training_only(options):
    layer = GRU(8, seed=1, **options)
    x = np.random.default_rng(5).normal(size=(4, 6, 3)).astype(np.float32)
    at_rest = np.asarray(layer(x))
    np.testing.assert_array_equal(at_rest, layer(x))
    assert np.abs(np.asarray(layer(x, training=True)) - at_rest).max() > 1e-3


def test_dropout_of_everything_leaves_the_biases():
    layer = GRU(4, dropout=0.999999, recurrent_dropout=0.999999)
    layer.build((None, 5, 3))
    rng = np.random.default_rng(6)
    randomise(layer, rng)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    nothing = np.zeros_like(layer.cell.kernel), np.zeros_like(layer.cell.recurrent_kernel)
    expected = report_gru(x, *nothing, layer.cell.bias, np.zeros((2, 4)))[:, -1]
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-5)


def test_no_bias_at_all():
    layer = GRU(4, use_bias=False)
    layer.build((None, 5, 3))
    assert layer.count_params() == (3 + 4) * 3 * 4


def test_reset_after_needs_the_recurrent_bias():
    with pytest.raises(ValueError, match="recurrent_bias=False goes with reset_after=False only"):
        GRU(3, reset_after=True, recurrent_bias=False)
