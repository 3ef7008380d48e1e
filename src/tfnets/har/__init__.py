"""Human activity recognition: ``build`` the network."""

from tfnets.har.model import build

__all__ = ["build"]
