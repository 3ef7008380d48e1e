"""Every configuration with every seed, ranked; the best and the runner-up registered."""

import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from mlproject import records, registry, tracking
from mlproject import sweep as dask
from mlproject.har import published
from mlproject.har.results import STOPPING, TOPS, load, log_data, settings
from mlproject.har.train import BY_EPOCH, ONCE
from mlproject.records import Record
from mlproject.registry import Ranked, Version
from mlproject.results import count, log_times, sizes, summary
from mlproject.sweep import Trial
from tfnets import figures, tables
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.progress import duration

# The options of a trial that a sweep decides, and its own that are none of a trial, the early
# stopping of the whole story among them.
_OF_TRIAL = ("batch_size", "units", "learning_rate", "seed")
_OF_SWEEP = ("configurations", "seeds", "register_as", "scheduler", "resume", *STOPPING)

# With these, a configuration of table I is the run that the report numbers.
_OF_REPORT = {
    "cell": "rnn",
    "optimizer": "sgd",
    "momentum": 0.0,
    "activation": "sigmoid",
    "initializer": "uniform",
}

_NOTE = (
    "Trained here on {data} ({sizes}; split {split}), protocol {protocol}, {epochs} epochs, seeds "
    "{seeds}: mean ± standard deviation (ddof 0, as in the report), in percent, at the last step. "
    "'har_rnn' is what the report publishes, on the course's recordings: other data, so compare "
    "rows with rows."
)


@dataclass(frozen=True)
class Group:
    """One configuration.

    Attributes:
        name: ``"run 7"``, or ``"32x50x0.01"`` if the report has none such.
        configuration: Batch size, units, learning rate.
        published: What the report says of it, if it is one of its runs.
        trials: One for each seed.
    """

    name: str
    configuration: tuple[int, int, float]
    published: published.Published | None
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Outcome:
    """A sweep that is done.

    Attributes:
        text: Its tables and what was registered, for the user.
        registered: By alias what was registered.
    """

    text: str
    registered: dict[str, Version]


def sweep(parameters: dict, run: tracking.Run) -> str:
    """Trains, ranks and registers.

    Args:
        parameters: The command's options by name.
        run: The parent run.

    Returns:
        A summary for the user.
    """
    outcome = train_all(parameters, run)
    log_times(run)
    return outcome.text + summary(("Wall time", duration(run.elapsed)), run=run)


def train_all(parameters: dict, run: tracking.Run) -> Outcome:
    """Trains, ranks and registers; logs tables after every run, figures in the end.

    Raises:
        InputError: If a run fails; the others are done, and can be resumed from.
    """
    registry.check_name(parameters["register_as"])
    groups = plan(parameters, run)
    trials = [trial for each in zip(*(g.trials for g in groups), strict=True) for trial in each]
    chosen = [settings(trial.parameters) for trial in trials]
    data = load(chosen[0])
    log_data(data, run)
    note = _note(parameters, data)
    done = _resumed(parameters["resume"], trials, data, run)
    failed = _run(trials, done, groups, data, note, parameters["scheduler"], run)
    if failed:
        name, why = next(iter(failed.items()))
        raise InputError(
            f"{len(failed)} of {count(len(trials), 'run')} failed, {name}: {why} The others are "
            f"done: -P resume={run.id} trains only what is missing; leave out of configurations "
            "what cannot be trained."
        )
    _draw(groups, done, data, run)
    metric, split = _judged_by(data)
    seeds = count(len(parameters["seeds"]), "seed")
    rule = f"mean - standard deviation of {split} top-1 over {seeds}"
    ranked = registry.rank({group.name: _values(group, done, metric) for group in groups})
    registered = _register(parameters["register_as"], ranked, rule, groups, done, data, run)
    text = _ranking(ranked, rule, registered)
    run.log_text(f"{text}\n", "ranking.txt")
    table = _results(groups, done, data)
    run.describe(f"```\n{table}\n\n{text}\n```\n\n{note}")
    return Outcome(f"\n{table}\n\n{textwrap.fill(note, 88)}\n\n{text}\n", registered)


