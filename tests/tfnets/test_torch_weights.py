import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfnets import addition, har, speech, torch_weights
from tfnets.errors import InputError


class Tensor:
    """As much of a tensor of PyTorch as the package uses."""

    def __init__(self, array, dtype=None):
        self._array = array
        self.shape = np.shape(array)
        self.dtype = f"torch.{dtype or getattr(array, 'dtype', 'qint8')}"

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return Tensor(self._array.astype(np.float32))

    def numpy(self):
        if self._array is None or self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType")
        return self._array


def zeros(*shape):
    return np.zeros(shape, np.float32)


def random_dict(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def har_dict(cell="rnn", units=4):
    """A state_dict for ``har.build(cell, units=units)``."""
    rows = {"rnn": 1, "gru": 3, "lstm": 4}[cell] * units
    return random_dict(
        {
            "cell.weight_ih_l0": (rows, 3),
            "cell.weight_hh_l0": (rows, units),
            "cell.bias_ih_l0": (rows,),
            "cell.bias_hh_l0": (rows,),
            "fc.weight": (6, units),
            "fc.bias": (6,),
        }
    )


def sequential(shape, *parts):
    return keras.Sequential([keras.Input(shape), *parts])


# --- against what PyTorch computed ---


def test_outputs_are_pytorchs(golden):
    model = golden.build()
    torch_weights.load(model, golden.part("weights"))
    expected = golden.arrays["logits"]
    if not golden.name.startswith("addition"):
        expected = keras.ops.softmax(expected)
    np.testing.assert_allclose(model(golden.arrays["x"]), expected, atol=1e-5, rtol=0)
    if golden.name.startswith("har"):
        model = golden.build(loss="raw")
        torch_weights.load(model, golden.part("weights"))
        expected = keras.ops.sigmoid(golden.arrays["logits"])
        np.testing.assert_allclose(model(golden.arrays["x"]), expected, atol=1e-5, rtol=0)


def test_gradients_are_pytorchs(golden):
    model, weights = golden.build(), golden.part("weights")
    torch_weights.load(model, weights)
    with tf.GradientTape() as tape:
        value = golden.loss(golden.arrays["y"], model(golden.arrays["x"]))
    gradients = tape.gradient(value, model.trainable_variables)
    # They go to PyTorch's layout as the weights do.
    model.set_weights([tf.convert_to_tensor(g).numpy() for g in gradients])
    ours = torch_weights.to_torch(model, like=weights)
    expected = golden.part("gradients")
    assert list(ours) == list(expected)
    for name in expected:
        if golden.one_bias:  # either of two biases that add up has the sum's
            ours[name] = ours[name.replace("bias_hh", "bias_ih")]
        np.testing.assert_allclose(ours[name], expected[name], atol=1e-5, rtol=0, err_msg=name)
        assert np.abs(expected[name]).max() > 1e-4  # ten times the tolerance


def test_there_and_back_is_exact(golden):
    model, weights = golden.build(), golden.part("weights")
    torch_weights.load(model, weights)
    loaded = model.get_weights()
    back = torch_weights.to_torch(model, like=weights)
    assert list(back) == list(weights)
    for name, array in weights.items():
        assert back[name].dtype == np.float32
        assert back[name].flags.c_contiguous
        assert back[name].flags.writeable
        if "bias_" in name and golden.one_bias:
            other = name.replace("_ih_", "_hh_") if "_ih_" in name else name.replace("hh", "ih")
            array = 0 * array if "_hh_" in name else array + weights[other]
        np.testing.assert_array_equal(back[name], array, err_msg=name)
    for arrays in (back, torch_weights.to_torch(model)):
        again = golden.build()
        torch_weights.load(again, arrays)
        for one, other in zip(again.get_weights(), loaded, strict=True):
            np.testing.assert_array_equal(one, other)


# --- without PyTorch ---


def test_names_are_the_layers_without_a_module():
    names = list(torch_weights.to_torch(har.build("lstm")))
    assert names == [
        "hidden.weight_ih_l0",
        "hidden.weight_hh_l0",
        "hidden.bias_ih_l0",
        "hidden.bias_hh_l0",
        "scores.weight",
        "scores.bias",
    ]


def test_a_deployed_model_has_its_networks_weights():
    network = speech.build("cnn", input_shape=(20, 24))
    deployed = speech.deployable(network, ["a", "b", "c"], mean=0, std=1, waveforms=False)
    inner, outer = torch_weights.to_torch(network), torch_weights.to_torch(deployed)
    assert list(outer) == [f"speech_cnn.{name}" for name in inner]
    np.testing.assert_array_equal(outer["speech_cnn.dense_1.weight"], inner["dense_1.weight"])


def test_what_is_loaded_is_neither_tied_to_the_source_nor_changes_it():
    model, state = har.build("rnn", units=4), har_dict()
    before = {name: array.copy() for name, array in state.items()}
    torch_weights.load(model, state)
    torch_weights.to_torch(model)["scores.bias"][:] = 7
    state["fc.bias"][:] = 9
    np.testing.assert_array_equal(model.get_weights()[-1], before["fc.bias"])
    state["fc.bias"] = before["fc.bias"]
    for name, array in before.items():
        np.testing.assert_array_equal(state[name], array)


@pytest.mark.parametrize("kind", ["tensor", "float64", "float16", "tf"])
def test_kinds_of_arrays(kind):
    make = {
        "tensor": Tensor,
        "float64": lambda a: a.astype(np.float64),
        "float16": lambda a: a.astype(np.float16),
        "tf": tf.constant,
    }[kind]
    model, state = har.build("rnn", units=4), har_dict()
    torch_weights.load(model, {name: make(array) for name, array in state.items()})
    expected = state["cell.weight_ih_l0"].T
    np.testing.assert_allclose(model.get_weights()[0], expected, atol=1e-2)


def test_only_names_and_shapes_of_the_module_to_be_matter():
    like = har_dict("rnn", 50)
    like["fc.weight"] = np.full((6, 50), np.nan)
    like["fc.bias"] = Tensor(None)
    like["fc.bias"].shape = (6,)
    assert list(torch_weights.to_torch(har.build(), like)) == list(like)
    with pytest.raises(InputError, match=r"entry 'fc\.bias' is a list that gives no NumPy array"):
        torch_weights.to_torch(har.build(), like | {"fc.bias": [0.0] * 6})


def test_an_npz_file_is_a_state_dict(tmp_path):
    np.savez(tmp_path / "weights.npz", **har_dict())
    model = har.build("rnn", units=4)
    with np.load(tmp_path / "weights.npz") as file:
        torch_weights.load(model, file)
    np.testing.assert_array_equal(model.get_weights()[-1], har_dict()["fc.bias"])


def test_stock_layers_without_biases_and_cells():
    model = sequential(
        (5, 3),
        layers.LSTM(4, use_bias=False, return_sequences=True),
        layers.SimpleRNN(4),
        layers.Dense(2, use_bias=False),
    )
    state = random_dict(
        {
            "head.weight": (2, 4),  # the order between kinds does not matter
            "lstm.weight_ih_l0": (16, 3),
            "lstm.weight_hh_l0": (16, 4),
            "cell.weight_ih": (4, 4),  # nn.RNNCell
            "cell.weight_hh": (4, 4),
            "cell.bias_ih": (4,),
            "cell.bias_hh": (4,),
        }
    )
    torch_weights.load(model, state)
    back = torch_weights.to_torch(model, like=state)
    assert list(back) == list(state)
    np.testing.assert_array_equal(back["head.weight"], state["head.weight"])
    np.testing.assert_array_equal(back["lstm.weight_hh_l0"], state["lstm.weight_hh_l0"])
    np.testing.assert_array_equal(
        back["cell.bias_ih"], state["cell.bias_ih"] + state["cell.bias_hh"]
    )


@pytest.mark.parametrize(
    ("parts", "reordered"),
    [
        ([layers.Flatten()], True),
        ([layers.Reshape((12,))], True),
        ([layers.Flatten(), layers.Dropout(0.5), layers.ReLU()], True),
        ([layers.Reshape((6, 2)), layers.Flatten()], True),
        ([layers.Flatten(data_format="channels_first")], "first"),
    ],
)
def test_flattened_maps(parts, reordered):
    model = sequential((2, 3, 2), *parts, layers.Dense(1))
    weight = np.arange(12, dtype=np.float32).reshape(1, 12)
    torch_weights.load(model, {"weight": weight, "bias": zeros(1)})
    expected = weight.ravel()
    if reordered is True:
        expected = weight.reshape(2, 2, 3).transpose(1, 2, 0).ravel()
    elif reordered == "first":  # here (2, 3, 2) is channels, height, width
        expected = weight.reshape(2, 3, 2).transpose(1, 2, 0).ravel()
    kernel = model.layers[-1].kernel.numpy()
    np.testing.assert_array_equal(kernel.ravel(), expected)
    np.testing.assert_array_equal(
        torch_weights.to_torch(model, {"weight": weight, "bias": zeros(1)})["weight"], weight
    )


# --- what is refused ---

RNN_LAYER = r"layer 'hidden' \(RNN\)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"cell.bias_hh_l0": None},
            rf"entry 'cell.bias_hh_l0' is missing; {RNN_LAYER} needs it with the shape \(4,\)\.",
        ),
        ({"fc.bias": None}, r"entry 'fc.bias' is missing; layer 'scores' \(Linear\) needs it"),
        (
            {"fc.weight": None},
            r"entry 'fc.weight' is missing; with 'fc.bias' of shape \(6,\) it is needed\.",
        ),
        (
            {"fc.weight": None, "fc.bias": None},
            r"has 0 of Linear or Embedding: none; the model needs 1: 'scores' \(6, 4\)\.",
        ),
        (
            {"more.weight": zeros(2, 6), "more.bias": zeros(2)},
            r"has 2 of Linear or Embedding: 'fc.weight' \(6, 4\), 'more.weight' \(2, 6\); "
            r"the model needs 1: 'scores' \(6, 4\)\. What belongs to no layer can be named in s",
        ),
        (
            {"cell.weight_ih_l1": zeros(4, 4)},
            r"has 2 of RNN, GRU or LSTM: .*'cell.weight_ih_l1' \(4, 4\); the model needs 1",
        ),
        ({"conv.weight": zeros(1, 1, 5, 5)}, r"has 1 of Conv2d: .*; the model needs 0: none\."),
        (
            {"conv.weight": zeros(1, 1, 5)},
            r"entry 'conv.weight' of shape \(1, 1, 5\) is superfluous; expected a matrix",
        ),
        (
            {"norm.running_mean": zeros(4)},
            r"entry 'norm.running_mean' of shape \(4,\) is superfluous; expected those of Linear.",
        ),
        (
            {"fc.weight_ih": zeros(4, 4)},
            r"entry 'fc.weight_ih' of shape \(4, 4\) is superfluous; layer 'scores' \(Linear\) "
            r"needs fc.weight and fc.bias only",
        ),
        (
            {"cell.weight_ih_l0_reverse": zeros(4, 3)},
            r"entry 'cell.weight_ih_l0_reverse' of shape \(4, 3\) belongs to a bidirectional",
        ),
        (
            {"cell.weight_hr_l0": zeros(2, 4)},
            r"entry 'cell.weight_hr_l0' of shape \(2, 4\) belongs to a projection",
        ),
        (
            {"cell.weight_ih_l0": zeros(4, 2)},
            rf"entry 'cell.weight_ih_l0' has the shape \(4, 2\); {RNN_LAYER} needs \(4, 3\)\.",
        ),
        ({"fc.weight": zeros(4, 6)}, r"'fc.weight' has the shape \(4, 6\); .* needs \(6, 4\)\."),
        (
            {"fc.bias": np.array([0, np.nan, 0, 0, np.inf, 0], np.float32)},
            r"entry 'fc.bias' of shape \(6,\) has 2 values that are NaN, infinite or too large",
        ),
        ({"fc.bias": np.full(6, 1e39)}, r"has 6 values that are .* too large for float32"),
        (
            {"fc.bias": np.zeros(6, np.int64)},
            r"entry 'fc.bias' of shape \(6,\) is int64; .* needs floating-point numbers",
        ),
        ({"fc.bias": [0.0] * 6}, r"entry 'fc.bias' is a list that gives no NumPy array; expected"),
        ({"fc.bias": Tensor(None)}, r"entry 'fc.bias' is a Tensor of torch.qint8 that gives no"),
        ({7: zeros(6)}, r"entry 7 of shape \(6,\) is superfluous"),
    ],
)
def test_bad_entries_change_nothing(change, message):
    model = har.build("rnn", units=4)
    before = model.get_weights()
    state = {k: a for k, a in (har_dict() | change).items() if a is not None}
    with pytest.raises(InputError, match=message) as caught:
        torch_weights.load(model, state)
    assert "\n" not in str(caught.value)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("cell", "given", "shape"), [("rnn", "LSTM", 16), ("rnn", "GRU", 12), ("lstm", "RNN", 4)]
)
def test_another_kind_of_cell(cell, given, shape):
    with pytest.raises(
        InputError,
        match=rf"'cell.weight_hh_l0' of shape \({shape}, 4\) is of kind {given}; layer 'hidden' "
        rf"\({cell.upper()}\) needs the shape",
    ):
        torch_weights.load(har.build(cell, units=4), har_dict(given.lower()))


