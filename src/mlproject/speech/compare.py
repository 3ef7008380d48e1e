"""Trains several networks on the same data, each in a run of its own under one parent."""

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from statistics import mean

import numpy as np

import tfnets.speech
from mlproject import tracking
from mlproject.results import log_times, sizes, summary
from mlproject.speech import published
from mlproject.speech.results import load
from mlproject.speech.train import train_on
from tfnets import figures, tables
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.progress import duration

Network = tuple[str, str]  # architecture and optimizer

_NOTE = (
    "Trained here on {data} ({sizes}), {epochs} epochs; seeds {seeds}{spread}. What is named "
    "after a report is what it publishes, on the course's recordings and its authors' machine: "
    "other data and another clock, so compare rows with rows. speech_group530 names the optimizer "
    "(Adam) of its GRU only. Epochs to 90 %: until validation accuracy first is 90 % of "
    "what it is in the last epoch. Gap: training minus validation accuracy in the last epoch."
)


@dataclass(frozen=True)
class Outcome:
    """What is kept of one run.

    Attributes:
        run_id: The run.
        name: Its name.
        accuracy: On the test split.
        seconds: Duration of the training.
        parameters: The network's number of parameters.
        gap: Training minus validation accuracy in the last epoch.
        to_90: After how many epochs validation accuracy was 90 % of what it is in the end.
        history: As :class:`tfnets.training.Trained` has it.
    """

    run_id: str
    name: str
    accuracy: float
    seconds: float
    parameters: int
    gap: float
    to_90: int
    history: list[dict[str, float]]


Outcomes = dict[Network, list[Outcome]]


def compare(parameters: dict, defaults: dict[str, dict], run: tracking.Run) -> str:
    """Trains every network with every seed, one after the other, and logs the comparison.

    One after the other, for each training has the whole machine and its time is part of the
    comparison; all networks with one seed before the next. What there is to compare is
    logged after every run, so that an interruption costs the rest only.

    Args:
        parameters: The command's options by name.
        defaults: For each architecture the options of its own command, which hold where
            ``parameters`` has none.
        run: The parent run.

    Returns:
        The table and where to see it.
    """
    networks, seeds = parameters["models"], parameters["seeds"]
    data = load(parameters, run)
    for architecture, _ in networks:  # data that one cannot take, before any is trained
        tfnets.speech.build(
            architecture, input_shape=data.input_shape, num_classes=len(data.classes)
        )
    run.log_dataset(data)
    what = f"{data.name}, {parameters['epochs']} epochs"
    note = _NOTE.format(
        data=data.name,
        sizes=sizes(data),
        epochs=parameters["epochs"],
        seeds=", ".join(map(str, seeds)),
        spread=", mean ± standard deviation (ddof 0)" if len(seeds) > 1 else "",
    )
    plan = [(network, seed) for seed in seeds for network in networks]
    given = {key: value for key, value in parameters.items() if key not in ("models", "seeds")}
    outcomes: Outcomes = {}
    for done, (network, seed) in enumerate(_announced(plan, outcomes), 1):
        options = defaults[network[0]] | given | {"optimizer": network[1], "seed": seed}
        outcomes.setdefault(network, []).append(_train(network[0], options, data, run))
        so_far = f"{done} of {len(plan)} runs are in this table. " if done < len(plan) else ""
        text = _log(outcomes, what, so_far + note, run)
    run.log_table(runs(outcomes), "comparison.json")
    log_times(run)
    return f"\n{text}" + summary(("Wall time", duration(run.elapsed)), run=run)


def _train(architecture: str, options: dict, data: Dataset, run: tracking.Run) -> Outcome:
    """One run under the parent, with the options of the network's own command."""
    name = f"{architecture} {options['optimizer']} seed{options['seed']}"
    with tracking.run(
        name,
        task="speech",
        stage="trial",
        parameters=options,
        tags={"study": f"compare {run.id[:6]}"},
        parent=run.as_parent,
    ) as child:
        try:
            result = train_on(data, architecture, options, child)
        except InputError as error:
            raise InputError(
                f"{name}: {error} Leave it out with models=..., or train it alone with "
                f"-e speech_{architecture}."
            ) from error
        log_times(child)
    return Outcome(
        run_id=child.id,
        name=name,
        accuracy=result.evaluated.test.metrics["accuracy"],
        seconds=result.trained.seconds,
        parameters=result.evaluated.table.total,
        gap=result.trained.gap["accuracy"],
        to_90=result.to_90,
        history=result.trained.history,
    )