def plan(parameters: dict, run: tracking.Run) -> list[Group]:
    """The sweep as data: one group a configuration, in it one trial a seed."""
    base = {key: value for key, value in parameters.items() if key not in _OF_SWEEP}
    if base["data"] != "builtin":  # workers, and who trains it again, can be elsewhere
        base["data"] = str(Path(base["data"]).expanduser().absolute())
    as_reported = all(parameters[key] == value for key, value in _OF_REPORT.items())
    groups = []
    for configuration in parameters["configurations"]:
        row = published.RUNS.get(configuration) if as_reported else None
        name = f"run {row.number}" if row else "x".join(map(str, configuration))
        tags = {"study": f"sweep {run.id[:6]}", "configuration": name}
        trials = [
            Trial(
                f"{name} seed {seed}",
                base | trial_of(configuration, seed),
                tags,
            )
            for seed in parameters["seeds"]
        ]
        groups.append(Group(name, configuration, row, tuple(trials)))
    return groups


def trial_of(configuration: tuple[int, int, float], seed: int) -> dict:
    """The options of a trial that a sweep decides."""
    return dict(zip(_OF_TRIAL, (*configuration, seed), strict=True))


def _resumed(
    parent_id: str, trials: Sequence[Trial], data: Dataset, run: tracking.Run
) -> dict[str, Record]:
    """What an earlier sweep, or one that it resumed itself, finished of the same trials."""
    done: dict[str, Record] = {}
    wanted = {
        trial.name: {key: str(value) for key, value in trial.parameters.items()}
        for trial in trials
    }
    first = parent_id
    while parent_id != "none":
        parent = records.get(parent_id)
        if parent.tags.get("task") != "har" or parent.tags.get("stage") != "sweep":
            raise InputError(f"resume is {parent_id!r}, which is no sweep of har.")
        if parent_id == first:
            run.log_tags({"resumed": first})
        query = "attributes.status = 'FINISHED' and tags.stage = 'trial'"
        for each in records.children(parent.id, parent.experiment_id, query):
            same = wanted.get(each.name, {}).items() <= each.parameters.items()
            if each.name in wanted and same and each.tags.get("data.digest") == data.digest:
                done.setdefault(each.name, each)
        parent_id = parent.tags.get("resumed", "none")
    return done


def _run(
    trials: Sequence[Trial],
    done: dict[str, Record],
    groups: Sequence[Group],
    data: Dataset,
    note: str,
    scheduler: str,
    run: tracking.Run,
) -> dict[str, str]:
    """Trains what is not done, and adds it there; why the others failed, by their names."""
    failed: dict[str, str] = {}
    rest = [trial for trial in trials if trial.name not in done]
    if done:
        _say(f"{len(done)} of {count(len(trials), 'run')} are there already")
        _log_tables(groups, done, data, note, run)
    with dask.running(rest, "mlproject.har.trial", data.digest, run, scheduler) as ended:
        started = time.monotonic()
        for number, each in enumerate(ended, 1):
            name = each.trial.name
            if each.error:
                failed[name] = each.error
                _say(f"{name} failed: {each.error}")
                continue
            query = "attributes.status = 'FINISHED'"
            found = records.children(run.id, run.experiment_id, query)
            done[name] = next(record for record in found if record.name == name)
            spent = time.monotonic() - started
            left = spent / number * (len(rest) - number)
            _say(_progress(name, done, data, len(trials), left))
            _log_tables(groups, done, data, note, run)
    if done:
        run.log_table(_runs(groups, done), "runs.json")
    return failed


def _log_tables(
    groups: Sequence[Group], done: dict[str, Record], data: Dataset, note: str, run: tracking.Run
) -> None:
    total = sum(len(group.trials) for group in groups)
    so_far = f"{len(done)} of {total} runs are in these tables. " if len(done) < total else ""
    run.log_text(_tables(groups, done, data, so_far + note), "tables.txt")


