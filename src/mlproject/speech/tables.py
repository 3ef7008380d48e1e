"""What a comparison amounts to, as the report's table, ours beside the published."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import mean

from mlproject.speech import published
from mlproject.speech.published import Network
from mlproject.sweeps.statistics import spread, values
from mlproject.sweeps.trials import Done, Group, by_seed, so_far
from mlproject.tracking.summaries import sizes
from tfnets import tables
from tfnets.dataset import Dataset

# What the figures show by epoch.
COMPARED = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")

_NOTE = (
    "Trained here on {data} ({sizes}), {epochs} epochs; seeds {seeds}{spread}. What is named "
    "after a report is what it publishes, on the course's recordings and its authors' machine: "
    "other data and another clock, so compare rows with rows. speech_group530 names the optimizer "
    "(Adam) of its GRU only. Epochs to 90 %: until validation accuracy first is 90 % of "
    "what it is in the last epoch. Gap: training minus validation accuracy in the last epoch."
)


@dataclass(frozen=True)
class Comparison:
    """A comparison with what its numbers are of.

    Attributes:
        groups: The networks with their trials.
        options: The command's options by name.
        data: What all are trained on.
    """

    groups: Sequence[Group[Network]]
    options: dict
    data: Dataset

    @property
    def title(self) -> str:
        """What was trained, above a figure."""
        return f"{self.data.name}, {self.options['epochs']} epochs"

    def note(self, done: Done) -> str:
        """What the numbers are of, below the table."""
        seeds = self.options["seeds"]
        return so_far(done, len(by_seed(self.groups)), "this table") + _NOTE.format(
            data=self.data.name,
            sizes=sizes(self.data),
            epochs=self.options["epochs"],
            seeds=", ".join(map(str, seeds)),
            spread=", mean ± standard deviation (ddof 0)" if len(seeds) > 1 else "",
        )

    def table(self, done: Done) -> str:
        """The report's table, ours beside the published, of the networks that have runs."""
        return tables.text(results([g for g in self.groups if g.done_of(done)], done))

    def text(self, done: Done) -> str:
        """The table and the note."""
        return f"{self.table(done)}\n\n{textwrap.fill(self.note(done), 88)}\n"


def results(groups: Sequence[Group[Network]], done: Done) -> dict[str, list[str]]:
    """The table by columns, one row a network."""
    theirs = [published.SPEECH_RNN.get(group.subject) for group in groups]
    others = [published.SPEECH_GROUP530.get(group.subject) for group in groups]

    def spreads(metric: str, form: str) -> list[str]:
        return [spread(group.done_of(done), done, metric, form, 1) for group in groups]

    return {
        "network": [group.name for group in groups],
        "test accuracy": spreads("test/accuracy", ".4f"),
        "of speech_rnn": [f"{row.accuracy:.4f}" if row else "-" for row in theirs],
        "of group530": [f"{accuracy:.4f}" if accuracy else "-" for accuracy in others],
        "training time": [_clock(mean(values(g.trials, done, "time/train_s"))) for g in groups],
        "time of speech_rnn": [_clock(row.seconds) if row else "-" for row in theirs],
        "parameters": [f"{values(g.trials, done, 'params/total')[0]:,.0f}" for g in groups],
        "epochs to 90 %": spreads("epochs/to_90_of_final", ".1f"),
        "gap": spreads("gap/accuracy", "+.4f"),
    }


def runs(groups: Sequence[Group[Network]], done: Done) -> dict[str, list]:
    """One row a run with its numbers, and the published ones; by columns."""
    rows = [(group.subject, done[trial.name]) for group in groups for trial in group.done_of(done)]
    theirs = [published.SPEECH_RNN.get(network) for network, _ in rows]
    metrics = {
        "test_accuracy": "test/accuracy",
        "gap_accuracy": "gap/accuracy",
        "epochs_to_90_of_final": "epochs/to_90_of_final",
        "train_s": "time/train_s",
        "parameters": "params/total",
    }
    columns: dict[str, list] = {
        "run": [record.name for _, record in rows],
        "run_id": [record.id for _, record in rows],
    }
    columns |= {name: [r.metrics[metric] for _, r in rows] for name, metric in metrics.items()}
    return columns | {
        "speech_rnn_test_accuracy": [row.accuracy if row else None for row in theirs],
        "speech_rnn_train_s": [row.seconds if row else None for row in theirs],
        "speech_group530_test_accuracy": [
            published.SPEECH_GROUP530.get(network) for network, _ in rows
        ],
    }


def _clock(seconds: float) -> str:
    """``"0:04:31"``, as the report has it."""
    return str(timedelta(seconds=round(seconds)))
