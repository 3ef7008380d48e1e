"""What the folds of a cross-validation say together: by person, with intervals and comparisons."""

import functools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlproject.sweeps import engine
from mlproject.sweeps.engine import Sweep
from mlproject.sweeps.trials import Done, Executor, Group, so_far
from mlproject.tracking import queries
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times, summary
from tfnets import evidence, figures, tables
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.progress import duration

STAGE = "cross-validation"

_BY_PERSON, _CONFUSION = "by_person.json", "confusion.json"
_LEVEL = 0.05

Accuracies = dict[str, dict[str, float]]  # by configuration and person, seeds averaged


@dataclass(frozen=True)
class Validated:
    """A configuration that everybody was tested on once with each seed.

    Attributes:
        name: Which.
        accuracies: By person the accuracy with each seed.
        samples: By person how many samples there are.
        confusion: Counts of all folds and seeds, ``(classes, classes)``, row: the true class.
    """

    name: str
    accuracies: dict[str, list[float]]
    samples: dict[str, int]
    confusion: np.ndarray

    @property
    def means(self) -> dict[str, float]:
        """By person the mean over seeds."""
        return {who: float(np.mean(each)) for who, each in self.accuracies.items()}


def log_fold(
    guesses: np.ndarray, data: Dataset, run: Run, counted: np.ndarray | None = None
) -> None:
    """Logs how each person of a fold's test was understood, and what was taken for what.

    Args:
        guesses: The class of each sample of the test as the network has it, ``(n,)``.
        data: Its test knows whose each sample is.
        run: Where to log.
        counted: Which samples are of people, ``(n,)`` bool; None for all.
    """
    test = data.test
    assert test.groups is not None  # folds are by person
    chosen = np.ones(len(test), bool) if counted is None else counted
    guesses, y, people = guesses[chosen], test.y[chosen], test.groups[chosen].astype(str)
    accuracy = evidence.by_person(guesses == y, people.tolist())
    sizes = [int((people == who).sum()) for who in accuracy]
    columns = {"person": list(accuracy), "samples": sizes, "accuracy": list(accuracy.values())}
    run.log_table(columns, _BY_PERSON)
    pairs, counts = np.unique(np.stack([y, guesses], axis=1), axis=0, return_counts=True)
    true, predicted = pairs.T.tolist()
    run.log_table({"true": true, "predicted": predicted, "count": counts.tolist()}, _CONFUSION)


@functools.lru_cache(maxsize=4096)
def _read(run_id: str, path: str) -> dict[str, list]:
    """A table of a finished run, which changes no more, read from the store once."""
    return queries.table(run_id, path)


def gather(groups: Sequence[Group], done: Done, classes: int) -> list[Validated]:
    """What the finished runs of each configuration say; those without any are left out."""
    found = []
    for group in groups:
        accuracies: dict[str, list[float]] = {}
        samples: dict[str, int] = {}
        confusion = np.zeros((classes, classes), int)
        for trial in group.done_of(done):
            logged = _read(done[trial.name].id, _BY_PERSON)
            for who, size, accuracy in zip(*logged.values(), strict=True):
                accuracies.setdefault(who, []).append(accuracy)
                samples[who] = size
            taken = _read(done[trial.name].id, _CONFUSION)
            np.add.at(confusion, (taken["true"], taken["predicted"]), taken["count"])
        if accuracies:
            found.append(Validated(group.name, accuracies, samples, confusion))
    return found


def separation(groups: Sequence[Group], done: Done, reference: str) -> str:
    """Which configurations of a sweep are separated from one of them, by person of the test.

    Args:
        groups: All configurations; those whose runs logged nothing by person are left out, as
            where it is not known who is who.
        done: The finished runs.
        reference: Name of the one that the others are compared with.

    Returns:
        A table with a sentence above it, or why there is none.
    """
    found: Accuracies = {}
    for group in groups:
        of_people: dict[str, list[float]] = {}
        for trial in group.done_of(done):
            try:
                logged = _read(done[trial.name].id, _BY_PERSON)
            except InputError:  # not by person, or a run of an earlier version
                continue
            for who, accuracy in zip(logged["person"], logged["accuracy"], strict=True):
                of_people.setdefault(who, []).append(accuracy)
        if of_people:
            found[group.name] = {who: float(np.mean(each)) for who, each in of_people.items()}
    if reference not in found or len(found) < 2:
        return (
            "Which places are separated cannot be said: that needs two configurations, and data "
            "that tell who was tested on."
        )
    found = {reference: found.pop(reference)} | found
    compared = evidence.compare(found, reference)
    columns = {
        "configuration": [each.name for each in compared],
        "test accuracy, difference": [f"{100 * each.difference:+.1f}" for each in compared],
        "Holm's p": [f"{each.adjusted:.4f}" for each in compared],
        "": [each.verdict(_LEVEL) for each in compared],
    }
    text = (
        f"Beside {reference}: paired permutation tests by person of the test "
        f"({_people(compared[0].people)}), seeds averaged"
    )
    return f"{textwrap.fill(text, 88)}\n\n{tables.text(columns)}"


