"""The results of a sweep as the report's tables, beside the published ones."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from mlproject.har.published import Configuration, Published
from mlproject.har.results import FIRST, ONCE, TOPS
from mlproject.sweeps.statistics import Ranked, spread, values
from mlproject.sweeps.trials import Done, Group
from mlproject.tracking.registry import Version
from mlproject.tracking.summaries import sizes
from tfnets import tables
from tfnets.dataset import Dataset

_NOTE = (
    "Trained here on {data} ({sizes}; split {split}), protocol {protocol}, {epochs} epochs, seeds "
    "{seeds}: mean ± standard deviation (ddof 0, as in the report), in percent, at the last step. "
    "'har_rnn' is what the report publishes, on the course's recordings: other data, so compare "
    "rows with rows."
)


@dataclass(frozen=True)
class Compared:
    """What a sweep compares.

    Attributes:
        configuration: Batch size, units, learning rate.
        published: What the report says of it, if it is one of its runs.
    """

    configuration: Configuration
    published: Published | None


Groups = Sequence[Group[Compared]]


def note(options: dict, data: Dataset) -> str:
    """The note below the tables: which data and settings the numbers come from."""
    return _NOTE.format(
        data=data.name,
        sizes=sizes(data),
        split=data.split_kind,
        protocol=options["protocol"],
        epochs=options["epochs"],
        seeds=", ".join(map(str, options["seeds"])),
    )


def _theirs(group: Group[Compared], split: str, name: str) -> str:
    if group.subject.published is None:
        return "-"
    values = getattr(group.subject.published, split)[name]
    return "{:.3f} ± {:.3f}".format(*values)


def results(groups: Groups, done: Done, data: Dataset) -> str:
    """Table II: test accuracy of each configuration."""
    columns = {"run": [group.name for group in groups]}
    for number, name in enumerate(tops(data), 1):
        metric = f"{ONCE['test']}/{name}"
        columns[f"top-{number}"] = [spread(g.trials, done, metric) for g in groups]
        columns[f"har_rnn, top-{number}"] = [_theirs(g, "test", name) for g in groups]
    return tables.text(columns)


def tops(data: Dataset) -> tuple[str, ...]:
    """The top-k accuracies that are not trivial for this number of classes."""
    return TOPS[: len(data.classes) - 1]


def text(groups: Groups, done: Done, data: Dataset, note: str) -> str:
    """The report's tables I to V, ours beside the published."""
    seconds = [values(group.trials, done, "time/train_s") for group in groups]
    first = {
        "run": [group.name for group in groups],
        "batch size": [str(group.subject.configuration[0]) for group in groups],
        "units": [str(group.subject.configuration[1]) for group in groups],
        "learning rate": [f"{group.subject.configuration[2]:g}" for group in groups],
        "epochs": [str(group.trials[0].options["epochs"]) for group in groups],
        "seconds": [f"{mean(each):.1f}" if each else "-" for each in seconds],
        "har_rnn, seconds (NumPy)": [
            f"{g.subject.published.seconds:.1f}" if g.subject.published else "-" for g in groups
        ],
    }
    parts = [
        f"Table I: settings and training time\n\n{tables.text(first)}",
        f"Table II: test accuracy\n\n{results(groups, done, data)}",
    ]
    numerals = ("III", "IV", "V")
    for number, name in enumerate(tops(data), 1):
        columns = {"run": [group.name for group in groups]}
        for split, title in (("train", "training"), ("val", "validation"), ("test", "test")):
            if getattr(data, split) is None:
                continue
            metric = f"{ONCE[split]}/{name}"
            columns[title] = [spread(g.trials, done, metric) for g in groups]
            if split != "val":
                columns[f"har_rnn, {title}"] = [_theirs(group, split, name) for group in groups]
        parts.append(
            f"Table {numerals[number - 1]}: top-{number} accuracy\n\n{tables.text(columns)}"
        )
    parts.append(f"Training accuracy at the start (section III)\n\n{_start(groups, done, data)}")
    return "\n\n\n".join([*parts, textwrap.fill(note, 88)]) + "\n"


def _start(groups: Groups, done: Done, data: Dataset) -> str:
    """Accuracies of the initial weights, in the report 10 to 30 %, and after one step."""
    columns = {"run": [group.name for group in groups]}
    for moment, words in zip(FIRST, ("before the first step", "after it"), strict=True):
        for number, name in enumerate(tops(data), 1):
            metric = f"{moment}_train/{name}"
            columns[f"top-{number} {words}"] = [spread(g.trials, done, metric) for g in groups]
    return tables.text(columns)


def runs(groups: Groups, done: Done) -> dict[str, list]:
    """One row a run with its numbers, by columns."""
    rows = [(group, trial, done[trial.name]) for group in groups for trial in group.done_of(done)]
    metrics = sorted(
        {
            name
            for _, _, record in rows
            for name in record.metrics
            if name.startswith(tuple(f"{each}/" for each in ONCE.values()))
        }
    )
    columns: dict[str, list] = {
        "run": [record.name for _, _, record in rows],
        "run_id": [record.id for _, _, record in rows],
        "batch_size": [group.subject.configuration[0] for group, _, _ in rows],
        "units": [group.subject.configuration[1] for group, _, _ in rows],
        "learning_rate": [group.subject.configuration[2] for group, _, _ in rows],
        "seed": [trial.options["seed"] for _, trial, _ in rows],
        "train_s": [record.metrics["time/train_s"] for _, _, record in rows],
    }
    return columns | {name: [r.metrics.get(name) for _, _, r in rows] for name in metrics}


def ranking(ranked: Sequence[Ranked], rule: str, registered: Mapping[str, Version]) -> str:
    """The places of all configurations, and what was registered; by alias in their order."""
    places = list(registered.items())
    columns = {
        "place": [str(place) for place in range(1, len(ranked) + 1)],
        "run": [each.name for each in ranked],
        "mean": [f"{each.mean:.4f}" for each in ranked],
        "deviation": [f"{each.deviation:.4f}" for each in ranked],
        "mean - deviation": [f"{each.score:.4f}" for each in ranked],
        "registered": [f"{version}, {alias}" for alias, version in places]
        + [""] * (len(ranked) - len(places)),
    }
    return f"Ranking by {rule}\n\n{tables.text(columns)}"
