"""Runs a group of commands as the whole program: one-line errors, clean ends."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import click

from mlproject.process import signals


def main(
    cli: click.Group, on_failure: Callable[[str, str], None], name: str | None = None
) -> NoReturn:
    """Runs a group of commands as the whole program.

    Invalid input, wherever it is found, ends with one line on standard error and exit
    code 1 (2 for options that cannot be parsed), an interruption with 128 + signal.

    Args:
        cli: The commands.
        on_failure: Called with ``"FAILED"`` or ``"KILLED"`` and the message after a command
            that did not succeed, however early it stopped.
        name: The program's name in help texts; None for how it was started. It is also what
            shell completion goes by.
    """
    from tfnets.errors import InputError, first_line

    try:
        signals.install()
        try:
            sys.exit(cli.main(prog_name=name, standalone_mode=False) or 0)
        except signals.Interrupted as error:
            code, message, status = error.exit_code, f"{error}.", "KILLED"
        except InputError as error:
            code, message, status = 1, str(error), "FAILED"
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            code, message, status = error.exit_code, error.format_message(), "FAILED"
        except MemoryError as error:
            code, status = 1, "FAILED"
            message = f"there is too little memory: {first_line(error)}."
        except OSError as error:
            code, message, status = 1, _of_system(error), "FAILED"
        signals.acknowledge()
        message = " ".join(message.split())
        with contextlib.suppress(OSError):  # nobody can be told
            click.echo(f"Error: {message}", err=True)
        on_failure(status, message)
    except signals.Interrupted as error:  # while we were ending
        code = error.exit_code
    sys.exit(code)


# What writing to a full disk, to a closed pipe or to a vanished terminal gives.
_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EPIPE, errno.EIO)


def _of_system(error: OSError) -> str:
    """The message for a place or an output that the system refuses; other errors are raised."""
    if error.filename:
        return f"cannot use {error.filename}: {error.strerror}."
    if error.errno not in _OUTPUT:
        raise error
    # What is left of the output goes nowhere, or Python would fail with it once more at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"cannot write the output: {error.strerror}."
