"""Weights of PyTorch modules for our Keras models, and back.

::

    model = speech.build("gru", reset_after=True)
    torch_weights.load(model, module.state_dict())

    arrays = torch_weights.to_torch(model, like=module.state_dict())
    module.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})

Modules and layers are matched by kind and order, not by name, so that anybody's
module of the same architecture loads: the first ``Conv2d`` belongs to the first
``Conv2D``, the first layer of the first ``nn.GRU`` to the first ``GRU``, the first
``nn.Linear`` or ``nn.Embedding`` to the first ``Dense`` or ``Embedding``. The order in
PyTorch is that in which the module's ``__init__`` sets them.

With m inputs, n units and g gates (1 for the RNN, 3 for the GRU, 4 for the LSTM):

| PyTorch                             | Keras                                | the way          |
|-------------------------------------|--------------------------------------|------------------|
| ``Linear.weight`` (out, in)         | ``Dense.kernel`` (in, out)           | transposed       |
| ... after flattening (C, H, W)      | ... after flattening (H, W, C)       | and reordered    |
| ``Conv2d.weight`` (out, in, H, W)   | ``Conv2D.kernel`` (H, W, in, out)    | axes reordered   |
| ``Embedding.weight`` (entries, dim) | ``Embedding.embeddings``             | as it is         |
| ``weight_ih_l{k}`` (g n, m)         | ``kernel`` (m, g n)                  | transposed       |
| ``weight_hh_l{k}`` (g n, n)         | ``recurrent_kernel`` (n, g n)        | transposed       |
| ``bias_ih_l{k}``, ``bias_hh_l{k}``  | GRU: ``bias`` (2, 3 n)               | one row each     |
|                                     | RNN, LSTM: ``bias`` (g n,)           | added up         |

Gates: the GRU has r, z, n in PyTorch and z, r, h in Keras, with the same meaning: in
both, the new state is z * old + (1 - z) * candidate. The LSTM's i, f, g, o are Keras'
i, f, c, o. Only a GRU with ``reset_after=True`` exists in PyTorch.

PyTorch trains two biases where Keras' RNN and LSTM have one. The same weights give the
same outputs and gradients, but training from there differs: PyTorch's sum of two biases
moves by both of their steps, with plain SGD twice as fast. Only with ``bias_hh`` frozen
are the steps the same.

A state_dict does not tell everything: ``nonlinearity``, ``batch_first``, strides and
the like have to be alike on both sides.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tfnets.errors import InputError


def load(model: keras.Model, state_dict: Mapping[str, Any]) -> None:
    """Sets a model's weights to those of a PyTorch module; all of them, or none.

    Args:
        model: A functional or sequential model of ``Dense``, ``Conv2D``, ``Embedding``,
            ``SimpleRNN``, ``GRU`` and ``LSTM`` layers and layers without weights.
        state_dict: A module's ``state_dict()``: entry name -> tensor, or NumPy array, of
            floating-point numbers. They become the dtype of the model's weights.

    Raises:
        InputError: For a model with other layers or with a GRU of
            ``reset_after=False``; for entries that are missing, superfluous, of another
            shape, not floating-point or not finite; for bidirectional modules and
            projections. The model is then as it was.
    """
    entries = _entries(state_dict, _array)
    values = []
    for part, module in _match(_parts(model), entries):
        arrays = {
            role: _numbers(name, entries[name], part) for role, name in module.entries.items()
        }
        values += zip(part.variables, part.to_keras(arrays), strict=True)
    for variable, value in values:
        variable.assign(value)


def to_torch(model: keras.Model, like: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """The weights of a model as a PyTorch module has them.

    The one bias of an RNN or LSTM becomes ``bias_ih``; ``bias_hh`` is 0.

    Args:
        model: As for :func:`load`.
        like: The ``state_dict()`` of the module that is to have the weights, for its
            names; its values do not matter. None for the layers' names:
            ``"gru_1.weight_ih_l0"``, ``"dense_1.weight"``.

    Returns:
        Entry name -> array, in the order of ``like``; copies, which
        ``torch.from_numpy`` takes as they are.

    Raises:
        InputError: As for :func:`load`, but for the values of ``like``.
    """
    parts = _parts(model)
    if like is None:
        return {part.entry(role): array for part in parts for role, array in part.to_torch()}
    entries = _entries(like, _shape)
    arrays = {}
    for part, module in _match(parts, entries):
        arrays |= {module.entries[role]: array for role, array in part.to_torch()}
    return {name: arrays[name] for name in entries}


class _Part:
    """A Keras layer, seen as a PyTorch module.

    Attributes:
        layer: The layer.
        path: Its name, with those of the models around it.
        kind: The PyTorch module's class.
        pool: What it is matched among: ``"matrix"``, ``"convolution"``, ``"recurrent"``.
        variables: Its variables.
        shapes: The shape of each entry in PyTorch: ``{"weight": (3, 128), "bias": (3,)}``.
    """

    kind: str
    pool: str
    suffix = ""

    def __init__(self, layer: keras.layers.Layer, path: str):
        self.layer, self.path = layer, path
        self.variables: list[keras.Variable] = []
        self.shapes: dict[str, tuple[int, ...]] = {}

    def entry(self, role: str) -> str:
        """The name of an entry in a state_dict of our own."""
        return f"{self.path}.{role}{self.suffix}"

    def to_keras(self, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The variables' values from the entries'."""
        raise NotImplementedError

    def to_torch(self) -> list[tuple[str, np.ndarray]]:
        """The entries' values from the variables'."""
        values = [np.array(v.numpy()) for v in self.variables]
        arrays = self._arrays(values)
        return [(role, np.ascontiguousarray(arrays[role])) for role in self.shapes]

    def _arrays(self, values: list[np.ndarray]) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def __str__(self) -> str:
        return f"layer {self.path!r} ({self.kind})"


