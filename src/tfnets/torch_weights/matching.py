"""Which layer gets the weights of which module, and whether they fit."""

import re

import numpy as np

from tfnets.errors import InputError
from tfnets.torch_weights.parts import GRU, LSTM, RNN, Part, Recurrent
from tfnets.torch_weights.state_dict import POOLS, SKIP, Module, group


def match(
    parts: list[Part], entries: dict[str, np.ndarray], ordered: bool = True
) -> list[tuple[Part, Module]]:
    """Each layer with its module, whose entries are complete and of the right shape.

    Where layers and modules have the same names, and their shapes agree, names decide; else the
    order. Layers of parallel branches have none: there shapes tell them apart.

    Args:
        parts: The layers.
        entries: A state_dict.
        ordered: Whether the entries have the module's order. If not, shapes tell the
            modules apart, and numbers in the names those of the same shape.

    Raises:
        InputError: For modules of another number or kind; for entries that are missing,
            superfluous or of another shape; for modules or layers that cannot be told apart.
    """
    pairs: list[tuple] = []
    for pool, modules in group(entries).items():
        wanted = [part for part in parts if part.pool == pool]
        if len(modules) != len(wanted):
            raise InputError(_count(pool, modules, wanted, entries))
        if named := _by_name(wanted, modules, entries):
            modules = named
        elif _has_branches(wanted) or not ordered:
            modules = _by_shape(wanted, modules, entries, ordered)
        pairs += zip(wanted, modules, strict=True)
    for part, module in pairs:
        _check(part, module, entries)
    return pairs


def _count(pool: str, modules: list[Module], parts: list[Part], entries: dict) -> str:
    have = [
        f"{name!r} {entries[name].shape}" for m in modules for name in list(m.entries.values())[:1]
    ]
    need = [f"{part.path!r} {next(iter(part.shapes.values()))}" for part in parts]
    advice = f" {SKIP}" if len(modules) > len(parts) else ""
    return (
        f"the state_dict has {len(modules)} of {POOLS[pool]}: {', '.join(have) or 'none'}; "
        f"the model needs {len(parts)}: {', '.join(need) or 'none'}.{advice}"
    )


def _by_name(parts: list[Part], modules: list[Module], entries: dict) -> list[Module] | None:
    """The modules, one for each layer, by their names; None if these do not say it."""
    named: dict[str, Module] = {}
    for module in modules:
        if module.suffix in ("", "_l0"):
            named[module.prefix.rstrip(".").rpartition(".")[2]] = module
    names = [part.path.rpartition(".")[2] for part in parts]
    if len(named) < len(modules) or set(names) != set(named):
        return None
    chosen = [named[name] for name in names]
    pairs = zip(parts, chosen, strict=True)
    fits = all(_weights_of(module, entries) == _weights(part.shapes) for part, module in pairs)
    return chosen if fits else None


def _has_branches(parts: list[Part]) -> bool:
    """Whether some layers stand side by side.

    Raises:
        InputError: If two of them have the same shapes.
    """
    pairs = [(a, b) for i, a in enumerate(parts) for b in parts[:i] if a.is_beside(b)]
    for one, other in pairs:
        if _weights(one.shapes) == _weights(other.shapes):
            raise InputError(
                f"layers {other.path!r} and {one.path!r} stand side by side and have the same "
                "shapes, so that order does not say which module belongs to which; give the "
                "layers the names that their modules have."
            )
    return bool(pairs)


def _weights(shapes: dict[str, tuple[int, ...]]) -> tuple:
    return tuple(shape for role, shape in sorted(shapes.items()) if "weight" in role)


def _weights_of(module: Module, entries: dict) -> tuple:
    return _weights({role: entries[name].shape for role, name in module.entries.items()})


def _by_shape(
    parts: list[Part], modules: list[Module], entries: dict, ordered: bool
) -> list[Module]:
    """The modules, one for each layer, by the shapes of their weights."""
    alike: dict[tuple, list[Module]] = {}
    for module in modules:
        alike.setdefault(_weights_of(module, entries), []).append(module)
    for same in [] if ordered else alike.values():
        names = [module.prefix + module.suffix for module in same]
        if len({re.sub(r"\d+", "#", name) for name in names}) > 1:
            first, second = (next(iter(module.entries.values())) for module in same[:2])
            raise InputError(
                f"entries {first!r} and {second!r} have the same shape, and names that differ in "
                "more than numbers do not say which comes first; save the weights as .npz, which "
                "keeps the order."
            )
        same.sort(key=lambda m: [int(n) for n in re.findall(r"\d+", m.prefix + m.suffix)])
    chosen = [alike[key].pop(0) if alike.get(key := _weights(p.shapes)) else None for p in parts]
    left = iter([module for same in alike.values() for module in same])
    return [module or next(left) for module in chosen]  # what is left has a wrong shape


def _check(part: Part, module: Module, entries: dict[str, np.ndarray]) -> None:
    if isinstance(part, Recurrent) and "weight_hh" in module.entries:
        name = module.entries["weight_hh"]
        shape = entries[name].shape
        for kind in (RNN, GRU, LSTM):
            fits = len(shape) == 2 and shape[0] == len(kind.gates) * shape[1]
            if fits and not isinstance(part, kind):
                raise InputError(
                    f"entry {name!r} of shape {shape} is of kind {kind.__name__}; "
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
                f"{part} needs {' and '.join(map(module.entry, part.shapes))} only. {SKIP}"
            )


def numbers(name: str, array: np.ndarray, part: Part) -> np.ndarray:
    """An entry's values in the dtype of the layer's weights.

    Raises:
        InputError: For values that are not floating-point, or not finite in that dtype.
    """
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
