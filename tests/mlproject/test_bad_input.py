"""Every case of :mod:`bad_input` in this process; those that need it in fresh ones."""

import contextlib
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import bad_input
import servers
from mlproject.cli import cli
from tfnets.cache import directory

# The folder's name until there is one: cases are listed before anything is made.
ALL = list(bad_input.cases("{place}"))


def test_there_are_enough_of_them():
    assert len(ALL) >= 150
    assert {command for command, _, _ in ALL} == {
        *("speech fc", "speech from-torch", "speech classify", "speech compare"),
        *("speech evaluate", "speech robustness"),
        *("har rnn", "har sweep", "har early-stopping", "har all"),
        *("addition rnn", "addition study", "addition from-torch", "addition add"),
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    bad_input.make_files(folder)
    yield folder
    for path in folder.rglob("*"):  # or pytest could not delete them
        with contextlib.suppress(OSError):
            path.chmod(0o700)


@pytest.fixture(scope="module")
def _adder(shared_store, command):
    """An adder that is there to be asked."""
    small = {"steps": 1, "hidden_size": 4, "embedding_dim": 4, "register_as": "adder"}
    result = command(cli.commands["addition"], "rnn", **small)
    assert result.exception is None, result.output


def words_of(command, options, place):
    words = command.split()
    for key, value in options.items():
        words += [f"--{key.replace('_', '-')}", str(value).replace("{place}", str(place))]
    return words


def contents(*folders):
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("entry", "options", "line"),
    ALL,
    ids=[
        f"{number} {command} " + re.sub(r"[^ -~]", "?", str(list(options.items())[-1])[:60])
        for number, (command, options, _) in enumerate(ALL)
    ],
)
@pytest.mark.usefixtures("_adder")
def test_it_is_one_line(shared_store, monkeypatch, place, entry, options, line):
    before = contents(Path.cwd(), directory())
    known = {run.info.run_id for run in shared_store.search_runs(everywhere(shared_store))}
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    words = words_of(entry, options, place)
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    error = result.exception
    assert isinstance(error, ValueError | MemoryError) or hasattr(error, "format_message"), error
    said = error.format_message() if hasattr(error, "format_message") else str(error)
    assert re.search(line, said), said
    assert "\n" not in said.strip()
    assert 0 < len(said) < 6000
    runs = shared_store.search_runs(everywhere(shared_store))
    for run in runs:
        if run.info.run_id not in known:
            assert run.info.status == "FAILED"
            assert run.data.tags["error"] == " ".join(said.split())[:500]
            artifacts = {entry.path for entry in shared_store.list_artifacts(run.info.run_id)}
            assert artifacts <= {"data.txt"}  # what the data were, where they were good
    new = contents(Path.cwd(), directory()) - before
    good = {"features", "corpus", "watch"}, {"data"}  # cached data that were good; data.txt
    assert not [path for path in new if not any(names & words_in(path) for names in good)]


def words_in(path):
    return set(re.split(r"[^a-z]", str(path)))


def everywhere(store):
    return [experiment.experiment_id for experiment in store.search_experiments()]


LARGE = [
    case
    for case in ALL
    if re.search("bomb|declare|2147483647|_lies|st_text|words_binary", str(case[1].values()))
]


# A process's peak counts what its parent had in memory when it forked, and one of pytest has up to
# 2 GB: a small one stands in between.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def first_of_each_kind(cases):
    """The others are for the night: each takes a process of its own."""
    seen = set()
    for number, case in enumerate(cases):
        kind = re.search(r"\w+\.\w+|2147483647", str(list(case[1].values())))[0]
        night = [pytest.mark.nightly] * (kind in seen)
        yield pytest.param(*case, marks=[pytest.mark.slow, *night], id=str(number))
        seen.add(kind)


@pytest.mark.parametrize(("entry", "options", "line"), list(first_of_each_kind(LARGE)))
def test_it_costs_no_memory(store, place, start, entry, options, line):
    words = words_of(entry, options, place)
    process = start(sys.executable, "-c", MEASURED, "tfnets", *words)
    assert process.wait() in (1, 2), process.said
    *_, last, kilobytes = process.said.strip().splitlines()
    assert last.startswith("Error: ")
    assert re.search(line, last), last
    assert "Traceback" not in process.said
    assert 20_000 < int(kilobytes) < 1_500_000


CLOSED = [
    ("har rnn", "h5_closed.h5", r"h5_closed\.h5.*Permission denied"),
    ("speech fc", "wav_closed", r"no/b_nohash_0\.wav: cannot be read: Permission denied"),
    ("speech from-torch", "closed/model.npz", r"closed/model\.npz.*Permission denied"),
    ("har rnn", "npz_closed.npz", r"npz_closed\.npz.*Permission denied"),
    ("har rnn", "closed/inside", r"closed/inside.*Permission denied"),
    ("speech fc", "closed/inside", r"closed/inside.*Permission denied"),
    ("speech classify", "closed/x.wav", r"closed/x\.wav: cannot be read: Permission denied"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "name", "line"),
    [*CLOSED[:3], *(pytest.param(*case, marks=pytest.mark.nightly) for case in CLOSED[3:])],
)
def test_who_may_not_read_it_is_told(store, place, start, entry, name, line):
    """Where we are root: without the rights by which permissions mean nothing to root."""
    bound = []
    if os.getuid() == 0:
        if not shutil.which("setpriv"):
            servers.missing("setpriv", "there is no setpriv to give up rights")
        bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    option = {"speech classify": "wav", "speech from-torch": "checkpoint"}.get(entry, "data")
    words = [*entry.split(), f"--{option}", str(place / name)]
    if entry == "speech fc":
        words += ["--words", "no,go"]
    process = start(*bound, "tfnets", *words)
    assert process.wait() == 1, process.said
    last = process.said.strip().splitlines()[-1]
    assert re.search(f"^Error: .*{line}", last), process.said
    assert "Traceback" not in process.said
