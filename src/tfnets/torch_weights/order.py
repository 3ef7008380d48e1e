"""Order of features in PyTorch, followed through a Keras model's graph.

Keras keeps a map as (height, width, channels), PyTorch as (channels, height, width). Whoever
flattens a map, or makes a sequence of it, gets the same numbers in another order, and the
weights that follow have to be reordered. Where each number went is found by sending sample
numbers through Keras' own layers.

Assumptions, which no state_dict can tell:

- Vectors, sequences (time, features) and what dense, recurrent and embedding layers give are
  laid out alike on both sides, and PyTorch's module reshapes and permutes them as Keras' does.
- Maps become vectors in PyTorch's own order, as ``flatten(1)`` gives it, and sequences with
  the channels outermost in each step, as ``permute(0, 2, 1, 3).flatten(2)`` gives them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tfnets.errors import InputError

# Lengths that stand for those that a model leaves open.
_LENGTHS = (64, 1024, 16384)


@dataclass(frozen=True, eq=False)
class Layout:
    """Place of each number of a Keras tensor in PyTorch's.

    Attributes:
        shape: The tensor's shape in Keras, without the batch.
        dtype: Its dtype.
        ids: For each number of it, its place in PyTorch's tensor, counted through; of ``shape``.
            None for the same place.
        torch: The shape of PyTorch's tensor, as long as only ``ids`` has changed since.
        map: Whether it is made of one or several maps, which the two sides lay out differently.
        unknown: Why the order is not known; empty if it is.
        after: The ids of the layers with weights that it is made by.
    """

    shape: tuple[int, ...]
    dtype: str
    ids: np.ndarray | None = None
    torch: tuple[int, ...] = ()
    map: bool = False
    unknown: str = ""
    after: frozenset[int] = frozenset()

    @property
    def places(self) -> np.ndarray:
        """The ids, written out."""
        return _counted(self.shape) if self.ids is None else self.ids


def follow(model: keras.Model) -> "Graph":
    """Follows the order of features through a model.

    Args:
        model: A functional or built sequential model.

    Raises:
        InputError: For a model whose graph gives no shapes.
    """
    first = _has_channels_first(model)
    error: Exception | None = None
    for length in _LENGTHS:
        graph = Graph()
        try:
            graph.follow(model, [_given(tensor, length, first) for tensor in model.inputs])
            return graph
        except (ValueError, TypeError, ArithmeticError, RuntimeError) as caught:
            error = caught
    raise InputError(
        f"model {model.name!r} gives no shapes ({' '.join(str(error).split())[:200]}); "
        "build it with an Input of a fixed shape."
    )


class Graph:
    """Layers with weights on the way through a model.

    Attributes:
        orders: Of each ``Dense``, ``Conv2D`` and recurrent layer, by its ``id``: for each input
            feature its index in PyTorch, of shape (features,); or the reason why it cannot be
            followed.
        after: Of each layer with weights, by its ``id``: the ids of those before it.
    """

    def __init__(self) -> None:
        self.orders: dict[int, np.ndarray | str] = {}
        self.after: dict[int, frozenset[int]] = {}

    def follow(self, model: keras.Model, inputs: Any) -> Any:
        """The layouts of a model's outputs."""
        if isinstance(model, keras.Sequential):
            value = inputs[0] if isinstance(inputs, list) and len(inputs) == 1 else inputs
            for layer in model.layers:
                value = self.call(layer, value)
            return value
        return model._run_through_graph(inputs, call_fn=self.call)

    def call(self, operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        """The layouts of an operation's outputs; notes the order that it needs."""
        if isinstance(operation, keras.Model):
            return self.follow(operation, (*args, *kwargs.values())[0])
        inputs = [v for v in keras.tree.flatten((args, kwargs)) if isinstance(v, Layout)]
        spec = operation.compute_output_spec(
            *_replaced(args, _symbol), **_replaced(kwargs, _symbol)
        )
        unknown = next((v.unknown for v in inputs if v.unknown), "")
        outputs = [_like(tensor, unknown) for tensor in keras.tree.flatten(spec)]
        after = frozenset().union(*(v.after for v in inputs))
        if getattr(operation, "weights", None):
            self._note(operation, inputs[0], after)
            after |= {id(operation)}
            if not unknown:
                outputs = [_of_weights(operation, inputs[0], output) for output in outputs]
        elif not unknown:

            def run(values: list) -> list:
                remaining = iter(values)
                given, named = _replaced((args, kwargs), lambda _: next(remaining))
                return keras.tree.flatten(operation(*given, **named))

            outputs = _of_other(operation, inputs, outputs, run)
        outputs = [replace(output, after=after) for output in outputs]
        return keras.tree.pack_sequence_as(spec, outputs)

    def _note(self, layer: keras.Layer, layout: Layout, after: frozenset[int]) -> None:
        self.after[id(layer)] = self.after.get(id(layer), frozenset()) | after
        if not hasattr(layer, "kernel") and not hasattr(layer, "cell"):
            return
        axis = _channels(layer, layout)
        order = _features(layout, axis)
        makes_map = not layout.map and len(layout.shape) == 3 and hasattr(layer, "data_format")
        if makes_map and not _is_proper(layout, axis):
            order = "PyTorch's view() makes another map of the same vector"
        if getattr(layer, "groups", 1) > 1 and not isinstance(order, str):
            groups = layer.groups
            if (order != np.arange(len(order))).any():
                order = f"they are in another order and in {groups} groups"
            else:
                order = order[: len(order) // groups]
        before = self.orders.get(id(layer))
        if before is not None and not np.array_equal(before, order):
            order = "it is called more than once, with features in different orders"
        self.orders[id(layer)] = order


# --- operations ---


def _of_weights(layer: keras.Layer, given: Layout, output: Layout) -> Layout:
    """The layout of a layer's output that has weights: units are alike on both sides."""
    if getattr(layer, "data_format", None) and len(output.shape) == 3:
        return _as_map(output, layer)
    if given.map and len(given.shape) > 2:
        return _like(output, unknown=_reason(layer))
    return output


def _of_other(
    operation: keras.Operation, inputs: list[Layout], outputs: list[Layout], run: Callable
) -> list[Layout]:
    """The layouts of what an operation without weights gives."""
    ranks = [len(v.shape) for v in (*inputs, *outputs)]
    if not any(v.map for v in inputs) and max(ranks, default=0) < 3:
        return outputs  # vectors and sequences, which PyTorch's module treats likewise
    # Pooling and the like take maps as they lie, which is not the same on both sides.
    imposes = bool(getattr(operation, "data_format", None)) and len(inputs[0].shape) == 3
    if len(outputs) == 1 and not (imposes and len(outputs[0].shape) == 3):
        found = _moved(inputs, outputs[0], run) or _kept(inputs, outputs[0], run)
        if found is not None:
            return [found]
    if not imposes and not any(v.map for v in inputs):
        return outputs
    if all(_is_proper(v, _channels(operation, v)) for v in inputs):
        return [_of_map(operation, inputs, output) for output in outputs]
    return [_like(output, unknown=_reason(operation)) for output in outputs]


def _of_map(operation: keras.Operation, inputs: list[Layout], output: Layout) -> Layout:
    """The layout of what is made of whole maps, not of their numbers moved."""
    if len(output.shape) == 3:
        return _as_map(output, operation)
    # A number for each channel (or row, or column), as pooling over all of a map gives.
    if len(output.shape) == 1 and any(output.shape[0] in v.shape for v in inputs):
        return output
    if len(output.shape) == 0:
        return output
    return _like(output, unknown=_reason(operation))


def _moved(inputs: list[Layout], output: Layout, run: Callable) -> Layout | None:
    """The layout of numbers that were only moved; None if that is not all that happened.

    Two samples are sent, so that no number may go from one to the other.
    """
    sizes = [int(np.prod(v.shape)) for v in inputs]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    total = int(starts[-1])
    if int(np.prod(output.shape)) != total:
        return None

    def through(labels: list[np.ndarray]) -> np.ndarray | None:
        found = _run(run, [np.stack([v, v + total]).astype(np.int32) for v in labels])
        if found is None or found.shape != (2, *output.shape):
            return None
        if not np.array_equal(found[0] + total, found[1]):
            return None
        found = found[0].astype(np.int64)
        if not np.array_equal(np.sort(found, axis=None), np.arange(total)):
            return None
        # The same way for other numbers: it does not depend on the values.
        return found

    labels = [_counted(v.shape) + start for v, start in zip(inputs, starts, strict=False)]
    found = through(labels)
    mirrored = through([total - 1 - v for v in labels])
    if found is None or mirrored is None or not np.array_equal(mirrored, total - 1 - found):
        return None
    if len(inputs) == 1:
        (given,) = inputs
        ids = given.places.ravel()[found]
        return Layout(output.shape, output.dtype, ids, given.torch or given.shape, given.map)
    # Several are put together as PyTorch puts them together; each in PyTorch's order first.
    resolved = [v for v in map(_resolved, inputs) if not isinstance(v, str)]
    maps = any(v.map for v in inputs)
    if len(resolved) < len(inputs) or (maps and len(output.shape) == 3):
        return None
    place = np.empty(total, np.int64)
    place[found.ravel()] = np.arange(total)
    theirs = np.concatenate([v.ravel() + s for v, s in zip(resolved, starts, strict=False)])
    ids = place[theirs[found]]
    return Layout(output.shape, output.dtype, ids, output.shape, maps)


def _kept(inputs: list[Layout], output: Layout, run: Callable) -> Layout | None:
    """The layout of numbers that keep their places; None if they do not.

    An operation treats all places alike if moving the numbers before it is moving them after
    it. All ways of moving them are made of two: the first two exchanged, and all moved by one.
    """
    first = inputs[0]
    if any(v.shape != output.shape or v.map != first.map for v in inputs):
        return None
    if any(not np.array_equal(v.places, first.places) for v in inputs):
        return None
    size = int(np.prod(output.shape))
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(1, size)).astype(np.float32) for _ in inputs]
    exchanged, turned = np.arange(size), np.roll(np.arange(size), 1)
    exchanged[:2] = exchanged[:2][::-1]

    def through(order: np.ndarray) -> np.ndarray | None:
        found = _run(run, [v[:, order].reshape(1, *output.shape) for v in values])
        return None if found is None else found.reshape(-1)

    before = through(np.arange(size))
    for order in (exchanged, turned):
        after = through(order)
        if before is None or after is None or not np.allclose(after, before[order], 1e-3, 1e-5):
            return None
    return Layout(output.shape, output.dtype, first.ids, first.torch, first.map)


