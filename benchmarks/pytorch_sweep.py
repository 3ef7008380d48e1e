"""PyTorch's side of the sweep: the human-activity-recognition runs in two processes.

    python benchmarks/pytorch_sweep.py DATA.npz
    python benchmarks/pytorch_sweep.py DATA.npz --cell function

DATA.npz holds ``x_train``, ``y_train`` and the same for ``val`` and ``test``. The last line
on stdout is a JSON object: ``seconds`` from the start of the first process to the end of the
last run, ``runs`` with the seconds of each, evaluation included. ``--cell`` says what computes
the recurrence: ``module`` is nn.RNN, ``function`` an autograd.Function whose gradient is
written by hand, which is faster, and faster than what torch.compile makes of the steps.
"""

import argparse
import itertools
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

CONFIGURATIONS = dict(enumerate(itertools.product((10, 30), (50, 100), (0.05, 0.1)), start=1))
LOSSES = ("softmax", "normalised", "binary", "raw")
data: dict[str, tuple[Tensor, Tensor]] = {}  # of a worker


class Recurrence(torch.autograd.Function):
    """What nn.RNN computes, with one product for the gradient of each weight."""

    @staticmethod
    def forward(ctx, x, w_input, w, bias):
        states = x.new_zeros(len(x) + 1, x.shape[1], len(w))
        torch.addmm(bias, x.flatten(0, 1), w_input.t(), out=states[1:].flatten(0, 1))
        w_t = w.t().contiguous()
        state, *others = states.unbind()
        for other in others:
            state = other.addmm_(state, w_t).tanh_()
        ctx.save_for_backward(x, w, states)
        return states[1:]

    @staticmethod
    def backward(ctx, gradient):
        x, w, states = ctx.saved_tensors
        slopes = torch.addcmul(x.new_ones(()), states[1:], states[1:], value=-1).unbind()
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        *others, state = gradient.unbind()
        state.mul_(slopes[-1])
        for other, slope in zip(reversed(others), reversed(slopes[:-1]), strict=True):
            state = other.addmm_(state, w).mul_(slope)
        flat = gradient.flatten(0, 1)
        return None, flat.t() @ x.flatten(0, 1), flat.t() @ states[:-1].flatten(0, 1), flat.sum(0)


class Har(nn.Module):
    """A recurrent layer and a linear layer at every step; time is the first axis."""

    def __init__(self, units: int, cell: str):
        super().__init__()
        self.cell, self.body, self.head = cell, nn.RNN(3, units), nn.Linear(units, 6)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, x):
        """Gives the scores before the sigmoid, (6, time * batch)."""
        w_input, w, b_input, b = self.body.parameters()
        if self.cell == "function":
            states = Recurrence.apply(x, w_input, w, b_input + b)
        else:
            states = self.body(x)[0]
        # Sums over the classes are vectorised if the classes are not the last axis.
        return torch.addmm(self.head.bias[:, None], self.head.weight, states.flatten(0, 1).t())


def loss_of(scores: Tensor, y: Tensor, loss: str) -> Tensor:
    """The loss of that name in tfnets.har, at every step, mean over steps and samples."""
    y = y.repeat(scores.shape[1] // len(y))[None]
    if loss == "softmax":
        return scores.logsumexp(0).mean() - scores.gather(0, y).mean()
    own = logsigmoid(scores.gather(0, y)).mean()
    if loss == "normalised":
        return scores.sigmoid().sum(0).log().mean() - own
    if loss == "binary":
        others = logsigmoid(-scores)
        return -own - (others.sum(0) - others.gather(0, y)[0]).mean()
    return -own


def summary(loss: Tensor, scores: Tensor, y: Tensor) -> list[float]:
    """The loss and the top-1, top-2 and top-3 accuracy."""
    ranks = (scores > scores.gather(0, y[None])).sum(0)
    return torch.stack([loss, *((ranks < k).float().mean() for k in (1, 2, 3))]).tolist()


def epoch(
    model: Har, x: Tensor, y: Tensor, batch: int, loss_name: str, optimizer=None
) -> list[float]:
    """Trains with the samples, or evaluates them if there is no optimizer."""
    loss_sum, last = torch.zeros(()), []
    for xs, ys in zip(x.split(batch, 1), y.split(batch), strict=True):
        scores = model(xs)
        loss = loss_of(scores, ys, loss_name)
        if optimizer is not None:
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=False)
            optimizer.step()
        loss_sum += loss.detach() * len(ys)
        last.append(scores.detach()[:, -len(ys) :].clone())  # a view would keep them all
    return summary(loss_sum / len(y), torch.cat(last, 1), y)


def train(run: int, seed: int, epochs: int, cell: str, loss: str) -> dict:
    """One run of the sweep."""
    started = time.perf_counter()
    batch, units, rate = CONFIGURATIONS[run]
    torch.manual_seed(seed)
    model = Har(units, cell)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, fused=True)
    x, y = data["train"]
    for _ in range(epochs):
        order = torch.randperm(len(y))
        history = {"train": epoch(model, x[:, order], y[order], batch, loss, optimizer)}
        with torch.inference_mode():
            history |= {name: epoch(model, *data[name], 300, loss) for name in ("val", "test")}
    result = {"run": run, "seed": seed, "seconds": time.perf_counter() - started}
    return result | {f"{name}_accuracy": history[name][1] for name in ("val", "test")}


def prepare(path: str) -> None:
    """What a worker does before its first run."""
    torch.set_num_threads(1)
    with np.load(path) as arrays:
        for name in ("train", "val", "test"):
            x, y = (torch.from_numpy(arrays[f"{axis}_{name}"]) for axis in "xy")
            data[name] = x.transpose(0, 1).contiguous(), y.long()


def main() -> None:
    """Runs the sweep, and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--runs", default=",".join(map(str, CONFIGURATIONS)))
    parser.add_argument("--seeds", default="42,263,682")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cell", choices=("module", "function"), default="module")
    parser.add_argument("--loss", choices=LOSSES, default="softmax")
    arguments = parser.parse_args()
    runs, seeds = ([int(each) for each in a.split(",")] for a in (arguments.runs, arguments.seeds))
    spawn, results = multiprocessing.get_context("spawn"), []
    started = time.perf_counter()
    with ProcessPoolExecutor(arguments.workers, spawn, prepare, (arguments.data,)) as pool:
        futures = [
            pool.submit(train, run, seed, arguments.epochs, arguments.cell, arguments.loss)
            for seed, run in itertools.product(seeds, runs)
        ]
        for future in as_completed(futures):
            results.append(future.result())
            seconds = time.perf_counter() - started
            print(f"{seconds:.0f} s: {results[-1]}", file=sys.stderr, flush=True)
    print(json.dumps({"seconds": seconds, "runs": results}))


if __name__ == "__main__":
    main()
