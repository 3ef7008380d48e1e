"""Data and initial weights of the trainings in trainings.json, made alike on both sides.

They are drawn by NumPy's ``RandomState``, whose numbers never change from version to version,
so that they need not be stored.
"""

import zlib

import numpy as np

# A network's options, as its entry point has them, and the sizes of its data.
TRAININGS = {
    "speech fc": {"shape": (6, 5), "classes": 3, "batch_size": 4, "epochs": 2},
    "speech cnn": {"shape": (20, 24), "classes": 3, "batch_size": 6, "epochs": 2},
    "speech gru": {"shape": (20, 16), "classes": 3, "batch_size": 5, "epochs": 2},
    "speech gru reset_after": {"shape": (20, 16), "classes": 3, "batch_size": 5, "epochs": 2},
    "har rnn softmax": {},
    "har rnn normalised": {"loss": "normalised", "clipnorm": 0.4},
    "har rnn binary": {"loss": "binary", "clipnorm": 1.8},
    "har rnn raw": {"protocol": "report"},
    "har lstm": {"cell": "lstm", "clipnorm": 0.65},
    "har gru adam": {"cell": "gru", "optimizer": "adam", "clipnorm": 1.25},
    "har rnn remedies": {
        "momentum": 0.9,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "clipnorm": 2,
    },
    "addition rnn": {},
    "addition lstm": {"cell": "lstm"},
    "addition gru": {"cell": "gru"},
    "addition rnn nesterov": {"optimizer": "sgd", "momentum": 0.5, "nesterov": True},
}
HAR = {"shape": (12, 3), "classes": 4, "units": 24, "batch_size": 30, "epochs": 3, "seed": 5}
# 22 pairs a step do not divide into four shards.
ADDITION = {"seq_len": 5, "hidden_size": 12, "embedding_dim": 6, "batch_size": 22, "steps": 7}
SIZES = {"train": 37, "val": 11, "test": 13}
SPEECH_SIZES = {"train": 11, "val": 5, "test": 7}


def _random(what: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(what.encode()))


def classification(name: str, shape: tuple[int, ...], classes: int, sizes: dict) -> dict:
    """``x_train``, ``y_train`` and the same of val and test; classes differ in their mean."""
    arrays = {}
    for split, n in sizes.items():
        random = _random(f"{name} {split}")
        y = (np.arange(n) % classes).astype(np.int32)
        random.shuffle(y)
        x = random.normal(size=(n, *shape)) + y[:, None, None] - 1
        arrays |= {f"x_{split}": x.astype(np.float32), f"y_{split}": y}
    return arrays


def weights(name: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Initial weights by a module's names; the second bias of RNN and LSTM is 0."""
    one_bias = not name.startswith(("speech", "har gru", "addition gru"))
    values = {}
    for entry, shape in shapes.items():
        limit = (
            (3 if name.startswith("har") else 1.2) / np.sqrt(np.prod(shape[1:]))
            if len(shape) > 1
            else 0.5
        )
        value = _random(f"{name} {entry}").uniform(-limit, limit, shape).astype(np.float32)
        values[entry] = value * 0 if one_bias and "bias_hh" in entry else value
    return values
