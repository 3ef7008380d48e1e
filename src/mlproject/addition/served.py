"""The deployed adder: a program that travels with its network, and with tfnets.

MLflow runs this file where the model is loaded, which need not have this package.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # ours, whatever the server's environment says

import keras
import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from tfnets import layers  # noqa: F401  (Keras finds the network's layers by it)
from tfnets.addition import Adder
from tfnets.errors import InputError


class Refused(MlflowException):
    """Bad input; a server answers with status 400 and the one line."""

    def __init__(self, line: str):
        super().__init__(line, INVALID_PARAMETER_VALUE)
        self.line = line  # what is answered; MLflow puts all of the input before the message


class ServedAdder(mlflow.pyfunc.PythonModel):
    """From columns ``a`` and ``b`` of numbers as strings to a column ``sum``."""

    def load_context(self, context):
        """MLflow calls it once."""
        network = keras.saving.load_model(context.artifacts["network"], compile=False)
        about = context.model_config
        self._adder = Adder(network, about["seq_len"], about["base"])

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        """MLflow calls it with a data frame."""
        try:
            sums = self._adder.add(list(model_input["a"]), list(model_input["b"]))
        except InputError as error:
            raise Refused(str(error)) from None
        return model_input[[]].assign(sum=sums)


mlflow.models.set_model(ServedAdder())
