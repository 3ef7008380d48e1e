"""Processes as a user starts them, for tests that need some of their own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request

import mlflow
import pytest
from mlflow.pyfunc import scoring_server

from mlproject.process import signals

# In seconds: for what hangs, not for what is slow on a busy machine.
PATIENCE = 300


class Process(subprocess.Popen):
    """A process whose output goes to a file, ``log``."""

    def wait(self, timeout=PATIENCE):
        try:
            return super().wait(timeout)
        except subprocess.TimeoutExpired:
            self.fail(f"{self.args} did not end in {timeout} s")

    @property
    def said(self):
        return self.log.read_text()

    def fail(self, why):
        """Fails the test with what the process said, and with where it hangs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGABRT)  # faulthandler writes tracebacks
            time.sleep(2)
        pytest.fail(f"{why}; the process said:\n{self.said}")


@contextlib.contextmanager
def starter(folder):
    """Gives a function that starts a process whose output goes to a file in the folder.

    They are killed in the end, with what they have started.
    """
    started = []

    def start(*words, **more):
        log = folder / f"log{len(started)}"
        path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "PYTHONFAULTHANDLER": "1"}
        environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # as a user has it: quiet all the same
        environment |= more
        with log.open("w") as output, default_signals():
            process = Process(
                words,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        process.log = log
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def default_signals():
    """Tests can themselves run under nohup or in the background; their processes must not."""
    ignored = [each for each in signals.SIGNALS if signal.getsignal(each) == signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, signal.SIG_DFL)
    try:
        yield
    finally:
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)


def wait_for(condition, what, process, lives=True):
    """The first true answer of a condition.

    Without one in time the test fails, and at once if the process has ended that is to
    bring it about; whoever has ended it before says that it no longer ``lives``.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        over = lives and process.poll() is not None
        result = condition()
        if result:
            return result
        if over:
            break
        time.sleep(0.05)
    process.fail(f"{what} did not happen")


def free_port():
    """A port of the loopback device that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_up(address):
    """Whether a server answers."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def serve(start, uri):
    """Starts ``mlflow models serve``; a function that asks it."""
    port = free_port()
    words = ("mlflow", "models", "serve", "-m", uri, "--env-manager", "local")
    server = start(*words, "-p", str(port))
    wait_for(lambda: is_up(f"http://127.0.0.1:{port}/ping"), "the server's start", server)

    def ask(inputs, key="inputs", body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            data=body or json.dumps({key: inputs}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["predictions"]

    return ask


def ask_as_a_server_does(uri, inputs):
    """What ``mlflow models serve`` answers, computed here by the function that it calls."""
    status, answer = post_as_to_a_server(uri, json.dumps({"inputs": inputs}))
    assert status == 200
    return answer["predictions"]


def post_as_to_a_server(uri, body):
    """The status and the JSON that ``mlflow models serve`` answers to a request's body."""
    model = mlflow.pyfunc.load_model(uri)
    schema = model.metadata.get_input_schema()
    answer = scoring_server.invocations(body, "application/json", model, schema)
    return answer.status, json.loads(answer.response)


def where_nothing_is_installed(code, folder):
    """The last line, as JSON, that a program prints where tfnets and mlproject are not installed.

    MLflow is, and logs to the same store.
    """
    # -S leaves out what the editable installation put on the path; -I the current folder.
    before = f"""
import sys
sys.path += {[sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]!r}
import importlib.util, json
assert importlib.util.find_spec("tfnets") is None
assert importlib.util.find_spec("mlproject") is None
import mlflow
mlflow.set_tracking_uri({mlflow.get_tracking_uri()!r})
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", before + code],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])
