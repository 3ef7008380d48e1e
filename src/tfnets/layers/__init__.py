"""Layers that Keras does not have, or has slower."""

from typing import Any

from tfnets.layers.fixed_length import FixedLength
from tfnets.layers.gru import GRU, GRUCell
from tfnets.layers.lstm import LSTM
from tfnets.layers.simple_rnn import SimpleRNN

# The kinds of recurrent layer by the name that they have as a parameter.
CELLS: dict[str, Any] = {"rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}

__all__ = ["CELLS", "GRU", "LSTM", "FixedLength", "GRUCell", "SimpleRNN"]
