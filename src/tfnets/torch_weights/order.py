"""Order of features in PyTorch, followed through a Keras model's graph.

Keras keeps a map as (height, width, channels), PyTorch as (channels, height, width). Whoever
flattens a map, or makes a sequence of it, gets the same numbers in another order, and the
weights that follow have to be reordered. Where each number went is found by sending sample
numbers through Keras' own layers.

Assumptions, which no state_dict can tell:

- Vectors, sequences (time, features) and what dense, recurrent and embedding layers give are
  laid out alike on both sides, and PyTorch's module reshapes and permutes them as Keras' does. So
  is an input of three axes in a model without convolutions and pooling; only where all of it is
  flattened is it taken for an image.
- Maps become vectors in PyTorch's own order, as ``flatten(1)`` gives it, and sequences with
  the channels outermost in each step, as ``permute(0, 2, 1, 3).flatten(2)`` gives them.
"""

import itertools
from collections.abc import Callable, Iterator
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
        guessed: Whether it is an input that no layer of the model takes for a map.
        order: PyTorch's index of each feature of the last axis, where only that differs.
        channels: Whether the last axis is that of a map's channels, wherever PyTorch has it.
        after: The ids of the layers with weights that it is made by.
    """

    shape: tuple[int, ...]
    dtype: str
    ids: np.ndarray | None = None
    torch: tuple[int, ...] = ()
    map: bool = False
    unknown: str = ""
    guessed: bool = False
    order: np.ndarray | None = None
    channels: bool = False
    after: frozenset[int] = frozenset()

    @property
    def places(self) -> np.ndarray:
        """The ids, written out."""
        return _counted(self.shape) if self.ids is None else self.ids

    @property
    def is_map(self) -> bool:
        """Whether it lies otherwise in PyTorch, in whatever shape."""
        return (self.map and not self.guessed) or self.order is not None


def follow(model: keras.Model) -> "Graph":
    """Follows the order of features through a model.

    Args:
        model: A functional or built sequential model.

    Raises:
        InputError: For a model whose graph gives no shapes.
    """
    first = any(map(_is_first, _layers(model)))
    guessed = not any(map(_takes_maps, _layers(model)))
    error: Exception | None = None
    for length in _LENGTHS:
        graph = Graph()
        try:
            graph.follow(model, [_given(each, length, first, guessed) for each in model.inputs])
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
            given = _main(args, kwargs)
            self._note(operation, given, after)
            after |= {id(operation)}
            if not unknown:
                outputs = [_of_weights(operation, given, output) for output in outputs]
        elif not unknown:

            def run(values: list) -> list:
                remaining = iter(values)
                placed, named = _replaced((args, kwargs), lambda _: next(remaining))
                return keras.tree.flatten(operation(*placed, **named))

            outputs = _of_other(operation, inputs, outputs, run)
        outputs = [replace(output, after=after) for output in outputs]
        return keras.tree.pack_sequence_as(spec, outputs)

    def _note(self, layer: keras.Layer, layout: Layout, after: frozenset[int]) -> None:
        self.after[id(layer)] = self.after.get(id(layer), frozenset()) | after
        if not hasattr(layer, "kernel") and not hasattr(layer, "cell"):
            return
        axis = _channels(layer, layout)
        order = _features(layout, axis)
        makes_map = not layout.is_map and len(layout.shape) == 3 and hasattr(layer, "data_format")
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
    if given.is_map and len(given.shape) > 2:
        return _like(output, unknown=_reason(layer))
    return output


def _of_other(
    operation: keras.Operation, inputs: list[Layout], outputs: list[Layout], run: Callable
) -> list[Layout]:
    """The layouts of what an operation without weights gives."""
    ranks = [len(v.shape) for v in (*inputs, *outputs)]
    if not any(v.map or v.is_map for v in inputs) and max(ranks, default=0) < 3:
        return outputs  # vectors and sequences, which PyTorch's module treats likewise
    # Pooling and the like take maps as they lie, which is not the same on both sides.
    imposes = bool(getattr(operation, "data_format", None)) and len(inputs[0].shape) == 3
    if len(outputs) == 1 and not (imposes and len(outputs[0].shape) == 3):
        found = _kept(inputs, outputs[0], run) or _moved(inputs, outputs[0], run)
        if found is not None:
            return [found]
    if not imposes and not any(v.is_map for v in inputs):
        return outputs
    if all(_is_proper(v, _channels(operation, v)) for v in inputs):
        return [
            _as_map(output, operation)
            if len(output.shape) == 3
            else _by_feature(operation, inputs, output, run)
            for output in outputs
        ]
    if len(outputs) == 1 and not imposes:
        return [_by_feature(operation, inputs, outputs[0], run)]
    return [_like(output, unknown=_reason(operation)) for output in outputs]


def _by_feature(
    operation: keras.Operation, inputs: list[Layout], output: Layout, run: Callable
) -> Layout:
    """The layout of what is made for each feature by itself, as pooling over time or places does.

    Moving features before the operation then is moving them after it.
    """
    (given,) = inputs if len(inputs) == 1 else (None,)
    axis = -1 if given is None else _channels(operation, given)
    if given is None or not given.shape or not output.shape:
        return _like(output, unknown=_reason(operation))
    order = _features(given, axis)
    if isinstance(order, str) or output.shape[-1] != len(order) or len(output.shape) > 2:
        return _like(output, unknown=order if isinstance(order, str) else _reason(operation))
    x = np.random.default_rng(0).normal(size=(1, *given.shape)).astype(np.float32)
    batched = axis + 1 if axis >= 0 else axis
    before = _run(run, [x])
    for moved in _generators(len(order)):
        after = _run(run, [np.take(x, moved, axis=batched)])
        if (
            before is None
            or after is None
            or not np.allclose(after, before[..., moved], 1e-3, 1e-5)
        ):
            return _like(output, unknown=_reason(operation))
    same = np.array_equal(order, np.arange(len(order)))
    return replace(output, order=None if same else order)


def _generators(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Two ways of moving things that all others are made of: two exchanged, all turned."""
    exchanged, turned = np.arange(size), np.roll(np.arange(size), 1)
    exchanged[:2] = exchanged[:2][::-1]
    return exchanged, turned


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
        return found if np.array_equal(np.sort(found, axis=None), np.arange(total)) else None

    labels = [_counted(v.shape) + start for v, start in zip(inputs, starts, strict=False)]
    found = through(labels)
    # The same way for other numbers: it does not depend on the values.
    mirrored = through([total - 1 - v for v in labels])
    if found is None or mirrored is None or not np.array_equal(mirrored, total - 1 - found):
        return None
    if len(inputs) == 1:
        (given,) = inputs
        if given.order is not None:
            return None
        ids = given.places.ravel()[found]
        torch = given.torch or given.shape
        return Layout(output.shape, output.dtype, ids, torch, given.map, guessed=given.guessed)
    # Several are put together as PyTorch puts them together; each in PyTorch's order first.
    resolved = [v for v in map(_resolved, inputs) if not isinstance(v, str)]
    maps = any(v.is_map for v in inputs)
    if len(resolved) < len(inputs) or (maps and len(output.shape) == 3):
        return None
    place = np.empty(total, np.int64)
    place[found.ravel()] = np.arange(total)
    theirs = np.concatenate([v.ravel() + s for v, s in zip(resolved, starts, strict=False)])
    ids = place[theirs[found]]
    if len(output.shape) == 3:  # sequences side by side, or maps of one channel
        side_by_side = all(len(v.shape) == 2 or _is_proper(v, 2) for v in inputs)
        return replace(output, channels=side_by_side)
    rows = ids.reshape(-1, output.shape[-1]) % output.shape[-1]
    if not maps or (rows != rows[0]).any():
        return None if maps else output
    return replace(output, order=rows[0])


