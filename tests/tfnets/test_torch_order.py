"""Order of features behind convolutions, against PyTorch's written out in NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tfnets import torch_weights
from tfnets.errors import InputError

H, W, C, N, K = 4, 5, 3, 7, 2
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, H, W, 1)).astype(np.float32)


def random(*shape):
    return RNG.normal(size=shape).astype(np.float32) / 2


CONV = {"conv.weight": random(C, 1, 1, 1), "conv.bias": random(C)}
# (batch, channels, height, width), as PyTorch has them.
MAPS = np.maximum(
    np.einsum("nhw,c->nchw", X[..., 0], CONV["conv.weight"][:, 0, 0, 0])
    + CONV["conv.bias"][:, None, None],
    0,
)


def convolution():
    inputs = keras.Input((H, W, 1))
    return inputs, layers.Conv2D(C, 1, activation="relu")(inputs)


def dense(features):
    return {**CONV, "fc.weight": random(K, features), "fc.bias": random(K)}


def linear(x, state, name="fc"):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def check(model, state, expected):
    """The model with PyTorch's weights answers as PyTorch does, and gives them back."""
    torch_weights.load(model, state)
    np.testing.assert_allclose(model(X), expected, atol=1e-5, rtol=0)
    back = torch_weights.to_torch(model, like=state)
    for name, array in state.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)


# --- vectors ---

FACTORS = [(3, 4, 5), (5, 4, 3), (60,), (12, 5), (4, 15), (2, 2, 15), (1, 60), (2, 3, 2, 5)]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_whatever_is_permuted_on_the_way_to_a_vector(data):
    inputs, value = convolution()
    kinds = []
    for _ in range(data.draw(st.integers(0, 3))):
        kind = data.draw(st.sampled_from(["permute", "reshape", "transpose", "keep"]))
        kinds.append(kind)
        axes = range(1, len(value.shape))
        if kind == "permute":
            value = layers.Permute(data.draw(st.permutations(axes)))(value)
        elif kind == "reshape":
            value = layers.Reshape(data.draw(st.sampled_from(FACTORS)))(value)
        elif kind == "transpose":
            value = keras.ops.transpose(value, (0, *data.draw(st.permutations(axes))))
        else:
            value = layers.Dropout(0.5)(layers.Activation("tanh")(layers.Dropout(0.1)(value)))
    flat = layers.Flatten()(value)
    state = dense(H * W * C)
    model = keras.Model(inputs, layers.Dense(K)(flat))
    kept = sum(isinstance(layer, layers.Activation) for layer in model.layers)
    maps = MAPS
    for _ in range(kept):
        maps = np.tanh(maps)
    try:
        check(model, state, linear(maps.reshape(len(X), -1), state))
    except InputError:
        # Axes of a reshaped map are no longer those of the map, and can be shuffled.
        reshaped = kinds[kinds.index("reshape") :] if "reshape" in kinds else []
        if not {"permute", "transpose"} & set(reshaped):
            raise


def test_vectors_beside_each_other():
    inputs, value = convolution()
    flat = layers.Flatten()
    both = layers.Concatenate()([flat(value), layers.Dense(5)(flat(inputs)), flat(inputs)])
    model = keras.Model(inputs, layers.Dense(K)(layers.ReLU()(both)))
    state = {
        **CONV,
        "side.weight": random(5, H * W),
        "side.bias": random(5),
        **dense(H * W * C + 5 + H * W),
    }
    x = X.reshape(len(X), -1)
    vectors = [MAPS.reshape(len(X), -1), linear(x, state, "side"), x]
    check(model, state, linear(np.maximum(np.concatenate(vectors, axis=1), 0), state))


def test_through_models_inside():
    inputs = keras.Input((H, W, 1))
    front = keras.Sequential(
        [keras.Input((H, W, 1)), layers.Conv2D(C, 1, activation="relu"), layers.Flatten()]
    )
    vector = keras.Input((H * W * C,))
    head = keras.Model(vector, layers.Dense(K)(layers.Dropout(0.5)(vector)))
    state = dense(H * W * C)
    expected = linear(MAPS.reshape(len(X), -1), state)
    check(keras.Model(inputs, head(front(inputs))), state, expected)
    check(keras.Sequential([keras.Input((H, W, 1)), front, head]), state, expected)


