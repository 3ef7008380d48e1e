"""What PyTorch computed for the networks (see tests/golden/write.py), beside ours."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfnets import losses


def crnn() -> keras.Model:
    """A convolution whose bands and channels are the features of a GRU's steps."""
    inputs = keras.Input((12, 10))
    maps = layers.Conv2D(4, 3, activation="relu")(layers.Reshape((12, 10, 1))(inputs))
    steps = layers.Reshape((5, 16))(layers.MaxPooling2D()(maps))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GRU(8)(steps)))


def permuted() -> keras.Model:
    """A map with its channels moved in front of the rest before it is flattened."""
    inputs = keras.Input((12, 10))
    maps = layers.Conv2D(4, 3, activation="relu")(layers.Reshape((12, 10, 1))(inputs))
    flat = layers.Flatten()(layers.Permute((3, 1, 2))(maps))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(flat))


def branches() -> keras.Model:
    """Two maps flattened in two ways and added, and the input beside them."""
    inputs = keras.Input((12, 10))
    x = layers.Reshape((12, 10, 1))(inputs)
    narrow = layers.Flatten()(layers.Conv2D(3, 1, activation="relu", name="narrow")(x))
    wide = keras.ops.reshape(layers.Conv2D(3, 3, padding="same")(x), (-1, 360))
    both = layers.Add()([narrow, layers.Activation("tanh")(wide)])
    flat = layers.Concatenate()([both, layers.Flatten()(x)])
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(flat))


LAYOUTS = {"layout_crnn": crnn, "layout_permuted": permuted, "layout_branches": branches}
BUILDS = {
    "speech_gru": ("speech", {"model": "gru", "input_shape": (20, 16), "reset_after": True}),
    "speech_cnn": ("speech", {"model": "cnn", "input_shape": (20, 24)}),
    "speech_fc": ("speech", {"model": "fc", "input_shape": (6, 5)}),
    "har_rnn": ("har", {"cell": "rnn", "input_shape": (12, 3)}),
    "har_lstm": ("har", {"cell": "lstm", "input_shape": (12, 3)}),
    "addition_rnn": ("addition", {"cell": "rnn"}),
}


@dataclass
class Golden:
    """One network: PyTorch's weights, batch and results, and our model of it."""

    name: str
    arrays: dict[str, np.ndarray]

    def build(self, **options) -> keras.Model:
        from tfnets import addition, har, speech

        if self.name in LAYOUTS:
            return LAYOUTS[self.name]()
        task, known = BUILDS[self.name]
        tasks = {"addition": addition, "har": har, "speech": speech}
        return tasks[task].build(**known | options)

    @property
    def one_bias(self) -> bool:
        """Whether Keras has one bias where PyTorch's recurrent layer has two."""
        return self.name not in ("speech_gru", "layout_crnn")

    def part(self, name: str) -> dict[str, np.ndarray]:
        """The arrays below ``weights``, ``gradients`` or ``losses``."""
        start = f"{name}/"
        return {k.removeprefix(start): a for k, a in self.arrays.items() if k.startswith(start)}

    def loss(self, labels, outputs) -> tf.Tensor:
        """The mean cross-entropy, as we compute it: of logits in addition, else of outputs."""
        if self.name.startswith("addition"):
            outputs = tf.nn.softmax(outputs)
        return tf.reduce_mean(losses.cross_entropy(tf.constant(labels), outputs))


@pytest.fixture(scope="session", params=[*BUILDS, *LAYOUTS])
def golden(request):
    path = Path(__file__).parents[1] / "golden" / f"{request.param}.npz"
    with np.load(path, allow_pickle=False) as file:
        return Golden(request.param, dict(file))