def _announced(
    plan: list[tuple[Network, int]], outcomes: Outcomes
) -> Iterator[tuple[Network, int]]:
    """Goes through the plan and says before each run how far it is."""
    for number, (network, seed) in enumerate(plan):
        words = [f"run {number + 1} of {len(plan)}: {' '.join(network)} seed{seed}"]
        if all(each in outcomes for each, _ in plan[number:]):
            left = sum(mean(o.seconds for o in outcomes[each]) for each, _ in plan[number:])
            words.append(f"{duration(left)} of training left")
        if outcomes:
            done = [outcome for of_network in outcomes.values() for outcome in of_network]
            best = max(done, key=lambda outcome: outcome.accuracy)
            words.append(f"best so far {best.name}, test accuracy {best.accuracy:.4f}")
        print("; ".join(words), file=sys.stderr, flush=True)
        yield network, seed


def _log(outcomes: Outcomes, what: str, note: str, run: tracking.Run) -> str:
    """Logs figures and the table of what is there; returns the table as the user reads it."""
    histories = {title(network): [o.history for o in each] for network, each in outcomes.items()}
    run.log_figure(figures.side_by_side(histories, what), "curves.png")
    run.log_figure(figures.gaps(histories, what), "gap.png")
    columns = results(outcomes)
    table = tables.text(columns)
    text = f"{table}\n\n{textwrap.fill(note, 88)}\n"
    run.log_text(text, "comparison.txt")
    run.describe(f"```\n{table}\n```\n\n{note}")  # a table of Markdown's has no gaps there
    return text


def title(network: Network) -> str:
    """``"GRU + Adam"``."""
    architecture, optimizer = network
    return f"{architecture.upper()} + {'Adam' if optimizer == 'adam' else 'SGD'}"


def results(outcomes: Outcomes) -> dict[str, list[str]]:
    """The report's table as one reads it, ours beside the published; by columns."""
    ours = outcomes.values()
    theirs = [published.SPEECH_RNN.get(network) for network in outcomes]
    others = [published.SPEECH_GROUP530.get(network) for network in outcomes]
    return {
        "network": [title(network) for network in outcomes],
        "test accuracy": [_spread([o.accuracy for o in each]) for each in ours],
        "of speech_rnn": [f"{row.accuracy:.4f}" if row else "-" for row in theirs],
        "of group530": [f"{accuracy:.4f}" if accuracy else "-" for accuracy in others],
        "training time": [_clock(mean(o.seconds for o in each)) for each in ours],
        "time of speech_rnn": [_clock(row.seconds) if row else "-" for row in theirs],
        "parameters": [f"{each[0].parameters:,}" for each in ours],
        "epochs to 90 %": [_spread([o.to_90 for o in each], ".1f") for each in ours],
        "gap": [_spread([o.gap for o in each], "+.4f") for each in ours],
    }


def runs(outcomes: Outcomes) -> dict[str, list]:
    """One row a run with its numbers, and the published ones; by columns."""
    each = [(network, outcome) for network, all_of in outcomes.items() for outcome in all_of]
    theirs = [published.SPEECH_RNN.get(network) for network, _ in each]
    return {
        "run": [outcome.name for _, outcome in each],
        "run_id": [outcome.run_id for _, outcome in each],
        "test_accuracy": [outcome.accuracy for _, outcome in each],
        "gap_accuracy": [outcome.gap for _, outcome in each],
        "epochs_to_90_of_final": [outcome.to_90 for _, outcome in each],
        "train_s": [outcome.seconds for _, outcome in each],
        "parameters": [outcome.parameters for _, outcome in each],
        "speech_rnn_test_accuracy": [row.accuracy if row else None for row in theirs],
        "speech_rnn_train_s": [row.seconds if row else None for row in theirs],
        "speech_group530_test_accuracy": [
            published.SPEECH_GROUP530.get(network) for network, _ in each
        ],
    }


def _spread(values: list[float], form: str = ".4f") -> str:
    """``"0.9000 ± 0.0087"``, or the only value."""
    text = f"{mean(values):{form}}"
    return f"{text} ± {np.std(values):{form.removeprefix('+')}}" if len(values) > 1 else text


def _clock(seconds: float) -> str:
    """``"0:04:31"``, as the report has it."""
    return str(timedelta(seconds=round(seconds)))