def test_numbers_of_maps():
    for pooling, reduced in (
        (layers.GlobalAveragePooling2D(), MAPS.mean((2, 3))),
        (layers.GlobalMaxPooling2D(keepdims=True), MAPS.max((2, 3))),
    ):
        inputs, value = convolution()
        state = dense(C)
        model = keras.Model(inputs, layers.Dense(K)(layers.Flatten()(pooling(value))))
        check(model, state, linear(reduced, state))
    # An excitation: a number for each channel multiplies its map.
    inputs, value = convolution()
    scale = layers.Reshape((1, 1, C))(layers.Dense(C)(layers.GlobalAveragePooling2D()(value)))
    flat = layers.Flatten()(layers.Multiply()([value, scale]))
    state = {**CONV, "se.weight": random(C, C), "se.bias": random(C), **dense(H * W * C)}
    scaled = MAPS * linear(MAPS.mean((2, 3)), state, "se")[:, :, None, None]
    expected = linear(scaled.reshape(len(X), -1), state)
    check(keras.Model(inputs, layers.Dense(K)(flat)), state, expected)


# --- sequences ---


def rnn(steps, state):
    h = np.zeros((len(steps), N), np.float32)
    for t in range(steps.shape[1]):
        z = steps[:, t] @ state["rnn.weight_ih_l0"].T + h @ state["rnn.weight_hh_l0"].T
        h = np.tanh(z + state["rnn.bias_ih_l0"])
    return h


TIME = {
    # Reshapes and permutations of (height, width, channels), and PyTorch's sequence.
    "height": ([layers.Reshape((H, W * C))], MAPS.transpose(0, 2, 1, 3).reshape(6, H, C * W)),
    "height, channels first": (
        [layers.Permute((1, 3, 2)), layers.Reshape((H, C * W))],
        MAPS.transpose(0, 2, 1, 3).reshape(6, H, C * W),
    ),
    "height, each step": (
        [layers.TimeDistributed(layers.Flatten())],
        MAPS.transpose(0, 2, 1, 3).reshape(6, H, C * W),
    ),
    "width": (
        [layers.Permute((2, 1, 3)), layers.Reshape((W, H * C))],
        MAPS.transpose(0, 3, 1, 2).reshape(6, W, C * H),
    ),
    "both": ([layers.Reshape((H * W, C))], MAPS.transpose(0, 2, 3, 1).reshape(6, H * W, C)),
    "channels": (
        [layers.Permute((3, 1, 2)), layers.Reshape((C, H * W))],
        MAPS.reshape(6, C, H * W),
    ),
}


@pytest.mark.parametrize("time", TIME)
@pytest.mark.parametrize("kind", ["rnn", "dense"])
def test_maps_as_sequences(time, kind):
    parts, steps = TIME[time]
    inputs, value = convolution()
    for part in parts:
        value = part.__class__.from_config(part.get_config())(value)
    features = steps.shape[-1]
    if kind == "dense":
        state = dense(features)
        model = keras.Model(inputs, layers.Dense(K)(layers.ReLU()(value)))
        check(model, state, linear(np.maximum(steps, 0), state))
        return
    state = {
        **CONV,
        "rnn.weight_ih_l0": random(N, features),
        "rnn.weight_hh_l0": random(N, N),
        "rnn.bias_ih_l0": random(N),
        "rnn.bias_hh_l0": np.zeros(N, np.float32),
        **dense(N),
    }
    model = keras.Model(inputs, layers.Dense(K)(layers.SimpleRNN(N)(value)))
    check(model, state, linear(rnn(steps, state), state))


