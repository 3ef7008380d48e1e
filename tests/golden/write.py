"""Writes what PyTorch computes for the networks of the reports, and for three whose maps become
vectors and sequences in other ways, for the tests to compare with.

    pip install torch==2.13.0
    python tests/golden/write.py

It writes one .npz file a network beside this script. Only this script needs PyTorch:
neither the package nor its tests do. Each file holds

- ``weights/<name>``: the module's state_dict, rounded so that it compresses well,
- ``x``, ``y``: a batch of inputs and of class indices,
- ``logits``: the module's outputs before softmax or sigmoid,
- ``gradients/<name>``: the gradients of the mean cross-entropy,
- ``losses/<optimizer>``: that loss before each of five steps on the batch and after the last,
  for ``sgd`` (learning rate 0.01, momentum 0.9, weight decay 1e-5), ``nesterov`` (Nesterov
  momentum, and weight decay 0.1, which shows in five steps) and ``adam`` (PyTorch's defaults).

Modules of RNN and LSTM have two biases, which add up, where Keras has one. Outputs and
gradients are those of both biases. Training both moves their sum twice as fast as training
one does, so for the losses ``bias_hh`` is set to zero and frozen in them.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

STEPS = 5


class SpeechGRU(nn.Module):
    """Two GRU layers, the last frame, three dense layers (speech_rnn, section 1.1)."""

    def __init__(self, bands, classes):
        super().__init__()
        self.rnn = nn.GRU(bands, 64, num_layers=2, batch_first=True)
        self.fc = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, classes)
        )

    def forward(self, x):
        return self.fc(self.rnn(x)[0][:, -1])


class SpeechCNN(nn.Module):
    """Two convolutions with pooling, three dense layers (speech_cnn, section 1.1)."""

    def __init__(self, flattened, classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.fc1 = nn.Linear(flattened, 128)
        self.fc2 = nn.Linear(128, 128)
        self.fc3 = nn.Linear(128, classes)

    def forward(self, x):
        x = self.features(x.unsqueeze(1)).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


class SpeechFC(nn.Module):
    """Four dense layers of 128 and the outputs."""

    def __init__(self, flattened, classes):
        super().__init__()
        sizes = [flattened, 128, 128, 128, 128]
        self.hidden = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.out = nn.Linear(128, classes)

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.hidden:
            x = layer(x).relu()
        return self.out(x)


class HAR(nn.Module):
    """One recurrent layer and a dense layer at every step (har_rnn)."""

    def __init__(self, cell, channels, units, classes):
        super().__init__()
        self.cell = cell(channels, units, batch_first=True)
        self.fc = nn.Linear(units, classes)

    def forward(self, x):
        return self.fc(self.cell(x)[0])


class Addition(nn.Module):
    """One embedding for both digits, two recurrent layers, a dense layer (addition_rnn)."""

    def __init__(self, cell, base):
        super().__init__()
        self.embedding = nn.Embedding(base, 32)
        self.rnn = cell(64, 64, num_layers=2, batch_first=True)
        self.fc = nn.Linear(64, base)

    def forward(self, x):
        digits = torch.cat([self.embedding(x[..., 0]), self.embedding(x[..., 1])], dim=-1)
        return self.fc(self.rnn(digits)[0])


class CRNN(nn.Module):
    """A convolution, whose channels and bands are the features of each step of a GRU."""

    def __init__(self, features, classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.rnn = nn.GRU(features, 8, batch_first=True)
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        maps = nn.functional.max_pool2d(self.conv(x.unsqueeze(1)).relu(), 2)
        steps = maps.permute(0, 2, 1, 3).flatten(2)
        return self.fc(self.rnn(steps)[0][:, -1])


class Permuted(nn.Module):
    """A convolution, flattened as PyTorch has it; for Keras with a Permute before."""

    def __init__(self, flattened, classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(flattened, classes)

    def forward(self, x):
        return self.fc(self.conv(x.unsqueeze(1)).relu().flatten(1))


class Branches(nn.Module):
    """Two flattened maps added, beside the flattened input."""

    def __init__(self, pixels, classes):
        super().__init__()
        self.narrow = nn.Conv2d(1, 3, 1)
        self.wide = nn.Conv2d(1, 3, 3, padding=1)
        self.fc = nn.Linear((3 + 1) * pixels, classes)

    def forward(self, x):
        x = x.unsqueeze(1)
        both = self.narrow(x).relu().flatten(1) + self.wide(x).tanh().flatten(1)
        return self.fc(torch.cat([both, x.flatten(1)], dim=1))


def loss_of(module, x, y):
    """Mean cross-entropy over the batch, and over time where there is an output a step."""
    logits = module(x)
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1)), logits


def losses(module, x, y, weights, optimizer):
    """The loss before each step and after the last."""
    module.load_state_dict(weights)
    for name, parameter in module.named_parameters():
        if "bias_hh" in name and not isinstance(getattr(module, "rnn", None), nn.GRU):
            nn.init.zeros_(parameter)
            parameter.requires_grad_(False)
    optimizer = optimizer(module.parameters())
    values = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(module, x, y)[0]
        values.append(loss.item())
        loss.backward()
        optimizer.step()
    return np.array([*values, loss_of(module, x, y)[0].item()])


def sgd(**options):
    return lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9, **options)


def write(name, module, x, y):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((parameter * 4096).round() / 4096)
    weights = {key: value.clone() for key, value in module.state_dict().items()}
    loss, logits = loss_of(module, x, y)
    loss.backward()
    arrays = {"x": x, "y": y, "logits": logits}
    arrays |= {f"weights/{key}": value for key, value in weights.items()}
    arrays |= {f"gradients/{key}": p.grad for key, p in module.named_parameters()}
    arrays = {key: value.detach().numpy().copy() for key, value in arrays.items()}
    optimizers = {
        "sgd": sgd(weight_decay=1e-5),
        "nesterov": sgd(weight_decay=0.1, nesterov=True),
        "adam": torch.optim.Adam,
    }
    for key, optimizer in optimizers.items():
        arrays[f"losses/{key}"] = losses(module, x, y, weights, optimizer)
    path = Path(__file__).with_name(f"{name}.npz")
    np.savez_compressed(path, **arrays)
    print(f"{path.name:20} {path.stat().st_size / 1000:6.0f} kB")


def main():
    reports()
    layouts()


def reports():
    torch.manual_seed(0)
    y = torch.tensor([0, 1, 2, 1])
    write("speech_gru", SpeechGRU(16, 3), torch.randn(4, 20, 16), y)
    write("speech_cnn", SpeechCNN(16 * 2 * 3, 3), torch.randn(4, 20, 24), y)
    write("speech_fc", SpeechFC(6 * 5, 3), torch.randn(4, 6, 5), y)
    for kind in ("rnn", "lstm"):
        module = HAR(getattr(nn, kind.upper()), 3, 50, 6)
        write(f"har_{kind}", module, torch.randn(4, 12, 3), torch.randint(6, (4, 12)))
    digits = torch.randint(10, (4, 7, 2))
    write("addition_rnn", Addition(nn.RNN, 10), digits, torch.randint(10, (4, 7)))


def layouts():
    torch.manual_seed(1)
    x, y = torch.randn(4, 12, 10), torch.tensor([0, 1, 2, 1])
    write("layout_crnn", CRNN(4 * 4, 3), x, y)
    write("layout_permuted", Permuted(4 * 10 * 8, 3), x, y)
    write("layout_branches", Branches(12 * 10, 3), x, y)


if __name__ == "__main__":
    main()
