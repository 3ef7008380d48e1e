"""What augmentation costs, and whether mel power can stand for waveforms.

    python benchmarks/augmentation.py cost
    python benchmarks/augmentation.py accuracy DATA --pattern "{word}_{speaker}_{take}.wav"

``cost``: epochs of each network on the built-in corpus, 9,000 clips in batches of 1,024, without
augmentation and with it in turn; medians. ``accuracy``: the GRU, each third of the speakers
tested on once, trained on clips changed in mel power and, with the same draws, on waveforms
changed sample by sample (speed instead of tempo and voice), with features anew in each epoch.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from tfnets import speech, training
from tfnets.dataset import Varied
from tfnets.speech import augmentation, data, features, level, recordings, splits
from tfnets.speech.robustness import shifted

EPOCHS = {"fc": 20, "cnn": 3, "gru": 5}
OPTIMIZERS = {"fc": "sgd", "cnn": "adam", "gru": "adam"}


def main():
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["cost", "accuracy"])
    parser.add_argument("data", nargs="?", default="builtin")
    parser.add_argument("--pattern", default="")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    cost(options) if options.what == "cost" else accuracy(options)


def cost(options):
    """Seconds an epoch without augmentation and with it."""
    plain = speech.load(level="clip", progress=False)
    varied = speech.load(level="clip", augment=True, progress=False)
    for network, epochs in EPOCHS.items():
        seconds = {"without": [], "with": []}
        for _ in range(options.repeats):
            for name, loaded in (("without", plain), ("with", varied)):
                trained = train(network, loaded, epochs, 1024)
                each = [m["time/epoch_s"] for m in trained.history[1:]]  # the first compiles
                seconds[name].append(float(np.median(each)))
        before, after = (float(np.median(each)) for each in seconds.values())
        print(f"{network}: {before:.3f} s an epoch, augmented {after:.3f} s, {after / before:.2f}")


def accuracy(options):
    """Accuracy of both kinds of augmentation."""
    for fold in (1, 2, 3):
        where = {"pattern": options.pattern, "folds": 3, "fold": fold, "progress": False}
        power = speech.load(options.data, level="clip", augment=True, **where)
        chosen = data.choose(
            options.data,
            (),
            0,
            options.pattern,
            splits.Choice(folds=3, fold=fold),
            (),
            False,
            False,
        )
        clips = recordings.waveforms(chosen.listing, chosen.parts.numbers["train"])
        waves = replace(power.train, change=OnWaveforms(clips, power.train.change))
        for name, loaded in (("mel power", power), ("waveforms", replace(power, train=waves))):
            assert isinstance(loaded.train, Varied)
            started = time.perf_counter()
            trained = train("gru", loaded, options.epochs, 64, pooling="mean")
            found = trained.evaluate(loaded.test)["accuracy"]
            print(f"fold {fold}, {name}: {found:.3f}, {time.perf_counter() - started:.0f} s")


def train(network, loaded, epochs, batch_size, **more):
    """A training of a network."""
    recipe = training.Recipe(
        epochs=epochs, batch_size=batch_size, optimizer=OPTIMIZERS[network], keep="best"
    )
    return training.train(
        lambda: speech.build(network, num_classes=len(loaded.classes), **more),
        loaded,
        recipe,
        progress=False,
        execution=speech.execution(network),
    )


class OnWaveforms:
    """The same draws on samples: shift, speed, noise, gain; then features, level, masks."""

    def __init__(self, clips: np.ndarray, like: augmentation.Augmentation):
        self.clips, self.like = clips, like
        rng = np.random.default_rng(0)
        self.noises = [
            augmentation.noise(("white", "pink")[n % 2], features.SAMPLES, rng) for n in range(256)
        ]

    def __call__(self, _, rng: np.random.Generator) -> np.ndarray:
        """Samples for one epoch."""
        n = len(self.clips)
        drawn = augmentation.draw(rng, n)
        middle = features.SAMPLES / 2
        time_ = np.arange(features.SAMPLES)
        sound = np.empty_like(self.clips)
        for row, clip in enumerate(self.clips):
            moved = shifted(clip[None], int(drawn.shift[row]) * 160)[0]
            place = (time_ - middle) * drawn.tempo[row] + middle
            one = np.interp(place, time_, moved, left=0, right=0)
            ratio = np.mean(one**2) * 10 ** (-drawn.snr[row] / 10)
            one = one + self.noises[drawn.noise[row]] * np.sqrt(ratio)
            sound[row] = one * 10 ** (drawn.gain[row] / 20)
        x = level.apply(features.log_mel(sound), self.like.level)
        x = (x - self.like.mean) / self.like.std
        for masks, axis in ((drawn.time, 1), (drawn.band, 2)):
            for row in range(n):
                for first, width in masks[row].astype(int):
                    part = slice(first, first + width)
                    x[(row, part) if axis == 1 else (row, slice(None), part)] = 0
        return x.astype(np.float32)


if __name__ == "__main__":
    main()
