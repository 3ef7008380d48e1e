"""Layers that Keras does not have."""

from tfnets.layers.fixed_length import FixedLength
from tfnets.layers.gru import GRU, GRUCell

__all__ = ["GRU", "FixedLength", "GRUCell"]
