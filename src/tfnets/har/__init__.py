"""Human activity recognition: ``load`` the data, ``build`` the network."""

from tfnets.har.data import load
from tfnets.har.model import OBJECTIVE, build, deployable, execution, objective

__all__ = ["OBJECTIVE", "build", "deployable", "execution", "load", "objective"]
