"""Human activity recognition: ``build`` the network."""

from tfnets.har.model import OBJECTIVE, build, execution

__all__ = ["OBJECTIVE", "build", "execution"]
