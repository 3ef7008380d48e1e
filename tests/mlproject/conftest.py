"""Fixtures of the entry points."""

import contextlib

import pytest

from processes import starter


@pytest.fixture
def start(store, tmp_path):
    """Starts a process whose output goes to a file; it is killed after the test."""
    with starter(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def dask_client():
    """Of a cluster as a sweep starts it, but kept: its processes take seconds to start."""
    from mlproject import cluster

    with contextlib.ExitStack() as stack:
        yield cluster._local(stack, trials=2)


@pytest.fixture(scope="module")
def one_cluster(dask_client):
    """Sweeps of the module share a cluster; in processes of their own they start one."""
    from mlproject import cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "_local", lambda stack, trials: dask_client)
        yield
