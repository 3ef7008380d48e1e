"""Training windows that are never the same twice: worn differently, harder, shakier.

Um et al. 2017, arXiv:1706.00527: rotation, scaling and jitter of wearable sensors.
"""

import numpy as np

TURN = 30.0  # degrees, the standard deviation
SCALE = 0.1  # the standard deviation of the factor
JITTER = 0.05  # of the training windows' own standard deviation
_AXES = 3


def changed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Windows for one epoch.

    Each is turned about an axis of its own (every three channels are the axes of one sensor; a
    number of channels that three does not divide is not turned), multiplied by a factor, and
    noise is added.

    Args:
        x: Windows ``(n, time, channels)`` float32.
        rng: Where all chance comes from.

    Returns:
        The same shape.
    """
    n, time, channels = x.shape
    result = x * rng.normal(1, SCALE, (n, 1, 1)).astype(np.float32)
    turns = rotations(rng, n)
    if channels % _AXES == 0:
        sensors = result.reshape(n, time, channels // _AXES, _AXES)
        result = np.einsum("ntsa,nba->ntsb", sensors, turns).reshape(x.shape)
    noise = rng.standard_normal(x.shape, np.float32)
    return (result + noise * np.float32(JITTER * x.std())).astype(np.float32)


def rotations(rng: np.random.Generator, n: int) -> np.ndarray:
    """``(n, 3, 3)`` float32: about axes of any direction, by normally distributed angles."""
    axis = rng.normal(size=(n, _AXES))
    x, y, z = (axis / np.linalg.norm(axis, axis=1, keepdims=True)).T
    angle = np.radians(rng.normal(0, TURN, n))
    zero = np.zeros(n)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(n, 3, 3)
    sine, rest = np.sin(angle)[:, None, None], 1 - np.cos(angle)[:, None, None]
    return (np.eye(3) + sine * cross + rest * (cross @ cross)).astype(np.float32)  # Rodrigues