def test_biases_that_the_layer_does_not_have():
    model = sequential((5, 3), layers.SimpleRNN(4, use_bias=False, name="hidden"))
    state = {k: a for k, a in har_dict().items() if k.startswith("cell")}
    with pytest.raises(
        InputError,
        match=r"'cell.bias_ih_l0' of shape \(4,\) is superfluous; layer 'hidden' \(RNN\) needs "
        "cell.weight_ih_l0 and cell.weight_hh_l0 only",
    ):
        torch_weights.load(model, state)


@pytest.mark.parametrize(
    "build",
    [
        lambda: speech.build("gru", input_shape=(4, 3)),
        lambda: har.build("gru"),
        lambda: addition.build("gru"),
        lambda: sequential((4, 3), layers.GRU(2, reset_after=False)),
    ],
)
def test_a_gru_of_the_reports_form(build):
    model = build()
    message = "is a GRU with reset_after=False, which PyTorch does not have; .*reset_after=True"
    with pytest.raises(InputError, match=message):
        torch_weights.load(model, {})
    with pytest.raises(InputError, match=message):
        torch_weights.to_torch(model)


def test_other_layers_and_models():
    model = sequential((4,), layers.BatchNormalization(name="norm"))
    with pytest.raises(
        InputError, match="layer 'norm' is a BatchNormalization, whose weights cannot be exchanged"
    ):
        torch_weights.to_torch(model)
    with pytest.raises(InputError, match="is a Sequential; expected a functional or a built sequ"):
        torch_weights.to_torch(keras.Sequential([layers.Dense(2)]))


