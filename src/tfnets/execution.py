"""How the optimizer steps of a network are computed."""

from dataclasses import dataclass

from tfnets.errors import InputError


@dataclass(frozen=True)
class Execution:
    """How a network's steps are computed; each model says which is fastest for it.

    Attributes:
        xla: Whether XLA compiles the steps.
        shards: Into how many equal parts a batch is cut that are computed side by side.
            Their gradients are summed up, in the same order every time.
        steps_per_call: Steps between two returns to Python, which is where signals are
            heard.
    """

    xla: bool = False
    shards: int = 1
    steps_per_call: int = 1

    def __post_init__(self):
        for name in ("shards", "steps_per_call"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected 1 or more.")

    def __str__(self) -> str:
        compiled = "XLA" if self.xla else "TensorFlow"
        parts = f", batches in {self.shards} parts" if self.shards > 1 else ""
        return f"{compiled}{parts}, up to {self.steps_per_call} steps a call"