def earlier(ids: Sequence[str], run: Run) -> Accuracies:
    """What earlier cross-validations of the same task found, by configuration and person.

    Raises:
        InputError: If a run is none, or not finished.
    """
    found: Accuracies = {}
    for run_id in ids:
        record = queries.get(run_id)
        if record.tags.get("task") != run.task or record.tags.get("stage") != STAGE:
            raise InputError(f"against is {run_id!r}, which is no {STAGE} of {run.task}.")
        if record.status != "FINISHED":
            raise InputError(f"against is {run_id!r}, which is {record.status}, not finished.")
        logged = queries.table(run_id, _BY_PERSON)
        rows = zip(logged["configuration"], logged["person"], logged["accuracy"], strict=True)
        for name, who, accuracy in rows:
            found.setdefault(f"{name} ({run_id[:6]})", {})[who] = accuracy
    return found


def validate(
    sweep: Sweep,
    groups: Sequence[Group],
    executor: Executor,
    options: dict,
    others: Accuracies,
    data: tuple[str, Sequence[str]],
    word: str,
    note: str,
    run: Run,
) -> str:
    """Trains all folds, with a table after each, and logs what they say together.

    Args:
        sweep: The folds of all configurations.
        groups: The same by configuration.
        executor: Where they are trained.
        options: Those of the command.
        others: What earlier cross-validations found.
        data: Name and classes of the data.
        word: What a sample is, in the plural.
        note: What was trained, for the reader of the tables.
        run: The parent.

    Returns:
        A summary for the user.
    """
    classes = len(data[1])

    def log_tables(done: Done) -> None:
        shown = so_far(done, len(sweep.trials), "this table")
        found = gather(groups, done, classes)
        run.log_text(f"{table(found, word)}\n\n{shown}\n", "tables.txt")

    outcome = engine.train(sweep, executor, options["resume"], log_tables, run)
    outcome.refuse_failures(sweep, run)
    text = log(gather(groups, outcome.done, classes), others, data, word, note, run)
    log_times(run)
    return text + summary(("Wall time", duration(run.elapsed)), run=run)


def table(found: Sequence[Validated], word: str) -> str:
    """One row a person, one column a configuration; means and intervals below."""
    people = list(found[0].means) if found else []
    columns = {
        "person": [*people, "mean", "95 % interval", "deviation"],
        word: [
            *(f"{found[0].samples[who]:,}" for who in people),
            f"{sum(found[0].samples.values()):,}" if found else "",
            "",
            "",
        ],
    }
    for each in found:
        means = [each.means[who] for who in people if who in each.means]
        low, high = evidence.interval(means)[1:3]
        cells = [_spread(each.accuracies.get(who, [])) for who in people]
        span = "none below 6" if np.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"
        last = [f"{100 * np.mean(means):.1f}", span, f"{100 * np.std(means):.1f}"]
        columns[each.name] = [*cells, *last]
    return tables.text(columns)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    text = f"{100 * np.mean(values):.1f}"
    return f"{text} ± {100 * np.std(values):.1f}" if len(values) > 1 else text


