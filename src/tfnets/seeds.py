"""Seeds for the initial weights of one network."""

import itertools
from collections.abc import Iterator

import numpy as np


def seeds(seed: int | None) -> Iterator[int | None]:
    """Endless seeds that follow from one; without one, endless None.

    What has no seed takes one from Python's ``random``, which belongs to the whole process:
    another thread that uses it, as those of a Dask worker do, changes the weights.
    """
    if seed is None:
        return itertools.repeat(None)
    generator = np.random.default_rng(seed)
    return (int(generator.integers(2**31)) for _ in itertools.count())
