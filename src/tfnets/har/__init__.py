"""Human activity recognition: ``load`` the data, ``build`` the network."""

from tfnets.har.data import load
from tfnets.har.model import OBJECTIVE, build, execution

__all__ = ["OBJECTIVE", "build", "execution", "load"]
