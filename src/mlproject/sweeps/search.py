"""A search for good options: Optuna says what to try, the executors of sweeps train it.

MLflow is the only memory: the study is rebuilt from the runs of the trials, so that a search can
be resumed, and a trial knows how far its siblings came. Each trial is asked for with a sampler
seeded by its number: with one training at a time the same trials come again, resumed or not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import keras

from mlproject.sweeps.resuming import lineage
from mlproject.sweeps.space import Axis, typed
from mlproject.sweeps.trials import Ended, Executor, PrunedError, Trial, Work
from mlproject.tracking import queries, registry
from mlproject.tracking.queries import Record
from mlproject.tracking.registry import CHAMPION, Version
from mlproject.tracking.run import Run, parameter
from mlproject.tracking.summaries import log_times, summary
from tfnets import figures, tables
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.progress import Line, count, duration, say

try:
    import optuna
except ImportError:
    raise InputError(
        'a search needs Optuna: pip install "tfnets[search]" (or optuna itself).'
    ) from None

optuna.logging.set_verbosity(optuna.logging.ERROR)

STAGE = "search"
METRIC = "val/accuracy"

_NUMBER, _PARENTS, _PRUNE, _PRUNED = "trial", "search.parents", "search.prune", "pruned"
# Trials at random first, and those that no median is asked of.
_RANDOM, _UNPRUNED = 8, 4


@dataclass(frozen=True)
class Search:
    """What is searched for.

    Attributes:
        axes: The options that vary.
        base: All options of a training; those of the axes are replaced.
        command: The command that trains one network.
        work: What each trial does.
        digest: Of the data that all trials share.
        trials: How many there are to be.
        parallel: How many are trained at a time.
        prune: Whether a trial ends that is worse than the median of the others.
        seed: Of the search itself.
    """

    axes: Sequence[Axis]
    base: dict
    command: click.Command
    work: Work
    digest: str
    trials: int
    parallel: int
    prune: bool
    seed: int


@dataclass(frozen=True)
class Tried:
    """A trial that has ended.

    Attributes:
        number: Its number, from 0.
        record: Its run.
        chosen: The values of the axes.
        curve: Validation accuracy after each evaluation.
        value: That of the weights that it kept; of a pruned one the best.
        pruned: After how many evaluations it was pruned; 0 if it was not.
    """

    number: int
    record: Record
    chosen: dict[str, Any]
    curve: list[float]
    value: float
    pruned: int


def carry_out(
    options: dict,
    base: dict,
    command: click.Command,
    work: Work,
    data: Dataset,
    executor: Executor,
    about: Callable[[Tried], Mapping[str, object]],
    run: Run,
) -> str:
    """Searches, logs what was tried and which was good, registers the best.

    Args:
        options: Those of the command that searches.
        base: All options of a training.
        command: The command that trains one network.
        work: What each trial does.
        data: What the trials share.
        executor: Where they run.
        about: Tags of the registered version, of the best trial.
        run: The parent.

    Returns:
        A summary for the user.
    """
    plan = Search(
        options["space"],
        base,
        command,
        work,
        data.digest,
        options["trials"],
        options.get("parallel", 1),
        options["prune"],
        options["search_seed"],
    )
    found = search(plan, executor, options["resume"], data, run)
    text = log(found, plan, f"{run.name}: {data.name}", run)
    tags = {"configuration": base | found[0].chosen, **about(found[0])}
    verdict = register(options["register_as"], found[0], tags, run)
    run.describe(f"{verdict}\n\n```\n{text}\n```")
    log_times(run)
    return f"\n{text}\n\n{verdict}\n" + summary(("Wall time", duration(run.elapsed)), run=run)


def search(plan: Search, executor: Executor, resume: str, data: Any, run: Run) -> list[Tried]:
    """Tries what Optuna's TPE sampler suggests (Bergstra et al. 2011), as many as are wanted.

    Args:
        plan: What is searched for.
        executor: Where trials run.
        resume: Id of an earlier search whose trials count; ``"none"`` for none.
        data: What the trials share.
        run: The parent.

    Returns:
        All trials that ended, the best first.

    Raises:
        InputError: If the earlier run is no search of the same space, or all trials fail.
    """
    parents = [parent.id for parent in lineage(resume, STAGE, run)]
    study = optuna.create_study(direction="maximize")
    found: dict[int, Tried] = {}
    for record in _records(parents):
        tried = _tried(record, plan)
        if tried is not None and tried.number not in found:
            found[tried.number] = tried
            study.add_trial(_frozen(tried, plan.axes))
    if resume != "none" and not found:
        raise InputError(f"resume is {resume!r}, which has no finished trial of this search.")
    wanted = plan.trials - len(found)
    if wanted > 0:
        say(f"{count(wanted, 'trial')} to train")
        say(f"if this is interrupted, the same command with -P resume={run.id} continues")
    asked = _Asked(plan, study, [*parents, run.id], max(found, default=-1) + 1, run)
    failed: dict[str, str] = {}
    line, text = Line(plan.trials), ""
    started = run.elapsed
    done = 0

    def follow(ended: Ended) -> Sequence[Trial]:
        asked.tell(ended)
        return asked.more(1) if asked.count < wanted else ()

    try:
        first = asked.more(min(plan.parallel, max(wanted, 0)))
        with executor.running(first, plan.work, data, run, follow) as all_ended:
            for ended in all_ended:
                done += 1
                if ended.error and not ended.run_id:
                    failed[ended.trial.name] = ended.error
                    say(f"{ended.trial.name} failed: {ended.error}")
                    continue
                tried = asked.tried[ended.trial.name]
                found[tried.number] = tried
                left = (run.elapsed - started) / done * (wanted - done)
                text = _progress(tried, found, plan.trials, left)
                line.show(text, len(found), first=True)
    finally:
        line.end(text)
    whole = [each for each in found.values() if not each.pruned]
    if not whole:
        name, why = next(iter(failed.items()), ("all", "they were pruned."))
        raise InputError(f"no trial was trained to its end; {name}: {why}")
    return sorted(found.values(), key=lambda each: (bool(each.pruned), -each.value, each.number))


class _Asked:
    """Asks the study, and tells it what became of what it suggested."""

    def __init__(self, plan: Search, study: Any, parents: Sequence[str], number: int, run: Run):
        self._plan, self._study, self._parents = plan, study, parents
        self._next, self._run = number, run
        self._open: dict[str, Any] = {}
        self.count = 0
        self.tried: dict[str, Tried] = {}

    def more(self, number: int) -> list[Trial]:
        return [self._ask() for _ in range(number)]

    def _ask(self) -> Trial:
        plan, number = self._plan, self._next
        self._next += 1
        self.count += 1
        self._study.sampler = optuna.samplers.TPESampler(
            seed=(plan.seed * 1_000_003 + number) % 2**32,
            n_startup_trials=_RANDOM,
            constant_liar=plan.parallel > 1,
        )
        asked = self._study.ask({axis.name: _distribution(axis) for axis in plan.axes})
        chosen = {
            name: typed(name, _short(value), plan.command) for name, value in asked.params.items()
        }
        name = f"trial {number}: " + ", ".join(f"{k}={v}" for k, v in chosen.items())
        tags = {
            "study": f"search {self._run.id[:6]}",
            _NUMBER: str(number),
            _PARENTS: ",".join(self._parents),
            _PRUNE: str(plan.prune).lower(),
        }
        self._open[name] = asked
        return Trial(name, plan.base | chosen, tags)

    def tell(self, ended: Ended) -> None:
        asked = self._open.pop(ended.trial.name)
        states = optuna.trial.TrialState
        if not ended.run_id:
            self._study.tell(asked, state=states.FAIL)
            return
        tried = _tried(queries.get(ended.run_id), self._plan)
        assert tried is not None  # it has just been trained so
        self.tried[ended.trial.name] = tried
        for step, value in enumerate(tried.curve, 1):
            asked.report(value, step)
        if tried.pruned:
            self._study.tell(asked, state=states.PRUNED)
        else:
            self._study.tell(asked, tried.value)


def _short(value: Any) -> Any:
    """A number with few digits: what differs less makes no difference, and can be read."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _distribution(axis: Axis) -> Any:
    if axis.values:
        return optuna.distributions.CategoricalDistribution(axis.values)
    if axis.whole:
        return optuna.distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.log)