def test_channels_made_of_bands():
    # 1 x 1 convolutions over (bands x channels) channels, as a network over time has them.
    inputs, value = convolution()
    value = layers.Conv2D(K, 1)(layers.Reshape((H, 1, W * C))(value))
    model = keras.Model(inputs, layers.Dense(K)(layers.Flatten()(value)))
    state = {**CONV, "time.weight": random(K, C * W, 1, 1), "time.bias": random(K)}
    state |= dense(K * H)
    channels = MAPS.transpose(0, 1, 3, 2).reshape(6, C * W, H)
    mixed = np.einsum("nch,kc->nkh", channels, state["time.weight"][:, :, 0, 0])
    mixed += state["time.bias"][:, None]
    check(model, state, linear(mixed.reshape(6, -1), state))


def test_a_vector_as_a_map():
    # A decoder: view(C, H, W) in PyTorch.
    inputs = keras.Input((H, W, 1))
    vector = layers.Dense(C * H * W)(layers.Flatten()(inputs))
    maps = layers.Permute((2, 3, 1))(layers.Reshape((C, H, W))(vector))
    model = keras.Model(inputs, layers.Conv2D(K, 1)(maps))
    state = {
        "in.weight": random(C * H * W, H * W),
        "in.bias": random(C * H * W),
        "out.weight": random(K, C, 1, 1),
        "out.bias": random(K),
    }
    view = linear(X.reshape(6, -1), state, "in").reshape(6, C, H, W)
    expected = np.einsum("nchw,kc->nhwk", view, state["out.weight"][:, :, 0, 0])
    check(model, state, expected + state["out.bias"])


STEPS = MAPS.transpose(0, 2, 1, 3).reshape(6, H, C * W)
BY_FEATURE = {
    # What is made of a map for each feature by itself, and the same in PyTorch's order.
    "mean over bands": (lambda v: keras.ops.mean(v, axis=2), MAPS.mean(3).transpose(0, 2, 1)),
    "mean over time": (lambda v: keras.ops.mean(v, axis=1), MAPS.mean(2).transpose(0, 2, 1)),
    "later steps": (lambda v: layers.Reshape((H, W * C))(v)[:, 1:], STEPS[:, 1:]),
    "steps turned around": (
        lambda v: keras.ops.flip(layers.Reshape((H, W * C))(v), axis=1),
        STEPS[:, ::-1],
    ),
    "repeated": (
        lambda v: layers.RepeatVector(3)(layers.Flatten()(v)),
        np.repeat(MAPS.reshape(6, 1, -1), 3, axis=1),
    ),
    "mean of steps": (
        lambda v: layers.GlobalAveragePooling1D()(layers.Reshape((H, W * C))(v)),
        STEPS.mean(1),
    ),
    "pooled steps": (
        lambda v: layers.MaxPooling1D(2)(layers.Dropout(0.1)(layers.Reshape((H, W * C))(v))),
        STEPS.reshape(6, 2, 2, -1).max(2),
    ),
    "the last step": (lambda v: layers.Reshape((H, W * C))(v)[:, -1], STEPS[:, -1]),
}


@pytest.mark.parametrize("what", BY_FEATURE)
def test_what_is_made_for_each_feature_by_itself(what):
    function, expected = BY_FEATURE[what]
    inputs, value = convolution()
    state = dense(expected.shape[-1])
    model = keras.Model(inputs, layers.Dense(K)(layers.ReLU()(function(value))))
    check(model, state, linear(np.maximum(expected, 0), state))


SERIES = RNG.normal(size=(6, H, W, C)).astype(np.float32)


@pytest.mark.parametrize(
    "part", [layers.Reshape((H, W * C)), layers.TimeDistributed(layers.Flatten())]
)
def test_an_input_of_three_axes_is_no_image_without_convolutions(part):
    # (time, sensors, axes): flatten(2) in PyTorch.
    inputs = keras.Input((H, W, C))
    state = {
        "rnn.weight_ih_l0": random(N, W * C),
        "rnn.weight_hh_l0": random(N, N),
        "rnn.bias_ih_l0": random(N),
        "rnn.bias_hh_l0": np.zeros(N, np.float32),
        "fc.weight": random(K, N),
        "fc.bias": random(K),
    }
    model = keras.Model(inputs, layers.Dense(K)(layers.SimpleRNN(N)(part(inputs))))
    torch_weights.load(model, state)
    expected = linear(rnn(SERIES.reshape(6, H, -1), state), state)
    np.testing.assert_allclose(model(SERIES), expected, atol=1e-5, rtol=0)


