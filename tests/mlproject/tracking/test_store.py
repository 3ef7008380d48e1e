"""The store is made once, whoever comes first, and never half."""

import os
import signal
import sqlite3
import sys

import mlflow
import pytest

from mlproject.process import environment
from mlproject.tracking import lifecycle, store
from processes import starter, wait_for
from tfnets.errors import InputError

ONE_RUN = """
import sys, time, pathlib
import mlproject.tracking.lifecycle as lifecycle
here = pathlib.Path.cwd()
(here / f"ready{sys.argv[1]}").touch()
while not (here / "go").exists():
    time.sleep(0.001)
with lifecycle.start_run("r", task="speech", stage="train", options={"n": sys.argv[1]}):
    pass
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with starter(tmp_path) as start:
        yield start


@pytest.mark.slow
@pytest.mark.race
def test_first_commands_that_come_at_once(start, tmp_path):
    processes = [start(sys.executable, "-c", ONE_RUN, str(n)) for n in range(3)]
    for number, process in enumerate(processes):
        wait_for(lambda n=number: (tmp_path / f"ready{n}").exists(), "its start", process)
    (tmp_path / "go").touch()
    for process in processes:
        assert process.wait() == 0, process.said
        assert "Traceback" not in process.said
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs(["0"])
    assert sorted(run.data.params["n"] for run in runs) == ["0", "1", "2"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert client.get_experiment("0").artifact_location == str(tmp_path / "mlruns" / "0")
    assert {p.suffix for p in tmp_path.iterdir() if "mlflow" in p.name} == {".db"}


@pytest.mark.slow
@pytest.mark.race
def test_one_that_is_killed_while_it_makes_the_store_leaves_none(start, tmp_path):
    process = start(sys.executable, "-c", ONE_RUN, "0")
    (tmp_path / "go").touch()
    wait_for(lambda: list(tmp_path.glob(".mlflow.db.*/new.db")), "a store", process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = start(sys.executable, "-c", ONE_RUN, "1")
    assert again.wait() == 0, again.said
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "sqlite:////nowhere/at/all/m.db",
            "cannot start a run at sqlite:////nowhere/at/all/m.db: the",
        ),
        ("sqlite:///{folder}", "cannot start a run at sqlite:///"),
        ("sqlite:///{folder}/text.db", "cannot start a run at sqlite:///"),
        ("postgresql+nothing://u@127.0.0.1:1/x", "cannot start a run at postgresql+nothing:"),
        ("mysql://u@127.0.0.1:1/x", "cannot start a run at mysql:"),
        ("gopher://x", "cannot start a run at gopher:"),
    ],
)
def test_what_a_store_throws_is_one_line(uri, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("this is no database\n" * 100)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(folder=tmp_path))
    with (
        pytest.raises(InputError) as caught,
        lifecycle.start_run("r", task="speech", stage="train", options={}),
    ):
        pass
    assert str(caught.value).startswith(message.format(folder=tmp_path))
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_store_that_is_there_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "mlflow.db").write_bytes(b"something")
    store.prepare()
    assert (tmp_path / "mlflow.db").read_bytes() == b"something"
    for uri in ("http://127.0.0.1:1", str(tmp_path / "runs"), "sqlite:///:memory:"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        store.prepare()
    assert environment.machine() == environment.machine()
