"""The benchmark of drawing runs without PyTorch; what it measures is not asserted."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_a_row_for_each_length(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    import drawing

    monkeypatch.setattr(sys, "argv", ["drawing.py", "3", "--rounds", "1"])
    drawing.main()
    header, _, row = capsys.readouterr().out.splitlines()
    assert header.count("|") == row.count("|")
    assert row.startswith("| 3 | ")
    assert row.endswith(" % |")
    del sys.modules["drawing"]