def _records(parents: Sequence[str]) -> Iterator[Record]:
    """What earlier trials logged, finished or pruned."""
    for parent in parents:
        experiment = queries.get(parent).experiment_id
        for record in queries.children(parent, experiment, "tags.stage = 'trial'"):
            if record.status == "FINISHED" or _PRUNED in record.tags:
                yield record


def _tried(record: Record, plan: Search) -> Tried | None:
    """A trial as it was logged; None if it is none of this search."""
    names = [axis.name for axis in plan.axes]
    try:
        chosen = {name: typed(name, record.parameters[name], plan.command) for name in names}
        number = int(record.tags[_NUMBER])
    except (KeyError, ValueError):
        return None
    same = {key: parameter(key, value) for key, value in (plan.base | chosen).items()}
    values = _history(record)
    if not (same.items() <= record.parameters.items()) or not values:
        return None
    if record.tags.get("data.digest") != plan.digest:
        return None
    if not all(_within(axis, chosen[axis.name]) for axis in plan.axes):
        return None
    if _PRUNED in record.tags:
        return Tried(number, record, chosen, values, max(values), int(record.tags[_PRUNED]))
    kept = int(record.metrics.get("epochs/best", len(values)))
    return Tried(number, record, chosen, values, values[min(kept, len(values)) - 1], 0)


