"""Trains several networks on the same data, each in a run of its own under one parent."""

from collections.abc import Mapping

import tfnets.speech
from mlproject.speech import tables
from mlproject.speech.published import Network
from mlproject.speech.results import log_loading
from mlproject.speech.settings import data_of, load, resolve
from mlproject.speech.tables import COMPARED, Comparison
from mlproject.speech.train import log_speakers, train_on
from mlproject.sweeps import engine, people
from mlproject.sweeps.engine import Sweep
from mlproject.sweeps.in_process import InProcess
from mlproject.sweeps.trials import Done, Group, Trial, Work, by_seed
from mlproject.tracking import queries
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times, summary
from tfnets import figures
from tfnets.dataset import Dataset
from tfnets.progress import duration

# The options of a comparison that are no options of its trials.
_OF_SWEEP = ("models", "seeds", "resume")


def compare(options: dict, defaults: Mapping[str, dict], run: Run) -> str:
    """Trains every network with every seed, one after the other, and logs the comparison.

    One after the other, for each training has the whole machine and its time is part of the
    comparison; all networks with one seed before the next. What there is to compare is
    logged after every run, so that an interruption costs the rest only.

    Args:
        options: The command's options by name.
        defaults: For each architecture the options of its own command, which hold where
            ``options`` has none.
        run: The parent run.

    Returns:
        The table and where to see it.

    Raises:
        InputError: If a run fails; the others are done, and can be resumed from.
    """
    groups = plan(options, defaults, run)
    trials = by_seed(groups)
    for trial in trials:  # what is invalid is found before the data are loaded
        resolve(trial.tags["model"], trial.options)
    data = load(data_of(options))
    log_loading(data, run)
    for group in groups:  # data that a network cannot take, before any is trained
        tfnets.speech.build(
            group.subject.architecture,
            input_shape=data.input_shape,
            num_classes=len(data.classes),
        )
    run.log_dataset(data)
    sweep = Sweep(
        trials,
        Work(load_for, train_trial),
        "compare",
        data,
        ("test/accuracy", "test accuracy"),
        "-P models=... leaves out what cannot be trained",
    )
    comparison = Comparison(groups, options, data)
    histories: dict[str, list[dict[str, float]]] = {}
    outcome = engine.train(
        sweep,
        InProcess(),
        options["resume"],
        lambda done: _log(comparison, done, histories, run),
        run,
    )
    if outcome.done:
        run.log_table(tables.runs(groups, outcome.done), "comparison.json")
    outcome.refuse_failures(sweep, run)
    log_times(run)
    separated = people.separation(groups, outcome.done, groups[0].name)
    text = f"{comparison.text(outcome.done)}\n{separated}\n"
    run.log_text(text, "comparison.txt")
    return f"\n{text}" + summary(("Wall time", duration(run.elapsed)), run=run)


def plan(options: dict, defaults: Mapping[str, dict], run: Run) -> list[Group[Network]]:
    """The comparison as data; arguments as for :func:`compare`."""
    given = {key: value for key, value in options.items() if key not in _OF_SWEEP}
    study = f"compare {run.id[:6]}"
    groups = []
    for network in options["models"]:
        of_network = defaults[network.architecture] | given | {"optimizer": network.optimizer}
        trials = [
            Trial(
                network.run_name(seed),
                of_network | {"seed": seed},
                {"study": study, "model": network.architecture},
            )
            for seed in options["seeds"]
        ]
        groups.append(Group(network.title, network, tuple(trials)))
    return groups


def load_for(trial: Trial) -> Dataset:
    """The data of a trial."""
    return load(data_of(trial.options))


def train_trial(data: Dataset, trial: Trial, run: Run) -> None:
    """Trains one network of a comparison."""
    result = train_on(data, resolve(trial.tags["model"], trial.options), run)
    log_speakers(result, data, run)
    log_times(run)


def _log(comparison: Comparison, done: Done, histories: dict, run: Run) -> None:
    """Logs figures and the table of what is done; histories are read from the store once."""
    for name, record in done.items():
        if name not in histories:
            histories[name] = list(queries.history(record.id, COMPARED).values())
    curves = {
        group.name: [histories[trial.name] for trial in group.done_of(done)]
        for group in comparison.groups
    }
    curves = {name: each for name, each in curves.items() if each}
    run.log_figure(figures.side_by_side(curves, comparison.title), "curves.png")
    run.log_figure(figures.gaps(curves, comparison.title), "gap.png")
    run.log_text(comparison.text(done), "comparison.txt")
    # A table of Markdown's would wrap in the narrow column of the UI.
    run.describe(f"```\n{comparison.table(done)}\n```\n\n{comparison.note(done)}")
