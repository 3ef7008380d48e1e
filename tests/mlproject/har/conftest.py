"""A small file of windows whose classes differ in how fast they swing."""

import numpy as np
import pytest

CLASSES = ("calm", "slow", "fast")


def split(per_class, seed):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(CLASSES)), per_class)
    phase = rng.uniform(0, 6, (len(y), 1, 3))
    swing = np.sin(phase + np.arange(12)[None, :, None] * y[:, None, None])
    x = swing + rng.normal(scale=0.1, size=swing.shape)
    return x.astype(np.float32), y.astype(np.int32)


@pytest.fixture(scope="session")
def windows(tmp_path_factory):
    """An .npz file: 60 windows of 12 steps to train on, 15 to test; three classes."""
    path = tmp_path_factory.mktemp("har") / "swings.npz"
    (x_train, y_train), (x_test, y_test) = split(20, 0), split(5, 1)
    np.savez(
        path,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=np.array(CLASSES),
    )
    return path
