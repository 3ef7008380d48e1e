"""Takes over a network that was trained in PyTorch: weights, evaluation, deployable model."""

import tfnets.speech
from mlproject.speech.results import describe, evaluate, log_data, log_loading
from mlproject.speech.settings import data_of, load
from mlproject.tracking.checkpoints import log_skipped, named, origin, rows
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times, summary
from tfnets import torch_weights
from tfnets.progress import duration


def from_torch(options: dict, run: Run) -> str:
    """Builds the network of a checkpoint, evaluates it, logs it as a trained one is logged.

    Args:
        options: The command's options by name.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    path = options["checkpoint"]
    checkpoint = torch_weights.read_file(path)
    skip = options["skip"]
    with named(path):
        skipped = torch_weights.skipped(checkpoint.entries, skip)
        architecture = tfnets.speech.model_of(checkpoint.entries, skip=skip)
    log_skipped(skipped, run)
    data = load(data_of(options))
    log_loading(data, run)
    network = tfnets.speech.build(
        architecture,
        input_shape=data.input_shape,
        num_classes=len(data.classes),
        pooling=options["pooling"],
        reset_after=True,  # as PyTorch's GRU
    )
    with named(path):
        torch_weights.load(network, checkpoint.entries, ordered=checkpoint.ordered, skip=skip)
    log_data(data, architecture, run)
    evaluated = evaluate(network, data, run)
    describe(architecture, origin(path), evaluated, data, run)
    log_times(run)
    return summary(
        ("Network", f"{architecture}, from {path}"),
        *rows(skipped),
        *evaluated.rows(data),
        ("Wall time", duration(run.elapsed)),
        run=run,
    )
