"""Logs an adder's test and deployable model, and registers it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

import tfnets.addition
from mlproject.addition.settings import ALMOST_ALL, Test
from mlproject.tracking import models, registry, summaries
from mlproject.tracking.limits import escaped
from mlproject.tracking.registry import CHAMPION
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_network
from tfnets import tables
from tfnets.addition import Adder
from tfnets.dataset import Dataset, Split
from tfnets.parameters import Derivation
from tfnets.progress import count

_SERVED = Path(__file__).with_name("served.py")
_EXAMPLE = {"a": "1", "b": "1"}  # there are these in any base
_MOST_MISTAKES = 5


@dataclass(frozen=True)
class Evaluated:
    """The logged test results of an adder.

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


def log_data(data: Dataset, cell: str, run: Run) -> None:
    """Logs what a network is trained or evaluated on, and which it is."""
    run.log_dataset(data)
    run.log_tags({"model": cell, "inputs": "numbers", "data.split": data.split_kind})


def evaluate(
    network: keras.Model,
    evaluate_loss: Callable[[Split], dict[str, float]],
    data: Dataset,
    test: Test,
    run: Run,
) -> Evaluated:
    """Logs a network, its deployable model, and its accuracy on the test and other lengths.

    Args:
        network: From :func:`tfnets.addition.build`, with its weights.
        evaluate_loss: Its loss on a split, among its metrics.
        data: From :func:`tfnets.addition.load`.
        test: What to test on.
        run: Where to log.
    """
    table = log_network(network, run)
    models.log_program(run, _SERVED, network, _EXAMPLE, ("sum",), test.data)
    base, seq_len = test.data["base"], test.data["seq_len"]
    adder = Adder(network, seq_len, base)
    lengths: dict[str, list] = {"seq_len": [], "accuracy": [], "digit_accuracy": [], "pairs": []}
    mistakes: dict[str, list] = {}
    for length in (seq_len, *test.lengths):
        split = data.test
        if length != seq_len:
            split = tfnets.addition.held_out(length, base, len(data.test))
        if not len(split):  # of so short numbers none are held out
            continue
        missing = _MOST_MISTAKES - len(mistakes.get("a", ()))
        metrics, wrong = adder.judge(split, missing)
        if length == seq_len:
            of_test = evaluate_loss(split) | metrics
            run.log_metrics({f"test/{name}": value for name, value in of_test.items()})
        run.log_metrics({f"by_length/{name}": value for name, value in metrics.items()}, length)
        for name, value in ({"seq_len": length, "pairs": len(split)} | metrics).items():
            lengths[name].append(value)
        for name, values in wrong.items():
            mistakes[name] = mistakes.get(name, []) + values
    run.log_table(lengths, "lengths.json")
    run.log_table(mistakes, "mistakes.json")
    return Evaluated(lengths, mistakes, table)


def describe(about: str, evaluated: Evaluated, data: Dataset, run: Run) -> None:
    """Logs the description that the UI shows on top of a run.

    Args:
        about: How the network came to its weights; goes on after a comma.
        evaluated: What the test says of it.
        data: What it was tested on.
        run: Where to log.
    """
    lines = [
        f"**{evaluated.accuracy:.4f}** of the sums are right on *{escaped(data.name)}*, "
        f"{evaluated.table.total:,} parameters, {about}",
        f"```\n{evaluated}\n```",
    ]
    takes = "The deployed model takes numbers as strings:"
    summaries.describe(lines, takes, evaluated.table, run)


def register(test: Test, evaluated: Evaluated, run: Run) -> list[tuple[str, str]]:
    """Registers the run's model if asked to; it may become the champion.

    Returns:
        What a summary says of it.
    """
    if test.register_as is None:
        return []
    return [("Registered", _register(test.register_as, test, evaluated, run))]


def _register(name: str, test: Test, evaluated: Evaluated, run: Run) -> str:
    """What became of it, in words."""
    seq_len = test.data["seq_len"]
    accuracy = evaluated.accuracy
    tags = {"accuracy": str(accuracy), "seq_len": str(seq_len), "base": str(test.data["base"])}
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
    """Ranks adders: 99 % exact match first, then the longest numbers, then accuracy.

    Accuracies at different lengths say little of each other: short numbers are easy.
    """
    accuracy, seq_len = float(tags["accuracy"]), int(tags["seq_len"])
    if accuracy >= ALMOST_ALL:
        return True, seq_len, accuracy
    return False, accuracy, seq_len


def _cut(number: str) -> str:
    """A number without its middle if it is long."""
    return number if len(number) <= 24 else f"{number[:10]}...{number[-10:]}"
