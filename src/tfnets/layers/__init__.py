"""Recurrent layers that Keras does not have: see :mod:`tfnets.layers.gru`."""

from tfnets.layers.gru import GRU, GRUCell

__all__ = ["GRU", "GRUCell"]
