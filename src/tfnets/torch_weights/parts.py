"""Keras layers, seen as PyTorch modules.

The classes have the names of PyTorch's, and messages show them.
"""

import keras
import numpy as np

from tfnets.errors import InputError


class Part:
    """A Keras layer, seen as a PyTorch module.

    Attributes:
        path: The layer's name, with those of the models around it.
        pool: What it is matched among: ``"matrix"``, ``"convolution"``, ``"recurrent"``.
        suffix: What its entries' names end with in a state_dict of our own.
        variables: Its variables.
        shapes: The shape of each entry in PyTorch: ``{"weight": (3, 128), "bias": (3,)}``.
        after: The paths of the layers with weights that come before it in the model.
    """

    pool: str
    suffix = ""

    def __init__(
        self, path: str, variables: list[keras.Variable], shapes: dict[str, tuple[int, ...]]
    ):
        self.path, self.variables, self.shapes = path, variables, shapes
        self.after: set[str] = set()

    def is_beside(self, other: "Part") -> bool:
        """Whether neither of two layers comes before the other."""
        return other.path not in self.after and self.path not in other.after

    def entry(self, role: str) -> str:
        """The name of an entry in a state_dict of our own."""
        return f"{self.path}.{role}{self.suffix}"

    def to_keras(self, arrays: dict[str, np.ndarray]) -> list[tuple[keras.Variable, np.ndarray]]:
        """The variables with their values, from the entries'."""
        return list(zip(self.variables, self._values(arrays), strict=True))

    def to_torch(self) -> list[tuple[str, np.ndarray]]:
        """The entries with their values, from the variables'."""
        values = [np.array(v.numpy()) for v in self.variables]
        arrays = self._arrays(values)
        return [(role, np.ascontiguousarray(arrays[role])) for role in self.shapes]

    def _values(self, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        raise NotImplementedError

    def _arrays(self, values: list[np.ndarray]) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def __str__(self) -> str:
        return f"layer {self.path!r} ({type(self).__name__})"


class Embedding(Part):
    """An ``Embedding``, which has one matrix, the same on both sides."""

    pool = "matrix"

    def __init__(self, layer, path, order):
        shapes = {"weight": tuple(layer.embeddings.shape)}
        super().__init__(path, [layer.embeddings], shapes)

    def _values(self, arrays):
        return [arrays["weight"]]

    def _arrays(self, values):
        return {"weight": values[0]}


class _Weighted(Part):
    """What ``Linear`` and ``Conv2d`` share: a kernel, and perhaps a bias that stays.

    Attributes:
        order: For each input feature in Keras its index in PyTorch.
    """

    def __init__(self, layer, path, order):
        self.order = order
        variables = [layer.kernel]
        shapes = {"weight": self._weight_shape(tuple(layer.kernel.shape))}
        if layer.use_bias:
            variables.append(layer.bias)
            shapes["bias"] = tuple(layer.bias.shape)
        super().__init__(path, variables, shapes)

    def _values(self, arrays):
        return [self._kernel(arrays["weight"]), *([arrays["bias"]] if "bias" in arrays else [])]

    def _arrays(self, values):
        return dict(zip(self.shapes, [self._weight(values[0]), *values[1:]], strict=True))


class Linear(_Weighted):
    """A ``Dense`` layer."""

    pool = "matrix"

    def _weight_shape(self, kernel):
        return kernel[::-1]

    def _kernel(self, weight):
        return weight.T[self.order]

    def _weight(self, kernel):
        return kernel[np.argsort(self.order)].T


class Conv2d(_Weighted):
    """A ``Conv2D`` layer."""

    pool = "convolution"

    def _weight_shape(self, kernel):
        height, width, inputs, outputs = kernel
        return outputs, inputs, height, width

    def _kernel(self, weight):
        return weight[:, self.order].transpose(2, 3, 1, 0)

    def _weight(self, kernel):
        return kernel.transpose(3, 2, 0, 1)[:, np.argsort(self.order)]


class Recurrent(Part):
    """What the recurrent layers share; where they differ, this is the RNN's way.

    Attributes:
        gates: For each gate of the one side, its place on the other; the same both ways.
        order: For each input feature in Keras its index in PyTorch.
    """

    pool = "recurrent"
    suffix = "_l0"
    gates: tuple[int, ...] = (0,)

    def __init__(self, layer, path, order):
        self.order = order
        cell = layer.cell
        variables = [cell.kernel, cell.recurrent_kernel]
        features, rows = cell.kernel.shape
        shapes = {"weight_ih": (rows, features), "weight_hh": (rows, cell.units)}
        if cell.use_bias:
            variables.append(cell.bias)
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        super().__init__(path, variables, shapes)

    def _values(self, arrays):
        kernel = arrays["weight_ih"].T[self.order]
        values = [self._reorder(kernel), self._reorder(arrays["weight_hh"].T)]
        if "bias_ih" in arrays:
            biases = np.stack([arrays["bias_ih"], arrays["bias_hh"]])
            values.append(self._bias(self._reorder(biases)))
        return values

    def _arrays(self, values):
        kernel = values[0][np.argsort(self.order)]
        arrays = [self._reorder(value).T for value in (kernel, values[1])]
        if len(values) > 2:
            arrays += list(self._reorder(self._biases(values[2])))
        return dict(zip(self.shapes, arrays, strict=True))

    def _reorder(self, array):
        blocks = np.split(array, len(self.gates), axis=-1)
        return np.concatenate([blocks[gate] for gate in self.gates], axis=-1)

    def _bias(self, biases):
        return biases.sum(axis=0)

    def _biases(self, bias):
        return np.stack([bias, np.zeros_like(bias)])


class RNN(Recurrent):
    """A ``SimpleRNN`` layer."""


class LSTM(Recurrent):
    """An ``LSTM`` layer."""

    gates = (0, 1, 2, 3)


class GRU(Recurrent):
    """A ``GRU`` layer, whose bias has a row for each of PyTorch's two."""

    gates = (1, 0, 2)

    def __init__(self, layer, path, order):
        if not layer.reset_after:
            raise InputError(
                f"layer {path!r} is a GRU with reset_after=False, which PyTorch does not have; "
                "build the model with reset_after=True."
            )
        super().__init__(layer, path, order)

    def _bias(self, biases):
        return biases

    def _biases(self, bias):
        return bias
