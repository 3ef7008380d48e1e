"""Layers that Keras does not have, or has slower."""

from tfnets.layers.fixed_length import FixedLength
from tfnets.layers.gru import GRU, GRUCell
from tfnets.layers.lstm import LSTM
from tfnets.layers.simple_rnn import SimpleRNN

__all__ = ["GRU", "LSTM", "FixedLength", "GRUCell", "SimpleRNN"]
