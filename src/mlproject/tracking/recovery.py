"""Sends what runs have left when their store was away."""

import click

from mlproject.tracking import outbox, store
from tfnets.errors import InputError, first_line
from tfnets.progress import count


def recover() -> None:
    """Sends what abandoned runs have left on this machine, and says so, a line for each.

    Raises:
        InputError: If a store does not take something; the rest is sent all the same.
    """
    failed = []
    found = False
    for left in outbox.left():
        if not left.is_abandoned:
            click.echo(
                f"run {left.run_id} at {store.shown(left.store)} is still running; nothing is sent"
            )
            continue
        found = True
        try:
            status = left.send()
        except Exception as error:  # each kind of store has its own
            failed.append(
                f"run {left.run_id} at {store.shown(left.store)}, {left.path}: {first_line(error)}"
            )
        else:
            points = count(len(left.points), "point")
            click.echo(
                f"run {left.run_id} at {store.shown(left.store)}: {points} sent, it is {status}"
            )
    if failed:
        for each in failed[1:]:
            click.echo(f"not sent: {each}", err=True)
        raise InputError(f"not sent: {failed[0]}; delete the file if it is not wanted.")
    if not found:
        click.echo(f"nothing is left in {outbox.folder()}")
