"""A task's commands and MLflow, which is imported when the first run starts."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import click

from mlproject.process import main as process
from mlproject.process.imports import late_imports

if TYPE_CHECKING:
    from mlproject.tracking.run import Run


@dataclass(frozen=True)
class Task:
    """What the commands of a task have in common.

    Attributes:
        name: The task's package, and the tag ``task`` of its runs.
        threads: How many threads TensorFlow has for one operation, unless the user says
            otherwise by TF_NUM_INTRAOP_THREADS; None for all.
    """

    name: str
    threads: int | None = None

    @contextlib.contextmanager
    def start_run(self, name: str, stage: str, options: dict) -> Iterator["Run"]:
        """A command's own run; arguments as for :func:`mlproject.tracking.lifecycle.start_run`."""
        if self.threads:
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(self.threads))
        with late_imports(tensorflow=False):
            from mlproject.tracking.lifecycle import start_run
        with start_run(name, task=self.name, stage=stage, options=options) as run:
            yield run


def main(cli: click.Group, name: str | None = None) -> NoReturn:
    """Runs a group of commands as the whole program.

    An MLflow run that ``mlflow run`` made for this process ends with it in any case.

    Args:
        cli: The commands.
        name: The program's name in help texts; None for how it was started.
    """
    process.main(cli, _end_waiting_run, name)


def _end_waiting_run(status: str, message: str) -> None:
    """Ends the run of ``mlflow run`` if the command stopped before it took the run over."""
    if "MLFLOW_RUN_ID" in os.environ:
        with late_imports(tensorflow=False):
            from mlproject.tracking.lifecycle import end_waiting
        end_waiting(status, message)
