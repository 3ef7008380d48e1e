"""Weights of PyTorch modules for our Keras models, and back.

::

    model = speech.build("gru", reset_after=True)
    torch_weights.load(model, module.state_dict())

    arrays = torch_weights.to_torch(model, like=module.state_dict())
    module.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})

Modules and layers are matched by kind and order, so that anybody's
module of the same architecture loads: the first ``Conv2d`` belongs to the first
``Conv2D``, the first layer of the first ``nn.GRU`` to the first ``GRU``, the first
``nn.Linear`` or ``nn.Embedding`` to the first ``Dense`` or ``Embedding``. The order in
PyTorch is that in which the module's ``__init__`` sets them. Only where layers and modules
of a kind all have the same names do names decide.

With m inputs, n units and g gates (1 for the RNN, 3 for the GRU, 4 for the LSTM):

| PyTorch                             | Keras                                | the way          |
|-------------------------------------|--------------------------------------|------------------|
| ``Linear.weight`` (out, in)         | ``Dense.kernel`` (in, out)           | transposed       |
| ... after a map (C, H, W)           | ... after a map (H, W, C)            | and reordered    |
| ``Conv2d.weight`` (out, in, H, W)   | ``Conv2D.kernel`` (H, W, in, out)    | axes reordered   |
| ``Embedding.weight`` (entries, dim) | ``Embedding.embeddings``             | as it is         |
| ``weight_ih_l{k}`` (g n, m)         | ``kernel`` (m, g n)                  | transposed       |
| ``weight_hh_l{k}`` (g n, n)         | ``recurrent_kernel`` (n, g n)        | transposed       |
| ``bias_ih_l{k}``, ``bias_hh_l{k}``  | GRU: ``bias`` (2, 3 n)               | one row each     |
|                                     | RNN, LSTM: ``bias`` (g n,)           | added up         |

Gates: the GRU has r, z, n in PyTorch and z, r, h in Keras, with the same meaning: in
both, the new state is z * old + (1 - z) * candidate. The LSTM's i, f, g, o are Keras'
i, f, c, o. Only a GRU with ``reset_after=True`` exists in PyTorch.

Weights in a file, which is never unpickled::

    checkpoint = torch_weights.read_file("weights.safetensors")  # or .npz
    torch_weights.load(model, checkpoint.entries, ordered=checkpoint.ordered)

A .safetensors file has lost the module's order. There shapes tell modules apart, and
numbers in the names (``fc1``, ``hidden.2``) those of the same shape.

What belongs to no layer (a loss function's weights, a metric's totals, an averaged copy) is
refused, unless ``skip=("criterion.*", "ema.*")`` names it.

PyTorch trains two biases where Keras' RNN and LSTM have one. The same weights give the
same outputs and gradients, but training from there differs: PyTorch's sum of two biases
moves by both of their steps, with plain SGD twice as fast. Only with ``bias_hh`` frozen
are the steps the same.

Maps that become vectors or sequences on their way through ``Flatten``, ``Reshape``,
``Permute``, ``keras.ops``, ``Concatenate`` or ``Add`` are followed number by number, and what
cannot be followed is refused. PyTorch's module has to flatten a map as ``flatten(1)`` does,
and to make a sequence of it with the channels outermost in each step, as
``permute(0, 2, 1, 3).flatten(2)`` does. Layers that stand side by side and have the same shapes
need the names of their modules.

A state_dict does not tell everything: ``nonlinearity``, ``batch_first``, strides and
the like have to be alike on both sides.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfnets.errors import InputError
from tfnets.torch_weights.checkpoint import Checkpoint, read_file
from tfnets.torch_weights.finding import find
from tfnets.torch_weights.matching import match, numbers
from tfnets.torch_weights.state_dict import read, skipped

__all__ = ["Checkpoint", "load", "read_file", "skipped", "to_torch"]


def load(
    model: keras.Model,
    state_dict: Mapping[str, Any],
    *,
    ordered: bool = True,
    skip: str | Sequence[str] = (),
) -> None:
    """Sets a model's weights to those of a PyTorch module; all of them, or none.

    Args:
        model: A functional or sequential model of ``Dense``, ``Conv2D``, ``Embedding``,
            ``SimpleRNN``, ``GRU`` and ``LSTM`` layers and layers without weights.
        state_dict: A module's ``state_dict()``: entry name -> tensor, or NumPy array, of
            floating-point numbers, bfloat16 among them. They become the dtype of the model's
            weights.
        ordered: Whether the entries have the module's order.
        skip: Patterns of the names of entries that belong to no layer, as for
            :func:`skipped`: ``("criterion.*", "ema.*")``. What is not named is not skipped.

    Raises:
        InputError: For a model with other layers or with a GRU of
            ``reset_after=False``; for a layer whose features have an order that cannot be
            followed; for layers or modules that cannot be told apart; for entries that are
            missing, superfluous, of another shape, not floating-point or not finite; for
            bidirectional modules and projections; for a pattern in ``skip`` that no entry
            matches. The model is then as it was.
    """
    entries = read(state_dict, skip=skip)
    values = []
    for part, module in match(find(model), entries, ordered):
        arrays = {
            role: numbers(name, entries[name], part) for role, name in module.entries.items()
        }
        values += part.to_keras(arrays)
    for variable, value in values:
        variable.assign(value)


def to_torch(
    model: keras.Model,
    like: Mapping[str, Any] | None = None,
    *,
    skip: str | Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """The weights of a model as a PyTorch module has them.

    The one bias of an RNN or LSTM becomes ``bias_ih``; ``bias_hh`` is 0.

    Args:
        model: As for :func:`load`.
        like: The ``state_dict()`` of the module that is to have the weights, for its
            names; its values do not matter. None for the layers' names:
            ``"gru_1.weight_ih_l0"``, ``"dense_1.weight"``.
        skip: Entries of ``like`` that belong to no layer, as for :func:`load`. They are not in
            the result: ``module.load_state_dict(..., strict=False)`` leaves them as they are.

    Returns:
        Entry name -> array, in the order of ``like``; copies, which
        ``torch.from_numpy`` takes as they are.

    Raises:
        InputError: As for :func:`load`, but for the values of ``like``.
    """
    parts = find(model)
    if like is None and skip:
        raise InputError("skip names entries of like, which is not given.")
    if like is None:
        return {part.entry(role): array for part in parts for role, array in part.to_torch()}
    entries = read(like, values=False, skip=skip)
    arrays: dict[str, np.ndarray] = {}
    for part, module in match(parts, entries):
        arrays |= {module.entries[role]: array for role, array in part.to_torch()}
    return {name: arrays[name] for name in entries}
