"""Fixtures of the entry points."""

import contextlib
import json
import os
from unittest import mock

import pytest

from processes import starter


@pytest.fixture
def start(store, tmp_path):
    """Starts a process whose output goes to a file; it is killed after the test."""
    with starter(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def keras_of_others(tmp_path_factory):
    """Environment variables of a user whose other programs want another Keras."""
    folder = tmp_path_factory.mktemp("keras")
    wanted = {"backend": "jax", "floatx": "float64", "image_data_format": "channels_first"}
    (folder / "keras.json").write_text(json.dumps(wanted | {"epsilon": 0.3}))
    return {"KERAS_BACKEND": "torch", "KERAS_HOME": str(folder)}


@pytest.fixture(scope="session")
def dask_client(keras_of_others):
    """Of a cluster as a sweep starts it, but kept: its processes take seconds to start."""
    from mlproject.sweeps import cluster

    with contextlib.ExitStack() as stack:
        with mock.patch.dict(os.environ, keras_of_others):  # a sweep's workers decide themselves
            client = cluster._local(stack, trials=2)
        yield client


@pytest.fixture(scope="module")
def one_cluster(dask_client):
    """Sweeps of the module share a cluster; in processes of their own they start one."""
    from mlproject.sweeps import cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "_local", lambda stack, trials: dask_client)
        yield
