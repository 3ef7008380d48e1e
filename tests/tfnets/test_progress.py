import io

import pytest

from tfnets.progress import Progress, duration


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
    meter = Progress("counting", 1000, stream)
    for _ in range(1000):
        meter.step()
    meter.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[3].startswith("counting 40 % (400 of 1,000), ")
    assert lines[3].endswith(" left")
    assert "100 % (1,000 of 1,000), took" in lines[-1]


def test_one_line_rewritten_on_a_terminal():
    stream = io.StringIO()
    stream.isatty = lambda: True
    meter = Progress("counting", 3, stream)
    for _ in range(3):
        meter.step()
    meter.close()
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().count("\r") >= 2
