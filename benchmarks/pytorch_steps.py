"""PyTorch's side of the comparison: the reports' modules, trained in eager mode."""

import itertools
import time
from collections.abc import Callable

import torch
from tasks import Task
from torch import nn


class Speech(nn.Module):
    """The three networks of the speech reports."""

    def __init__(self, model: str, channels_last: bool, classes: int = 3):
        super().__init__()
        self.model = model
        if model == "gru":
            self.body = nn.GRU(40, 64, 2, batch_first=True)
            sizes = [64, 128, 128]
        elif model == "cnn":
            self.body = nn.Sequential(
                nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(32, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            )  # fmt: skip
            sizes = [2464, 128, 128]
        else:
            self.body = nn.Flatten()
            sizes = [4040, 128, 128, 128, 128]
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        layers = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.head = nn.Sequential(*layers, nn.Linear(128, classes))
        if model == "cnn":
            self.to(memory_format=self.memory_format)

    def forward(self, x):
        if self.model == "gru":
            return self.head(self.body(x)[0][:, -1])
        if self.model == "cnn":
            x = x[:, None].contiguous(memory_format=self.memory_format)
        return self.head(self.body(x))


class Har(nn.Module):
    """nn.RNN and a linear layer at every step."""

    def __init__(self, units: int):
        super().__init__()
        self.body, self.head = nn.RNN(3, units, batch_first=True), nn.Linear(units, 6)

    def forward(self, x):
        return self.head(self.body(x)[0]).flatten(0, 1)


class Addition(nn.Module):
    """Embedding, two layers of nn.RNN, a linear layer at every step."""

    def __init__(self, units: int):
        super().__init__()
        self.embedding = nn.Embedding(10, 32)
        self.body, self.head = nn.RNN(64, units, 2, batch_first=True), nn.Linear(units, 10)

    def forward(self, x):
        return self.head(self.body(self.embedding(x).flatten(2))[0]).flatten(0, 1)


def configure(variant: str) -> None:
    """Says how many threads there are."""
    if variant == "1 thread":
        torch.set_num_threads(1)


def prepare(task: Task, variant: str) -> Callable[[], float]:
    """A function that trains ``task.steps`` steps and gives their seconds.

    ``variant`` is ``"default"``, ``"1 thread"`` or ``"channels_last"``.
    """
    torch.manual_seed(0)
    n = task.batch * task.steps
    if task.family == "speech":
        model = Speech(task.model, variant == "channels_last")
        x, y = torch.randn(n, 101, 40), torch.randint(3, (n,))
    elif task.family == "har":
        model = Har(task.units)
        x, y = torch.randn(n, task.time, 3), torch.randint(6, (n, 1)).repeat(1, task.time)
    else:
        model = Addition(task.units)
        x, y = torch.randint(10, (n, task.time, 2)), torch.randint(10, (n, task.time))
    if task.family == "har":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    else:
        optimizer = torch.optim.Adam(model.parameters())
    loss_of = nn.CrossEntropyLoss()

    def run() -> float:
        started = time.perf_counter()
        order = torch.randperm(n)
        for step in range(task.steps):
            rows = order[step * task.batch : (step + 1) * task.batch]
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(x[rows]), y[rows].flatten()).backward()
            optimizer.step()
        return time.perf_counter() - started

    return run


def sgemm() -> float:
    """FLOP/s of a large product in single precision."""
    a = torch.randn(2048, 2048)
    best = 0.0
    for _ in range(10):
        started = time.perf_counter()
        torch.mm(a, a)
        best = max(best, 2 * 2048**3 / (time.perf_counter() - started))
    return best