def _history(record: Record) -> list[float]:
    """Validation accuracy after each evaluation, that of the initial weights left out."""
    steps = queries.history(record.id, [METRIC])
    return [values[METRIC] for step, values in steps.items() if step > 0]


def _frozen(tried: Tried, axes: Sequence[Axis]) -> Any:
    states = optuna.trial.TrialState
    return optuna.trial.create_trial(
        params={axis.name: _value(axis, tried.chosen[axis.name]) for axis in axes},
        distributions={axis.name: _distribution(axis) for axis in axes},
        value=None if tried.pruned else tried.value,
        state=states.PRUNED if tried.pruned else states.COMPLETE,
        intermediate_values=dict(enumerate(tried.curve, 1)),
    )


def _within(axis: Axis, value: Any) -> bool:
    """Whether a value, rounded to four digits, can be of an axis."""
    if axis.values:
        return str(value) in axis.values or value in axis.values
    if not isinstance(value, int | float):
        return False
    return axis.low * (1 - 1e-3) <= value <= axis.high * (1 + 1e-3)


def _value(axis: Axis, value: Any) -> Any:
    """A value within its axis: rounding may have moved it over an end."""
    if axis.values:
        return next(each for each in axis.values if each == str(value) or each == value)
    return min(max(value, axis.low), axis.high)


def _progress(tried: Tried, found: Mapping[int, Tried], total: int, left: float) -> str:
    best = max(found.values(), key=lambda each: (not each.pruned, each.value))
    what = f"pruned after {tried.pruned}" if tried.pruned else "validation"
    time_left = f"; {duration(left)} left" if len(found) < total else ""
    return (
        f"{len(found)} of {total}: {tried.record.name}: {what} {tried.value:.4f}; best so far "
        f"trial {best.number}, {best.value:.4f}{time_left}"
    )