class _Embedding(_Part):
    kind, pool = "Embedding", "matrix"

    def __init__(self, layer, path):
        super().__init__(layer, path)
        self.variables = [layer.embeddings]
        self.shapes = {"weight": tuple(layer.embeddings.shape)}

    def to_keras(self, arrays):
        return [arrays["weight"]]

    def _arrays(self, values):
        return {"weight": values[0]}


class _Weighted(_Part):
    """What ``Linear`` and ``Conv2d`` share: a kernel, and perhaps a bias that stays."""

    def __init__(self, layer, path):
        super().__init__(layer, path)
        self.variables = [layer.kernel, *([layer.bias] if layer.use_bias else [])]
        self.shapes = {"weight": self._weight_shape(tuple(layer.kernel.shape))}
        if layer.use_bias:
            self.shapes["bias"] = tuple(layer.bias.shape)

    def to_keras(self, arrays):
        return [self._kernel(arrays["weight"]), *([arrays["bias"]] if "bias" in arrays else [])]

    def _arrays(self, values):
        return dict(zip(self.shapes, [self._weight(values[0]), *values[1:]], strict=True))


class _Linear(_Weighted):
    kind, pool = "Linear", "matrix"

    def __init__(self, layer, path, flattened=None):
        super().__init__(layer, path)
        self.flattened = flattened  # (height, width, channels) of the map before it, if any

    def _weight_shape(self, kernel):
        return kernel[::-1]

    def _kernel(self, weight):
        if self.flattened:
            height, width, channels = self.flattened
            maps = weight.reshape(-1, channels, height, width)
            weight = maps.transpose(0, 2, 3, 1).reshape(weight.shape)
        return weight.T

    def _weight(self, kernel):
        weight = kernel.T
        if self.flattened:
            maps = weight.reshape(-1, *self.flattened)
            weight = maps.transpose(0, 3, 1, 2).reshape(weight.shape)
        return weight


class _Conv2d(_Weighted):
    kind, pool = "Conv2d", "convolution"

    def _weight_shape(self, kernel):
        height, width, inputs, outputs = kernel
        return outputs, inputs, height, width

    def _kernel(self, weight):
        return weight.transpose(2, 3, 1, 0)

    def _weight(self, kernel):
        return kernel.transpose(3, 2, 0, 1)


class _Recurrent(_Part):
    pool = "recurrent"
    suffix = "_l0"
    gates = (0,)  # for each gate of the one, its place in the other; the same both ways

    def __init__(self, layer, path):
        super().__init__(layer, path)
        cell = layer.cell
        self.variables = [cell.kernel, cell.recurrent_kernel]
        features, rows = cell.kernel.shape
        self.shapes = {"weight_ih": (rows, features), "weight_hh": (rows, cell.units)}
        if cell.use_bias:
            self.variables.append(cell.bias)
            self.shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}

    def to_keras(self, arrays):
        values = [self._reorder(arrays["weight_ih"].T), self._reorder(arrays["weight_hh"].T)]
        if "bias_ih" in arrays:
            biases = np.stack([arrays["bias_ih"], arrays["bias_hh"]])
            values.append(self._bias(self._reorder(biases)))
        return values

    def _arrays(self, values):
        arrays = [self._reorder(value).T for value in values[:2]]
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