def test_a_state_dict_that_is_none():
    with pytest.raises(InputError, match="the state_dict is a list; expected a mapping of names"):
        torch_weights.load(har.build(), [1, 2])
    state = har_dict("rnn", 50)
    del state["fc.bias"]
    with pytest.raises(InputError, match=r"'fc\.bias' is missing"):
        torch_weights.to_torch(har.build(), like=state)


def bfloat16(array):
    """The nearest numbers of 8 significant bits, as float32."""
    bits = array.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


@pytest.mark.parametrize("of", ["NumPy", "PyTorch"])
def test_bfloat16_is_read_exactly(of):
    state = {
        name: np.float32(a + 0.1 * noise) for noise, (name, a) in enumerate(har_dict().items())
    }
    exact = {name: bfloat16(array) for name, array in state.items()}
    if of == "NumPy":
        state = {name: array.astype(ml_dtypes.bfloat16) for name, array in state.items()}
    else:
        state = {name: Tensor(array, "bfloat16") for name, array in exact.items()}
    one, other = har.build("rnn", units=4), har.build("rnn", units=4)
    torch_weights.load(one, state)
    torch_weights.load(other, exact)
    for value, expected in zip(one.get_weights(), other.get_weights(), strict=True):
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, expected)


EXTRA = {
    "criterion.weight": zeros(3),
    "accuracy.total": np.array(7),
    "ema.cell.weight_ih_l0": zeros(4, 3),
    "ema.n_averaged": Tensor(None),  # nothing that one could read
    "norm.weight": zeros(4),
    "norm.num_batches_tracked": np.array(3),
}


