"""What stays flat: memory over 100 trainings, times in a store of 2,000 runs, a busy server.

    python benchmarks/soak.py trainings [--n 100]
    python benchmarks/soak.py store [--n 2000]
    python benchmarks/soak.py server [--n 200]

``trainings``: 100 trainings in one process by the real commands; memory is what the process has
written (anonymous pages; libraries in memory are others', too) after a garbage collection.
``store``: a command from its start to its end, and a study that is resumed when all is done, in an
empty store and in one of 2,000 runs, in turn. ``server``: as many requests at once to
``mlflow models serve``.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import psutil

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

# Each turn: other seeds and rates, the same shapes.
COMMANDS = {
    "har": ("rnn", "--epochs", "2", "--units", "20"),
    "addition": ("rnn", "--steps", "100"),
    "speech": ("fc", "--epochs", "2", "--clips", "60"),
}


def anonymous() -> float:
    """Megabytes that this process has written: they do not depend on what else is running."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024 / 1e6


def trainings(n: int, tasks: list[str]) -> None:
    """Trains n times, the tasks in turn, and prints what the process holds after each tenth."""
    import mlflow

    from mlproject.cli import cli

    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        seconds: dict[str, list[float]] = {task: [] for task in tasks}
        print("trainings  memory, MB  files  threads  seconds a training, by task")
        for turn in range(1, n + 1):
            task = tasks[turn % len(tasks)]
            rate = 0.01 + 0.0001 * turn
            words = [task, *COMMANDS[task], "--seed", str(turn), "--learning-rate", str(rate)]
            started = time.perf_counter()
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                cli.main(words, standalone_mode=False)
            seconds[task].append(time.perf_counter() - started)
            if turn % (n // 10) == 0 or turn == 3:
                gc.collect()
                memory = anonymous()
                latest = "  ".join(
                    f"{task} {statistics.median(times[-5:]):.2f}"
                    for task, times in seconds.items()
                    if times
                )
                held = f"{process.num_fds():5}  {process.num_threads():7}"
                print(f"{turn:9}  {memory:10.0f}  {held}  {latest}", flush=True)


TRAIN = ("addition", "rnn", "--steps", "1", "--hidden-size", "4")
STUDY = ("addition", "study", "--study", "hidden_size", "--values", "4,8", "--seeds", "0")


def store(n: int) -> None:
    """Times commands in an empty store and in one of n runs, in turn, five times each."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        uris = {}
        for name in ("empty", "full"):
            Path(folder, name).mkdir()
            uris[name] = f"sqlite:///{folder}/{name}/mlflow.db"
        full = mlflow.MlflowClient(tracking_uri=uris["full"])
        run_in(folder, "full", uris["full"], *STUDY, "--steps", "20")
        filled(full, n)
        run_in(folder, "empty", uris["empty"], *STUDY, "--steps", "20")
        found = {name: studies(mlflow.MlflowClient(tracking_uri=uris[name])) for name in uris}
        seconds: dict[tuple[str, str], list[float]] = {}
        for _ in range(5):
            for name in uris:
                for what, words in (
                    ("training", TRAIN),
                    ("resume", (*STUDY, "--steps", "20", "--resume", found[name])),
                ):
                    took = run_in(folder, name, uris[name], *words)
                    seconds.setdefault((what, name), []).append(took)
        print(f"{count(full):,} runs in the full store; medians of 5, seconds")
        print("command   empty   full  ratio")
        for what in ("training", "resume"):
            a, b = (statistics.median(seconds[what, name]) for name in ("empty", "full"))
            print(f"{what:8}  {a:5.2f}  {b:5.2f}  {b / a:5.2f}")


def run_in(folder: str, name: str, uri: str, *words: str) -> float:
    """Runs a command in a process of its own; the seconds that it took."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri}
    started = time.perf_counter()
    command = ["tfnets", *words]
    subprocess.run(command, check=True, env=environment, cwd=f"{folder}/{name}", **QUIET)
    return time.perf_counter() - started


def filled(client, n: int) -> None:
    """Adds runs as a student's year leaves them: studies of ten, with parameters and curves."""
    from mlflow.entities import Metric, Param, RunTag

    experiment = client.get_experiment_by_name("addition").experiment_id
    parent = ""
    for number in range(n):
        tags = {"task": "addition", "stage": "trial", "mlflow.runName": f"hidden_size {number}"}
        if number % 10 == 0:
            tags["stage"] = "study"
        else:
            tags["mlflow.parentRunId"] = parent
        run = client.create_run(experiment, tags=tags).info.run_id
        parent = run if number % 10 == 0 else parent
        client.log_batch(
            run,
            metrics=[Metric("val/loss", 1 / step, step, step) for step in range(1, 31)],
            params=[Param(f"parameter_{k}", str(number + k)) for k in range(20)],
            tags=[RunTag(f"tag_{k}", str(number)) for k in range(10)],
        )
        client.set_terminated(run)


def studies(client) -> str:
    """The id of the study that our command has made."""
    experiment = client.get_experiment_by_name("addition").experiment_id
    first = ["attributes.start_time ASC"]
    (run,) = client.search_runs(
        [experiment], "tags.stage = 'study'", max_results=1, order_by=first
    )
    return run.info.run_id


def count(client) -> int:
    """How many runs a store has."""
    experiment = client.get_experiment_by_name("addition").experiment_id
    found, token = 0, None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        found, token = found + len(page), page.token
        if not token:
            return found


def server(n: int) -> None:
    """Sends n requests at once to a served model, and counts the answers."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "here").mkdir()
        uri = f"sqlite:///{folder}/here/mlflow.db"
        run_in(folder, "here", uri, "har", "rnn", "--epochs", "1", "--units", "20")
        import mlflow

        mlflow.set_tracking_uri(uri)
        (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = ["mlflow", "models", "serve", "-m", f"runs:/{run.info.run_id}/model"]
        words += ["--env-manager", "local", "-p", str(port)]
        environment = os.environ | {"MLFLOW_TRACKING_URI": uri}
        process = subprocess.Popen(words, env=environment, start_new_session=True, **QUIET)
        try:
            ask(port, n)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ask(port: int, n: int) -> None:
    """Waits for the server, then sends n requests from n threads."""
    body = json.dumps({"inputs": np.zeros((1, 150, 3)).tolist()}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
    )

    def one(_) -> float:
        started = time.perf_counter()
        with urllib.request.urlopen(request, timeout=120) as answer:
            assert len(json.load(answer)["predictions"]) == 6
        return time.perf_counter() - started

    for _ in range(600):
        with contextlib.suppress(OSError):
            one(0)
            break
        time.sleep(0.2)
    started = time.perf_counter()
    with ThreadPoolExecutor(n) as pool:
        answers = [pool.submit(one, number) for number in range(n)]
        wait(answers)
    seconds = sorted(each.result() for each in answers if each.exception() is None)
    took = time.perf_counter() - started
    print(f"{len(seconds)} of {n} requests at once were answered, in {took:.2f} s;")
    print(f"the median waited {statistics.median(seconds):.2f} s, the last {seconds[-1]:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["trainings", "store", "server"])
    parser.add_argument("--n", type=int)
    parser.add_argument("--task", action="append", choices=COMMANDS, help="only this one")
    arguments = parser.parse_args()
    if arguments.what == "trainings":
        trainings(arguments.n or 100, arguments.task or list(COMMANDS))
    elif arguments.what == "store":
        store(arguments.n or 2000)
    else:
        server(arguments.n or 200)
