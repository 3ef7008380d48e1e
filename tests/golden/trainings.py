"""Trains the reports' networks in PyTorch as the entry points do, for the tests to compare with.

    pip install torch==2.13.0
    python tests/golden/trainings.py

It writes ``trainings.json`` beside this script: for each training of ``inputs.py`` the names and
shapes of the module's entries, the orders in which the samples were taken, what an entry point
logs by epoch and in the end, and the outputs on the test data. All of it is computed here:
losses from their formulas, clipping, optimizers, schedules and means by PyTorch's own functions.
From tfnets come only the pairs of numbers that addition draws; their sums are Python's.

Where Keras has one bias and PyTorch two, the second is 0 and frozen. The report's GRU, with the
reset gate before the product, is not in PyTorch: its equations are written out.
"""

import json
from pathlib import Path

import inputs
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from write import SpeechCNN, SpeechFC, SpeechGRU


class ReportGRU(nn.Module):
    """Equations (1)-(4) of speech_rnn in Keras' layout: gates z, r, h, and 1 - z for (1)'s z."""

    def __init__(self, features, units):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(features, 3 * units))
        self.recurrent_kernel = nn.Parameter(torch.empty(units, 3 * units))
        self.bias = nn.Parameter(torch.empty(2, 3 * units))

    def forward(self, x):
        w_z, w_r, w_h = self.kernel.chunk(3, 1)
        u_z, u_r, u_h = self.recurrent_kernel.chunk(3, 1)
        (b_zw, b_rw, b_hw), (b_zu, b_ru, b_hu) = (bias.chunk(3) for bias in self.bias)
        h, states = x.new_zeros(len(x), len(u_z)), []
        for x_t in x.unbind(1):
            z = torch.sigmoid(x_t @ w_z + b_zw + h @ u_z + b_zu)
            r = torch.sigmoid(x_t @ w_r + b_rw + h @ u_r + b_ru)
            candidate = torch.tanh(x_t @ w_h + b_hw + (r * h) @ u_h + b_hu)
            h = z * h + (1 - z) * candidate
            states.append(h)
        return torch.stack(states, 1), None


class SpeechReportGRU(nn.Module):
    """SpeechGRU with the report's layers."""

    def __init__(self, bands, classes):
        super().__init__()
        self.gru_1, self.gru_2 = ReportGRU(bands, 64), ReportGRU(64, 64)
        self.fc = SpeechGRU(bands, classes).fc

    def forward(self, x):
        return self.fc(self.gru_2(self.gru_1(x)[0])[0][:, -1])


