"""The layers of a Keras model that have weights."""

from collections.abc import Callable, Iterator

import keras

from tfnets.errors import InputError
from tfnets.torch_weights.order import follow
from tfnets.torch_weights.parts import GRU, LSTM, RNN, Conv2d, Embedding, Linear, Part

# Subclasses are exchanged as what they derive from.
_PARTS: dict[type, Callable[..., Part]] = {
    keras.layers.Dense: Linear,
    keras.layers.Conv2D: Conv2d,
    keras.layers.Embedding: Embedding,
    keras.layers.SimpleRNN: RNN,
    keras.layers.GRU: GRU,
    keras.layers.LSTM: LSTM,
}


def find(model: keras.Model) -> list[Part]:
    """The layers that have weights, in the model's order, those of models inside it too.

    Args:
        model: A functional or sequential model.

    Raises:
        InputError: For another model; for a layer whose weights cannot be exchanged; for a
            layer whose features have an order in PyTorch that cannot be followed.
    """
    layers = list({id(layer): (path, layer) for path, layer in _layers(model)}.values())
    graph = follow(model)
    parts = []
    for path, layer in layers:
        kind = next(part for keras_kind, part in _PARTS.items() if isinstance(layer, keras_kind))
        order = graph.orders.get(id(layer), "the model's outputs do not need it")
        kernel = getattr(getattr(layer, "cell", layer), "kernel", None)
        if kernel is not None and not isinstance(order, str) and len(order) != kernel.shape[-2]:
            order = f"it has {len(order)} features for {kernel.shape[-2]} of its weights"
        if kind is not Embedding and isinstance(order, str):
            raise InputError(
                f"the order in PyTorch of the features that go into layer {path!r} cannot be "
                f"followed: {order}; expected Flatten, Reshape, Permute and the like between a "
                "convolution and the layer."
            )
        parts.append(kind(layer, path, order))
    for part, (_, layer) in zip(parts, layers, strict=True):
        after = graph.after.get(id(layer), frozenset())
        part.after = {
            p.path for p, (_, other) in zip(parts, layers, strict=True) if id(other) in after
        }
    return parts


def _layers(model: keras.Model, around: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """The layers with weights and their paths, ``"speech_cnn.dense_1"`` in a model inside."""
    if getattr(model, "inputs", None) is None:
        raise InputError(
            f"model {model.name!r} is a {type(model).__name__}; "
            "expected a functional or a built sequential model."
        )
    for layer in model.layers:
        path = around + layer.name
        if isinstance(layer, keras.Model):
            yield from _layers(layer, f"{path}.")
        elif isinstance(layer, tuple(_PARTS)):
            yield path, layer
        elif layer.weights:
            known = ", ".join(sorted(kind.__name__ for kind in _PARTS))
            raise InputError(
                f"layer {path!r} is a {type(layer).__name__}, "
                f"whose weights cannot be exchanged; those of {known} can."
            )
