"""Adds two numbers with a trained network."""

from dataclasses import dataclass

from mlproject.tracking import models
from mlproject.tracking.run import Run
from tfnets.addition import exact_sum
from tfnets.errors import InputError


@dataclass(frozen=True)
class Answer:
    """A model's answer; ``print`` it.

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


def add(a: str, b: str, model: str, run: Run) -> Answer:
    """Adds two numbers with a model.

    Args:
        a: A number in the model's base, of no more digits than it was trained for.
        b: Another.
        model: As for :func:`mlproject.tracking.models.load_program`.
        run: Its experiment is searched first for the latest model.

    Raises:
        InputError: For what is no such number, or a model that does not add.
    """
    program = models.load_program(model, "numbers", run)
    if "seq_len" not in program.about or "base" not in program.about:
        raise InputError(
            f"model {program.uri} adds no numbers; expected a model of a run of addition."
        )
    (answer,) = program.predict([{"a": a, "b": b}], "sum")
    return Answer(a, b, answer, exact_sum(a, b, program.about["base"]), program.uri, program.run)


def log(answer: Answer, run: Run) -> None:
    """Logs what was answered."""
    run.log_tags(
        {
            "sum": answer.sum,
            "exact": answer.exact,
            "right": str(answer.is_right),
            "model.uri": answer.model,
        }
    )
