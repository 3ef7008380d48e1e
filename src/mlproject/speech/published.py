"""What the speech reports publish: facts to stand beside our own, on other data."""

from dataclasses import dataclass
from typing import NamedTuple


class Network(NamedTuple):
    """A network and its optimizer; as text ``"gru+adam"``.

    Attributes:
        architecture: ``"fc"``, ``"cnn"`` or ``"gru"``.
        optimizer: ``"adam"`` or ``"sgd"``.
    """

    architecture: str
    optimizer: str

    def __str__(self) -> str:
        return f"{self.architecture}+{self.optimizer}"

    def run_name(self, seed: int) -> str:
        """The name of its run with a seed, ``"gru adam seed0"``."""
        return f"{self.architecture} {self.optimizer} seed{seed}"

    @property
    def title(self) -> str:
        """``"GRU + Adam"``."""
        return f"{self.architecture.upper()} + {'Adam' if self.optimizer == 'adam' else 'SGD'}"


@dataclass(frozen=True)
class Published:
    """A row of a report's table.

    Attributes:
        accuracy: Test accuracy.
        seconds: Training time.
    """

    accuracy: float
    seconds: float


# speech_rnn, table 4, by network and optimizer.
SPEECH_RNN = {
    ("fc", "sgd"): Published(0.7828, 271.28),
    ("cnn", "sgd"): Published(0.8340, 22_195.47),
    ("cnn", "adam"): Published(0.9007, 22_234.72),
    ("gru", "adam"): Published(0.9194, 4_581.49),
}

# speech_group530, question 2, test accuracy. The report names Adam for the GRU only; the CNN's
# figure stands where the specification has it, that of the fully connected network beside both.
SPEECH_GROUP530 = {
    ("fc", "sgd"): 0.8796,
    ("fc", "adam"): 0.8796,
    ("cnn", "adam"): 0.9178,
    ("gru", "adam"): 0.9569,
}