class Prune(keras.callbacks.Callback):
    """Ends a trial that is worse than the median of its siblings at the same epoch.

    Optuna's median pruner: the best so far is compared with the median of what the others had
    at that epoch; not before four others have come to their end, nor in the first quarter.

    Args:
        trial: Which.
        run: Its run.
        evaluations: How often the validation is evaluated in all.
    """

    def __init__(self, trial: Trial, run: Run, evaluations: int):
        super().__init__()
        self._run = run
        self._trial = None
        if trial.tags.get(_PRUNE) != "true":
            return
        pruner = optuna.pruners.MedianPruner(_UNPRUNED, max(1, evaluations // 4))
        study = optuna.create_study(direction="maximize", pruner=pruner)
        for record in _records(trial.tags[_PARENTS].split(",")):
            values = _history(record)
            if values:
                is_pruned = _PRUNED in record.tags
                states = optuna.trial.TrialState
                study.add_trial(
                    optuna.trial.create_trial(
                        value=None if is_pruned else values[-1],
                        state=states.PRUNED if is_pruned else states.COMPLETE,
                        intermediate_values=dict(enumerate(values, 1)),
                    )
                )
        self._trial = study.ask()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras calls it with the epoch, from 0.

        Raises:
            PrunedError: If it is not worth going on.
        """
        if self._trial is None:
            return
        self._trial.report((logs or {})[METRIC], epoch + 1)
        if self._trial.should_prune():
            self._run.log_tags({_PRUNED: str(epoch + 1)})
            raise PrunedError(f"pruned after evaluation {epoch + 1}: below the others' median.")


def log(found: Sequence[Tried], plan: Search, title: str, run: Run) -> str:
    """Logs all trials as a table and figures; the best as text for the user."""
    names = [axis.name for axis in plan.axes]
    columns: dict[str, list] = {
        "trial": [each.number for each in found],
        "run_id": [each.record.id for each in found],
        **{name: [each.chosen[name] for each in found] for name in names},
        "val_accuracy": [each.value for each in found],
        "pruned_after": [each.pruned for each in found],
    }
    run.log_table(columns, "trials.json")
    whole = [each for each in found if not each.pruned]
    importance = importances(whole, plan)
    run.log_metrics(
        {
            "val/accuracy": found[0].value,
            "trials/finished": len(whole),
            "trials/pruned": len(found) - len(whole),
            **{f"importance/{name}": value for name, value in importance.items()},
        }
    )
    scales = {axis.name: axis.log for axis in plan.axes}
    points = {name: [each.chosen[name] for each in whole] for name in names}
    values = [each.value for each in whole]
    figure = figures.parallel_coordinates(points, scales, values, title)
    run.log_figure(figure, "parallel_coordinates.png")
    if importance:
        run.log_figure(figures.bars(importance, "importance", title), "importance.png")
    shown = {
        "trial": [str(each.number) for each in found[:10]],
        **{name: [str(each.chosen[name]) for each in found[:10]] for name in names},
        "validation": [f"{each.value:.4f}" for each in found[:10]],
    }
    text = (
        f"The best of {count(len(whole), 'trial')} ({len(found) - len(whole)} pruned)\n\n"
        f"{tables.text(shown)}"
    )
    if importance:
        ranked = ", ".join(f"{name} {value:.2f}" for name, value in importance.items())
        text += f"\n\nImportance (fANOVA): {ranked}"
    run.log_text(f"{text}\n", "trials.txt")
    return text


def importances(whole: Sequence[Tried], plan: Search) -> dict[str, float]:
    """How much of the variation each axis explains (Hutter et al. 2014); nothing of few trials."""
    if len(whole) < _RANDOM or len(plan.axes) < 2 or len({each.value for each in whole}) < 2:
        return {}
    study = optuna.create_study(direction="maximize")
    study.add_trials([_frozen(each, plan.axes) for each in whole])
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=plan.seed)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def register(name: str, best: Tried, tags: Mapping[str, object], run: Run) -> str:
    """Registers the best trial; it becomes the champion if it beats the present one.

    They are compared by validation accuracy, which both must have of the same data.

    Args:
        name: Name of the registered model; ``"none"`` registers nothing.
        best: The best trial.
        tags: More tags of the version.
        run: The parent.

    Returns:
        What became of it, in words.
    """
    if name == "none":
        return "Nothing is registered."
    digest = best.record.tags["data.digest"]
    about = {"stage": STAGE, "val.accuracy": best.value, "data.digest": digest, **tags}
    words = f"{best.record.name}; validation {best.value:.4f}."
    version = registry.register(name, best.record.id, about, words)
    wins, verdict = _contest(version, best.value, digest)
    if wins:
        registry.alias(version, CHAMPION)
    registry.tag(version, {"champion": verdict})
    run.log_tags({"registered": f"{version.name}/{version.number}", "champion": verdict})
    return f"Registered as {version}. {verdict}"


def _contest(version: Version, value: float, digest: str) -> tuple[bool, str]:
    number = registry.aliases(version.name).get(CHAMPION)
    if number is None:
        return True, "It is the first champion."
    champion = registry.find(f"{version.name}/{number}")
    theirs = champion.tags.get("val.accuracy")
    if theirs is None or champion.tags.get("data.digest") != digest:
        return False, (
            f"The champion stays {champion}, which cannot be compared: it was validated on other "
            "data."
        )
    score = f"validation {value:.4f} to {float(theirs):.4f}"
    if value > float(theirs):
        return True, f"It is the champion now, in place of {champion}: {score}."
    return False, f"The champion stays {champion}: {score}."
