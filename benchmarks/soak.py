"""What stays flat when one process works for long: 100 trainings by the real commands.

    python benchmarks/soak.py trainings [--n 100]

Memory is the process's own (unique set size) after a garbage collection.
"""

import argparse
import contextlib
import gc
import io
import os
import statistics
import tempfile
import time

import psutil

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

# Each turn: other seeds and rates, the same shapes.
COMMANDS = {
    "har": ("rnn", "--epochs", "2", "--units", "20"),
    "addition": ("rnn", "--steps", "100"),
    "speech": ("fc", "--epochs", "2", "--clips", "60"),
}


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
                memory = process.memory_full_info().uss / 1e6
                latest = "  ".join(
                    f"{task} {statistics.median(times[-5:]):.2f}"
                    for task, times in seconds.items()
                    if times
                )
                held = f"{process.num_fds():5}  {process.num_threads():7}"
                print(f"{turn:9}  {memory:10.0f}  {held}  {latest}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["trainings"])
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--task", action="append", choices=COMMANDS, help="only this one")
    arguments = parser.parse_args()
    trainings(arguments.n, arguments.task or list(COMMANDS))
