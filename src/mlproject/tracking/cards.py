"""A model card: what a registered model is, on whom it was tested, what it cannot do."""

from scipy.stats import binomtest

from mlproject.tracking.limits import escaped
from mlproject.tracking.queries import Record

_LIMITS = {
    "speech": "It hears one second at 16 kHz and answers with one of its classes whatever it "
    "hears, unless it was trained with classes for other words and silence. How it does on other "
    "recordings says `tfnets speech evaluate`, and in noise `tfnets speech robustness`.",
    "har": "It takes windows of the length, the rate, the unit and the orientation of its data. "
    "Few test people say little about the next person: see `tfnets har cross-validation`.",
    "addition": "It adds digit by digit; numbers longer than those that it was tested on may be "
    "added wrongly.",
}


def of(record: Record) -> str:
    """The card of a run's model, in Markdown, from what the run has logged.

    Args:
        record: A finished training.
    """
    tags, metrics, params = record.tags, record.metrics, record.parameters
    rows = [("Run", f"{escaped(record.name)} ({record.id})")]
    if "data.name" in tags:
        digest = tags.get("data.digest", "")[:12]
        rows.append(("Trained on", f"{escaped(tags['data.name'])} (digest {digest})"))
    if "data.split" in tags:
        rows.append(("Split", escaped(tags["data.split"])))
    if "data.test_subjects" in tags:
        rows.append(("Tested on", escaped(tags["data.test_subjects"])))
    for name, title in (("final_val/accuracy", "Validation"), ("val/accuracy", "Validation")):
        if name in metrics:
            rows.append((title, f"accuracy {metrics[name]:.4f}"))
            break
    if "test/accuracy" in metrics:
        samples = int(tags.get("data.test_samples", 0))
        rows.append(("Test", _with_interval(metrics["test/accuracy"], samples)))
    if "test/ece" in metrics:
        rows.append(("Calibration error", f"{metrics['test/ece']:.4f}"))
    if "params/total" in metrics:
        rows.append(("Parameters", f"{metrics['params/total']:,.0f}"))
    if "seed" in params:
        rows.append(("Seed", params["seed"]))
    lines = [f"| {name} | {value} |" for name, value in rows]
    limits = _LIMITS.get(tags.get("task", ""), "")
    return "\n".join(["| | |", "|---|---|", *lines, "", limits]).rstrip()


def _with_interval(accuracy: float, samples: int) -> str:
    if not samples:
        return f"accuracy {accuracy:.4f}"
    right = round(accuracy * samples)
    ends = binomtest(right, samples).proportion_ci(method="wilson")
    return (
        f"accuracy {accuracy:.4f} on {samples:,} samples, 95 % interval of these samples alone "
        f"{ends.low:.4f} to {ends.high:.4f}"
    )
