"""Every case of :mod:`bad_input` in this process; those that need it in fresh ones."""

import contextlib
import os
import re
import shutil
import sys
import tempfile
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


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "options", "line"), LARGE, ids=range(len(LARGE)))
def test_it_costs_no_memory(store, place, start, entry, options, line):
    process = start("tfnets", *words_of(entry, options, place))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (1, 2), process.said
    last = process.said.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert re.search(line, last), last
    assert "Traceback" not in process.said
    assert usage.ru_maxrss < 1_500_000  # kB


CLOSED = [
    ("har rnn", "h5_closed.h5", r"h5_closed\.h5.*Permission denied"),
    ("har rnn", "npz_closed.npz", r"npz_closed\.npz.*Permission denied"),
    ("har rnn", "closed/inside", r"closed/inside.*Permission denied"),
    ("speech fc", "closed/inside", r"closed/inside.*Permission denied"),
    ("speech fc", "wav_closed", r"no/b_nohash_0\.wav: cannot be read: Permission denied"),
    ("speech classify", "closed/x.wav", r"closed/x\.wav: cannot be read: Permission denied"),
    ("speech from-torch", "closed/model.npz", r"closed/model\.npz.*Permission denied"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "name", "line"), CLOSED)
def test_who_may_not_read_it_is_told(start, entry, name, line):
    """As a user who is not root, whom permissions mean nothing to."""
    if os.getuid() == 0 and not shutil.which("setpriv"):
        servers.missing("setpriv", "there is no setpriv to become another user")
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] * (os.getuid() == 0)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place, home = Path(folder) / "bad", Path(folder) / "home"
        Path(folder).chmod(0o755)
        home.mkdir()
        home.chmod(0o777)
        place.mkdir()
        bad_input.make_files(place)
        option = {"speech classify": "wav", "speech from-torch": "checkpoint"}.get(entry, "data")
        words = [*entry.split(), f"--{option}", str(place / name)]
        if entry == "speech fc":
            words += ["--words", "no,go"]
        there = {
            "HOME": str(home),
            "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
            "TFNETS_CACHE": str(home / "cache"),
            "TFNETS_STATE": str(home / "state"),
        }
        code = f"import os; os.chdir({str(home)!r}); from mlproject.cli import main; main()"
        process = start(*other, sys.executable, "-c", code, *words, **there)
        assert process.wait() == 1, process.said
        last = process.said.strip().splitlines()[-1]
        assert re.search(f"^Error: .*{line}", last), process.said
        assert "Traceback" not in process.said
        (place / "closed").chmod(0o755)
