"""What every command does around its work: quiet start, one-line errors, clean ends."""

import contextlib
import gc
import importlib
import os
import sys
import tempfile
from dataclasses import dataclass
from types import ModuleType

import click

from mlproject import interrupt


@dataclass(frozen=True)
class Task:
    """What the commands of a task have in common.

    Attributes:
        name: The package's name, and the tag of its runs.
        threads: How many threads TensorFlow has for one operation, unless the user says
            otherwise by TF_NUM_INTRAOP_THREADS; None for all.
    """

    name: str
    threads: int | None = None

    def run(self, name: str, stage: str, parameters: dict):
        """A tracked run, as :func:`mlproject.tracking.run` makes it; its tags name the threads."""
        if self.threads:
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(self.threads))
        return imported("mlproject.tracking").run(
            name, task=self.name, stage=stage, parameters=parameters
        )

    def imported(self, module: str) -> ModuleType:
        """The module that does a command's work, inside its run; it needs TensorFlow."""
        start_tensorflow()
        return imported(f"mlproject.{self.name}.{module}")


def main(cli: click.Group) -> None:
    """Runs a group of commands as the whole program.

    Bad input, wherever it is found, ends with one line on standard error and exit
    code 1 (2 for parameters that cannot be parsed), an interruption with 128 + signal.
    An MLflow run that ``mlflow run`` made for us ends with us in any case.
    """
    from tfnets.errors import InputError, first_line

    try:
        interrupt.listen()
        try:
            sys.exit(cli.main(standalone_mode=False) or 0)
        except interrupt.Interrupted as error:
            code, message, status = error.exit_code, f"{error}.", "KILLED"
        except InputError as error:
            code, message, status = 1, str(error), "FAILED"
        except click.ClickException as error:
            code, message, status = error.exit_code, error.format_message(), "FAILED"
        except MemoryError as error:
            code, status = 1, "FAILED"
            message = f"there is too little memory: {first_line(error)}."
        interrupt.answered()
        message = " ".join(message.split())
        click.echo(f"Error: {message}", err=True)
        _end_waiting_run(status, message)
    except interrupt.Interrupted as error:  # while we were ending
        code = error.exit_code
    sys.exit(code)


def _end_waiting_run(status: str, message: str) -> None:
    """Ends the run of ``mlflow run`` if we stopped before we took it over."""
    if "MLFLOW_RUN_ID" in os.environ:
        with interrupt.held():
            imported("mlproject.tracking").end_waiting(status, message)


def imported(name: str) -> ModuleType:
    """Imports one of our modules that needs seconds for what it imports itself.

    As late as possible, so that --help answers at once; and as a whole even if a signal
    comes meanwhile, for a half-imported MLflow could not end a run.
    """
    with interrupt.held(), _without_collecting():
        return importlib.import_module(name)


def start_tensorflow() -> None:
    """Imports TensorFlow without its dozens of lines on CPU features, GPUs and retracing.

    Set TF_CPP_MIN_LOG_LEVEL to 0 or 1 to see them. Should the import fail, they are shown.
    Keras is set to what we compute with, whatever its environment variables and keras.json say,
    which are for the user's other programs. Its progress bars are off: each command says itself
    how far it is.
    """
    # Keras reads its file when it is imported; there it finds none.
    with interrupt.held(), _without_collecting(), _environment(KERAS_HOME=os.devnull):
        _import_tensorflow()
        import keras
    # Should it have been imported before.
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.disable_interactive_logging()


@contextlib.contextmanager
def _without_collecting():
    """Spares Python's garbage collector what is imported inside.

    It would look through all of it again and again, for nothing: modules stay. That is a
    third of the seconds that TensorFlow and MLflow need to come and to go. Nothing new, and
    nothing is spared: what a training has left over must go.
    """
    collecting, there = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > there:
            gc.freeze()
        if collecting:
            gc.enable()


def _import_tensorflow() -> None:
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    if "tensorflow" in sys.modules or level in ("0", "1"):  # who says so wants to see more
        return
    sys.stderr.flush()
    # TensorFlow reads it once. Processes that we start are to be quiet in the same way, so they
    # find what we found.
    with (
        _environment(TF_CPP_MIN_LOG_LEVEL="3" if level == "3" else "2"),
        tempfile.TemporaryFile() as said,
        _stderr_into(said.fileno()) as stderr,
    ):
        try:
            import tensorflow as tf

            tf.zeros(1) + 1  # looks for a GPU, and says so
            # That functions are traced anew for every network is as it must be.
            tf.get_logger().setLevel("ERROR")
        except Exception:
            said.seek(0)
            os.write(stderr, said.read())
            raise


@contextlib.contextmanager
def _environment(**values: str):
    """Sets environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _stderr_into(target: int):
    """Sends file descriptor 2 to ``target``; yields a descriptor for the old one."""
    saved = os.dup(2)
    os.dup2(target, 2)
    try:
        yield saved
    finally:
        os.dup2(saved, 2)
        os.close(saved)
