"""How many workers a local sweep starts."""

import pytest

from mlproject.process import environment
from mlproject.sweeps import cluster

GB = 10**9


@pytest.mark.parametrize(
    ("cores", "trials", "memory", "workers"),
    [
        (2, 8, 24 * GB, 2),
        (8, 24, 8 * GB, 5),  # a share of 1 GB each
        (16, 24, 16 * GB, 12),
        (8, 3, 8 * GB, 3),
        (8, 8, 64 * GB, 8),
        (4, 4, 2 * GB, 1),
        (2, 2, GB // 2, 1),
        (1, 4, GB, 1),
    ],
)
def test_workers_have_the_memory_that_tensorflow_needs(
    monkeypatch, capsys, cores, trials, memory, workers
):
    monkeypatch.setattr(environment, "cpus", lambda: cores)
    monkeypatch.setattr(cluster, "memory_limit", lambda: memory)
    assert cluster._workers(trials) == workers
    said = capsys.readouterr()
    wanted = min(cores, trials)
    line = f"{workers} of {wanted} workers: there are {memory / 1e9:.1f} GB of memory"
    assert ((said.out + said.err).count(line) == 1) == (workers < wanted)
