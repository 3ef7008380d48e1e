"""Exported models: logs them with all that they need elsewhere, loads them again."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import keras
import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

import tfnets
from mlproject.process import signals
from mlproject.tracking import store, tfnets_served
from mlproject.tracking.run import MODEL, Run
from tfnets.errors import InputError, first_line

# It reports each time that it has compared an example with the signature.
logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)


def log(run: Run, model: keras.Model, example: np.ndarray, description: dict) -> str:
    """Logs a deployable Keras model.

    Args:
        run: Whose model it is.
        model: From one float32 input to a dictionary of outputs ``(batch,)``.
        example: An input, ``(batch, ...)``.
        description: What stands beside the model: class names, sample rate.

    Returns:
        The model's URI.
    """
    free = [-1 if size is None else size for size in model.inputs[0].shape]
    outputs = [TensorSpec(np.dtype("float32"), (-1,), name) for name in model.output]
    rate = description.get("sample_rate")
    params = ParamSchema([ParamSpec("sample_rate", "long", rate)]) if rate else None
    inputs = Schema([TensorSpec(np.dtype("float32"), free)])
    signature = ModelSignature(inputs, Schema(outputs), params)

    def save(folder: Path, about: Model) -> None:
        mlflow.tensorflow.save_model(
            model,
            folder,
            mlflow_model=about,
            signature=signature,
            input_example=example,
            **_requirements(),
        )
        _load_by_ours(about, folder)

    return run.log_model(save, description)


def log_program(
    run: Run,
    program: Path,
    network: keras.Model,
    example: dict[str, str],
    outputs: Sequence[str],
    description: dict,
) -> str:
    """Logs a network with the program that asks it, which takes and gives strings.

    Args:
        run: Whose model it is.
        program: A Python file that sets an ``mlflow.pyfunc.PythonModel``; it finds the
            network as the artifact ``"network"`` and the description as its configuration.
        network: What the program asks.
        example: An input, by columns.
        outputs: Names of the output columns.
        description: What stands beside the model.

    Returns:
        The model's URI.
    """

    def save(folder: Path, about: Model) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "network.keras"
            # The same layers; without the optimizer's state, if the network is compiled.
            keras.Model(network.input, network.output, name=network.name).save(file)
            mlflow.pyfunc.save_model(
                folder,
                mlflow_model=about,
                python_model=str(program),
                artifacts={"network": str(file)},
                model_config=description,
                signature=ModelSignature(_strings(example), _strings(outputs)),
                input_example=pd.DataFrame([example]),
                **_requirements("mlflow"),
            )
        _load_by_ours(about, folder)

    return run.log_model(save, description)


def _load_by_ours(about: Model, folder: Path) -> None:
    """Has MLflow load a saved model by the module that travels with it."""
    about.flavors["python_function"]["loader_module"] = Path(tfnets_served.__file__).stem
    about.save(str(folder / "MLmodel"))


def _strings(names: Iterable[str]) -> Schema:
    return Schema([ColSpec("string", name) for name in names])


def _requirements(*more: str) -> dict:
    """What every deployable model needs: exact versions of packages, and our own code.

    The layers' code travels with the model: it loads where tfnets is not installed.
    """
    needed = ("tensorflow", "keras", "numpy", *more)
    return {
        "pip_requirements": [f"{name}=={metadata.version(name)}" for name in needed],
        "code_paths": [str(Path(tfnets.__file__).parent), tfnets_served.__file__],
    }


def load(model: str, inputs: str, current: Run) -> tuple[keras.Model, str, str]:
    """Loads a deployable Keras model.

    Args:
        model: ``"latest"``, a run's id, or any model URI
            (``models:/name@alias``, ``runs:/id/model``).
        inputs: What the ``"latest"`` model must take: the tag ``inputs`` of its run.
        current: Task and, first, experiment in which the ``"latest"`` is searched for.

    Returns:
        The model, the URI that it was loaded from, and the name of its run, which is empty
        unless it is the latest.

    Raises:
        InputError: If there is no such model or it cannot be loaded.
    """
    return _load(mlflow.tensorflow.load_model, model, inputs, current)


@dataclass(frozen=True)
class Program:
    """A loaded program, as :func:`log_program` logs it.

    Attributes:
        uri: The URI that it was loaded from.
        run: The name of its run, if it was found as the latest; else empty.
        about: The description that was logged with it; empty if it is not one of ours.
        model: What MLflow has loaded.
    """

    uri: str
    run: str
    about: dict
    model: mlflow.pyfunc.PyFuncModel

    def predict(self, rows: Sequence[dict[str, str]], column: str) -> list[str]:
        """The answers in a column of its output, one for each row.

        Raises:
            InputError: If the program refuses a row.
        """
        try:
            return list(self.model.predict(rows)[column])
        except MlflowException as error:
            raise InputError(f"{first_line(error)}.") from None


def load_program(model: str, inputs: str, current: Run) -> Program:
    """Loads what :func:`log_program` has logged; arguments and errors as for :func:`load`."""
    loaded, uri, name = _load(mlflow.pyfunc.load_model, model, inputs, current)
    return Program(uri, name, loaded.metadata.metadata or {}, loaded)


def _load(load_model: Callable, model: str, inputs: str, current: Run) -> tuple:
    with signals.deferred():  # what is broken off can keep the database locked
        name = ""
        if model == "latest":
            info = _latest(inputs, current).info
            uri, name = f"runs:/{info.run_id}/{MODEL}", info.run_name
        else:
            uri = model if ":" in model or os.path.exists(model) else f"runs:/{model}/{MODEL}"
        try:
            return load_model(uri), uri, name
        except Exception as error:  # what is wrong with somebody's model can be anything
            raise InputError(
                f"no model can be loaded from {model!r}: {first_line(error)}; give 'latest', the "
                "id of a finished training run or a model URI."
            ) from error


def _latest(inputs: str, current: Run) -> mlflow.entities.Run:
    """The newest finished run of a task that has a model, in its experiment or else in any."""
    for where in ({"experiment_ids": [current.experiment_id]}, {"search_all_experiments": True}):
        found = mlflow.search_runs(
            **where,
            filter_string=(
                f"tags.task = '{current.task}' and tags.inputs = '{inputs}' and "
                "attributes.status = 'FINISHED'"
            ),
            order_by=["attributes.start_time DESC"],
            max_results=1,
            output_format="list",
        )
        if found:
            return found[0]
    raise InputError(
        f"there is no finished {current.task} run on {inputs} at {store.shown()}; "
        "train one first or name a model."
    )
