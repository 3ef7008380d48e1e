"""Digit-wise addition: ``build`` the network."""

from tfnets.addition.model import build

__all__ = ["build"]
