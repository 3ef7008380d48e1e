"""The command ``tfnets``, as it is typed."""

import os
import subprocess
import sys
from unittest import mock

import pytest
from click.testing import CliRunner

from mlproject.addition.commands import cli as addition
from mlproject.cli import cli
from mlproject.har.commands import cli as har
from mlproject.speech.commands import cli as speech


def invoke(*words):
    with mock.patch.dict(os.environ):
        return CliRunner().invoke(cli, words, standalone_mode=False, prog_name="tfnets")


def test_its_commands_are_those_of_the_project_file():
    assert cli.commands["speech"] is speech
    assert cli.commands["har"] is har
    assert cli.commands["addition"] is addition


def test_the_overview_names_a_first_command_of_each_task():
    text = invoke("--help").output
    for words in ("tfnets speech gru", "tfnets har rnn", "tfnets addition rnn", "mlflow ui"):
        assert words in text
    for task in ("speech", "har", "addition"):
        (line,) = (line for line in text.splitlines() if line.startswith(f"  {task} "))
        assert not line.endswith("...")
        assert invoke(task, "--help").exit_code == 0


def test_the_version_names_what_it_is_built_on():
    text = invoke("--version").output
    assert text.startswith("tfnets 0.1.0 (tensorflow 2.")
    assert "keras 3." in text
    assert "mlflow 3." in text


def test_without_words_it_shows_its_help():
    done = subprocess.run([sys.executable, "-m", "mlproject"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: tfnets ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])  # bash's version is asked for, where it is
def test_shell_completion(shell):
    script = invoke("completion", shell).output
    assert "_TFNETS_COMPLETE" in script


def test_options_and_their_values_are_completed():
    words = {"COMP_WORDS": "tfnets speech gru --optimizer ", "COMP_CWORD": "4"}
    done = subprocess.run(
        [sys.executable, "-m", "mlproject"],
        env=os.environ | words | {"_TFNETS_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["plain,adam", "plain,sgd"]


def test_runs_go_to_an_experiment_with_the_name_of_the_task(store, monkeypatch):
    small = ("--steps", "1", "--seq-len", "3", "--hidden-size", "4")
    result = invoke("addition", "rnn", *small)
    assert result.exception is None, result.output
    (run,) = store.search_runs([store.get_experiment_by_name("addition").experiment_id])
    assert run.info.status == "FINISHED"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "my own")
    result = invoke("addition", "add", "1", "1", "--model", run.info.run_id)
    assert result.exception is None, result.output
    assert result.stdout.startswith("1 + 1 = ")
    (run,) = store.search_runs([store.get_experiment_by_name("my own").experiment_id])
    assert run.data.params["a"] == run.data.params["b"] == "1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("addition", "add", "57"), "expected two numbers: add 57 68, or add --a 57 --b 68."),
        (("addition", "add", "57", "68", "--a", "1"), "expected two numbers"),
        (("addition", "add", "1", "2", "3"), "expected two numbers"),
        (("speech", "classify"), "expected one clip: classify CLIP, or classify --wav CLIP."),
        (("speech", "classify", "a.wav", "--wav", "b.wav"), "expected one clip"),
        (("speech", "sing"), "No such command 'sing'."),
    ],
)
def test_bad_input_is_one_line(words, message):
    assert message in invoke(*words).exception.format_message()
