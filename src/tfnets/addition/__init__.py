"""Digit-wise addition: ``build`` the network."""

from tfnets.addition.model import OBJECTIVE, build, execution

__all__ = ["OBJECTIVE", "build", "execution"]
