"""The sweep as data: configurations, and in each a trial a seed."""

from dataclasses import dataclass
from pathlib import Path

from mlproject import tracking
from mlproject.cluster import Trial
from mlproject.har import published
from mlproject.har.results import STOPPING

# The options of a trial that a sweep decides, and its own that are none of a trial, the early
# stopping of the whole story among them.
_OF_TRIAL = ("batch_size", "units", "learning_rate", "seed")
_OF_SWEEP = ("configurations", "seeds", "register_as", "scheduler", "resume", *STOPPING)

# With these, a configuration of table I is the run that the report numbers.
_OF_REPORT = {
    "cell": "rnn",
    "optimizer": "sgd",
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "constant",
    "keep": "last",
    "initializer": "uniform",
}


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


def plan(parameters: dict, run: tracking.Run) -> list[Group]:
    """The sweep as data: one group a configuration, in it one trial a seed."""
    base = {key: value for key, value in parameters.items() if key not in _OF_SWEEP}
    if base["data"] != "builtin":  # workers, and who trains it again, can be elsewhere
        base["data"] = str(Path(base["data"]).expanduser().absolute())
    groups = []
    for configuration in parameters["configurations"]:
        row = published_as(parameters, configuration)
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


def published_as(
    parameters: dict, configuration: tuple[int, int, float]
) -> published.Published | None:
    """The row of the report that has a configuration and the other options, if any."""
    as_reported = all(parameters[key] == value for key, value in _OF_REPORT.items())
    return published.RUNS.get(configuration) if as_reported else None


def trial_of(configuration: tuple[int, int, float], seed: int) -> dict:
    """The options of a trial that a sweep decides."""
    return dict(zip(_OF_TRIAL, (*configuration, seed), strict=True))
