"""Spoken words: ``load`` the data, ``build`` the network, make it ``deployable``."""

from tfnets.speech.data import load
from tfnets.speech.model import build, check, deployable

__all__ = ["build", "check", "deployable", "load"]
