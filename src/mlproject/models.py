"""Models that one hands on: logs them with all that they need elsewhere, loads them again."""

import logging
import os
import tempfile
import types
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

import keras
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

import tfnets
from mlproject import interrupt
from mlproject.tracking import Run, timed
from tfnets.errors import InputError, first_line

_NAME = "model"

# It says so each time when it has compared an example with the signature.
logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)


def _untried(flavour: types.ModuleType) -> types.SimpleNamespace:
    """The flavour, but MLflow does not load each model to let it answer its example.

    That would cost half a second a run.
    """
    return types.SimpleNamespace(
        __name__=flavour.__name__,
        save_model=lambda validate_serving_input, **given: flavour.save_model(**given),
    )


@timed
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
    return _log(
        mlflow.tensorflow,
        model=model,
        signature=ModelSignature(Schema([TensorSpec(np.dtype("float32"), free)]), Schema(outputs)),
        input_example=example,
        description=description,
    )


@timed
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
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.keras"
        # The same layers; without the optimizer's state, should the network be compiled.
        keras.Model(network.input, network.output, name=network.name).save(file)
        return _log(
            mlflow.pyfunc,
            python_model=str(program),
            artifacts={"network": str(file)},
            model_config=description,
            signature=ModelSignature(_strings(example), _strings(outputs)),
            input_example=pd.DataFrame([example]),
            description=description,
            packages=("mlflow",),
        )


def _strings(names: Iterable[str]) -> Schema:
    return Schema([ColSpec("string", name) for name in names])


def _log(
    flavour: types.ModuleType, *, description: dict, packages: Sequence[str] = (), **given
) -> str:
    needed = ("tensorflow", "keras", "numpy", *packages)
    return Model.log(
        artifact_path=None,
        flavor=_untried(flavour),
        validate_serving_input=False,
        name=_NAME,
        # The layers' code travels with the model: it loads where tfnets is not installed.
        code_paths=[str(Path(tfnets.__file__).parent)],
        pip_requirements=[f"{name}=={metadata.version(name)}" for name in needed],
        metadata=description,
        **given,
    ).model_uri


def load(model: str, inputs: str, current: Run, flavour=mlflow.tensorflow):
    """Loads a deployable model.

    Args:
        model: ``"latest"``, a run's id, or any model URI
            (``models:/name@alias``, ``runs:/id/model``).
        inputs: What the ``"latest"`` model must take: the tag ``inputs`` of its run.
        current: In whose task the ``"latest"`` is looked for, and first in whose experiment.
        flavour: The module of MLflow that loads it.

    Returns:
        The model, a Keras model unless the flavour is another, the URI that it was loaded
        from, and the name of its run, which is empty unless it is the latest.

    Raises:
        InputError: If there is no such model or it cannot be loaded.
    """
    with interrupt.held():  # what is broken off can keep the database locked
        name = ""
        if model == "latest":
            info = _latest(inputs, current).info
            uri, name = f"runs:/{info.run_id}/{_NAME}", info.run_name
        else:
            uri = model if ":" in model or os.path.exists(model) else f"runs:/{model}/{_NAME}"
        try:
            return flavour.load_model(uri), uri, name
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
        f"there is no finished {current.task} run on {inputs} at {mlflow.get_tracking_uri()}; "
        "train one first or name a model."
    )