class _RNN(_Recurrent):
    kind = "RNN"


class _LSTM(_Recurrent):
    kind, gates = "LSTM", (0, 1, 2, 3)


class _GRU(_Recurrent):
    kind, gates = "GRU", (1, 0, 2)

    def __init__(self, layer, path):
        if not layer.reset_after:
            raise InputError(
                f"layer {path!r} is a GRU with reset_after=False, which PyTorch does not have; "
                "build the model with reset_after=True."
            )
        super().__init__(layer, path)

    def _bias(self, biases):
        return biases

    def _biases(self, bias):
        return bias


# Subclasses are exchanged as what they derive from.
_PARTS: dict[type, type[_Part]] = {
    keras.layers.Dense: _Linear,
    keras.layers.Conv2D: _Conv2d,
    keras.layers.Embedding: _Embedding,
    keras.layers.SimpleRNN: _RNN,
    keras.layers.GRU: _GRU,
    keras.layers.LSTM: _LSTM,
}


def _parts(model: keras.Model, around: str = "") -> list[_Part]:
    """The layers that have weights, in the model's order, those of models inside it too."""
    if getattr(model, "inputs", None) is None:
        raise InputError(
            f"model {model.name!r} is a {type(model).__name__}; "
            "a functional or a built sequential model is needed."
        )
    makers = _makers(model, inside=bool(around))
    parts = []
    for layer in model.layers:
        path = around + layer.name
        if isinstance(layer, keras.Model):
            parts += _parts(layer, f"{path}.")
        elif part := next((p for kind, p in _PARTS.items() if isinstance(layer, kind)), None):
            # PyTorch and Keras differ in the order in which they lay out a map.
            extra = (_flattened(layer, makers, path),) if part is _Linear else ()
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


class _Module:
    """A module of a state_dict, or one layer of a recurrent one.

    Attributes:
        prefix: What its entries' names start with, ``"features.0."``.
        suffix: What they end with, ``"_l1"`` for the second layer of a recurrent module.
        entries: Role -> name, ``{"weight_ih": "gru.weight_ih_l1", ...}``.
    """

    def __init__(self, prefix: str, suffix: str):
        self.prefix, self.suffix = prefix, suffix
        self.entries: dict[str, str] = {}

    def entry(self, role: str) -> str:
        """The name that an entry has or would have."""
        return f"{self.prefix}{role}{self.suffix}"


_KINDS = {
    "matrix": "Linear or Embedding",
    "convolution": "Conv2d",
    "recurrent": "RNN, GRU or LSTM",
}
_ENTRY = re.compile(
    r"(?P<prefix>(?:.*\.)?)(?P<role>weight|bias|(?:weight|bias)_(?:ih|hh)(?=$|_l))"
    r"(?P<suffix>(?:_l\d+)?)"
)


def _entries(
    state_dict: Mapping[str, Any], read: Callable[[str, Any], np.ndarray]
) -> dict[str, np.ndarray]:
    if not isinstance(state_dict, Mapping):
        raise InputError(
            f"the state_dict is a {type(state_dict).__name__}; "
            "a mapping of names to arrays is needed, as module.state_dict() gives it."
        )
    return {name: read(name, value) for name, value in state_dict.items()}


def _array(name: str, value: Any) -> np.ndarray:
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        elif not hasattr(value, "__array__"):
            raise TypeError
        return np.asarray(value)
    except (TypeError, RuntimeError, ValueError):
        dtype = f" of {value.dtype}" if hasattr(value, "dtype") else ""
        raise InputError(
            f"entry {name!r} is a {type(value).__name__}{dtype} that gives no NumPy array; "
            "a tensor with values or an array of float16, float32 or float64 is needed."
        ) from None


def _shape(name: str, value: Any) -> np.ndarray:
    """Something of an entry's shape, for entries whose values do not matter."""
    if not hasattr(value, "shape"):
        return _array(name, value)
    return np.broadcast_to(np.float32(0), tuple(value.shape))