def _kept(inputs: list[Layout], output: Layout, run: Callable) -> Layout | None:
    """The layout of numbers that keep their places; None if they do not.

    An operation treats all places alike if moving the numbers before it is moving them after it.
    """
    first = inputs[0]
    if any(v.shape != output.shape or v.map != first.map for v in inputs):
        return None
    for v in inputs:
        if not np.array_equal(v.places, first.places) or v.guessed != first.guessed:
            return None
        mine, others = (np.arange(0) if e.order is None else e.order for e in (first, v))
        if not np.array_equal(mine, others):
            return None
    size = int(np.prod(output.shape))
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(1, size)).astype(np.float32) for _ in inputs]

    def through(order: np.ndarray) -> np.ndarray | None:
        found = _run(run, [v[:, order].reshape(1, *output.shape) for v in values])
        return None if found is None else found.reshape(-1)

    before = through(np.arange(size))
    for order in _generators(size):
        after = through(order)
        if before is None or after is None or not np.allclose(after, before[order], 1e-3, 1e-5):
            return None
    return replace(first, dtype=output.dtype)


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
    if layout.order is not None:
        return layout.order
    if not layout.map or (layout.guessed and len(layout.shape) > 1):
        return np.arange(count)
    rows = np.moveaxis(layout.places, axis, -1).reshape(-1, count)
    order = np.argsort(np.argsort(rows, axis=1), axis=1)
    if count == 1:
        return order[0]
    if (order != order[0]).any():
        return "each step has its features in another order"
    # The features of a step are whole axes of the map, one after the other.
    places = np.stack(np.unravel_index(rows, layout.torch), axis=-1)
    varying = (places != places[:, :1]).any(axis=(0, 1))
    sizes = np.array(layout.torch)[varying]
    if int(np.prod(sizes)) != count:
        return f"a map of (channels, height, width) {layout.torch} is cut across its axes"
    own = places[:, :, varying]
    for turn in itertools.permutations(range(len(sizes))):
        wanted = np.stack(np.unravel_index(np.arange(count), sizes[list(turn)]), axis=-1)
        if (own[:, :, list(turn)] == wanted).all():
            return order[0]
    return "they are in an order of their own, flipped or shuffled"


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
        return not layout.is_map
    if layout.is_map:
        order = _features(layout, axis)
        return not isinstance(order, str) and np.array_equal(order, np.arange(len(order)))
    # A sequence whose features became channels; or a vector, of which PyTorch makes a view.
    torch = layout.torch or layout.shape
    kept = [size for size in layout.shape if size != 1] == [size for size in torch if size != 1]
    in_place = np.array_equal(layout.places.ravel(), np.arange(layout.places.size))
    if layout.channels or (len(torch) == 2 and kept and in_place):
        return True
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


def _given(tensor: keras.KerasTensor, length: int, channels_first: bool, guessed: bool) -> Layout:
    """The layout of a model's input."""
    shape = tuple(length if size is None else size for size in tensor.shape[1:])
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if len(shape) == 3:
        return replace(_map(shape, dtype, channels_first), guessed=guessed)
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


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else (layer,)


def _takes_maps(layer: keras.Layer) -> bool:
    return any(base.__name__.endswith("2D") for base in type(layer).__mro__)


def _main(args: tuple, kwargs: dict) -> Layout:
    """What a layer with weights takes: its first argument, however it was given."""
    given = (*args, kwargs.get("sequences"), kwargs.get("inputs"), *kwargs.values())
    return next(v for v in keras.tree.flatten(given) if isinstance(v, Layout))


def _reason(operation: keras.Operation) -> str:
    return f"{operation.name!r} ({type(operation).__name__}) does more than moving them"
