"""Trains what a study compares, and sets it beside the report."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlproject import records, sweep, tracking
from mlproject.addition.results import settings
from mlproject.addition.studies import STUDIES, Study, Value
from mlproject.cluster import Trial
from mlproject.results import log_times, summary
from mlproject.sweep import Done
from tfnets import tables
from tfnets.addition import figures
from tfnets.progress import duration

# Of a study's options those that its trials have, too.
_OF_TRIAL = ("base", "initializer", "steps", "batch_size")

_NOTE = (
    "Numbers drawn digit by digit, anew for every step: {steps:,} steps of {batch_size} pairs, "
    "base {base}, initial weights as in {initializer}, seeds {seeds}. Exact match: the share of "
    "2,000 held-out sums that are right in every digit; digits: the share of right digits; 10 x "
    "as long: exact match in sums of ten times the length; all in percent, with several seeds "
    "mean ± standard deviation (ddof 0). 99 % after: steps until 99 % of 1,000 other held-out "
    "sums are right, looked at every 50 steps, for each seed. 'addition_rnn' is the report's "
    "exact match, of one training; in brackets where it has a curve and no number."
)


@dataclass(frozen=True)
class Group:
    """A value of a study.

    Attributes:
        value: Which.
        trials: One for each seed.
    """

    value: Value
    trials: tuple[Trial, ...]


Plan = dict[str, list[Group]]  # by the study's name


def study(parameters: dict, defaults: dict, run: tracking.Run) -> str:
    """Trains, tabulates and draws; logs tables after every run, figures in the end.

    Args:
        parameters: The command's options by name; ``values`` is a tuple, or ``"report"``.
        defaults: The options of ``addition_rnn``.
        run: The parent run.

    Returns:
        A summary for the user.

    Raises:
        InputError: If a run fails; the others are done, and can be resumed from.
    """
    studies = plan(parameters, defaults, run)
    trials = [trial for groups in studies.values() for group in groups for trial in group.trials]
    for trial in trials:
        settings(trial.parameters)  # what does not fit is to be known before others are trained
    seeds = ", ".join(map(str, parameters["seeds"]))
    note = textwrap.fill(_NOTE.format(**parameters | {"seeds": seeds}), 99)

    def log_tables() -> None:
        run.log_text(f"{_tables(studies, done)}\n\n\n{note}\n", "tables.txt")

    done = sweep.resumed(parameters["resume"], trials, "study", None, run)
    failed = sweep.train(
        trials,
        done,
        module="mlproject.addition.trial",
        digest=None,
        scheduler=parameters["scheduler"],
        judged_by=("test/accuracy", "exact match"),
        after=log_tables,
        run=run,
    )
    if done:
        run.log_table(_runs(studies, done), "runs.json")
    sweep.refuse(failed, len(trials), "leave out of values what cannot be trained", run)
    for name, groups in studies.items():
        histories = {group.value.name: _histories(group, done) for group in groups}
        title = f"{STUDIES[name].title}; base {parameters['base']}, seeds {seeds}"
        run.log_figure(figures.compared(histories, title), f"{name}.png")
    text = _tables(studies, done)
    run.describe(f"```\n{text}\n```\n\n{note}")
    log_times(run)
    return f"\n{text}\n\n\n{note}\n" + summary(("Wall time", duration(run.elapsed)), run=run)


def plan(parameters: dict, defaults: dict, run: tracking.Run) -> Plan:
    """What is to be trained, as data; arguments as for :func:`study`."""
    base = defaults | {name: parameters[name] for name in _OF_TRIAL} | {"register_as": "none"}
    names = list(STUDIES) if parameters["study"] == "all" else [parameters["study"]]
    return {
        name: [
            Group(value, tuple(_trials(name, value, base, parameters["seeds"], run)))
            for value in _values(STUDIES[name], parameters["values"])
        ]
        for name in names
    }


def _values(chosen: Study, given: tuple | str) -> Sequence[Value]:
    """The report's values, or those that were given, with what the report has of them."""
    if given == "report":
        return chosen.values
    published = {value.name: value.published for value in chosen.values}
    return [
        Value(str(each), {chosen.varies: each}, published.get(str(each), "-")) for each in given
    ]


def _trials(
    name: str, value: Value, base: dict, seeds: Sequence[int], run: tracking.Run
) -> Iterator[Trial]:
    title = f"{name} {value.name}"
    tags = {"study": f"{name} {run.id[:6]}", "configuration": title}
    for seed in seeds:
        options = base | STUDIES[name].fixed | value.options | {"seed": seed}
        yield Trial(f"{title} seed {seed}", options, tags)


def _tables(studies: Plan, done: Done) -> str:
    """A table for each study, ours beside the report's."""
    parts = []
    for name, groups in studies.items():
        columns = {STUDIES[name].varies: [group.value.name for group in groups]}
        columns["exact match"] = [_spread(group, done, "test/accuracy") for group in groups]
        columns["addition_rnn"] = [group.value.published for group in groups]
        columns["digits"] = [_spread(group, done, "test/digit_accuracy") for group in groups]
        columns["10 x as long"] = [_spread(group, done, "by_length/accuracy") for group in groups]
        columns["99 % after"] = [_to_99(group, done) for group in groups]
        for words, metric in (("seconds", "time/train_s"), ("parameters", "params/total")):
            columns[words] = [_mean(group, done, metric) for group in groups]
        parts.append(f"{name}: {STUDIES[name].title}\n\n{tables.text(columns)}")
    wanted = sum(len(group.trials) for groups in studies.values() for group in groups)
    if len(done) < wanted:
        parts.append(f"{len(done)} of {wanted} runs are in these tables.")
    return "\n\n\n".join(parts)


def _spread(group: Group, done: Done, metric: str) -> str:
    return sweep.spread(group.trials, done, metric, digits=2)


def _to_99(group: Group, done: Done) -> str:
    """Steps to 99 % with each seed, ``"200, 250, -"``."""
    there = [done[trial.name] for trial in group.trials if trial.name in done]
    steps = [record.metrics.get("steps/to_99") for record in there]
    return ", ".join("-" if step is None else f"{step:.0f}" for step in steps) or "-"


def _mean(group: Group, done: Done, metric: str) -> str:
    values = sweep.values(group.trials, done, metric)
    return f"{np.mean(values):,.0f}" if values else "-"


def _runs(studies: Plan, done: Done) -> dict[str, list]:
    """One row a run with its numbers, by columns."""
    rows = [
        (name, group.value.name, trial.parameters["seed"], done[trial.name])
        for name, groups in studies.items()
        for group in groups
        for trial in group.trials
        if trial.name in done
    ]
    metrics = ("test/accuracy", "test/digit_accuracy", "test/loss", "by_length/accuracy")
    metrics += ("steps/to_99", "time/train_s", "time/draw_s", "params/total")
    columns = {
        "study": [name for name, _, _, _ in rows],
        "value": [value for _, value, _, _ in rows],
        "seed": [seed for _, _, seed, _ in rows],
        "run_id": [record.id for *_, record in rows],
    }
    return columns | {name: [record.metrics.get(name) for *_, record in rows] for name in metrics}


def _histories(group: Group, done: Done) -> list[figures.History]:
    names = ("val/accuracy", "val/digit_accuracy", "val/loss")
    return [records.history(done[trial.name].id, names) for trial in group.trials]
