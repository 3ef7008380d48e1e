"""Spoken words: ``load`` the data, ``build`` the network, make it ``deployable``."""

from tfnets.speech.data import load
from tfnets.speech.model import OBJECTIVE, build, check, deployable, execution, model_of

__all__ = ["OBJECTIVE", "build", "check", "deployable", "execution", "load", "model_of"]
