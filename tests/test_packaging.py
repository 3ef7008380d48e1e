"""What holds of the checkout as a whole."""

import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_tfnets_never_imports_mlflow_and_the_first_steps_of_a_notebook_user_work():
    code = """
import sys
from tfnets import speech
print(speech.build().count_params())
import importlib, pkgutil, tfnets
for module in pkgutil.walk_packages(tfnets.__path__, "tfnets."):
    importlib.import_module(module.name)
assert "tfnets.har.model" in sys.modules
print([name for name in sys.modules if name.split(".")[0] in ("mlflow", "mlproject")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["70531", "[]"]


def test_help_answers_without_tensorflow_and_mlflow():
    code = """
import sys
from click.testing import CliRunner
from mlproject.speech.commands import cli
assert "--learning-rate" in CliRunner().invoke(cli, ["gru", "--help"]).output
print([name for name in ("tensorflow", "keras", "mlflow") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_only_the_project_file_is_called_mlproject():
    """MLflow takes the first root entry of that name in any case, also a folder."""
    names = [path.name for path in ROOT.iterdir()]
    assert [name for name in names if name.lower() == "mlproject"] == ["MLproject"]
    assert (ROOT / "MLproject").is_file()


def test_dependencies_stand_in_pyproject_only():
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())
    assert conda["dependencies"] == ["python=3.11", "pip", {"pip": ["-e .[builtin]"]}]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11.4"
    assert set(project["optional-dependencies"]) >= {"builtin", "test"}
