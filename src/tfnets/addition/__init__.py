"""Digit-wise addition: ``load`` pairs of numbers, ``build`` a network, add with an ``Adder``."""

from tfnets.addition.adder import Adder, exact_sum
from tfnets.addition.data import add, held_out, load
from tfnets.addition.model import OBJECTIVE, build, execution, of_torch

__all__ = [
    "OBJECTIVE",
    "Adder",
    "add",
    "build",
    "exact_sum",
    "execution",
    "held_out",
    "load",
    "of_torch",
]