def _judged_by(data: Dataset) -> tuple[str, str]:
    """The metric that runs are ranked by, and the split that it is of, in words."""
    split, words = ("test", "test") if data.val is None else ("val", "validation")
    return f"{ONCE[split]}/accuracy", words


def _progress(name: str, done: dict[str, Record], data: Dataset, total: int, left: float) -> str:
    metric, split = _judged_by(data)
    best = max(done.values(), key=lambda record: record.metrics[metric])
    words = [
        f"run {len(done)} of {total}: {name}, {split} top-1 {done[name].metrics[metric]:.4f}",
        f"best so far {best.name}, {best.metrics[metric]:.4f}",
    ]
    if len(done) < total:
        words.append(f"{duration(left)} left")
    return "; ".join(words)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _note(parameters: dict, data: Dataset) -> str:
    return _NOTE.format(
        data=data.name,
        sizes=sizes(data),
        split=data.split_kind,
        protocol=parameters["protocol"],
        epochs=parameters["epochs"],
        seeds=", ".join(map(str, parameters["seeds"])),
    )


def _values(group: Group, done: dict[str, Record], metric: str) -> list[float]:
    """A metric of the seeds that are done and have it."""
    there = (done[trial.name] for trial in group.trials if trial.name in done)
    return [record.metrics[metric] for record in there if metric in record.metrics]


def _spread(group: Group, done: dict[str, Record], metric: str) -> str:
    """``"32.667 ± 1.737"``, in percent; says so if seeds are missing."""
    values, wanted = _values(group, done, metric), len(group.trials)
    if not values:
        return "-"
    text = f"{100 * np.mean(values):.3f} ± {100 * np.std(values):.3f}"
    return text if len(values) == wanted else f"{text} ({len(values)} of {wanted})"


def _theirs(group: Group, split: str, name: str) -> str:
    if group.published is None:
        return "-"
    values = getattr(group.published, split)[name]
    return "{:.3f} ± {:.3f}".format(*values)


def _results(groups: Sequence[Group], done: dict[str, Record], data: Dataset) -> str:
    """Table II: test accuracy of each configuration."""
    columns = {"run": [group.name for group in groups]}
    for number, name in enumerate(_tops(data), 1):
        metric = f"{ONCE['test']}/{name}"
        columns[f"top-{number}"] = [_spread(g, done, metric) for g in groups]
        columns[f"har_rnn, top-{number}"] = [_theirs(g, "test", name) for g in groups]
    return tables.text(columns)


def _tops(data: Dataset) -> tuple[str, ...]:
    return TOPS[: len(data.classes) - 1]


def _tables(groups: Sequence[Group], done: dict[str, Record], data: Dataset, note: str) -> str:
    """The report's tables I to V, ours beside the published."""
    seconds = [_values(group, done, "time/train_s") for group in groups]
    first = {
        "run": [group.name for group in groups],
        "batch size": [str(group.configuration[0]) for group in groups],
        "units": [str(group.configuration[1]) for group in groups],
        "learning rate": [f"{group.configuration[2]:g}" for group in groups],
        "epochs": [str(group.trials[0].parameters["epochs"]) for group in groups],
        "seconds": [f"{mean(each):.1f}" if each else "-" for each in seconds],
        "har_rnn, seconds (NumPy)": [
            f"{g.published.seconds:.1f}" if g.published else "-" for g in groups
        ],
    }
    parts = [
        f"Table I: settings and training time\n\n{tables.text(first)}",
        f"Table II: test accuracy\n\n{_results(groups, done, data)}",
    ]
    numerals = ("III", "IV", "V")
    for number, name in enumerate(_tops(data), 1):
        columns = {"run": [group.name for group in groups]}
        for split, title in (("train", "training"), ("val", "validation"), ("test", "test")):
            if getattr(data, split) is None:
                continue
            metric = f"{ONCE[split]}/{name}"
            columns[title] = [_spread(g, done, metric) for g in groups]
            if split != "val":
                columns[f"har_rnn, {title}"] = [_theirs(group, split, name) for group in groups]
        parts.append(
            f"Table {numerals[number - 1]}: top-{number} accuracy\n\n{tables.text(columns)}"
        )
    return "\n\n\n".join([*parts, textwrap.fill(note, 88)]) + "\n"


