"""A PyTorch module's state_dict: its entries as arrays, and the modules they belong to."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import ml_dtypes
import numpy as np

from tfnets.errors import InputError

# Modules and layers are matched within each of these, which have these modules.
POOLS = {
    "matrix": "Linear or Embedding",
    "convolution": "Conv2d",
    "recurrent": "RNN, GRU or LSTM",
}
# Nothing is left out that nobody has named.
SKIP = "What belongs to no layer can be named in skip."

_OF_NUMPY = {"torch.float16", "torch.float32", "torch.float64"}
_ENTRY = re.compile(
    r"(?P<prefix>(?:.*\.)?)(?P<role>(?:weight|bias)(?:_ih|_hh)?)(?P<suffix>(?:_l\d+)?)"
)


class Module:
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


def read(
    state_dict: Mapping[str, Any], values: bool = True, skip: str | Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The entries of a state_dict as arrays.

    Args:
        state_dict: A module's ``state_dict()``.
        values: Whether the values matter; if not, an array is only of its entry's shape.
        skip: As for :func:`skipped`.

    Returns:
        Entry name -> array, in the state_dict's order, without those that are skipped.

    Raises:
        InputError: As for :func:`skipped`; for an entry that gives no array.
    """
    left_out = set(skipped(state_dict, skip))
    to_array = _array if values else _shape
    return {k: to_array(k, value) for k, value in state_dict.items() if k not in left_out}


def skipped(state_dict: Mapping[str, Any], skip: str | Sequence[str]) -> list[str]:
    """The names of the entries that are left out.

    Args:
        state_dict: A module's ``state_dict()``.
        skip: Patterns of names, ``("criterion.*", "*.num_batches_tracked")``, in which ``*``
            stands for any characters, dots too; or one pattern.

    Raises:
        InputError: For something other than a mapping; for a pattern that no name matches.
    """
    if not isinstance(state_dict, Mapping):
        raise InputError(
            f"the state_dict is a {type(state_dict).__name__}; "
            "expected a mapping of names to arrays, as module.state_dict() gives it."
        )
    patterns = [skip] if isinstance(skip, str) else list(skip)
    for pattern in patterns:
        if not any(fnmatchcase(str(name), pattern) for name in state_dict):
            names = ", ".join(map(str, list(state_dict)[:10])) or "none"
            more = f" and {len(state_dict) - 10} more" if len(state_dict) > 10 else ""
            raise InputError(
                f"skip names {pattern!r}, which is no entry's name; there are: {names}{more}."
            )
    return [
        name for name in state_dict if any(fnmatchcase(str(name), pattern) for pattern in patterns)
    ]


def _array(name: str, value: Any) -> np.ndarray:
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            if "float" in str(value.dtype) and str(value.dtype) not in _OF_NUMPY:
                value = value.float()  # bfloat16 and float8, which NumPy does not have
            value = value.numpy()
        elif not hasattr(value, "__array__"):
            raise TypeError
        return _widened(np.asarray(value))
    except (TypeError, RuntimeError, ValueError, AttributeError):
        dtype = f" of {value.dtype}" if hasattr(value, "dtype") else ""
        raise InputError(
            f"entry {name!r} is a {type(value).__name__}{dtype} that gives no NumPy array; "
            "expected a tensor with values or an array of floating-point numbers."
        ) from None


def _widened(array: np.ndarray) -> np.ndarray:
    """bfloat16 and the like as float32, which holds each of their values."""
    if not np.issubdtype(array.dtype, np.number):
        try:
            ml_dtypes.finfo(array.dtype)
        except (TypeError, ValueError, KeyError):  # not of these
            return array
        return array.astype(np.float32)
    return array


def _shape(name: str, value: Any) -> np.ndarray:
    """Something of an entry's shape, for entries whose values do not matter."""
    if not hasattr(value, "shape"):
        return _array(name, value)
    return np.broadcast_to(np.float32(0), tuple(value.shape))


def group(entries: dict[str, np.ndarray]) -> dict[str, list[Module]]:
    """The modules of a state_dict by what they are matched among, in their order.

    Raises:
        InputError: For entries that no module here has, among them those of bidirectional
            modules and projections; for a bias without its weight.
    """
    modules: dict[tuple[str, str], Module] = {}
    for name, array in entries.items():
        last = str(name).rpartition(".")[2]
        for sign, what in (("_reverse", "a bidirectional module"), ("weight_hr", "a projection")):
            if sign in last:
                raise InputError(
                    f"entry {name!r} of shape {array.shape} belongs to {what}; "
                    "expected RNN, GRU or LSTM in one direction and without proj_size."
                )
        match = _ENTRY.fullmatch(str(name))
        if not match or (match["suffix"] and "_" not in match["role"]):
            raise InputError(
                f"entry {name!r} of shape {array.shape} is superfluous; expected "
                f"those of {', '.join(POOLS.values())} modules. {SKIP}"
            )
        key = (match["prefix"], match["suffix"])
        modules.setdefault(key, Module(*key)).entries[match["role"]] = name

    pools: dict[str, list[Module]] = {pool: [] for pool in POOLS}
    for module in modules.values():
        pools[_pool(module, entries)].append(module)
    return pools


def _pool(module: Module, entries: dict[str, np.ndarray]) -> str:
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
            f"expected a matrix (Linear, Embedding) or four dimensions (Conv2d). {SKIP}"
        )
    return "matrix" if len(shape) == 2 else "convolution"
