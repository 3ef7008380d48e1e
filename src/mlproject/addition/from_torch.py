"""Takes over an adder that was trained in PyTorch: weights, evaluation, deployable model."""

from collections.abc import Callable

import keras
import tensorflow as tf

import tfnets.addition
from mlproject import tracking
from mlproject.addition.judged import describe, judge, log_data, register
from mlproject.addition.results import load, test_of
from mlproject.from_torch import log_skipped, named, origin, rows
from mlproject.results import log_times, summary
from tfnets import optimizers, torch_weights
from tfnets.dataset import Split
from tfnets.loop import Execution, Loop
from tfnets.progress import duration

_AT_ONCE = 200  # pairs, as in training


def from_torch(parameters: dict, run: tracking.Run) -> str:
    """Builds the network of a checkpoint, tests it, logs it as a trained one is logged.

    Args:
        parameters: The command's options by name.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    path = parameters["checkpoint"]
    checkpoint = torch_weights.read_file(path)
    with named(path):
        skipped = torch_weights.skipped(checkpoint.entries, parameters["skip"])
        needed = {k: v for k, v in checkpoint.entries.items() if k not in skipped}
        options, entries = tfnets.addition.of_torch(needed)
        network = tfnets.addition.build(**options)
        torch_weights.load(network, entries)
    log_skipped(skipped, run)
    chosen = test_of(parameters, options["base"])
    data = load(chosen)
    log_data(data, options["cell"], run)
    judged = judge(network, _evaluate(network), data, chosen, run)
    form = (
        f"{options['num_layers']} x {options['cell']} of {options['hidden_size']} units, "
        f"embedding of {options['embedding_dim']}, base {options['base']}"
    )
    folded = sum(each.size for each in entries.values()) - judged.table.total
    notes = [f"{origin(path)} It is {form}."]
    counts = f"{judged.table.total:,}"
    if folded:
        there = judged.table.total + folded
        counts += f"; {there:,} in PyTorch, where each recurrent layer has two biases: their sum"
        notes.append(
            f"PyTorch counts {there:,} parameters: there each recurrent layer has two biases, "
            "here their sum, which does the same."
        )
    notes.append(
        "Whether PyTorch trained on some of the test's pairs is not known; of long numbers hardly."
    )
    describe(" ".join(notes), judged, data, run)
    registered = register(chosen, judged, run)
    log_times(run)
    return f"\n{judged}\n" + summary(
        ("Network", f"{form}; from {path}"),
        ("Data", f"{data.name}, held out {data.split_kind}"),
        ("Parameters", counts),
        *rows(skipped),
        ("Wall time", duration(run.elapsed)),
        *registered,
        run=run,
    )


def _evaluate(network: keras.Model) -> Callable[[Split], dict[str, float]]:
    """What gives the loss on a split, as for a network that was trained here."""
    # Nothing is trained: which optimizer it is does not matter.
    loop = Loop(network, optimizers.build(), tfnets.addition.OBJECTIVE, _AT_ONCE, Execution())
    return lambda split: loop.evaluate(tf.constant(split.x), tf.constant(split.y))
