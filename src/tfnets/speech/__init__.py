"""Spoken words: ``load`` the data, ``build`` the network, make it ``deployable``."""

from tfnets.speech.data import folds, load
from tfnets.speech.model import OBJECTIVE, build, check, deployable, execution, model_of

__all__ = ["OBJECTIVE", "build", "check", "deployable", "execution", "folds", "load", "model_of"]
