"""The networks of benchmarks/recordings.py in PyTorch, on the same features, as a check.

    python benchmarks/pytorch_recordings.py DATA --pattern "{word}_{speaker}_{take}.wav" --fold 1

By the reports' protocol: same standardised features, split, optimizer, batch size, epochs; initial
weights are PyTorch's own. Not compared to the bit, but by how far apart seeds are.
"""

import argparse

import numpy as np
import torch
from pytorch_steps import Speech
from torch import nn

from tfnets import speech

OPTIMIZERS = {
    "fc": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-5),
    "cnn": torch.optim.Adam,
    "gru": torch.optim.Adam,
}


def main():
    """Prints test accuracies by seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--pattern", default="")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--networks", default="fc,gru")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    where = {"pattern": options.pattern, "folds": options.folds, "fold": options.fold}
    data = speech.load(options.data, **where, progress=False)
    for network in options.networks.split(","):
        found = [train(network, data, options, seed) for seed in range(options.seeds)]
        print(network, " ".join(f"{each:.3f}" for each in found), f"mean {np.mean(found):.3f}")


def train(network, data, options, seed):
    """Test accuracy after the last epoch."""
    torch.manual_seed(seed)
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y).long()
    model = Speech(network, channels_last=False, classes=len(data.classes))
    optimizer = OPTIMIZERS[network](model.parameters())
    criterion = nn.CrossEntropyLoss()
    for _ in range(options.epochs):
        for batch in torch.randperm(len(y)).split(options.batch_size):
            optimizer.zero_grad()
            criterion(model(x[batch]), y[batch]).backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        guesses = model(torch.from_numpy(data.test.x)).argmax(1).numpy()
    return float((guesses == data.test.y).mean())


if __name__ == "__main__":
    main()