def test_features_of_sequences_as_channels():
    conv, bias = random(K, C, 2, 1), random(K)
    state = {"conv.weight": conv, "conv.bias": bias}
    x = SERIES[:, :, 0]  # (time, features)

    def expected(channels):
        return sum(np.einsum("ntc,kc->ntk", channels[:, t : t + H - 1], conv[:, :, t, 0])
                   for t in range(2)) + bias  # fmt: skip

    inputs = keras.Input((H, C))
    model = keras.Model(inputs, layers.Conv2D(K, (2, 1))(layers.Reshape((H, 1, C))(inputs)))
    torch_weights.load(model, state)
    np.testing.assert_allclose(model(x)[:, :, 0], expected(x), atol=1e-5)
    # Beside each other, of inputs of their own; channels of PyTorch's cat and stack.
    several = [keras.Input((H, 1)) for _ in range(C)]
    given = [x[:, :, n : n + 1] for n in range(C)]
    for value in (
        layers.Concatenate()([layers.Reshape((H, 1, 1))(each) for each in several]),
        keras.ops.stack(several, axis=-1),
    ):
        model = keras.Model(several, layers.Conv2D(K, (2, 1))(value))
        torch_weights.load(model, state)
        np.testing.assert_allclose(model(given)[:, :, 0], expected(x), atol=1e-5)


def test_arguments_by_name_and_a_layer_in_two_models():
    inputs = keras.Input((H, C))
    head, start = layers.Dense(K), keras.Input((N,))
    sequence = layers.SimpleRNN(N)(sequences=inputs, initial_state=start)
    inner = [keras.Sequential([keras.Input((N,)), head]) for _ in range(2)]
    model = keras.Model([inputs, start], layers.Add()([each(sequence) for each in inner]))
    state = {
        "rnn.weight_ih_l0": random(N, C),
        "rnn.weight_hh_l0": random(N, N),
        "rnn.bias_ih_l0": random(N),
        "rnn.bias_hh_l0": random(N),
        "fc.weight": random(K, N),
        "fc.bias": random(K),
    }
    torch_weights.load(model, state)
    h = rnn(
        SERIES[:, :, 0],
        state | {"rnn.bias_ih_l0": state["rnn.bias_ih_l0"] + state["rnn.bias_hh_l0"]},
    )
    found = model([SERIES[:, :, 0], np.zeros((6, N), np.float32)])
    np.testing.assert_allclose(found, 2 * linear(h, state), atol=1e-5)


# --- branches ---


def branches(names):
    inputs = keras.Input((H, W, 1))
    flat = layers.Flatten()(inputs)
    deep = layers.Dense(N, name=names[1])(flat)
    value = layers.Concatenate()([layers.Dense(N, name=names[0])(flat), layers.ReLU()(deep)])
    return keras.Model(inputs, layers.Dense(K, name="fc")(value))


def test_branches_of_the_same_shapes_need_names():
    state = {"a.weight": random(N, H * W), "a.bias": random(N)}
    state |= {"b.weight": random(N, H * W), "b.bias": random(N)}
    state |= {"fc.weight": random(K, 2 * N), "fc.bias": random(K)}
    x = X.reshape(6, -1)
    vectors = [linear(x, state, "a"), np.maximum(linear(x, state, "b"), 0)]
    model = branches(("a", "b"))
    check(model, state, linear(np.concatenate(vectors, axis=1), state))
    np.testing.assert_array_equal(torch_weights.to_torch(model)["b.weight"], state["b.weight"])
    with pytest.raises(
        InputError, match=r"layers '.' and '.' stand side by side and have the same"
    ):
        torch_weights.load(branches(("c", "d")), state)
    with pytest.raises(InputError, match="side by side"):
        torch_weights.load(branches(("c", "d")), state, ordered=False)


