"""process < tracking < sweeps < tasks: nothing imports upwards, MLflow has one place."""

import ast
from pathlib import Path

import pytest

import mlproject

ROOT = Path(mlproject.__file__).parent
ORDER = ("process", "tracking", "sweeps")
TASKS = ("speech", "har", "addition")
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# It travels with its model, to where this package is not installed.
SERVED = "addition/served.py"

# Every command runs it first, before anything heavy is imported; it stands below and above all.
START = "start.py"


def imported_by(file):
    """What a file imports anywhere in it, as dotted names."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def level(part):
    return ORDER.index(part) if part in ORDER else len(ORDER) + (part not in TASKS)


def rooms(names):
    """The folders of this package that names are from."""
    parts = (name.split(".") for name in names)
    return {part[1] for part in parts if part[0] == "mlproject" and len(part) > 1}


@pytest.mark.parametrize("file", FILES)
def test_nothing_imports_upwards(file):
    own = file.split("/")[0] if "/" in file else "cli"
    for other in rooms(imported_by(file)) - {"start"}:
        assert level(other) <= level(own), f"{file} imports {other}"
        if own in TASKS and other in TASKS:
            assert own == other, f"{file} imports another task, {other}"


@pytest.mark.parametrize("file", FILES)
def test_only_tracking_imports_mlflow(file):
    roots = {name.split(".")[0] for name in imported_by(file)}
    if not file.startswith("tracking/") and file != SERVED:
        assert "mlflow" not in roots
    if file != START:
        assert "importlib.import_module" not in (ROOT / file).read_text()


def test_the_start_imports_nothing_before_it_has_begun():
    body = ast.parse((ROOT / START).read_text()).body
    tops = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    # os and sys are there before: Python imports them at its own start.
    assert [alias.name for node in tops for alias in node.names] == ["os", "signal", "sys"]


def test_the_tasks_have_the_same_files():
    there = {task: {path.name for path in (ROOT / task).glob("*.py")} for task in TASKS}
    same = ("commands", "settings", "train", "sweep", "search", "tables", "results", "published")
    for task, names in there.items():
        assert {f"{name}.py" for name in same} <= names, task
