import re
from functools import partial

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tfnets import addition, parameters, speech
from tfnets.layers import GRU

REPORT = """\
layer          kind   output    parameters
gru_1          GRU    101 x 64  (40+64+2)*3*64 = 20352
gru_2          GRU    64        (64+64+2)*3*64 = 24960
dense_1        Dense  128       (64+1)*128 = 8320
dense_2        Dense  128       (128+1)*128 = 16512
probabilities  Dense  3         (128+1)*3 = 387
total                           20352+24960+8320+16512+387 = 70531"""


def model_of(shape, *stack, dtype="float32"):
    inputs = x = keras.Input(shape, dtype=dtype)
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x)


def test_the_reports_derivation():
    assert str(parameters.derive(speech.build("gru"))) == REPORT


def test_the_reports_cnn_with_its_output_sizes():
    model = speech.build("cnn")
    rows = parameters.derive(model).rows[1:]
    assert [row.parameters for row in rows] == [832, 0, 12816, 0, 0, 315520, 16512, 387]
    assert parameters.derive(model).total == 346_067 == model.count_params()
    assert rows[0].output_formula == "floor((101-5+0)/1 + 1) = 97, floor((40-5+0)/1 + 1) = 36"
    assert rows[0].formula == "5*5*1*32+32"
    assert [row.output for row in rows[:5]] == [
        "97 x 36 x 32",
        "48 x 18 x 32",
        "44 x 14 x 16",
        "22 x 7 x 16",
        "2464",
    ]


def test_the_reports_fully_connected_net():
    model = speech.build("fc")
    assert parameters.derive(model).total == 567_171 == model.count_params()


def test_the_addition_model():
    model = addition.build()
    derivation = parameters.derive(model)
    assert [r.parameters for r in derivation.rows if r.parameters] == [320, 8256, 8256, 650]
    assert derivation.total == 17_482 == model.count_params()


sizes = st.integers(1, 12)


# Made by name inside the test: making a Keras layer draws random numbers.
RECURRENT = {
    "rnn": layers.SimpleRNN,
    "lstm": layers.LSTM,
    "stock before": partial(layers.GRU, reset_after=False),
    "stock after": layers.GRU,
    "ours": GRU,
    "ours after": partial(GRU, reset_after=True),
    "ours single": partial(GRU, recurrent_bias=False),
}


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(RECURRENT)),
    time=sizes,
    features=sizes,
    hidden=sizes,
    units=sizes,
    bias=st.booleans(),
    sequences=st.booleans(),
)
def test_recurrent_models_count_as_derived(kind, time, features, hidden, units, bias, sequences):
    layer = RECURRENT[kind](hidden, use_bias=bias, return_sequences=sequences)
    model = model_of((time, features), layer, layers.Dense(units, use_bias=bias))
    assert parameters.derive(model).total == model.count_params()


@settings(max_examples=25, deadline=None)
@given(vocabulary=sizes, dimension=sizes, length=sizes, units=sizes)
def test_embedding_models_count_as_derived(vocabulary, dimension, length, units):
    model = model_of(
        (length,),
        layers.Embedding(vocabulary, dimension),
        layers.GlobalAveragePooling1D(),
        layers.Dense(units),
        dtype="int32",
    )
    assert parameters.derive(model).total == model.count_params()


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(12, 30),
    width=st.integers(12, 30),
    channels=st.integers(1, 4),
    filters=sizes,
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.integers(1, 3),
    pool=st.integers(1, 3),
    padding=st.sampled_from(["valid", "same"]),
    bias=st.booleans(),
    units=sizes,
)
def test_convolutional_models_count_and_measure_as_derived(
    height, width, channels, filters, kernel, stride, pool, padding, bias, units
):
    model = model_of(
        (height, width, channels),
        layers.Conv2D(filters, kernel, strides=stride, padding=padding, use_bias=bias),
        layers.MaxPooling2D(pool, padding=padding),
        layers.Flatten(),
        layers.Dense(units),
    )
    derivation = parameters.derive(model)
    assert derivation.total == model.count_params()
    for row, layer in zip(derivation.rows[:2], model.layers[1:3], strict=True):
        derived = [int(size) for size in re.findall(r"= (\d+)", row.output_formula)]
        assert derived == list(layer.output.shape[1:3])


FORMS = (
    {},
    {"recurrent_bias": False},
    {"reset_after": True},
)


@settings(max_examples=10, deadline=None)
@given(time=sizes, bands=sizes, classes=st.integers(2, 6), data=st.data())
def test_speech_models_count_as_derived(time, bands, classes, data):
    model = speech.build(
        "gru",
        input_shape=(time, bands),
        num_classes=classes,
        pooling=data.draw(st.sampled_from(["last", "mean", "flatten"])),
        **data.draw(st.sampled_from(FORMS)),
    )
    assert parameters.derive(model).total == model.count_params()


def test_table_by_columns_ends_with_the_total():
    columns = parameters.derive(speech.build("gru")).columns()
    assert columns["parameters"][-1] == 70_531
    assert len({len(column) for column in columns.values()}) == 1


def test_an_unknown_kind_of_layer_is_refused():
    model = model_of((4, 4), layers.LayerNormalization(name="norm"))
    with pytest.raises(ValueError, match="'norm' of kind LayerNormalization"):
        parameters.derive(model)