def test_names_that_do_not_fit_say_nothing():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="two"), layers.Dense(2, name="one")]
    )
    state = {"one.weight": random(3, 4), "one.bias": random(3)}
    state |= {"two.weight": random(2, 3), "two.bias": random(2)}
    torch_weights.load(model, state)
    np.testing.assert_array_equal(model.get_layer("two").kernel, state["one.weight"].T)


# --- what is refused ---


REFUSED = {
    "channels shuffled": lambda v: layers.Flatten()(
        layers.Conv2D(2, 1)(keras.ops.take(v, [2, 0, 1], axis=-1))
    ),
    "channels turned around": lambda v: layers.Flatten()(layers.Conv2D(2, 1)(v[..., ::-1])),
    "a map turned around": lambda v: layers.Flatten()(keras.ops.flip(v, axis=1)),
    "features turned around": lambda v: layers.SimpleRNN(N)(
        keras.ops.flip(layers.Reshape((H, W * C))(v), axis=2)
    ),
    "reshaped and more": lambda v: layers.Lambda(
        lambda a: keras.ops.tanh(keras.ops.reshape(a, (-1, H * W * C)))
    )(v),
    "softmax of a vector's parts": lambda v: layers.Reshape((H * W * C,))(
        layers.Softmax()(layers.Reshape((H, W * C))(v))
    ),
    "a dense layer on a map": lambda v: layers.Flatten()(layers.Dense(2, name="inner")(v)),
    "a map added to a vector": lambda v: layers.Add()(
        [layers.Flatten()(v), layers.Dense(H * W * C)(layers.Flatten()(v))]
    ),
    "maps flattened in two ways": lambda v: layers.Add()(
        [layers.Flatten()(v), layers.Flatten()(layers.Permute((3, 1, 2))(v))]
    ),
    "axes cut": lambda v: layers.Flatten()(layers.SimpleRNN(N)(layers.Reshape((C, H * W))(v))),
    "half a map": lambda v: layers.Flatten()(v)[:, : H * W],
    "steps of two rows": lambda v: layers.Flatten()(
        layers.SimpleRNN(N)(layers.Reshape((H // 2, 2 * W * C))(v))
    ),
    "a vector as another map": lambda v: layers.Flatten()(
        layers.Conv2D(2, 1)(
            layers.Reshape((H, W, C))(layers.Dense(H * W * C)(layers.GlobalAveragePooling2D()(v)))
        )
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_order_that_cannot_be_followed(what):
    inputs, value = convolution()
    model = keras.Model(inputs, layers.Dense(K, name="head")(REFUSED[what](value)))
    with pytest.raises(
        InputError, match="the order in PyTorch of the features that go into layer"
    ):
        torch_weights.to_torch(model)


def test_one_layer_for_two_orders():
    inputs, value = convolution()
    head, flat = layers.Dense(K, name="head"), layers.Flatten()
    both = layers.Add()([head(flat(value)), head(flat(layers.Permute((3, 1, 2))(value)))])
    with pytest.raises(
        InputError, match="layer 'head' cannot be followed: it is called more than"
    ):
        torch_weights.to_torch(keras.Model(inputs, both))


def test_the_model_is_left_as_it_was():
    # Numbers that are sent through a model leave neither losses nor random states behind.
    inputs, value = convolution()
    dropout = layers.Dropout(0.5, seed=3)
    value = layers.ActivityRegularization(0.1)(dropout(layers.Flatten()(value)))
    model = keras.Model(inputs, layers.Dense(K)(value))
    before = (dropout.seed_generator.state.numpy().tolist(), len(model.losses))
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    torch_weights.to_torch(model)
    assert (dropout.seed_generator.state.numpy().tolist(), len(model.losses)) == before
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
