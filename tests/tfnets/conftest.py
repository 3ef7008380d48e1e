"""What PyTorch computed for the networks (see tests/golden/write.py), beside ours."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import losses

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

        task, known = BUILDS[self.name]
        tasks = {"addition": addition, "har": har, "speech": speech}
        return tasks[task].build(**known | options)

    def part(self, name: str) -> dict[str, np.ndarray]:
        """The arrays below ``weights``, ``gradients`` or ``losses``."""
        start = f"{name}/"
        return {k.removeprefix(start): a for k, a in self.arrays.items() if k.startswith(start)}

    def loss(self, labels, outputs) -> tf.Tensor:
        """The mean cross-entropy, as we compute it: of logits in addition, else of outputs."""
        if self.name.startswith("addition"):
            outputs = tf.nn.softmax(outputs)
        return tf.reduce_mean(losses.cross_entropy(tf.constant(labels), outputs))


@pytest.fixture(scope="session", params=BUILDS)
def golden(request):
    path = Path(__file__).parents[1] / "golden" / f"{request.param}.npz"
    with np.load(path, allow_pickle=False) as file:
        return Golden(request.param, dict(file))
