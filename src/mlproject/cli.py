"""The command ``tfnets``: the commands of all tasks, the same that MLproject calls."""

import os
import platform
from importlib import metadata

import click
from click.shell_completion import get_completion_class

from mlproject.addition.commands import cli as addition
from mlproject.har.commands import cli as har
from mlproject.process.imports import late_imports
from mlproject.speech.commands import cli as speech
from mlproject.tracking import task

_TASKS = {"speech": speech, "har": har, "addition": addition}

_NAME = "tfnets"
_COMPLETION = "_TFNETS_COMPLETE"  # click looks for it
_SHELLS = ("bash", "zsh", "fish")
_PACKAGES = ("tensorflow", "keras", "mlflow")


def _print_version(context: click.Context, option: click.Option, given: bool) -> None:
    if given:
        others = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
        version = metadata.version(_NAME)
        click.echo(f"{_NAME} {version} ({others}, Python {platform.python_version()})")
        context.exit()


@click.group(context_settings={"show_default": True})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the versions of tfnets and what it is built on.",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Train, compare and use sequence models, with every run in MLflow.

    \b
    Good first commands, a minute or less each:
      tfnets speech gru           tell three spoken words apart
      tfnets har rnn              tell six exercises apart by acceleration
      tfnets addition rnn         learn to add two numbers, digit by digit
      tfnets addition add 57 68   add with the network that has learnt it
      mlflow ui                   look at the runs

    Runs are logged to mlflow.db in the current directory, or to the server that
    MLFLOW_TRACKING_URI names, in an experiment with the task's name, unless
    MLFLOW_EXPERIMENT_NAME names another. `mlflow run` has the same commands as entry points
    (speech_gru, har_rnn, addition_rnn ...).
    """  # noqa: D301 (click's mark for lines that stay as they are)
    started_by_mlflow = {"MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"} & set(os.environ)
    if context.invoked_subcommand in _TASKS and not started_by_mlflow:
        os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", context.invoked_subcommand)


for name, commands in _TASKS.items():
    cli.add_command(commands, name)


@cli.command("recover")
def recover() -> None:
    """Send what runs could not log because their store was away.

    A run whose store is locked or gone keeps its points in a file of this user's state folder
    until the store answers. A run that ended before that leaves the file; this sends the points
    of all such files, ends their runs as they ended, and deletes what was sent.
    """
    with late_imports(tensorflow=False):
        from mlproject.tracking import recovery
    recovery.recover()


@cli.command("report")
@click.option(
    "--out", default="report.html", help="File to write: .html (one page, figures in it) or .md."
)
@click.option("--results", type=click.Path(), help="Recorded results to show, not the store's.")
@click.option("--save", type=click.Path(), help="Also record the results, as JSON.")
def report(out: str, results: str | None, save: str | None) -> None:
    """Write one page with what the store holds, beside the published results.

    Of each command with other options the newest finished run: its tables, how they compare with
    the reports', figures, data, versions and the command that makes it again.
    """
    with late_imports(tensorflow=False):
        from mlproject.report.command import report as write
    click.echo(write(_TASKS, out, results, save))


@cli.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands and options.

    \b
    bash: put this into ~/.bashrc
      eval "$(tfnets completion bash)"
    """  # noqa: D301
    of_shell = get_completion_class(shell)
    assert of_shell is not None  # click has one for each of _SHELLS
    click.echo(of_shell(cli, {}, _NAME, _COMPLETION).source())


def main() -> None:
    """Runs ``tfnets``."""
    task.main(cli, _NAME)
