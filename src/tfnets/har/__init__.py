"""Human activity recognition: ``load`` the data, ``build`` the network."""

from tfnets.har.data import folds, load
from tfnets.har.model import (
    LOSSES,
    OBJECTIVE,
    activation_of,
    build,
    deployable,
    execution,
    objective,
)

__all__ = [
    "LOSSES",
    "OBJECTIVE",
    "activation_of",
    "build",
    "deployable",
    "execution",
    "folds",
    "load",
    "objective",
]
