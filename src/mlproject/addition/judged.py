"""What every run with an adder logs of its test and its deployable model, and registers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

import tfnets.addition
from mlproject import models, registry, tracking
from mlproject.addition.results import ALMOST_ALL, Test
from mlproject.registry import CHAMPION
from mlproject.results import count, log_network
from tfnets import tables
from tfnets.addition import Adder
from tfnets.dataset import Dataset, Split
from tfnets.parameters import Derivation

_SERVED = Path(__file__).with_name("served.py")
_EXAMPLE = {"a": "1", "b": "1"}  # there are these in any base
_MOST_MISTAKES = 5


@dataclass(frozen=True)
class Judged:
    """An adder with what the test says of it, logged.

    Attributes:
        lengths: Accuracy on held-out pairs by ``seq_len``, by columns; the first row is the
            test, at the length that the adder is for.
        mistakes: The first mistakes of the test, then of other lengths, by columns.
        table: Where the network's parameters come from.
    """

    lengths: dict[str, list]
    mistakes: dict[str, list]
    table: Derivation

    @property
    def accuracy(self) -> float:
        """The share of the test's sums that are right."""
        return self.lengths["accuracy"][0]

    def __str__(self) -> str:
        columns = {"numbers of": [count(n - 1, "digit") for n in self.lengths["seq_len"]]}
        columns["numbers of"][0] += " (test)"
        for name, words in (("accuracy", "exact match"), ("digit_accuracy", "digits right")):
            columns[words] = [f"{value:.4f}" for value in self.lengths[name]]
        columns["pairs"] = [f"{pairs:,}" for pairs in self.lengths["pairs"]]
        parts = [tables.text(columns), "No mistakes in these."]
        if self.mistakes["a"]:
            rows = {name: [_cut(str(v)) for v in each] for name, each in self.mistakes.items()}
            parts[1] = f"The first mistakes\n\n{tables.text(rows)}"
        return "\n\n".join(parts)


def log_data(data: Dataset, cell: str, run: tracking.Run) -> None:
    """Logs what a network is trained or judged on, and which it is."""
    run.log_dataset(data)
    run.log_tags({"model": cell, "inputs": "numbers", "data.split": data.split_kind})


def judge(
    network: keras.Model,
    evaluate: Callable[[Split], dict[str, float]],
    data: Dataset,
    chosen: Test,
    run: tracking.Run,
) -> Judged:
    """Logs a network, its deployable model, and what the test and other lengths say of it.

    Args:
        network: From :func:`tfnets.addition.build`, with its weights.
        evaluate: Its loss on a split.
        data: From :func:`tfnets.addition.load`.
        chosen: What to test on.
        run: Where to log.
    """
    table = log_network(network, run)
    models.log_program(run, _SERVED, network, _EXAMPLE, ("sum",), chosen.data)
    base, seq_len = chosen.data["base"], chosen.data["seq_len"]
    adder = Adder(network, seq_len, base)
    lengths = {"seq_len": [], "accuracy": [], "digit_accuracy": [], "pairs": []}
    mistakes: dict[str, list] = {}
    for length in (seq_len, *chosen.lengths):
        split = data.test
        if length != seq_len:
            split = tfnets.addition.held_out(length, base, len(data.test))
        if not len(split):  # of so short numbers none are held out
            continue
        missing = _MOST_MISTAKES - len(mistakes.get("a", ()))
        metrics, wrong = adder.judge(split, missing)
        if length == seq_len:
            test = evaluate(split) | metrics
            run.log_metrics({f"test/{name}": value for name, value in test.items()})
        run.log_metrics({f"by_length/{name}": value for name, value in metrics.items()}, length)
        for name, value in ({"seq_len": length, "pairs": len(split)} | metrics).items():
            lengths[name].append(value)
        for name, values in wrong.items():
            mistakes[name] = mistakes.get(name, []) + values
    run.log_table(lengths, "lengths.json")
    run.log_table(mistakes, "mistakes.json")
    return Judged(lengths, mistakes, table)


def describe(about: str, judged: Judged, data: Dataset, run: tracking.Run) -> None:
    """Logs the description that the UI shows on top of a run.

    Args:
        about: How the network came to its weights; goes on after a comma.
        judged: What the test says of it.
        data: What it was tested on.
        run: Where to log.
    """
    serve = f"mlflow models serve -m runs:/{run.id}/model --env-manager local -p 5001"
    lines = [
        f"**{judged.accuracy:.4f}** of the sums are right on *{data.name}*, "
        f"{judged.table.total:,} parameters, {about}",
        f"```\n{judged}\n```",
        "The deployed model takes numbers as strings:",
        f"```\n{serve}\n```",
        "Where the parameters come from:",
        f"```\n{judged.table}\n```",
    ]
    run.describe("\n\n".join(lines))


def register(chosen: Test, judged: Judged, run: tracking.Run) -> list[tuple[str, str]]:
    """Registers the run's model if it is to be, which may become the champion.

    Returns:
        What a summary says of it.
    """
    if chosen.register_as is None:
        return []
    return [("Registered", _register(chosen, judged, run))]


def _register(chosen: Test, judged: Judged, run: tracking.Run) -> str:
    """What became of it, in words."""
    name, seq_len = chosen.register_as, chosen.data["seq_len"]
    accuracy = judged.accuracy
    tags = {"accuracy": str(accuracy), "seq_len": str(seq_len), "base": str(chosen.data["base"])}
    words = f"{accuracy:.4f} of the sums of numbers of {count(seq_len - 1, 'digit')}"
    version = registry.register(name, run.id, tags, f"{run.name}: {words} are right.")
    number = registry.aliases(name).get(CHAMPION)
    if number is not None:
        champion = registry.find(f"{name}/{number}")
        theirs = {"accuracy": "0", "seq_len": "2"} | champion.tags
        if merit(theirs) >= merit(tags):
            digits = count(int(theirs["seq_len"]) - 1, "digit")
            right = float(theirs["accuracy"])
            return f"{version}; the champion stays {champion}, {right:.4f} of {digits}"
    registry.alias(version, CHAMPION)
    return f"{version}, the champion"


def merit(tags: dict[str, str]) -> tuple:
    """Who adds nearly always beats who does not; of the former who adds longer numbers leads.

    Accuracies at different lengths say little of each other: short numbers are easy.
    """
    accuracy, seq_len = float(tags["accuracy"]), int(tags["seq_len"])
    if accuracy >= ALMOST_ALL:
        return True, seq_len, accuracy
    return False, accuracy, seq_len


def _cut(number: str) -> str:
    """A number without its middle if it is long."""
    return number if len(number) <= 24 else f"{number[:10]}...{number[-10:]}"
