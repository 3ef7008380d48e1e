"""How commands import what takes seconds."""

import gc
import importlib
import sys

import pytest

from mlproject.process.imports import late_imports, start_tensorflow


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that notes whether Python collects garbage at its import."""
    (tmp_path / "takes_long.py").write_text("import gc\ncollecting = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "takes_long"
    sys.modules.pop("takes_long", None)


def imported(module):
    with late_imports(tensorflow=False):
        return importlib.import_module(module)


def test_the_garbage_collector_spares_what_is_imported(module):
    before = gc.get_freeze_count()
    assert not imported(module).collecting
    assert gc.isenabled()
    assert gc.get_freeze_count() > before


def test_what_is_left_over_between_two_trainings_is_not_spared(module):
    imported(module)
    start_tensorflow()
    before = gc.get_freeze_count()
    left = [[] for _ in range(1000)]
    start_tensorflow()
    imported(module)
    assert gc.get_freeze_count() <= before
    assert len(left) == 1000


def test_who_has_switched_the_collector_off_keeps_it_off(module):
    gc.disable()
    try:
        imported(module)
        assert not gc.isenabled()
    finally:
        gc.enable()
