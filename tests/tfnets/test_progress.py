import io

import pytest

from tfnets.progress import Epochs, Progress, duration


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


def test_one_line_rewritten_on_a_terminal():
    stream = io.StringIO()
    stream.isatty = lambda: True
    with Progress("counting", 3, stream=stream) as meter:
        for _ in range(3):
            meter.step()
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().count("\r") >= 2


def test_the_line_ends_before_an_error_is_printed():
    stream = io.StringIO()
    stream.isatty = lambda: True

    def fail():
        with Progress("counting", 3, stream=stream) as meter:
            meter.step()
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        fail()
    assert stream.getvalue().endswith("\n")


def test_nothing_is_shown_if_one_says_so():
    stream = io.StringIO()
    with Progress("counting", 10, shown=False, stream=stream) as meter:
        meter.step(10)
    assert not stream.getvalue()


def test_epochs_say_how_long_the_rest_takes_without_the_first_ones_compilation():
    stream = io.StringIO()
    report = Epochs(12, stream=stream)
    metrics = {"train/loss": 1, "train/accuracy": 0.5, "val/loss": 2, "val/accuracy": 0.25}
    for epoch, seconds in ((1, 60.0), (2, 3.0), (3, 5.0), (12, 4.0)):
        report(epoch, metrics | {"time/epoch_s": seconds})
    lines = stream.getvalue().splitlines()
    assert lines[0] == (
        "epoch  1/12  train loss 1.0000 accuracy 0.5000  val loss 2.0000 accuracy 0.2500"
        "  60.0 s, 11 min 00 s left"
    )
    assert lines[1].endswith("3.0 s, 30 s left")
    assert lines[2].endswith("5.0 s, 36 s left")
    assert lines[3].endswith("4.0 s")


def test_steps_are_said_instead_of_epochs():
    stream = io.StringIO()
    report = Epochs(3, steps=lambda epoch: 50 * epoch, stream=stream)
    metrics = {"train/loss": 1, "train/accuracy": 0.5, "time/epoch_s": 2.0}
    for epoch in (1, 3):
        report(epoch, metrics)
    first, last = stream.getvalue().splitlines()
    assert first == "step  50/150  train loss 1.0000 accuracy 0.5000  2.0 s, 4 s left"
    assert last == "step 150/150  train loss 1.0000 accuracy 0.5000  2.0 s"