def _runs(groups: Sequence[Group], done: dict[str, Record]) -> dict[str, list]:
    """One row a run with its numbers, by columns."""
    rows = [
        (group, trial, done[trial.name])
        for group in groups
        for trial in group.trials
        if trial.name in done
    ]
    metrics = sorted(
        {
            name
            for _, _, record in rows
            for name in record.metrics
            if name.startswith(tuple(f"{each}/" for each in ONCE.values()))
        }
    )
    columns = {
        "run": [record.name for _, _, record in rows],
        "run_id": [record.id for _, _, record in rows],
        "batch_size": [group.configuration[0] for group, _, _ in rows],
        "units": [group.configuration[1] for group, _, _ in rows],
        "learning_rate": [group.configuration[2] for group, _, _ in rows],
        "seed": [trial.parameters["seed"] for _, trial, _ in rows],
        "train_s": [record.metrics["time/train_s"] for _, _, record in rows],
    }
    return columns | {name: [r.metrics.get(name) for _, _, r in rows] for name in metrics}


def _draw(
    groups: Sequence[Group], done: dict[str, Record], data: Dataset, run: tracking.Run
) -> None:
    """The report's figures 1 and 2: the curves of each configuration with the first seed."""
    seed = groups[0].trials[0].parameters["seed"]
    histories = {}
    for group in groups:
        batch, units, rate = group.configuration
        record = done[group.trials[0].name]
        names = {
            f"{prefix}/{name}": f"{split}/{name}"
            for split, prefix in BY_EPOCH.items()
            for name in ("loss", *_tops(data))
        }
        history = records.history(record.id, names.keys() & record.metrics.keys())
        title = f"{group.name}: batch {batch}, {units} units, lr {rate:g}"
        histories[title] = [{names[k]: v for k, v in epoch.items()} for epoch in history]
    what = f"{data.name}, seed {seed}"
    run.log_figure(figures.grid(histories, _tops(data), f"Accuracy, {what}"), "accuracy.png")
    run.log_figure(figures.grid(histories, ("loss",), f"Loss, {what}"), "loss.png")


def _register(
    name: str,
    ranked: Sequence[Ranked],
    rule: str,
    groups: Sequence[Group],
    done: dict[str, Record],
    data: Dataset,
    run: tracking.Run,
) -> dict[str, Version]:
    registered = {}
    for alias, each in zip((registry.BEST, registry.RUNNER_UP), ranked, strict=False):
        group = next(group for group in groups if group.name == each.name)
        trial = group.trials[each.best]
        record = done[trial.name]
        tags = {
            "stage": "sweep",
            "configuration": trial.parameters,
            "run": group.name,
            "rule": rule,
            "mean": each.mean,
            "deviation": each.deviation,
            "seed": str(trial.parameters["seed"]),
            "parent_run": run.id,
            "data.name": data.name,
            "data.digest": data.digest,
        }
        text = f"{group.name}, the {alias} by {rule}: {each.mean:.4f} ± {each.deviation:.4f}."
        version = registry.register(name, record.id, tags, text)
        registry.alias(version, alias)
        registered[alias] = version
    if registry.RUNNER_UP not in registered:  # an older sweep's would stand beside this best
        registry.drop_alias(name, registry.RUNNER_UP)
    run.log_tags({f"registered.{a}": f"{v.name}/{v.number}" for a, v in registered.items()})
    return registered


def _ranking(ranked: Sequence[Ranked], rule: str, registered: dict[str, Version]) -> str:
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