def _numbers(name: str, array: np.ndarray, part: _Part) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"entry {name!r} of shape {array.shape} is {array.dtype}; "
            f"{part} needs floating-point numbers."
        )
    with np.errstate(over="ignore"):
        array = array.astype(part.variables[0].dtype)
    wrong = array.size - np.isfinite(array).sum()
    if wrong:
        raise InputError(
            f"entry {name!r} of shape {array.shape} has {wrong} values that are NaN, infinite "
            f"or too large for {part.variables[0].dtype}; {part} needs finite numbers."
        )
    return array


def _modules(entries: dict[str, np.ndarray]) -> dict[str, list[_Module]]:
    """The modules of a state_dict by what they are matched among, in their order."""
    modules: dict[tuple[str, str], _Module] = {}
    for name, array in entries.items():
        last = str(name).rpartition(".")[2]
        for sign, what in (("_reverse", "a bidirectional module"), ("weight_hr", "a projection")):
            if sign in last:
                raise InputError(
                    f"entry {name!r} of shape {array.shape} belongs to {what}; "
                    "RNN, GRU and LSTM in one direction and without proj_size are needed."
                )
        match = _ENTRY.fullmatch(str(name))
        if not match or (match["suffix"] and "_" not in match["role"]):
            raise InputError(
                f"entry {name!r} of shape {array.shape} is superfluous; those of "
                f"{', '.join(_KINDS.values())} modules are needed."
            )
        key = (match["prefix"], match["suffix"])
        modules.setdefault(key, _Module(*key)).entries[match["role"]] = name

    pools: dict[str, list[_Module]] = {pool: [] for pool in _KINDS}
    for module in modules.values():
        pools[_pool(module, entries)].append(module)
    return pools


def _pool(module: _Module, entries: dict[str, np.ndarray]) -> str:
    if not {"weight", "bias"} & set(module.entries):
        return "recurrent"
    if "weight" not in module.entries:
        name = module.entries["bias"]
        raise InputError(
            f"entry {module.entry('weight')!r} is missing; "
            f"with {name!r} of shape {entries[name].shape} it is needed."
        )
    name = module.entries["weight"]
    shape = entries[name].shape
    if len(shape) not in (2, 4):
        raise InputError(
            f"entry {name!r} of shape {shape} is superfluous; "
            "a matrix (Linear, Embedding) or four dimensions (Conv2d) are needed."
        )
    return "matrix" if len(shape) == 2 else "convolution"


def _match(parts: list[_Part], entries: dict[str, np.ndarray]) -> list[tuple[_Part, _Module]]:
    """Each layer with its module, whose entries are complete and of the right shape."""
    pairs = []
    for pool, modules in _modules(entries).items():
        wanted = [part for part in parts if part.pool == pool]
        if len(modules) != len(wanted):
            raise InputError(_count(pool, modules, wanted, entries))
        pairs += zip(wanted, modules, strict=True)
    for part, module in pairs:
        _check(part, module, entries)
    return pairs


def _count(pool: str, modules: list[_Module], parts: list[_Part], entries: dict) -> str:
    have = [
        f"{name!r} {entries[name].shape}" for m in modules for name in list(m.entries.values())[:1]
    ]
    need = [f"{part.path!r} {next(iter(part.shapes.values()))}" for part in parts]
    return (
        f"the state_dict has {len(modules)} of {_KINDS[pool]}: {', '.join(have) or 'none'}; "
        f"the model needs {len(parts)}: {', '.join(need) or 'none'}."
    )


def _check(part: _Part, module: _Module, entries: dict[str, np.ndarray]) -> None:
    if isinstance(part, _Recurrent) and "weight_hh" in module.entries:
        name = module.entries["weight_hh"]
        shape = entries[name].shape
        for kind in (_RNN, _GRU, _LSTM):
            fits = len(shape) == 2 and shape[0] == len(kind.gates) * shape[1]
            if fits and part.kind != kind.kind:
                raise InputError(
                    f"entry {name!r} of shape {shape} is of kind {kind.kind}; "
                    f"{part} needs the shape {part.shapes['weight_hh']}."
                )
    for role, shape in part.shapes.items():
        if role not in module.entries:
            raise InputError(
                f"entry {module.entry(role)!r} is missing; {part} needs it with the shape {shape}."
            )
        name = module.entries[role]
        if entries[name].shape != shape:
            raise InputError(
                f"entry {name!r} has the shape {entries[name].shape}; {part} needs {shape}."
            )
    for role, name in module.entries.items():
        if role not in part.shapes:
            raise InputError(
                f"entry {name!r} of shape {entries[name].shape} is superfluous; "
                f"{part} needs {' and '.join(map(module.entry, part.shapes))} only."
            )
