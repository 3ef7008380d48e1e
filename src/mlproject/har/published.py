"""What report har_rnn publishes: facts to stand beside our own, on other data."""

from dataclasses import dataclass
from typing import NamedTuple

MeanDeviation = tuple[float, float]  # in percent; standard deviation of three seeds, ddof 0


class Configuration(NamedTuple):
    """What option b of the report varies; as text ``"30x100x0.1"``.

    Attributes:
        batch_size: Windows a step.
        units: Hidden units.
        learning_rate: The optimizer's step size.
    """

    batch_size: int
    units: int
    learning_rate: float

    def __str__(self) -> str:
        return "x".join(map(str, self))


# With these options, a configuration of table I is the run that the report numbers.
_OF_REPORT = {
    "cell": "rnn",
    "optimizer": "sgd",
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "constant",
    "keep": "last",
    "initializer": "uniform",
}


def row_of(options: dict, configuration: Configuration) -> "Published | None":
    """The row of the report that has a configuration and the other options, if any."""
    as_reported = all(options[key] == value for key, value in _OF_REPORT.items())
    return RUNS.get(configuration) if as_reported else None


@dataclass(frozen=True)
class Published:
    """A run of option b: a row of tables I to V.

    Attributes:
        number: The report's number of the run.
        seconds: Training time, of a program in NumPy.
        train: Mean and deviation of the training accuracy for ``accuracy`` (top-1),
            ``top2``, ``top3``.
        test: The same of the test accuracy.
    """

    number: int
    seconds: float
    train: dict[str, MeanDeviation]
    test: dict[str, MeanDeviation]


def _row(number: int, seconds: float, *figures: MeanDeviation) -> Published:
    names = ("accuracy", "top2", "top3")
    return Published(
        number,
        seconds,
        dict(zip(names, figures[::2], strict=True)),
        dict(zip(names, figures[1::2], strict=True)),
    )


# By batch size, units and learning rate; for each k the training, then the test.
RUNS = {
    Configuration(10, 50, 0.05): _row(
        1, 287.620758,
        (27.511, 1.568), (32.667, 1.737),
        (44.222, 2.740), (45.722, 2.038),
        (59.589, 5.393), (61.222, 5.136),
    ),
    Configuration(10, 50, 0.1): _row(
        2, 285.866596,
        (31.211, 0.291), (33.389, 0.797),
        (48.578, 1.679), (47.444, 1.039),
        (66.578, 1.448), (66.167, 2.121),
    ),
    Configuration(10, 100, 0.05): _row(
        3, 456.180334,
        (29.744, 2.030), (34.667, 0.491),
        (45.267, 2.263), (50.889, 1.907),
        (63.456, 1.746), (66.778, 1.926),
    ),
    Configuration(10, 100, 0.1): _row(
        4, 495.476847,
        (31.500, 0.094), (33.111, 0.208),
        (49.456, 1.881), (47.000, 1.705),
        (68.033, 1.347), (67.056, 0.749),
    ),
    Configuration(30, 50, 0.05): _row(
        5, 169.272868,
        (28.222, 3.898), (30.444, 4.804),
        (42.911, 5.759), (42.778, 5.511),
        (58.522, 8.406), (57.056, 8.608),
    ),
    Configuration(30, 50, 0.1): _row(
        6, 165.235722,
        (32.589, 2.298), (30.778, 3.502),
        (46.778, 3.962), (43.611, 3.400),
        (62.100, 6.282), (57.167, 3.336),
    ),
    Configuration(30, 100, 0.05): _row(
        7, 280.877101,
        (31.967, 2.963), (32.500, 2.858),
        (44.333, 1.942), (43.444, 3.869),
        (58.444, 3.180), (55.778, 5.979),
    ),
    Configuration(30, 100, 0.1): _row(
        8, 271.488364,
        (33.278, 0.986), (33.167, 0.981),
        (51.856, 2.339), (50.278, 1.100),
        (70.378, 0.273), (67.556, 1.220),
    ),
}  # fmt: skip

# Option c, tables VI and VII, in percent, by the run's number: for training, validation and
# test each the top-1, top-2 and top-3 accuracy.
EARLY_STOPPING = {
    8: {
        "train": (42.407, 60.112, 75.074),
        "val": (48.334, 63.667, 79.334),
        "test": (36.834, 52.167, 68.667),
    },
    7: {
        "train": (37.889, 55.593, 70.073),
        "val": (40.334, 58.334, 76.000),
        "test": (34.500, 50.167, 69.334),
    },
}
