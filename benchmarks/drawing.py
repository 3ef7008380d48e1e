"""How much of the adder's training goes into drawing numbers, at several lengths.

    python benchmarks/drawing.py
    python benchmarks/drawing.py 11 101     # some lengths only

For each length, in turns: drawing the pairs of some steps with their sums, and making these
steps (200 pairs, the default network). Medians; compilation is not counted, which would only
make the share of drawing smaller.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from tfnets import addition, optimizers
from tfnets.loop import Loop

LENGTHS = (3, 7, 11, 51, 101, 1001)
PAIRS = 200
STEPS = 50  # of a measurement; of long numbers fewer, so that it does not take minutes


def measure(seq_len: int, rounds: int) -> tuple[float, float]:
    """Milliseconds a step for drawing and for training."""
    steps = min(STEPS, 5000 // seq_len)
    data = addition.load(seq_len)
    loop = Loop(
        addition.build(seed=0),
        optimizers.build("adam"),
        addition.OBJECTIVE,
        PAIRS,
        addition.execution(),
    )
    generator = np.random.default_rng(0)
    drawing, training = [], []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        drawn = data.train.draw(generator, steps * PAIRS)
        x, y = tf.constant(drawn.x), tf.constant(drawn.y)
        drawing.append(time.perf_counter() - started)
        started = time.perf_counter()
        loop.epoch(x, y, np.arange(len(drawn)))
        training.append(time.perf_counter() - started)
    # The first round compiles.
    return tuple(1000 * statistics.median(each[1:]) / steps for each in (drawing, training))


def main() -> None:
    """Prints a row for each length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lengths", nargs="*", type=int, default=LENGTHS, metavar="length")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each")
    options = parser.parse_args()
    print("| digits of a sum | drawing a batch, ms | a step without, ms | share of drawing |")
    print("|---|---|---|---|")
    for seq_len in options.lengths:
        drawing, training = measure(seq_len, options.rounds)
        share = 100 * drawing / (drawing + training)
        print(f"| {seq_len} | {drawing:.3g} | {training:.3g} | {share:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