def _run(run: Callable, values: list[np.ndarray]) -> np.ndarray | None:
    """One output as an array; None if the operation does not take such numbers.

    Nothing that the operation sets or adds outlasts the call.
    """
    try:
        with keras.StatelessScope():
            (output,) = run([keras.ops.convert_to_tensor(v) for v in values])
        return keras.ops.convert_to_numpy(output)
    except Exception:  # whatever an operation of anybody's own raises
        return None


# --- layouts ---


def _features(layout: Layout, axis: int = -1) -> np.ndarray | str:
    """For each feature in Keras its index in PyTorch; or why that is not known."""
    if layout.unknown:
        return layout.unknown
    count = layout.shape[axis]
    if not layout.map:
        return np.arange(count)
    rows = np.moveaxis(layout.places, axis, -1).reshape(-1, count)
    order = np.argsort(np.argsort(rows, axis=1), axis=1)
    if (order != order[0]).any():
        return "each step has its features in another order"
    # The features of a step are whole axes of the map.
    whole = np.ones(len(rows), np.int64)
    for axis_size, place in zip(layout.torch, np.unravel_index(rows, layout.torch), strict=True):
        whole *= np.where((place == place[:, :1]).all(axis=1), 1, axis_size)
    if (whole != count).any():
        return f"a map of (channels, height, width) {layout.torch} is cut across its axes"
    return order[0]


