"""The results of a study as tables, beside the published ones."""

import textwrap
from collections.abc import Mapping

import numpy as np

from mlproject.addition.published import STUDIES, Value
from mlproject.addition.settings import last_steps, looks
from mlproject.sweeps.statistics import spread, values
from mlproject.sweeps.trials import Done, Group, so_far
from tfnets import tables
from tfnets.dataset import Dataset
from tfnets.progress import count

Plan = dict[str, list[Group[Value]]]  # by the study's name

# With these, the report's numbers are of the same experiment.
_OF_REPORT = {"base": 10, "initializer": "torch", "steps": 3000, "batch_size": 200}

_NOTE = (
    "Numbers drawn digit by digit, anew for every step: {steps:,} steps of {batch_size} pairs, "
    "base {base}, initial weights as in {initializer}, seeds {seeds}. Exact match: the share of "
    "{test} held-out sums that are right in every digit; digits: the share of right digits; 10 x "
    "as long: exact match in sums of ten times the length; all in percent, with several seeds "
    "mean ± standard deviation (ddof 0). 99 % after: steps until 99 % of {val} other held-out "
    "sums are right, looked at {looks} times, for each seed. Final loss: the cross-entropy of a "
    "digit (natural logarithm) on the pairs of the last {last} of training, mean over them "
    "while the weights change. 'addition_rnn' is the report's exact match, of one training; in "
    "brackets where it has a curve and no number."
)


def note(options: dict, data: Mapping[str, Dataset]) -> str:
    """The note below the tables: which data and settings the numbers come from."""
    steps = options["steps"]
    facts = {
        "seeds": ", ".join(map(str, options["seeds"])),
        "test": _from_to({len(each.test) for each in data.values()}),
        "val": _from_to({len(each.splits["val"]) for each in data.values()}),
        "looks": looks(steps),
        "last": count(last_steps(steps), "step"),
    }
    return textwrap.fill(_NOTE.format(**options | facts), 99)


def _from_to(numbers: set[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def text(studies: Plan, done: Done) -> str:
    """A table for each study, ours beside the report's."""
    parts = []
    for name, groups in studies.items():
        columns = {STUDIES[name].varies: [group.subject.name for group in groups]}
        columns["exact match"] = [_spread(group, done, "test/accuracy") for group in groups]
        columns["addition_rnn"] = [_theirs(group) for group in groups]
        columns["digits"] = [_spread(group, done, "test/digit_accuracy") for group in groups]
        columns["10 x as long"] = [_spread(group, done, "by_length/accuracy") for group in groups]
        columns["99 % after"] = [_to_99(group, done) for group in groups]
        columns["final loss"] = [
            spread(group.trials, done, "train/loss", ".2g", 1) for group in groups
        ]
        for words, metric in (("seconds", "time/train_s"), ("parameters", "params/total")):
            columns[words] = [_mean(group, done, metric) for group in groups]
        parts.append(f"{name}: {STUDIES[name].title}\n\n{tables.text(columns)}")
    wanted = sum(len(group.trials) for groups in studies.values() for group in groups)
    if shown := so_far(done, wanted, "these tables"):
        parts.append(shown.rstrip())
    return "\n\n\n".join(parts)


def _theirs(group: Group) -> str:
    """What the report has, if this is its experiment."""
    given = group.trials[0].options
    same = all(given[name] == value for name, value in _OF_REPORT.items())
    return group.subject.published if same else "-"


def _spread(group: Group[Value], done: Done, metric: str) -> str:
    return spread(group.trials, done, metric, ".2f")


def _to_99(group: Group[Value], done: Done) -> str:
    """Steps to 99 % with each seed, ``"200, 250, -"``."""
    steps = [done[trial.name].metrics.get("steps/to_99") for trial in group.done_of(done)]
    return ", ".join("-" if step is None else f"{step:.0f}" for step in steps) or "-"


def _mean(group: Group[Value], done: Done, metric: str) -> str:
    there = values(group.trials, done, metric)
    return f"{np.mean(there):,.0f}" if there else "-"


def runs(studies: Plan, done: Done) -> dict[str, list]:
    """One row a run with its numbers, by columns."""
    rows = [
        (name, group.subject.name, trial.options["seed"], done[trial.name])
        for name, groups in studies.items()
        for group in groups
        for trial in group.done_of(done)
    ]
    metrics = ["test/accuracy", "test/digit_accuracy", "test/loss", "by_length/accuracy"]
    metrics += ["train/loss", "steps/to_99", "time/train_s", "time/draw_s", "params/total"]
    columns = {
        "study": [name for name, _, _, _ in rows],
        "value": [value for _, value, _, _ in rows],
        "seed": [seed for _, _, seed, _ in rows],
        "run_id": [record.id for *_, record in rows],
    }
    return columns | {name: [record.metrics.get(name) for *_, record in rows] for name in metrics}
