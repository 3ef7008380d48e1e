"""The model registry: versions and their aliases."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import mlflow
from mlflow.exceptions import MlflowException

from mlproject.process import signals
from mlproject.tracking import cards, queries, store
from tfnets.errors import InputError, first_line

BEST, RUNNER_UP, CHAMPION = "best", "runner-up", "champion"


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        name: Name of the registered model.
        number: The version.
        tags: Its tags.
    """

    name: str
    number: str
    tags: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"


def check_name(name: str) -> None:
    """Raises InputError for what cannot be the name of a registered model."""
    if not re.fullmatch(r"\w[\w .-]*", name):
        raise InputError(
            f"register_as is {name!r}; expected a name of letters, digits, spaces, '.', '-' "
            "and '_'."
        )


def register(name: str, run_id: str, tags: Mapping[str, object], description: str) -> Version:
    """Makes the model of a run the next version of a registered model.

    Args:
        name: Name of the registered model; created if there is none.
        run_id: The run, which has logged a model.
        tags: Tags of the version; values other than text become JSON.
        description: In Markdown; the model card stands below it.
    """
    card = cards.of(queries.get(run_id))
    words = {key: v if isinstance(v, str) else json.dumps(v) for key, v in tags.items()}
    client = mlflow.MlflowClient()
    with _clear(f"register {name!r}"), signals.deferred():
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        (model,) = client.get_run(run_id).outputs.model_outputs
        made = client.create_model_version(
            name,
            client.get_logged_model(model.model_id).artifact_location,
            run_id,
            words,
            description=f"{description}\n\n{card}",
            model_id=model.model_id,
        )
    return Version(name, str(made.version), words)


def alias(version: Version, name: str) -> None:
    """Gives a version an alias, which any other version loses."""
    with _clear(f"give {version} the alias {name!r}"), signals.deferred():
        mlflow.MlflowClient().set_registered_model_alias(version.name, name, version.number)


def drop_alias(name: str, alias: str) -> None:
    """Takes an alias from whichever version of a registered model has it."""
    with _clear(f"take the alias {alias!r} from {name!r}"), signals.deferred():
        mlflow.MlflowClient().delete_registered_model_alias(name, alias)


def tag(version: Version, tags: Mapping[str, str]) -> None:
    """Adds tags to a version."""
    with _clear(f"tag {version}"), signals.deferred():
        for key, value in tags.items():
            mlflow.MlflowClient().set_model_version_tag(version.name, version.number, key, value)


def find(model: str) -> Version:
    """A version by ``name@alias`` or ``name/version``; a leading ``models:/`` may stand.

    Raises:
        InputError: If there is none.
    """
    match = re.fullmatch(r"(?:models:/)?([^/:@]+)(?:@([^/:@]+)|/(\d+))", model)
    if not match:
        raise InputError(f"model is {model!r}; expected name@alias or name/version.")
    name, called, number = match.groups()
    client = mlflow.MlflowClient()
    try:
        with signals.deferred():
            found = (
                client.get_model_version_by_alias(name, called)
                if called
                else client.get_model_version(name, number)
            )
    except MlflowException as error:
        where = store.shown()
        raise InputError(
            f"there is no registered model {model!r} at {where}: {first_line(error)}."
        ) from None
    return Version(name, str(found.version), dict(found.tags))


def aliases(name: str) -> dict[str, str]:
    """The aliases of a registered model with the numbers of their versions."""
    with _clear(f"read the aliases of {name!r}"), signals.deferred():
        return dict(mlflow.MlflowClient().get_registered_model(name).aliases)


@contextlib.contextmanager
def _clear(what: str) -> Iterator[None]:
    """Turns an error of MLflow's into one line."""
    try:
        yield
    except MlflowException as error:
        where = store.shown()
        raise InputError(f"cannot {what} at {where}: {first_line(error)}.") from error
