"""Fixtures of the entry points."""

import pytest

from processes import starter


@pytest.fixture
def start(store, tmp_path):
    """Starts a process whose output goes to a file; it is killed after the test."""
    with starter(tmp_path) as start:
        yield start
