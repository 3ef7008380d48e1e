"""The layers of a Keras model that have weights."""

import keras

from tfnets.errors import InputError
from tfnets.torch_weights.parts import GRU, LSTM, RNN, Conv2d, Embedding, Linear, Part

# Subclasses are exchanged as what they derive from.
_PARTS: dict[type, type[Part]] = {
    keras.layers.Dense: Linear,
    keras.layers.Conv2D: Conv2d,
    keras.layers.Embedding: Embedding,
    keras.layers.SimpleRNN: RNN,
    keras.layers.GRU: GRU,
    keras.layers.LSTM: LSTM,
}


def find(model: keras.Model, around: str = "") -> list[Part]:
    """The layers that have weights, in the model's order, those of models inside it too.

    Args:
        model: A functional or sequential model.
        around: What the layers' paths start with, ``"speech_cnn."`` in a model inside.

    Raises:
        InputError: For another model; for a layer whose weights cannot be exchanged.
    """
    if getattr(model, "inputs", None) is None:
        raise InputError(
            f"model {model.name!r} is a {type(model).__name__}; "
            "expected a functional or a built sequential model."
        )
    makers = _makers(model, inside=bool(around))
    parts = []
    for layer in model.layers:
        path = around + layer.name
        if isinstance(layer, keras.Model):
            parts += find(layer, f"{path}.")
        elif part := next((p for kind, p in _PARTS.items() if isinstance(layer, kind)), None):
            # PyTorch and Keras differ in the order in which they lay out a map.
            extra = (_flattened(layer, makers, path),) if part is Linear else ()
            parts.append(part(layer, path, *extra))
        elif layer.weights:
            known = ", ".join(sorted(kind.__name__ for kind in _PARTS))
            raise InputError(
                f"layer {path!r} is a {type(layer).__name__}, "
                f"whose weights cannot be exchanged; those of {known} can."
            )
    return parts


def _makers(model: keras.Model, inside: bool) -> dict[int, keras.Operation | None]:
    """What makes each tensor, by the tensor's id; None for the model's inputs.

    What comes from outside or out of a model inside is left out: it may be a flattened map.
    """
    makers: dict[int, keras.Operation | None] = {
        id(output): operation
        for operation in getattr(model, "operations", model.layers)
        if not isinstance(operation, keras.Model)
        for output in keras.tree.flatten(operation.output)
    }
    for tensor in model.inputs:
        makers.pop(id(tensor), None)
        if not inside:
            makers[id(tensor)] = None
    return makers


def _flattened(layer: keras.layers.Dense, makers: dict, path: str) -> tuple[int, ...] | None:
    """The (height, width, channels) that are flattened before a dense layer, if any."""
    tensor = layer.input
    if len(tensor.shape) != 2:
        return None
    while id(tensor) in makers:
        maker = makers[id(tensor)]
        if maker is None or not hasattr(maker.input, "shape"):
            return None
        shape = maker.input.shape
        if isinstance(maker, keras.layers.Flatten | keras.layers.Reshape):
            if len(shape) != 4:
                return None
            if getattr(maker, "data_format", None) == "channels_first":
                return (*shape[2:], shape[1])  # Keras moves the channels before it flattens
            return tuple(shape[1:])
        # Dropout, an activation and the like leave the order as it is.
        if shape != tensor.shape or getattr(maker, "weights", None):
            return None
        tensor = maker.input
    raise InputError(
        f"layer {path!r} gets a vector across the border of a model inside the model, which may "
        "be a flattened map or not; exchange the weights of a model without such a border."
    )
