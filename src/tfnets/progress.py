"""Progress of long work, and the time left.

In a terminal or a notebook a bar of `rich <https://rich.readthedocs.io>`_ that ends as one line;
in log files and pipes a line at the start, for each tenth of the work and at the end. Everything
goes to standard error.
"""

import importlib.util
import sys
import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column

# Terminals of fewer columns have no room for a bar beside the text.
_WIDE = 100


def duration(seconds: float) -> str:
    """``"48 s"``, ``"2 min 05 s"``, ``"1 h 02 min"``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def count(number: int, thing: str) -> str:
    """``"1 epoch"``, ``"2 epochs"``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def say(line: str, stream: TextIO | None = None) -> None:
    """Prints a line, above the bars if there are any.

    Args:
        line: Plain text.
        stream: Where to print; standard error by default.
    """
    if stream is None and _SHARED.bars is not None:
        _SHARED.bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
    elif (stream or sys.stderr) is not None:
        print(line, file=stream or sys.stderr, flush=True)


class _Display:
    """The bars of one stream: at most one live display may be drawn at a time."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream
        self.bars: Bars | None = None
        self._open = 0

    def console(self) -> Console | None:
        """What bars are drawn on; None where only lines can be printed."""
        stream = self.stream or sys.stderr
        if stream is None or getattr(stream, "closed", False):
            return None
        console = Console(file=stream)
        if console.is_jupyter:
            return console if importlib.util.find_spec("ipywidgets") else None
        return console if console.is_terminal and not console.is_dumb_terminal else None

    def add(self, console: Console, line: str, total: int) -> TaskID:
        """A new bar, below the others."""
        if self.bars is None:
            # One line each: what does not fit is cut at its end.
            text = TextColumn(
                "{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")
            )
            bar = [BarColumn(12, table_column=Column(min_width=12))]
            columns = [*bar, text] if console.width >= _WIDE else [text]
            self.bars = Bars(*columns, console=console)
            self.bars.start()
        self._open += 1
        return self.bars.add_task(_plain(line), total=total or None)

    def update(self, task: TaskID, line: str, done: int, total: int) -> None:
        """Draws a bar anew."""
        if self.bars is not None:
            self.bars.update(task, completed=done, total=total or None, description=_plain(line))

    def remove(self, task: TaskID) -> None:
        """Ends a bar: the last one stays as a line."""
        self._open -= 1
        if self.bars is None:
            return
        if self._open:
            self.bars.remove_task(task)
        else:
            self.bars.stop()
            self.bars = None


def _plain(line: str) -> str:
    """Text that rich shows as it is."""
    return line.replace("[", r"\[")


_SHARED = _Display()


class Line:
    """Shows progress as a bar, or as a line now and then.

    Args:
        total: How many steps there are; 0 if that is not known yet.
        shown: Whether to print at all.
        stream: Where to print; standard error by default.
    """

    def __init__(self, total: int, shown: bool = True, stream: TextIO | None = None):
        self.total = total
        self._shown, self._stream = shown, stream
        self._display = _SHARED if stream is None else _Display(stream)
        self._console = self._display.console() if shown else None
        self._task: TaskID | None = None
        self._tenth, self._printed = 0, ""

    @property
    def is_bar(self) -> bool:
        """Whether it is drawn anew in place."""
        return self._console is not None

    def show(self, line: str, done: int, *, first: bool = False) -> None:
        """Shows how far the work is, if it is time to.

        Args:
            line: What to say.
            done: Steps that are done.
            first: Whether a log file gets the first line at once, before a tenth is done.
        """
        if not self._shown:
            return
        if self._console is not None:
            if self._task is None:
                self._task = self._display.add(self._console, line, self.total)
            self._display.update(self._task, line, done, self.total)
            return
        tenth = done * 10 // self.total if self.total else 0
        if tenth > self._tenth or (first and not self._printed):
            self._tenth = tenth
            self._print(line)

    def end(self, line: str = "") -> None:
        """Ends the bar; in a log file prints the last line, unless it has been printed."""
        if not self._shown:
            return
        if self._task is not None:
            self._display.remove(self._task)
            self._task = None
        elif line and line != self._printed and self._console is None:
            self._print(line)

    def _print(self, line: str) -> None:
        self._printed = line
        say(line, self._stream)


class Progress:
    """Counts steps of known number and says ``what 40 % (4,800 of 12,000), 12 s left``.

    Used in a ``with`` block, which ends the bar.

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
        self.what, self.unit = what, unit
        self.done = 0
        self._line = Line(total, shown, stream)
        self._start = time.monotonic()
        self._drawn = 0.0

    @property
    def total(self) -> int:
        """How many steps there are; it can be set when it becomes known."""
        return self._line.total

    @total.setter
    def total(self, total: int) -> None:
        self._line.total = total

    def step(self, n: int = 1) -> None:
        """Notes that ``n`` more steps are done."""
        self.done += n
        now = time.monotonic()
        if not self._line.is_bar or now - self._drawn > 0.1 or self.done >= self.total:
            self._drawn = now
            self._line.show(self._text(now), self.done)

    def _text(self, now: float) -> str:
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
        self._line.end()