def test_what_belongs_to_no_layer_can_be_skipped_by_name():
    state = EXTRA | har_dict()
    skip = ("criterion.*", "accuracy.total", "ema.*", "norm.*")
    one, other = har.build("rnn", units=4), har.build("rnn", units=4)
    torch_weights.load(one, state, skip=skip)
    torch_weights.load(other, har_dict())
    for value, expected in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert torch_weights.skipped(state, skip) == list(EXTRA)
    assert torch_weights.skipped(state, "ema.*") == ["ema.cell.weight_ih_l0", "ema.n_averaged"]
    assert set(torch_weights.to_torch(one, state, skip=skip)) == set(har_dict())
    assert speech.model_of(state, skip=skip) == "gru"


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        (("criterion.*", "ema.*", "norm.*"), r"'accuracy.total' of shape \(\) is superfluous"),
        ("criterion", "skip names 'criterion', which is no entry's name; there are: criterion.we"),
        ("*", "the state_dict has 0 of "),
        (("Criterion.*",), r"skip names 'Criterion\.\*', which .*, \w+\.\w+ and 2 more\.$"),
    ],
)
def test_only_what_is_named_is_skipped(skip, message):
    state = EXTRA | har_dict()
    with pytest.raises(InputError, match=message) as caught:
        torch_weights.load(har.build("rnn", units=4), state, skip=skip)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="skip names entries of like, which is not given"):
        torch_weights.to_torch(har.build("rnn", units=4), skip="a")
