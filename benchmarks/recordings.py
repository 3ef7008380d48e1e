"""How well networks trained on a few people's recordings understand people they never heard.

    python benchmarks/recordings.py DATA --pattern "{word}_{speaker}_{take}.wav" --folds 3

Each part of the speakers is tested on once, the next speaker validates, the others train: by the
reports' protocol, and by ours (level, augmentation, best epoch, pooling over time). Then the test
clips louder, quieter, later and noisier. Needs nothing but the recordings; logs nothing.
"""

import argparse
import time

import numpy as np

from tfnets import speech, training
from tfnets.dataset import Split
from tfnets.speech import features, judging, level, recordings
from tfnets.speech.robustness import noisy, shifted

SHOWN = {
    "as they are": lambda clips: clips,
    "-30 dB": lambda clips: clips * np.float32(10**-1.5),
    "+10 dB": lambda clips: clips * np.float32(10**0.5),
    "0.2 s later": lambda clips: shifted(clips, 3_200),
    "white noise at 10 dB": lambda clips: noisy(clips, "white", 10, np.random.default_rng(0)),
}
NETWORKS = {"fc": "sgd", "cnn": "adam", "gru": "adam"}
PROTOCOLS = {
    "report": ({}, "last", {}),
    "tfnets": ({"level": "clip", "augment": True}, "best", {"pooling": "mean"}),
}


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--pattern", default="")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--networks", default="fc,cnn,gru")
    parser.add_argument("--protocols", default="report,tfnets")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"| network | protocol | {' | '.join(SHOWN)} | by fold | training |")
    print("|---" * (len(SHOWN) + 4) + "|")
    for network in options.networks.split(","):
        for protocol in options.protocols.split(","):
            folds = [one(network, protocol, options, fold) for fold in range(1, options.folds + 1)]
            accuracies = [each for each, _ in folds]
            means = [np.mean([each[name] for each in accuracies]) for name in SHOWN]
            shown = " | ".join(f"{mean:.3f}" for mean in means)
            by_fold = " ".join(f"{each['as they are']:.3f}" for each in accuracies)
            seconds = np.median([s for _, s in folds])
            row = f"| {network} | {protocol} | {shown} | {by_fold} | {seconds:.0f} s |"
            print(row, flush=True)


def one(network, protocol, options, fold):
    """Accuracy by condition, and how long the training took."""
    form, keep, more = PROTOCOLS[protocol]
    where = {"pattern": options.pattern, "folds": options.folds, "fold": fold}
    data = speech.load(options.data, **where, **form, progress=False)
    recipe = training.Recipe(
        epochs=options.epochs,
        batch_size=options.batch_size,
        optimizer=NETWORKS[network],
        learning_rate=0.1 if NETWORKS[network] == "sgd" and protocol == "tfnets" else None,
        keep=keep,
        seed=options.seed,
    )
    more = more if network == "gru" else {}
    started = time.perf_counter()
    trained = training.train(
        lambda: speech.build(network, num_classes=len(data.classes), **more),
        data,
        recipe,
        progress=False,
        execution=speech.execution(network),
    )
    seconds = time.perf_counter() - started
    found = judging.select(data.classes, "test", data=options.data, **where, progress=False)
    clips = recordings.waveforms(found.listing, range(len(found.labels)))
    result = {}
    for name, change in SHOWN.items():
        x = level.apply(features.log_mel(change(clips)), data.level)
        x = ((x - data.mean) / data.std).astype(np.float32)
        result[name] = trained.evaluate(Split(x, found.labels))["accuracy"]
    return result, seconds


if __name__ == "__main__":
    main()
