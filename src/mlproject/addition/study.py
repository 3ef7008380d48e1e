"""Trains what a study compares, and sets it beside the report."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlproject import records, sweep, tracking
from mlproject.addition.results import last_steps, load, looks, settings
from mlproject.addition.studies import STUDIES, Study, Value
from mlproject.cluster import Trial
from mlproject.results import count, log_times, summary
from mlproject.sweep import Done
from tfnets import tables
from tfnets.addition import figures
from tfnets.dataset import Dataset
from tfnets.progress import duration

# Of a study's options those that its trials have, too.
_OF_TRIAL = ("base", "initializer", "steps", "batch_size")

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
    data = _load(trials, run)  # what cannot be is to be known before anything is trained
    note = _note(parameters, data)

    def log_tables() -> None:
        run.log_text(f"{_tables(studies, done)}\n\n\n{note}\n", "tables.txt")

    digests = {name: each.digest for name, each in data.items()}
    done = sweep.resumed(parameters["resume"], trials, "study", digests, run)
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
    text = _tables(studies, done)
    if done:
        run.log_table(_runs(studies, done), "runs.json")
        _draw(studies, done, run)
        run.describe(f"```\n{text}\n```\n\n{note}")
    advice = "-P study=NAME -P values=... leaves out what cannot be trained"
    sweep.refuse(failed, len(trials), advice, run)
    log_times(run)
    return f"\n{text}\n\n\n{note}\n" + summary(("Wall time", duration(run.elapsed)), run=run)


def _load(trials: Sequence[Trial], run: tracking.Run) -> dict[str, Dataset]:
    """The data of each trial by its name, logged with the parent."""
    loaded: dict[str, Dataset] = {}
    by_trial = {}
    for trial in trials:
        chosen = settings(trial.parameters)
        key = str(chosen.test.data)
        if key not in loaded:
            loaded[key] = load(chosen.test)
            run.log_dataset(loaded[key])
        by_trial[trial.name] = loaded[key]
    return by_trial


def _note(parameters: dict, data: dict[str, Dataset]) -> str:
    """What the numbers are of, below the tables."""
    steps = parameters["steps"]
    facts = {
        "seeds": ", ".join(map(str, parameters["seeds"])),
        "test": _from_to({len(each.test) for each in data.values()}),
        "val": _from_to({len(each.val) for each in data.values()}),
        "looks": looks(steps),
        "last": count(last_steps(steps), "step"),
    }
    return textwrap.fill(_NOTE.format(**parameters | facts), 99)


def _from_to(numbers: set[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _draw(studies: Plan, done: Done, run: tracking.Run) -> None:
    """One figure a study, with the curves of what is done."""
    for name, groups in studies.items():
        histories = {
            group.value.name: [_history(done[t.name]) for t in group.trials if t.name in done]
            for group in groups
        }
        seeds = ", ".join(str(trial.parameters["seed"]) for trial in groups[0].trials)
        base = groups[0].trials[0].parameters["base"]
        title = f"{STUDIES[name].title}; base {base}, seeds {seeds}"
        run.log_figure(figures.compared(histories, title), f"{name}.png")


def _history(record: records.Record) -> figures.History:
    return records.history(record.id, figures.COMPARED)


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
    """The report's values; or those that were given, which can be among the report's."""
    if given == "report":
        return chosen.values
    known = {value.name: value for value in chosen.values}
    return [known.get(str(each)) or Value(str(each), {chosen.varies: each}) for each in given]


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
        columns["addition_rnn"] = [_theirs(group) for group in groups]
        columns["digits"] = [_spread(group, done, "test/digit_accuracy") for group in groups]
        columns["10 x as long"] = [_spread(group, done, "by_length/accuracy") for group in groups]
        columns["99 % after"] = [_to_99(group, done) for group in groups]
        columns["final loss"] = [
            sweep.spread(group.trials, done, "train/loss", ".2g", 1) for group in groups
        ]
        for words, metric in (("seconds", "time/train_s"), ("parameters", "params/total")):
            columns[words] = [_mean(group, done, metric) for group in groups]
        parts.append(f"{name}: {STUDIES[name].title}\n\n{tables.text(columns)}")
    wanted = sum(len(group.trials) for groups in studies.values() for group in groups)
    if len(done) < wanted:
        parts.append(f"{len(done)} of {wanted} runs are in these tables.")
    return "\n\n\n".join(parts)


def _theirs(group: Group) -> str:
    """What the report has, if this is its experiment."""
    given = group.trials[0].parameters
    same = all(given[name] == value for name, value in _OF_REPORT.items())
    return group.value.published if same else "-"


def _spread(group: Group, done: Done, metric: str) -> str:
    return sweep.spread(group.trials, done, metric, ".2f")


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
    metrics += ("train/loss", "steps/to_99", "time/train_s", "time/draw_s", "params/total")
    columns = {
        "study": [name for name, _, _, _ in rows],
        "value": [value for _, value, _, _ in rows],
        "seed": [seed for _, _, seed, _ in rows],
        "run_id": [record.id for *_, record in rows],
    }
    return columns | {name: [record.metrics.get(name) for *_, record in rows] for name in metrics}
