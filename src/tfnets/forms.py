"""Networks, samples and labels in the forms that users have them in, made ready for training."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tfnets import programs
from tfnets.arrays import finite, from_one_hot, readable, row_of
from tfnets.dataset import Dataset, Split
from tfnets.errors import InputError

# Samples that a network is tried on.
_TRIED = 16


def built(build: Callable[[], keras.Model]) -> keras.Model:
    """Builds a network.

    Raises:
        InputError: For what builds none.
    """
    if isinstance(build, keras.Model) or not callable(build):
        raise InputError(
            f"build is a {type(build).__name__}; expected a function that builds a network, for "
            "the seed decides its initial weights."
        )
    model = build()
    if not isinstance(model, keras.Model):
        raise InputError(f"build gives a {type(model).__name__}; expected a keras.Model.")
    return model


def arrays(data: Dataset) -> Dataset:
    """The data with arrays as samples and labels; itself if they are.

    Raises:
        InputError: For samples that are no real numbers, and to train on or validate with also
            NaN and infinity; for labels of another number.
    """
    changed: dict[str, Any] = {}
    shape = None
    for name, split in data.splits.items():
        place = f"{data.source}: {name}"
        made = as_arrays(split, place)
        shape = made.x.shape[1:] if shape is None else shape
        if made.x.shape[1:] != shape:
            raise InputError(
                f"{place} samples have shape {made.x.shape[1:]}, others {shape}; they must be the "
                "same."
            )
        # Of the test only its loss is told, if at all.
        if name != "test" and made.x.dtype.kind == "f" and not np.isfinite(made.x).all():
            finite(made.x, row_of(f"{place}.x"))
        if made is not split:
            changed[name] = made
    return replace(data, **changed) if changed else data


def as_arrays(split: Split, place: str) -> Split:
    """A split whose samples and labels are arrays; itself if they are.

    Args:
        split: The samples and labels.
        place: What they are called: ``"data.npz: train"``.

    Raises:
        InputError: For samples that are no real numbers, and labels of another number.
    """
    made = {}
    for name in ("x", "y"):
        given = getattr(split, name)
        try:
            made[name] = np.asarray(given)
        except ValueError:  # lists of unlike lengths
            raise InputError(
                f"{place}.{name} is a {type(given).__name__} of unlike parts; expected an array."
            ) from None
    x, y = made["x"], made["y"]
    for name, array in made.items():
        if (
            not array.ndim
            or array.dtype.kind == "O"
            or (name == "x" and array.dtype.kind not in "fiub")
        ):
            raise InputError(
                f"{place}.{name} has shape {array.shape} and dtype {array.dtype}; expected an "
                "array of real numbers (n, ...)."
            )
    if len(x) != len(y) or not len(x):
        raise InputError(
            f"{place} has {len(x)} samples and {len(y)} labels; expected one label for each "
            "sample, and some of them."
        )
    return split if x is split.x and y is split.y else replace(split, x=x, y=y)


def taken(name: str, x: np.ndarray) -> contextlib.AbstractContextManager[None]:
    """A block in which a network is given samples; whatever it raises becomes one line.

    Raises:
        InputError: For any exception of the block; its own are left as they are.
    """
    return readable(f"{name} does not take samples of shape {x.shape[1:]} and dtype {x.dtype}")


def outputs(model: keras.Model, data: Dataset) -> np.ndarray:
    """What a network answers for some samples, ``(n, ..., classes)``; a new one is built by it.

    Of a network of tfnets, as it was built, only the shape counts.

    Raises:
        InputError: For a network that does not take such samples, or does not answer with one
            tensor.
    """
    x = next(iter(data.splits.values())).x[:_TRIED]
    if programs.is_as_built(model):
        wanted = tuple(model.input_shape[1:])
        fits = len(wanted) == x.ndim - 1 and all(
            size in (None, there) for size, there in zip(wanted, x.shape[1:], strict=True)
        )
        if not fits:
            raise InputError(
                f"model {model.name!r} takes samples of shape {wanted}; those of {data.source} "
                f"have {x.shape[1:]}."
            )
        return np.empty((len(x), *(size or 1 for size in model.output_shape[1:])))
    with taken(f"model {model.name!r}", x):
        found = model(x, training=False)
    if isinstance(found, list | tuple | dict):
        raise InputError(
            f"model {model.name!r} answers with a {type(found).__name__} of {len(found)}; "
            "expected one tensor, a number for each class."
        )
    return keras.ops.convert_to_numpy(found)


def with_class_numbers(data: Dataset, shape: tuple[int, ...], name: str) -> Dataset:
    """The data with labels as class numbers, int32: of any width, one-hot or in a column.

    Args:
        data: The data, of arrays.
        shape: Of the network's outputs, ``(n, ..., classes)``.
        name: The network's name.

    Raises:
        InputError: For a label that is no class.
    """
    changed: dict[str, Any] = {
        each: numbers(split, shape, f"{data.source}: {each}", name)
        for each, split in data.splits.items()
    }
    same = all(changed[each] is split for each, split in data.splits.items())
    return data if same else replace(data, **changed)


def numbers(split: Split, shape: tuple[int, ...], place: str, name: str) -> Split:
    """A split with class numbers as labels; itself if it has them.

    Args:
        split: Samples with labels.
        shape: As for :func:`with_class_numbers`.
        place: What the labels are called: ``"data.npz: train"``.
        name: As for :func:`with_class_numbers`.

    Raises:
        InputError: For a label that is no class.
    """
    y, classes = np.asarray(split.y), shape[-1]
    if y.ndim == 2 and y.shape[1] == 1 and len(shape) == 2:
        y = y[:, 0]
    # A label for each step is a class number where there are as many steps as classes.
    steps = len(shape) == 3 and y.ndim == 2 and y.dtype.kind in "iu" and shape[1] == classes
    if y.ndim > 1 and y.shape[-1] == classes and y.dtype.kind in "fiub" and not steps:
        rows = y.reshape(-1, classes)
        if np.isin(rows, (0, 1)).all() and (rows.sum(axis=1) == 1).all():
            y = from_one_hot(rows, row_of(f"{place}.y")).reshape(y.shape[:-1])
    if y.ndim >= len(shape):
        raise InputError(
            f"{place} labels have shape {y.shape} where {name} answers with {shape[1:]} for each "
            "sample; expected class numbers (n,) or one-hot rows."
        )
    whole = y.dtype.kind in "iub" or (y.dtype.kind == "f" and (y == np.floor(y)).all())
    if not whole or y.min() < 0 or y.max() >= classes:
        ends = f" from {y.min()} to {y.max()}" if y.dtype.kind in "iufb" else ""
        raise InputError(
            f"{place} labels are {y.dtype}{ends}; expected whole numbers from 0 to {classes - 1}, "
            f"one for each output of {name}."
        )
    if y is split.y and y.dtype == np.int32:
        return split
    return replace(split, y=y.astype(np.int32))
