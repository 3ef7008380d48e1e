"""The store is made once, whoever comes first, and never half."""

import os
import signal
import sqlite3
import sys
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

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
@pytest.mark.parametrize("there", ["no file", "an empty file"])
def test_first_commands_that_come_at_once(start, tmp_path, there):
    if there == "an empty file":
        (tmp_path / "mlflow.db").touch()
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


ADDRESSES = {
    "sqlite:///{0}/mlflow.db": "mlflow.db",
    "sqlite:///{0}/My Project.db": "My Project.db",
    "sqlite:///{0}/My%20Project.db": "My Project.db",
    "sqlite:///{0}/%C3%9Cbung.db": "Übung.db",
    "sqlite:///{0}/50%25 #1.db": "50% #1.db",
    "sqlite:///{0}/really%3F.db?timeout=30": "really?.db",
    "sqlite+pysqlite:///{0}/a+b.db?timeout=30": "a+b.db",
    "sqlite:///file:{0}/a%2520b.db?uri=true": "a b.db",
    "sqlite:///file://{0}/c.db?uri=true&mode=rwc": "c.db",
    "sqlite:///relative%20one.db": "relative one.db",
    "sqlite:///file:relative.db?uri=true": "relative.db",
}


@pytest.mark.parametrize(("uri", "name"), ADDRESSES.items())
def test_the_file_of_an_address_is_the_one_that_sqlite_opens(uri, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = uri.format(tmp_path)
    for address in (uri, store.absolute(uri)):
        engine = sqlalchemy.create_engine(address)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (n)")
        engine.dispose()
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert tmp_path / store.sqlite_file(address) == tmp_path / name
    monkeypatch.chdir("/")  # a worker's folder
    assert store.sqlite_file(store.absolute(address)) == tmp_path / name


@pytest.mark.parametrize(
    "uri",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true", "http://h:5000",
     "postgresql://u@h/x", "sqlite:///file::memory:?uri=true", "./mlruns", "sqlite"],
)  # fmt: skip
def test_what_has_no_file(uri):
    assert store.sqlite_file(uri) is None
    assert store.absolute(uri) == uri


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_path_survives_its_address(name):
    path = Path("/") / name
    assert store.sqlite_file(store._uri_of(path)) == path
    assert sqlalchemy.make_url(store._uri_of(path)).database == str(path)


@pytest.mark.skipif(os.name != "posix", reason="there it is a path")
def test_a_drive_of_windows_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for uri in (r"sqlite:///C:\Users\me\mlflow.db", "sqlite:///d:/mlflow.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with (
            pytest.raises(
                InputError, match=r"the store is sqlite:.*, a path of Windows; expected"
            ),
            lifecycle.start_run("r", task="speech", stage="train", options={}),
        ):
            pass
    assert not list(tmp_path.iterdir())


def test_a_percent_sign_that_is_not_encoded_is_told(tmp_path, monkeypatch):
    (tmp_path / "per%cent").mkdir()
    monkeypatch.chdir(tmp_path / "per%cent")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/per%cent/mlflow.db")
    with (
        pytest.raises(InputError, match=r"percent signs are .*; in an address % is written %25\."),
        lifecycle.start_run("r", task="speech", stage="train", options={}),
    ):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["per%cent"]
