"""Every configuration with every seed, ranked; the best and the runner-up registered."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import tfnets.tables
from mlproject import records, registry, tracking
from mlproject import sweep as children
from mlproject.har import tables
from mlproject.har.plan import Group, plan
from mlproject.har.results import load, log_data, settings
from mlproject.har.train import BY_EPOCH, ONCE
from mlproject.registry import Ranked, Version
from mlproject.results import count, log_times, summary
from mlproject.sweep import Done
from tfnets import figures
from tfnets.dataset import Dataset
from tfnets.progress import duration


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
    note = tables.note(parameters, data)
    digests = dict.fromkeys((trial.name for trial in trials), data.digest)
    done = children.resumed(parameters["resume"], trials, "sweep", digests, run)
    failed = children.train(
        trials,
        done,
        module="mlproject.har.trial",
        digest=data.digest,
        scheduler=parameters["scheduler"],
        judged_by=_judged_by(data),
        after=lambda: _log_tables(groups, done, data, note, run),
        run=run,
    )
    if done:
        run.log_table(tables.runs(groups, done), "runs.json")
    advice = "leave out of configurations what cannot be trained"
    children.refuse(failed, len(trials), advice, run)
    _draw(groups, done, data, run)
    metric, words = _judged_by(data)
    seeds = count(len(parameters["seeds"]), "seed")
    rule = f"mean - standard deviation of {words} over {seeds}"
    ranked = registry.rank(
        {group.name: children.values(group.trials, done, metric) for group in groups}
    )
    registered = _register(parameters["register_as"], ranked, rule, groups, done, data, run)
    text = _ranking(ranked, rule, registered)
    run.log_text(f"{text}\n", "ranking.txt")
    table = tables.results(groups, done, data)
    run.describe(f"```\n{table}\n\n{text}\n```\n\n{note}")
    return Outcome(f"\n{table}\n\n{textwrap.fill(note, 88)}\n\n{text}\n", registered)


def _log_tables(
    groups: Sequence[Group], done: Done, data: Dataset, note: str, run: tracking.Run
) -> None:
    total = sum(len(group.trials) for group in groups)
    so_far = f"{len(done)} of {total} runs are in these tables. " if len(done) < total else ""
    run.log_text(tables.text(groups, done, data, so_far + note), "tables.txt")


def _judged_by(data: Dataset) -> tuple[str, str]:
    """The metric that runs are ranked by, and the split that it is of, in words."""
    split, words = ("test", "test") if data.val is None else ("val", "validation")
    return f"{ONCE[split]}/accuracy", f"{words} top-1"


def _draw(groups: Sequence[Group], done: Done, data: Dataset, run: tracking.Run) -> None:
    """The report's figures 1 and 2: the curves of each configuration with the first seed."""
    seed = groups[0].trials[0].parameters["seed"]
    histories = {}
    for group in groups:
        batch, units, rate = group.configuration
        record = done[group.trials[0].name]
        names = {
            f"{prefix}/{name}": f"{split}/{name}"
            for split, prefix in BY_EPOCH.items()
            for name in ("loss", *tables.tops(data))
        }
        history = records.history(record.id, names.keys() & record.metrics.keys())
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
    groups: Sequence[Group],
    done: Done,
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
    return f"Ranking by {rule}\n\n{tfnets.tables.text(columns)}"
