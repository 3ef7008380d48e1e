"""What is compared: one training step of each task, with sizes from the reports."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One network and one batch.

    Attributes:
        title: What the table calls it.
        family: ``"speech"``, ``"har"`` or ``"addition"``.
        model: ``"gru"``, ``"cnn"``, ``"fc"`` or the cell.
        batch: Samples a step.
        steps: Steps that are timed together, as an epoch.
        time: Length of the sequences.
        units: Hidden units.
    """

    title: str
    family: str
    model: str
    batch: int
    steps: int
    time: int = 0
    units: int = 0


TASKS = {
    "har-10-50": Task("HAR RNN, batch 10, 50 units", "har", "rnn", 10, 150, 150, 50),
    "har-30-100": Task("HAR RNN, batch 30, 100 units", "har", "rnn", 30, 100, 150, 100),
    "addition-11": Task("addition RNN, length 11", "addition", "rnn", 200, 150, 11, 64),
    "addition-101": Task("addition RNN, length 101", "addition", "rnn", 200, 20, 101, 64),
    "speech-gru": Task("speech GRU, batch 1,024", "speech", "gru", 1024, 4),
    "speech-cnn": Task("speech CNN, batch 1,024", "speech", "cnn", 1024, 4),
    "speech-fc": Task("speech FC, batch 1,024", "speech", "fc", 1024, 8),
}