def _resolved(layout: Layout) -> np.ndarray | str:
    """For each number its place in PyTorch's tensor of the same shape."""
    order = _features(layout)
    if isinstance(order, str):
        return order
    rows = np.arange(int(np.prod(layout.shape[:-1])))[:, None] * layout.shape[-1]
    return (rows + order).reshape(layout.shape)


def _is_proper(layout: Layout, axis: int) -> bool:
    """Whether both sides have the same features at the same places of a map or vector."""
    if layout.unknown:
        return False
    if len(layout.shape) != 3:
        return not layout.map
    if layout.map:
        order = _features(layout, axis)
        return not isinstance(order, str) and np.array_equal(order, np.arange(len(order)))
    # What was a vector or sequence is a map in PyTorch, too: as its view has it.
    channels_first = np.moveaxis(layout.places, axis, 0)
    return layout.shape[axis] == 1 or np.array_equal(
        channels_first.ravel(), np.arange(channels_first.size)
    )


def _as_map(output: Layout, operation: keras.Operation) -> Layout:
    """The layout of a map as an operation gives it."""
    return _map(output.shape, output.dtype, _is_first(operation))


def _map(shape: tuple[int, ...], dtype: str, channels_first: bool) -> Layout:
    if channels_first:
        return Layout(shape, dtype, None, shape, map=True)
    height, width, channels = shape
    ids = np.moveaxis(_counted((channels, height, width)), 0, -1)
    return Layout(shape, dtype, ids, (channels, height, width), map=True)


def _given(tensor: keras.KerasTensor, length: int, channels_first: bool) -> Layout:
    """The layout of a model's input."""
    shape = tuple(length if size is None else size for size in tensor.shape[1:])
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if len(shape) == 3:
        return _map(shape, dtype, channels_first)
    return Layout(shape, dtype)


def _like(tensor: Any, unknown: str = "") -> Layout:
    shape = tensor.shape if isinstance(tensor, Layout) else tuple(tensor.shape[1:])
    return Layout(shape, keras.backend.standardize_dtype(tensor.dtype), unknown=unknown)


def _symbol(layout: Layout) -> keras.KerasTensor:
    return keras.KerasTensor((None, *layout.shape), layout.dtype)


def _replaced(structure: Any, function: Callable[[Layout], Any]) -> Any:
    return keras.tree.map_structure(
        lambda v: function(v) if isinstance(v, Layout) else v, structure
    )


def _counted(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape))).reshape(shape)


def _is_first(operation: keras.Operation) -> bool:
    return getattr(operation, "data_format", None) == "channels_first"


def _channels(operation: keras.Operation, layout: Layout) -> int:
    """The axis of the features, without the batch."""
    return 0 if _is_first(operation) and len(layout.shape) == 3 else len(layout.shape) - 1


def _has_channels_first(model: keras.Model) -> bool:
    return any(
        _has_channels_first(layer) if isinstance(layer, keras.Model) else _is_first(layer)
        for layer in model.layers
    )


def _reason(operation: keras.Operation) -> str:
    return f"{operation.name!r} ({type(operation).__name__}) does more than moving them"
