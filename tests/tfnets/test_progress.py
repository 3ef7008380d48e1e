import io
import re
import sys

import pytest

from tfnets.callbacks import EpochProgress
from tfnets.progress import Progress, duration, say


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3725, "1 h 02 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_a_line_for_every_tenth_where_there_is_no_terminal():
    stream = io.StringIO()
    with Progress("counting", 1000, stream=stream) as meter:
        for _ in range(1000):
            meter.step()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[3].startswith("counting 40 % (400 of 1,000), ")
    assert lines[3].endswith(" left")
    assert "100 % (1,000 of 1,000), took" in lines[-1]


def test_bytes_are_shown_as_megabytes():
    stream = io.StringIO()
    with Progress("fetching", 2_428_923_189, unit="MB", stream=stream) as meter:
        meter.step(1_214_461_595)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("fetching 50 % (1,214 of 2,428 MB), ")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def lines_left(terminal):
    """What is to be seen on a terminal in the end."""
    text = re.sub(r"\x1b\[\??\d*[a-zA-Z]|\x1b\[[\d;]*m", "", terminal.getvalue())
    return [line.rpartition("\r")[2].rstrip() for line in text.rstrip("\n").split("\n")]


def test_a_bar_that_ends_as_a_line_on_a_terminal(terminal):
    with Progress("counting [clips]", 3, stream=terminal) as meter:
        for _ in range(3):
            meter.step()
    assert "\x1b" in terminal.getvalue()
    assert "counting [clips] 100 % (3 of 3), took 0 s" in lines_left(terminal)[-1]


def test_the_line_ends_before_an_error_is_printed(terminal):
    def fail():
        with Progress("counting", 3, stream=terminal) as meter:
            meter.step()
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        fail()
    assert terminal.getvalue().rstrip("\x1b[?25h").endswith("\n")


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with Progress("counting", 10, stream=terminal) as meter:
        meter.step(5)
    assert terminal.getvalue().startswith("counting 50 % (5 of 10), ")
    assert "\x1b" not in terminal.getvalue()


def test_bars_inside_bars_and_lines_above_them(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("sweep", 2) as sweep:
        sweep.step()
        with Progress("rendering", 4) as inner:
            inner.step(2)
            say("a line [above]")
            inner.step(2)
        sweep.step()
    assert "a line [above]" in lines_left(terminal)
    assert "sweep 100 % (2 of 2)" in lines_left(terminal)[-1]
    say("afterwards")
    assert terminal.getvalue().endswith("afterwards\n")


def test_without_standard_error_nothing_fails(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with Progress("counting", 2) as meter:
        meter.step(2)
    say("nobody hears it")


def test_nothing_is_shown_if_one_says_so():
    stream = io.StringIO()
    with Progress("counting", 10, shown=False, stream=stream) as meter:
        meter.step(10)
    assert not stream.getvalue()


METRICS = {"train/loss": 1, "train/accuracy": 0.5, "val/loss": 2, "val/accuracy": 0.25}


def test_epochs_say_how_long_the_rest_takes_without_the_first_ones_compilation():
    stream = io.StringIO()
    progress = EpochProgress(10, stream=stream)
    for epoch, seconds in ((1, 60.0), (2, 3.0), (3, 5.0), (10, 4.0)):
        progress.on_epoch_end(epoch - 1, METRICS | {"time/epoch_s": seconds})
    lines = stream.getvalue().splitlines()
    assert lines[0] == (
        "epoch  1/10  train loss 1.0000 accuracy 0.5000  val loss 2.0000 accuracy 0.2500"
        "  60.0 s, 9 min 00 s left"
    )
    assert lines[1].endswith("3.0 s, 24 s left")
    assert lines[2].endswith("5.0 s, 28 s left")
    assert lines[3].endswith("4.0 s")


def test_a_log_file_has_a_line_for_every_tenth_of_the_epochs_the_first_and_the_last():
    stream = io.StringIO()
    progress = EpochProgress(1000, stream=stream)
    for epoch in range(777):
        progress.on_epoch_end(epoch, METRICS | {"time/epoch_s": 0.1})
    progress.on_train_end()
    numbers = re.findall(r"^epoch +(\d+)/1000 ", stream.getvalue(), re.MULTILINE)
    assert numbers == ["1", "100", "200", "300", "400", "500", "600", "700", "777"]


def test_epochs_on_a_terminal_are_one_line(terminal):
    progress = EpochProgress(3, stream=terminal)
    for epoch in range(3):
        progress.on_epoch_end(epoch, METRICS | {"time/epoch_s": 0.1})
    progress.on_train_end()
    progress.close()
    text = " ".join(lines_left(terminal)[-4:])
    assert "epoch 3/3  train loss 1.0000" in re.sub(r"[━╸╺ ]*epoch", "epoch", text)


def test_steps_are_said_instead_of_epochs():
    stream = io.StringIO()
    progress = EpochProgress(3, steps=lambda epoch: 50 * epoch, stream=stream)
    metrics = {"train/loss": 1, "train/accuracy": 0.5, "time/epoch_s": 2.0}
    for epoch in (0, 2):
        progress.on_epoch_end(epoch, metrics)
    first, last = stream.getvalue().splitlines()
    assert first == "step  50/150  train loss 1.0000 accuracy 0.5000  2.0 s, 4 s left"
    assert last == "step 150/150  train loss 1.0000 accuracy 0.5000  2.0 s"
