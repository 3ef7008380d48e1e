"""One line that says how far long work has come, and how long it will still take."""

import sys
import time
from collections.abc import Callable
from typing import TextIO


def duration(seconds: float) -> str:
    """``"48 s"``, ``"2 min 05 s"``, ``"1 h 02 min"``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


class Progress:
    """Counts steps of known number and prints ``what 40 % (4,800 of 12,000), 12 s left``.

    On a terminal the line is rewritten in place, and ended with the ``with`` block that
    this belongs into; elsewhere there is a line for every tenth of the work.

    Args:
        what: What is being done: ``"rendering clips"``.
        total: How many steps there are.
        unit: ``"MB"`` if the steps are bytes.
        shown: Whether to print at all.
        stream: Where to print; standard error by default.
    """

    def __init__(
        self,
        what: str,
        total: int,
        *,
        unit: str = "",
        shown: bool = True,
        stream: TextIO | None = None,
    ):
        self.what, self.total, self.unit, self.shown = what, total, unit, shown
        self.stream = stream or sys.stderr
        self.done = 0
        self._start = time.monotonic()
        self._printed = 0.0
        self._tenth = 0

    def step(self, n: int = 1) -> None:
        """Notes that ``n`` more steps are done."""
        self.done += n
        if not self.shown:
            return
        now = time.monotonic()
        if self.stream.isatty():
            if now - self._printed > 0.2 or self.done >= self.total:
                self._printed = now
                self.stream.write(f"\r{self._line(now)}\x1b[K")
                self.stream.flush()
        elif self.done * 10 // self.total > self._tenth:
            self._tenth = self.done * 10 // self.total
            print(self._line(now), file=self.stream, flush=True)

    def _line(self, now: float) -> str:
        spent = now - self._start
        done, total = (n // 10**6 if self.unit == "MB" else n for n in (self.done, self.total))
        counts = f"{done:,} of {total:,} {self.unit}".rstrip()
        line = f"{self.what} {100 * self.done // self.total} % ({counts})"
        if self.done >= self.total:
            return f"{line}, took {duration(spent)}"
        return f"{line}, {duration(spent / self.done * (self.total - self.done))} left"

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception) -> None:
        if self._printed:
            self.stream.write("\n")
            self.stream.flush()


class Epochs:
    """Prints a line an epoch: the metrics, how long it took, the time left.

    Args:
        total: How many epochs there are.
        at_most: Whether it may end before, so that the time left is the longest.
        steps: From an epoch to the steps made until then, to be said in its stead.
        stream: Where to print; standard error by default.
    """

    def __init__(
        self,
        total: int,
        at_most: bool = False,
        steps: Callable[[int], int] | None = None,
        stream: TextIO | None = None,
    ):
        self.total, self.stream = total, stream or sys.stderr
        self._what = "step" if steps else "epoch"
        self._number = steps or (lambda epoch: epoch)
        self.at_most = "at most " if at_most else ""
        self._since_first = 0.0

    def __call__(self, epoch: int, metrics: dict[str, float]) -> None:
        """Prints the line of one epoch, counted from 1, with metrics by their usual names."""
        seconds = metrics["time/epoch_s"]
        if epoch > 1:  # the first holds the compilation, too, and says little of the others
            self._since_first += seconds
            seconds = self._since_first / (epoch - 1)
        number, last = self._number(epoch), self._number(self.total)
        words = [f"{self._what} {number:>{len(str(last))}}/{last}"]
        for split in ("train", "val") if "val/loss" in metrics else ("train",):
            loss, accuracy = metrics[f"{split}/loss"], metrics[f"{split}/accuracy"]
            words.append(f"{split} loss {loss:.4f} accuracy {accuracy:.4f}")
        words.append(f"{metrics['time/epoch_s']:.1f} s")
        if epoch < self.total:
            words[-1] += f", {self.at_most}{duration(seconds * (self.total - epoch))} left"
        print("  ".join(words), file=self.stream, flush=True)
