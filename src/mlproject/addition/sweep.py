"""Trains the networks of a study and compares them with the report."""

from collections.abc import Iterator, Sequence

from mlproject.addition import tables
from mlproject.addition.published import STUDIES, Study, Value
from mlproject.addition.settings import load, resolve
from mlproject.addition.tables import Plan
from mlproject.addition.train import train_on
from mlproject.sweeps import engine
from mlproject.sweeps.cluster import OnDask
from mlproject.sweeps.engine import Sweep
from mlproject.sweeps.trials import Done, Group, Trial, Work
from mlproject.tracking import queries
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times, summary
from tfnets.addition import figures
from tfnets.dataset import Dataset
from tfnets.progress import duration

# Of a study's options those that its trials have, too.
_OF_TRIAL = ("base", "initializer", "steps", "batch_size")


def study(options: dict, defaults: dict, run: Run) -> str:
    """Trains, tabulates and draws; logs tables after every run, figures at the end.

    Args:
        options: The command's options by name; ``values`` is a tuple, or ``"report"``.
        defaults: The options of ``addition_rnn``.
        run: The parent run.

    Returns:
        A summary for the user.

    Raises:
        InputError: If a run fails; the others are done, and can be resumed from.
    """
    studies = plan(options, defaults, run)
    trials = [trial for groups in studies.values() for group in groups for trial in group.trials]
    data = _load(trials, run)  # what is invalid is found before anything is trained
    note = tables.note(options, data)
    sweep = Sweep(
        trials,
        Work(load_for, train_trial),
        "study",
        {name: each.digest for name, each in data.items()},
        ("test/accuracy", "exact match"),
        "-P study=NAME -P values=... leaves out what cannot be trained",
    )
    outcome = engine.train(
        sweep,
        OnDask(options["scheduler"]),
        options["resume"],
        lambda done: run.log_text(f"{tables.text(studies, done)}\n\n\n{note}\n", "tables.txt"),
        run,
    )
    text = tables.text(studies, outcome.done)
    if outcome.done:
        run.log_table(tables.runs(studies, outcome.done), "runs.json")
        _draw(studies, outcome.done, run)
        run.describe(f"```\n{text}\n```\n\n{note}")
    outcome.refuse_failures(sweep, run)
    log_times(run)
    return f"\n{text}\n\n\n{note}\n" + summary(("Wall time", duration(run.elapsed)), run=run)


def load_for(trial: Trial) -> Dataset:
    """The data of a trial."""
    return load(resolve(trial.options).test.data)


def train_trial(data: Dataset, trial: Trial, run: Run) -> None:
    """Trains one network; its curves are drawn with all others' in the parent."""
    train_on(data, resolve(trial.options), run, progress=False)
    log_times(run)


def _load(trials: Sequence[Trial], run: Run) -> dict[str, Dataset]:
    """The data of each trial by its name, logged with the parent."""
    loaded: dict[str, Dataset] = {}
    by_trial = {}
    for trial in trials:
        needed = resolve(trial.options).test.data
        key = str(needed)
        if key not in loaded:
            loaded[key] = load(needed)
            run.log_dataset(loaded[key])
        by_trial[trial.name] = loaded[key]
    return by_trial


def _draw(studies: Plan, done: Done, run: Run) -> None:
    """One figure a study, with the curves of what is done."""
    for name, groups in studies.items():
        histories = {
            group.subject.name: [_history(done[trial.name]) for trial in group.done_of(done)]
            for group in groups
        }
        seeds = ", ".join(str(trial.options["seed"]) for trial in groups[0].trials)
        base = groups[0].trials[0].options["base"]
        title = f"{STUDIES[name].title}; base {base}, seeds {seeds}"
        run.log_figure(figures.compared(histories, title), f"{name}.png")


def _history(record: queries.Record) -> figures.History:
    return queries.history(record.id, figures.COMPARED)


def plan(options: dict, defaults: dict, run: Run) -> Plan:
    """The trials of a study; arguments as for :func:`study`."""
    base = defaults | {name: options[name] for name in _OF_TRIAL} | {"register_as": "none"}
    names = list(STUDIES) if options["study"] == "all" else [options["study"]]
    return {
        name: [
            Group(value.name, value, tuple(_trials(name, value, base, options["seeds"], run)))
            for value in _values(STUDIES[name], options["values"])
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
    name: str, value: Value, base: dict, seeds: Sequence[int], run: Run
) -> Iterator[Trial]:
    title = f"{name} {value.name}"
    tags = {"study": f"{name} {run.id[:6]}", "configuration": title}
    for seed in seeds:
        of_trial = base | STUDIES[name].fixed | value.options | {"seed": seed}
        yield Trial(f"{title} seed {seed}", of_trial, tags)
