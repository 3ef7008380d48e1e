"""The whole sweep of human activity recognition: tfnets with MLflow, and PyTorch without.

    pip install -e ".[builtin,bench]"
    python benchmarks/sweep.py

Eight configurations with three seeds, 50 epochs each, protocol tfnets, on the built-in
recordings; two worker processes of one thread each. tfnets' side is the command that a
user gives, from its first import to its last table, with everything that it logs into a new
store; PyTorch's side (``pytorch_sweep.py``) trains and evaluates the same and logs nothing.
They run in turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def export(path: Path) -> None:
    """Writes the windows of every split, as tfnets trains on them, for PyTorch."""
    from tfnets import har

    splits = har.load().splits
    arrays = {f"{a}_{name}": getattr(split, a) for name, split in splits.items() for a in "xy"}
    np.savez(path, **arrays)


def tfnets(folder: Path, options: list[str]) -> tuple[float, float, float]:
    """Seconds of the command; of its runs logging by training; mean validation top-1."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    words = ["-m", "mlproject.har", "sweep", "--scheduler", "local", *options]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        check=True,
        cwd=folder,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": "Default"},
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    import mlflow

    runs = mlflow.MlflowClient(tracking_uri=uri).search_runs(["0"], "tags.stage = 'trial'")
    metrics = [run.data.metrics for run in runs]
    logging, training = (sum(m[f"time/{name}_s"] for m in metrics) for name in ("log", "train"))
    accuracy = statistics.mean(m["final_val/accuracy"] for m in metrics)
    return seconds, logging / training, accuracy


def pytorch(data: Path, cell: str, options: list[str]) -> tuple[float, float]:
    """Seconds of the program; mean validation top-1."""
    words = [str(HERE / "pytorch_sweep.py"), str(data), "--cell", cell, *options]
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    runs = json.loads(done.stdout.splitlines()[-1])["runs"]
    return seconds, statistics.mean(run["val_accuracy"] for run in runs)


def main() -> None:
    """Runs both sides in turns and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", default="42,263,682")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--cells",
        default="module,function",
        help="nn.RNN, and an autograd.Function with a gradient by hand",
    )
    parser.add_argument("--loss", default="softmax", help="as tfnets.har names it, on both sides")
    arguments = parser.parse_args()
    options = ["--epochs", str(arguments.epochs), "--seeds", arguments.seeds]
    options += ["--loss", arguments.loss]
    print("| round | program | seconds | ratio to tfnets | mean validation top-1 |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "windows.npz"
        export(data)
        for number in range(1, arguments.rounds + 1):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            ours, share, accuracy = tfnets(folder, options)
            print(
                f"| {number} | tfnets, logging {share:.1%} of training | {ours:.0f} | 1 "
                f"| {accuracy:.3f} |",
                flush=True,
            )
            for cell in arguments.cells.split(","):
                theirs, accuracy = pytorch(data, cell, options)
                print(
                    f"| {number} | PyTorch, {cell} | {theirs:.0f} | {theirs / ours:.2f} "
                    f"| {accuracy:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