def log(
    found: Sequence[Validated],
    others: Accuracies,
    data: tuple[str, Sequence[str]],
    word: str,
    note: str,
    run: Run,
) -> str:
    """Logs tables, figures and comparisons of a cross-validation that is done.

    Args:
        found: What was validated here.
        others: What earlier ones found, whose first is the reference; else ours.
        data: Its name and its classes.
        word: What a sample is, in the plural: ``"windows"``.
        note: What was trained, for the reader of the tables.
        run: The parent.

    Returns:
        The same for the terminal.
    """
    name, classes = data
    ours = {each.name: each.means for each in found}
    rows = [(each, who) for each in found for who in each.means]
    logged = {
        "configuration": [each.name for each, _ in rows],
        "person": [who for _, who in rows],
        "samples": [each.samples[who] for each, who in rows],
        "accuracy": [each.means[who] for each, who in rows],
    }
    run.log_table(logged, _BY_PERSON)
    metrics: dict[str, float] = {}
    for number, each in enumerate(found):
        mean, low, high, people = evidence.interval(list(each.means.values()))
        values = {"accuracy": mean, "deviation": float(np.std(list(each.means.values())))}
        values |= {"worst": min(each.means.values()), "people": people}
        if not np.isnan(low):
            values |= {"low": low, "high": high}
        place = f"/{number + 1}" if len(found) > 1 else ""
        metrics |= {f"by_person{place}/{key}": value for key, value in values.items()}
        title = f"{each.name}\n{name}, all folds"
        figure = figures.confusion_matrix(each.confusion, classes, title)
        run.log_figure(figure, f"confusion_matrix{place.replace('/', '_')}.png")
    run.log_metrics(metrics)
    every = others | ours
    run.log_figure(
        figures.by_person(every, f"{name}, each person tested on once"), "by_person.png"
    )
    parts = [table(found, word), note]
    if len(every) > 1:
        parts.append(_compared(every, run))
    text = "\n\n".join(parts)
    run.log_text(f"{text}\n", "tables.txt")
    run.describe(f"{verdict(found)}\n\n```\n{text}\n```")
    return f"\n{text}\n"


def verdict(found: Sequence[Validated]) -> str:
    """What came out, in a sentence for each configuration."""
    lines = []
    for each in found:
        worst = min(each.means, key=lambda who: each.means[who])
        lines.append(
            f"**{each.name}**: accuracy {evidence.interval(list(each.means.values()))} % on "
            f"people who were not trained on, mean over {_people(len(each.means))}; "
            f"least for {worst}, {100 * each.means[worst]:.1f} %."
        )
    return "\n\n".join(lines)


def _compared(every: Accuracies, run: Run) -> str:
    """Paired tests beside the first, and average ranks where people suffice."""
    reference = next(iter(every))
    compared = evidence.compare(every, reference)
    columns = {
        f"beside {reference}": [each.name for each in compared],
        "difference": [f"{100 * each.difference:+.1f}" for each in compared],
        "p": [f"{each.p:.4f}" for each in compared],
        "Holm's p": [f"{each.adjusted:.4f}" for each in compared],
        "": [each.verdict(_LEVEL) for each in compared],
    }
    people = compared[0].people
    parts = [
        tables.text(columns),
        textwrap.fill(
            f"Paired permutation tests by person, seeds averaged; the smallest p that "
            f"{_people(people)} can give is {compared[0].smallest:.4f}.",
            88,
        ),
    ]
    ranked = evidence.ranks(every, _LEVEL)
    if ranked is not None:
        run.log_figure(figures.critical_difference(ranked, run.name), "critical_difference.png")
        places = ", ".join(f"{name} {rank:.2f}" for name, rank in ranked.average.items())
        alike = "; ".join(" and ".join(group) for group in ranked.groups) or "none"
        parts.append(
            textwrap.fill(
                f"Average ranks: {places}. Critical difference {ranked.critical:.2f} (Nemenyi; "
                f"Friedman's p {ranked.p:.4f}). Not separated: {alike}.",
                88,
            )
        )
    run.log_table(
        {
            "configuration": [each.name for each in compared],
            "reference": [reference] * len(compared),
            "difference": [each.difference for each in compared],
            "p": [each.p for each in compared],
            "p_holm": [each.adjusted for each in compared],
            "verdict": [each.verdict(_LEVEL) for each in compared],
        },
        "comparison.json",
    )
    return "\n\n".join(parts)


def names(people: Sequence[str]) -> str:
    """``"1, 2"``, or of many the first and how many."""
    shown = ", ".join(people[:3])
    return shown if len(people) <= 3 else f"{shown} and {len(people) - 3} more"


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"
