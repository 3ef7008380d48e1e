"""Adds two numbers with a trained network."""

from dataclasses import dataclass

import mlflow
from mlflow.exceptions import MlflowException

from mlproject import models, tracking
from tfnets.addition import exact_sum
from tfnets.errors import InputError, first_line


@dataclass(frozen=True)
class Answer:
    """What a model takes for a sum; ``print`` it.

    Attributes:
        a: A number.
        b: Another.
        sum: The model's answer.
        exact: The sum.
        model: URI of the model.
        run: Name of the model's run, if nobody named the model.
    """

    a: str
    b: str
    sum: str
    exact: str
    model: str
    run: str = ""

    @property
    def is_right(self) -> bool:
        """Whether it is."""
        return self.sum == self.exact

    def __str__(self) -> str:
        verdict = "right" if self.is_right else f"wrong: it is {self.exact}"
        model = f"Model: {self.model} ({self.run})" if self.run else f"Model: {self.model}"
        return f"{self.a} + {self.b} = {self.sum}\n{verdict}\n{model}"


def add(a: str, b: str, model: str, run: tracking.Run) -> Answer:
    """Asks a model for a sum.

    Args:
        a: A number in the model's base, of no more digits than it was trained for.
        b: Another.
        model: As for :func:`mlproject.models.load`.
        run: In whose experiment the latest model is looked for first.

    Raises:
        InputError: For what is no such number, or a model that does not add.
    """
    loaded, uri, name = models.load(model, "numbers", run, mlflow.pyfunc)
    about = loaded.metadata.metadata or {}
    if "seq_len" not in about or "base" not in about:
        raise InputError(f"model {uri} adds no numbers; a model of a run of addition is needed.")
    try:
        (said,) = loaded.predict([{"a": a, "b": b}])["sum"]
    except MlflowException as error:
        raise InputError(f"{first_line(error)}.") from None
    return Answer(a, b, said, exact_sum(a, b, about["base"]), uri, name)


def log(answer: Answer, run: tracking.Run) -> None:
    """Logs what was answered."""
    run.log_tags(
        {
            "sum": answer.sum,
            "exact": answer.exact,
            "right": str(answer.is_right),
            "model.uri": answer.model,
        }
    )
