"""Loads a deployed model for MLflow, and has its server answer bad requests with one line.

It travels with every model, as a module of its own, to where this package is not installed.
MLflow's server answers what it cannot use with the whole of the input and a traceback, a JSON
text that is nested too deeply with status 500, and computes for minutes on one number of
millions of digits.
"""

import json
import os
import re
import sys
from collections.abc import Callable

from mlflow.exceptions import MlflowException

_SERVER = "mlflow.pyfunc.scoring_server"
_MOST_DIGITS = 1000
_MOST_SAID = 500

# Outside of strings, where a number may be of any length.
_LONG_NUMBER = re.compile(rb'(?<!["\w.])-?[\d.]{%d}' % (_MOST_DIGITS + 1))
_NOT_FINITE = "the input holds NaN or infinity"
_ASSERTED = re.compile(r"assertion failed: \[([^\]]*)\]")  # a layer's own line


def _load_pyfunc(path: str, model_config: dict | None = None) -> object:
    """MLflow calls it with the place of the model's data, and a program's configuration."""
    if _SERVER in sys.modules:  # this process serves
        _guard(sys.modules[_SERVER])
    if os.path.exists(os.path.join(path, "MLmodel")):  # a program is the whole folder
        from mlflow.pyfunc import model

        return model._load_pyfunc(path, model_config)
    from mlflow import tensorflow
    from mlflow.models import Model

    loaded = tensorflow._load_pyfunc(path)
    about = Model.load(os.path.dirname(os.path.abspath(path))).metadata or {}
    return _AtRate(loaded, about["sample_rate"]) if "sample_rate" in about else loaded


class _RefusedError(ValueError):
    def __init__(self, line: str):
        super().__init__(line)
        self.line = line


class _AtRate:
    """A model of waveforms, whose requests may say their sample rate."""

    def __init__(self, model, rate: int):
        self._model, self._rate = model, rate

    def predict(self, data, params: dict | None = None):
        given = (params or {}).get("sample_rate", self._rate)
        if given != self._rate:
            raise _RefusedError(
                f"sample_rate is {given}; this model takes waveforms of {self._rate} Hz: resample "
                "them before they are sent"
            )
        return self._model.predict(data)

    def __getattr__(self, name: str):
        return getattr(self._model, name)


def _guard(server) -> None:
    if not getattr(server, "answers_in_one_line", False):
        server.invocations = answering_in_one_line(server.invocations, server.InvocationsResponse)
        server.answers_in_one_line = True


def answering_in_one_line(invocations: Callable, response: Callable) -> Callable:
    """MLflow's function that answers a request, with one line for a bad one.

    Args:
        invocations: It takes the request's body, first.
        response: Makes an answer from ``response``, ``status`` and ``mimetype``.
    """

    def answer(data, *args):
        try:
            _check_limits(data)
            return invocations(data, *args)
        except Exception as error:  # MLflow's, TensorFlow's, what json and NumPy raise
            about = {"error_code": "INVALID_PARAMETER_VALUE", "message": line_of(error)}
            return response(json.dumps(about), 400, "application/json")

    return answer


def _check_limits(data: bytes | str) -> None:
    found = _LONG_NUMBER.search(data.encode() if isinstance(data, str) else data)
    if found:
        begin = found[0][:20].decode()
        raise ValueError(f"the input has a number of over {_MOST_DIGITS:,} digits, {begin}...")


def line_of(error: BaseException) -> str:
    """What was wrong with a request, in one line."""
    line = getattr(error, "line", None)
    if line:  # our own
        return line
    if isinstance(error, RecursionError):
        return "the input is nested too deeply"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"the input is no JSON text: {error}"
    # MLflow's wraps the cause, whose traceback we leave out.
    cause = error.__cause__ or error.__context__
    if isinstance(error, MlflowException) and cause and not isinstance(cause, MlflowException):
        return line_of(cause)
    text = str(error)
    if _NOT_FINITE in text:
        return _NOT_FINITE
    if asserted := _ASSERTED.search(text):
        return asserted[1]
    text = re.sub(r"^Failed to predict data .*?\nError: ", "", text, flags=re.DOTALL)
    text = text.partition("\nInput:")[0]
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= _MOST_SAID else f"{text[:_MOST_SAID]}..."