class Recurrent(nn.Module):
    """Recurrent layers and a linear layer at every step; with a base, of embedded digits."""

    def __init__(self, cell, features, units, outputs, layers=1, base=0):
        super().__init__()
        self.embedding = nn.Embedding(base, features // 2) if base else None
        if cell == "gru":
            sizes = [features] + [units] * (layers - 1)
            self.rnns = nn.ModuleList(ReportGRU(size, units) for size in sizes)
        else:
            kind = getattr(nn, cell.upper())
            self.rnns = nn.ModuleList([kind(features, units, layers, batch_first=True)])
        self.fc = nn.Linear(units, outputs)

    def forward(self, x):
        if self.embedding is not None:
            x = torch.cat([self.embedding(x[..., 0]), self.embedding(x[..., 1])], dim=-1)
        for rnn in self.rnns:
            x = rnn(x)[0]
        return self.fc(x)


# --- the tasks: the loss of each sample and what is counted, from logits ---


def at_every_step(loss):
    """Of logits (n, time, classes): the losses of har.md, mean over the steps."""

    def of(z, y):
        own = nn.functional.one_hot(y, z.shape[-1])[:, None].to(z.dtype)
        if loss == "softmax":
            each = -(own * torch.log_softmax(z, -1)).sum(-1)
        elif loss == "normalised":
            a = torch.sigmoid(z)
            each = -(own * torch.log(a / a.sum(-1, keepdim=True))).sum(-1)
        elif loss == "raw":
            each = -(own * torch.log(torch.sigmoid(z))).sum(-1)
        else:
            target = own.expand_as(z)
            each = functional.binary_cross_entropy_with_logits(z, target, reduction="none").sum(-1)
        return each.mean(1)

    return of


def outputs_of(z, loss):
    """The probabilities that a loss trains."""
    if loss == "softmax":
        return torch.softmax(z, -1)
    a = torch.sigmoid(z)
    return a / a.sum(-1, keepdim=True) if loss == "normalised" else a


def in_top(scores, y, k):
    return (torch.topk(scores, k, -1).indices == y[:, None]).any(-1).float()


def har_counts(loss):
    def of(z, y):
        counts, mean = {}, outputs_of(z, loss).mean(1)
        for name, k in (("accuracy", 1), ("top2", 2), ("top3", 3)):
            counts[name], counts[f"{name}_mean"] = in_top(z[:, -1], y, k), in_top(mean, y, k)
        return counts

    return of


def speech_loss(z, y):
    return functional.cross_entropy(z, y, reduction="none")


def addition_loss(z, y):
    return functional.cross_entropy(z.transpose(1, 2), y, reduction="none").mean(1)


def addition_counts(z, y):
    right = (z.argmax(-1) == y).float()
    return {"accuracy": right.amin(1), "digit_accuracy": right.mean(1)}


# --- training ---


def judged(module, loss_of, counts_of, x, y):
    with torch.no_grad():
        z = module(x)
        each = {"loss": loss_of(z, y)} | counts_of(z, y)
        return {name: values.double().mean().item() for name, values in each.items()}


def train(module, loss_of, counts_of, epochs, optimizer, clipnorm, rates, watched):
    """One dictionary an epoch; ``epochs`` yields the batches of each."""
    rates, history, norms = iter(rates), [], []
    for batches in epochs:
        sums, count = {}, 0
        for x, y in batches:
            z = module(x)
            losses = loss_of(z, y)
            each = {"loss": losses.detach()} | counts_of(z.detach(), y)
            sums = {k: sums.get(k, 0) + v.double().sum().item() for k, v in each.items()}
            count += len(y)
            optimizer.zero_grad()
            losses.mean().backward()
            if clipnorm:
                norms.append(nn.utils.clip_grad_norm_(module.parameters(), clipnorm).item())
            for group in optimizer.param_groups:
                group["lr"] = next(rates)
            optimizer.step()
        metrics = {f"train/{name}": value / count for name, value in sums.items()}
        for split, data in watched.items():
            of_split = judged(module, loss_of, counts_of, *data)
            metrics |= {f"{split}/{name}": value for name, value in of_split.items()}
        history.append(metrics)
    if norms:  # or the clipping would not be seen
        assert max(norms) > clipnorm > min(norms), (clipnorm, norms)
    return history


def prepare(name, module):
    shapes = {entry: tuple(value.shape) for entry, value in module.state_dict().items()}
    values = inputs.weights(name, shapes)
    module.load_state_dict({entry: torch.from_numpy(v) for entry, v in values.items()})
    for entry, parameter in module.named_parameters():
        parameter.requires_grad_(not ("bias_hh" in entry and not parameter.any()))
    return shapes


def optimizer_of(module, name, rate, momentum=0.0, weight_decay=0.0, nesterov=False):
    trained = [p for p in module.parameters() if p.requires_grad]
    if name == "adam":
        return torch.optim.Adam(trained, lr=rate)
    options = {"momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
    return torch.optim.SGD(trained, lr=rate, **options)


def in_batches(x, y, seed, epochs, batch):
    """Batches of each epoch, and the orders."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(y)) for _ in range(epochs)]
    parts = [[torch.from_numpy(o[i : i + batch]) for i in range(0, len(o), batch)] for o in orders]
    return ([(x[rows], y[rows]) for rows in each] for each in parts), orders


def tensors(arrays, split):
    return torch.from_numpy(arrays[f"x_{split}"]), torch.from_numpy(arrays[f"y_{split}"]).long()


def speech(name, given):
    kind = name.split()[1]
    time, bands = given["shape"]
    module = {
        "speech fc": lambda: SpeechFC(time * bands, 3),
        "speech cnn": lambda: SpeechCNN(16 * 2 * 3, 3),
        "speech gru": lambda: SpeechReportGRU(bands, 3),
        "speech gru reset_after": lambda: SpeechGRU(bands, 3),
    }[name]()
    shapes = prepare(name, module)
    arrays = inputs.classification(name, given["shape"], 3, inputs.SPEECH_SIZES)
    x = arrays["x_train"].astype(np.float64)
    mean, std = x.mean(), x.std()
    for split in inputs.SPEECH_SIZES:
        standard = (arrays[f"x_{split}"].astype(np.float64) - mean) / std
        arrays[f"x_{split}"] = standard.astype(np.float32)

    def counts(z, y):
        return {"accuracy": in_top(z, y, 1)}

    batches, orders = in_batches(
        *tensors(arrays, "train"), 0, given["epochs"], given["batch_size"]
    )
    sgd = kind == "fc"
    optimizer = optimizer_of(module, "sgd" if sgd else "adam", 0.01 if sgd else 0.001, 0.9, 1e-5)
    rates = iter(lambda: 0.01 if sgd else 0.001, None)
    watched = {"val": tensors(arrays, "val")}
    history = train(module, speech_loss, counts, batches, optimizer, 0, rates, watched)
    test = tensors(arrays, "test")
    final = judged(
        module, speech_loss, lambda z, y: counts(z, y) | {"top2": in_top(z, y, 2)}, *test
    )
    with torch.no_grad():
        probabilities = torch.softmax(module(test[0]), -1)
    return shapes, orders, history, {"test": final}, probabilities


def har(name, given):
    options = {"cell": "rnn", "optimizer": "sgd", "loss": "softmax"} | given
    if given.get("protocol") == "report":
        options["loss"] = "raw"
    clipnorm = given.get("clipnorm", 0 if "protocol" in given else 1)
    settings = inputs.HAR
    module = Recurrent(options["cell"], 3, settings["units"], settings["classes"])
    shapes = prepare(name, module)
    sizes = {k: v for k, v in inputs.SIZES.items() if k != "val" or "protocol" not in given}
    arrays = inputs.classification(name, settings["shape"], settings["classes"], sizes)
    batches, orders = in_batches(
        *tensors(arrays, "train"), settings["seed"], settings["epochs"], settings["batch_size"]
    )
    rate = 0.1 if options["optimizer"] == "sgd" else 0.003
    optimizer = optimizer_of(
        module,
        options["optimizer"],
        rate,
        options.get("momentum", 0.0),
        options.get("weight_decay", 0.0),
    )
    steps = settings["epochs"] * -(-sizes["train"] // settings["batch_size"])
    rates = [rate] * steps
    if options.get("schedule") == "cosine":
        rates = [rate * (1 + np.cos(np.pi * step / steps)) / 2 for step in range(steps)]
    loss_of, counts_of = at_every_step(options["loss"]), har_counts(options["loss"])
    watched = {split: tensors(arrays, split) for split in sizes if split != "train"}
    history = train(module, loss_of, counts_of, batches, optimizer, clipnorm, rates, watched)
    final = {s: judged(module, loss_of, counts_of, *tensors(arrays, s)) for s in sizes}
    with torch.no_grad():
        z = module(tensors(arrays, "test")[0])[:, -1]
    return shapes, orders, history, final, outputs_of(z, options["loss"])


def sums(x):
    """The digits of the sums of pairs of numbers, by Python's integers."""
    rows = []
    for pair in x.tolist():
        a, b = (int("".join(str(digits[i]) for digits in reversed(pair))) for i in (0, 1))
        rows.append([int(digit) for digit in reversed(f"{a + b:0{len(pair)}d}")])
    return torch.tensor(rows)


def addition(name, given):
    from tfnets.addition import load  # the pairs that are drawn, and nothing else

    options = {"cell": "rnn", "optimizer": "adam"} | given
    settings = inputs.ADDITION
    module = Recurrent(
        options["cell"], 2 * settings["embedding_dim"], settings["hidden_size"], 10, 2, base=10
    )
    shapes = prepare(name, module)
    data = load(settings["seq_len"])
    batch, steps = settings["batch_size"], settings["steps"]
    drawn = torch.from_numpy(data.train.draw(np.random.default_rng(0), steps * batch).x).long()
    labels = sums(drawn)
    rate = 0.001 if options["optimizer"] == "adam" else 0.1
    optimizer = optimizer_of(
        module, options["optimizer"], rate, options.get("momentum", 0), 0.0, "nesterov" in given
    )
    held_out = {}
    for split in ("val", "test"):
        x = torch.from_numpy(getattr(data, split).x).long()
        held_out[split] = x, sums(x)
    batches = [list(zip(drawn.split(batch), labels.split(batch), strict=True))]
    history = train(
        module,
        addition_loss,
        addition_counts,
        batches,
        optimizer,
        0,
        iter(lambda: rate, None),
        {"val": held_out["val"]},
    )
    final = judged(module, addition_loss, addition_counts, *held_out["test"])
    with torch.no_grad():
        logits = module(held_out["test"][0][:5])
    return shapes, [], history, {"test": final}, logits


def main():
    torch.set_num_threads(1)
    results = {}
    for name, given in inputs.TRAININGS.items():
        task = {"speech": speech, "har": har, "addition": addition}[name.split()[0]]
        shapes, orders, history, final, outputs = task(name, given)
        results[name] = {
            "shapes": shapes,
            "orders": [order.tolist() for order in orders],
            "history": history,
            "final": final,
            "outputs": np.round(outputs.double().numpy(), 7).tolist(),
        }
        print(name, f"{history[0]['train/loss']:.6f} -> {history[-1]['train/loss']:.6f}")
    path = Path(__file__).with_name("trainings.json")
    path.write_text(json.dumps(results) + "\n")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
