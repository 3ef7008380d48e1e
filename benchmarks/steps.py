"""One training step of each network: tfnets, PyTorch and Keras side by side.

    pip install -e ".[bench]"
    python benchmarks/steps.py              # all tasks
    python benchmarks/steps.py har-10-50    # one

Every candidate lives in a process of its own, because the libraries' thread pools would
get in each other's way. They run in turns, one at a time, for several rounds, so that
whatever else the machine does hits all alike; what is printed are medians. The loop, the model
class and PyTorch run with their default number of threads and with one, PyTorch's CNN also with
channels_last, ``keras.Model.fit`` (with our layers and with its own, in one execution of batches
whose size is known) with and without XLA; the best of each counts. Data is random.
"""

import argparse
import importlib
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

from tasks import TASKS, Task

_OURS, _KERAS = ("tfnets", "model"), ("layers", "stock")


@dataclass
class Candidate:
    """A process that trains a task's steps when it is asked to."""

    library: str
    variant: str
    process: subprocess.Popen
    seconds: list[float] = field(default_factory=list)
    sgemm: float = 0.0

    @classmethod
    def start(cls, module: str, name: str, variant: str) -> "Candidate":
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", module, name, variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        library = {"pytorch_steps": "PyTorch"}.get(module, variant.split()[0])
        candidate = cls(library, variant, process)
        candidate.sgemm = candidate.answer()  # it is ready, too
        return candidate

    def answer(self) -> float:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.library} ({self.variant}) ended with {self.process.wait()}")
        return float(line)

    def round(self) -> None:
        print("run", file=self.process.stdin, flush=True)
        self.seconds.append(self.answer())

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def serve(module: str, name: str, variant: str) -> None:
    """What a candidate's process does."""
    steps = importlib.import_module(module)
    steps.configure(variant)
    sgemm = steps.sgemm()
    run = steps.prepare(TASKS[name], variant)
    run()
    run()  # the second is the first without compilation
    print(sgemm, flush=True)
    for _ in sys.stdin:
        print(run(), flush=True)


def compare(name: str, task: Task, rounds: int) -> list[Candidate]:
    """Times all candidates for a task, in turns."""
    wanted = [("keras_steps", f"{each}{of}") for each in _OURS for of in ("", " 1 thread")]
    wanted += [("keras_steps", f"{each}{of}") for each in _KERAS for of in ("", " xla")]
    wanted += [("pytorch_steps", each) for each in ("default", "1 thread")]
    if task.model == "cnn":
        wanted.append(("pytorch_steps", "channels_last"))
        # Several times slower, and minutes to compile.
        wanted = [each for each in wanted if "xla" not in each[1]]
    candidates = [Candidate.start(module, name, variant) for module, variant in wanted]
    for number in range(rounds):
        for candidate in candidates:
            candidate.round()
        print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    for candidate in candidates:
        candidate.stop()
    return candidates


def best(candidates: list[Candidate], library: str) -> Candidate:
    """The fastest variant of a library."""
    return min((c for c in candidates if c.library == library), key=lambda c: c.median)


def milliseconds(candidate: Candidate, task: Task) -> str:
    """What a candidate takes for a step, as the table shows it."""
    value = candidate.median * 1000 / task.steps
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    """Compares the tasks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tasks", nargs="*", metavar="task", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    for name in arguments.tasks:
        if name not in TASKS:
            parser.error(f"unknown task {name!r}; there is: {', '.join(TASKS)}")
    from keras_steps import flops

    print(
        "| step of | loop, ms | `Model.fit`, ms | ratio | our layers in Keras' `fit`, ms | ratio "
        "| stock Keras, ms | ratio | PyTorch, ms | ratio | share of sgemm |"
    )
    print(f"|{'---|' * 11}")
    for name in arguments.tasks or TASKS:
        task = TASKS[name]
        candidates = compare(name, task, arguments.rounds)
        loop = best(candidates, "tfnets")
        rate = max(candidate.sgemm for candidate in candidates)
        share = flops(task) * task.steps / loop.median / rate
        cells = [task.title, milliseconds(loop, task) + " (1 thread)" * ("1" in loop.variant)]
        for library in ("model", "layers", "stock", "PyTorch"):
            one = best(candidates, library)
            how = one.variant.removeprefix(library).strip()
            cells.append(milliseconds(one, task) + (f" ({how})" if how else ""))
            cells.append(f"{one.median / loop.median:.2f}")
        cells.append(f"{share:.0%} of {rate / 1e9:.0f} GFLOP/s")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    else:
        main()
