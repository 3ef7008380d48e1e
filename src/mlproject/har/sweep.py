"""Every configuration with every seed, ranked; the best and the runner-up registered."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlproject.har import tables
from mlproject.har.published import row_of
from mlproject.har.results import BY_EPOCH, ONCE, log_data
from mlproject.har.settings import STOPPING, from_anywhere, load, resolve
from mlproject.har.tables import Compared, Groups
from mlproject.har.train import train_on
from mlproject.sweeps import engine, people
from mlproject.sweeps.cluster import OnDask
from mlproject.sweeps.engine import Sweep
from mlproject.sweeps.statistics import Ranked, rank, values
from mlproject.sweeps.trials import Done, Group, Trial, Work, by_seed, so_far
from mlproject.tracking import queries, registry
from mlproject.tracking.registry import Version
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times, summary
from tfnets import figures, programs
from tfnets.dataset import Dataset
from tfnets.progress import count, duration

# The options of a sweep that are none of its trials', those of early stopping among them.
_OF_SWEEP = ("configurations", "seeds", "register_as", "scheduler", "resume", *STOPPING)


@dataclass(frozen=True)
class Swept:
    """A sweep that is done.

    Attributes:
        text: Its tables and what was registered, for the user.
        registered: By alias what was registered.
    """

    text: str
    registered: dict[str, Version]


def sweep(options: dict, run: Run) -> str:
    """Trains, ranks and registers.

    Args:
        options: The command's options by name.
        run: The parent run.

    Returns:
        A summary for the user.
    """
    swept = train_all(options, run)
    log_times(run)
    return swept.text + summary(("Wall time", duration(run.elapsed)), run=run)


def train_all(options: dict, run: Run) -> Swept:
    """Trains, ranks and registers; logs tables after every run, figures at the end.

    Raises:
        InputError: If a run fails; the others are done, and can be resumed from.
    """
    registry.check_name(options["register_as"])
    groups = plan(options, run)
    trials = by_seed(groups)
    settings = [resolve(trial.options) for trial in trials]
    data = load(settings[0].data)
    log_data(data, run)
    note = tables.note(options, data)
    judged_by = metric, words = _judged_by(data)
    sweep = Sweep(
        trials,
        Work(load_for, train_trial),
        "sweep",
        data,
        judged_by,
        "leave out of configurations what cannot be trained",
    )
    outcome = engine.train(
        sweep,
        OnDask(options["scheduler"]),
        options["resume"],
        lambda done: _log_tables(groups, done, data, note, run),
        run,
    )
    done = outcome.done
    if done:
        run.log_table(tables.runs(groups, done), "runs.json")
    outcome.refuse_failures(sweep, run)
    _draw(groups, done, data, run)
    rule = f"mean - standard deviation of {words} over {count(len(options['seeds']), 'seed')}"
    ranked = rank({group.name: values(group.trials, done, metric) for group in groups})
    registered = _register(options["register_as"], ranked, rule, groups, done, data, run)
    separated = people.separation(groups, done, ranked[0].name)
    text = f"{tables.ranking(ranked, rule, registered)}\n\n{separated}"
    run.log_text(f"{text}\n", "ranking.txt")
    table = tables.results(groups, done, data)
    run.describe(f"```\n{table}\n\n{text}\n```\n\n{note}")
    return Swept(f"\n{table}\n\n{textwrap.fill(note, 88)}\n\n{text}\n", registered)


def plan(options: dict, run: Run) -> list[Group[Compared]]:
    """The sweep as data: one group a configuration, in it one trial a seed."""
    base = from_anywhere({k: v for k, v in options.items() if k not in _OF_SWEEP})
    groups = []
    for configuration in options["configurations"]:
        row = row_of(options, configuration)
        name = f"run {row.number}" if row else str(configuration)
        tags = {"study": f"sweep {run.id[:6]}", "configuration": name}
        trials = [
            Trial(f"{name} seed {seed}", base | configuration._asdict() | {"seed": seed}, tags)
            for seed in options["seeds"]
        ]
        groups.append(Group(name, Compared(configuration, row), tuple(trials)))
    return groups


def load_for(trial: Trial) -> Dataset:
    """The data of a trial."""
    return load(resolve(trial.options).data)


def train_trial(data: Dataset, trial: Trial, run: Run) -> None:
    """Trains one network; its curves are drawn with all others' in the parent."""
    result = train_on(data, resolve(trial.options), run, progress=False)
    if data.test.groups is not None:
        scores = programs.predict(result.trained.model, data.test.x)
        people.log_fold(np.argmax(scores[:, -1], axis=-1), data, run)
    log_times(run)


def _log_tables(groups: Groups, done: Done, data: Dataset, note: str, run: Run) -> None:
    shown = so_far(done, len(by_seed(groups)), "these tables")
    run.log_text(tables.text(groups, done, data, shown + note), "tables.txt")


def _judged_by(data: Dataset) -> tuple[str, str]:
    """The metric that runs are ranked by, and the split that it is of, in words."""
    split, words = ("test", "test") if data.val is None else ("val", "validation")
    return f"{ONCE[split]}/accuracy", f"{words} top-1"


def _draw(groups: Groups, done: Done, data: Dataset, run: Run) -> None:
    """The report's figures 1 and 2: the curves of each configuration with the first seed."""
    seed = groups[0].trials[0].options["seed"]
    histories = {}
    for group in groups:
        batch, units, rate = group.subject.configuration
        record = done[group.trials[0].name]
        names = {
            f"{prefix}/{name}": f"{split}/{name}"
            for split, prefix in BY_EPOCH.items()
            for name in ("loss", *tables.tops(data))
        }
        history = queries.history(record.id, names.keys() & record.metrics.keys())
        title = f"{group.name}: batch {batch}, {units} units, lr {rate:g}"
        histories[title] = [{names[k]: v for k, v in epoch.items()} for epoch in history.values()]
    what = f"{data.name}, seed {seed}"
    for metrics, title, file in (
        (tables.tops(data), "Accuracy", "accuracy.png"),
        (("loss",), "Loss", "loss.png"),
    ):
        figure = figures.grid(histories, metrics, f"{title}, {what}", first=0)
        run.log_figure(figure, file)


def _register(
    name: str,
    ranked: Sequence[Ranked],
    rule: str,
    groups: Groups,
    done: Done,
    data: Dataset,
    run: Run,
) -> dict[str, Version]:
    registered = {}
    for alias, each in zip((registry.BEST, registry.RUNNER_UP), ranked, strict=False):
        group = next(group for group in groups if group.name == each.name)
        trial = group.trials[each.best]
        record = done[trial.name]
        tags = {
            "stage": "sweep",
            "configuration": trial.options,
            "run": group.name,
            "rule": rule,
            "mean": each.mean,
            "deviation": each.deviation,
            "seed": str(trial.options["seed"]),
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
