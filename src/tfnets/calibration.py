"""Whether probabilities mean what they say, and one number that makes them (temperature)."""

import numpy as np
from scipy.optimize import minimize_scalar

_SMALLEST = 1e-30
_RANGE = (-3.0, 3.0)  # of the temperature's natural logarithm


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> dict[str, list]:
    """How often a classifier is right by how sure it is (Guo et al. 2017, arXiv:1706.04599).

    Args:
        probabilities: ``(n, classes)``.
        labels: Class numbers, ``(n,)``.
        bins: Into how many equal parts 0 to 1 is cut.

    Returns:
        By columns, one row for each part with samples: ``confidence`` (mean of the largest
        probabilities), ``accuracy``, ``samples``.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    part = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = [(confidence[part == n], right[part == n]) for n in range(bins) if (part == n).any()]
    return {
        "confidence": [float(c.mean()) for c, _ in rows],
        "accuracy": [float(r.mean()) for _, r in rows],
        "samples": [len(c) for c, _ in rows],
    }


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy over the bins.

    Arguments as for :func:`reliability`; each bin counts as often as it has samples.
    """
    table = reliability(probabilities, labels, bins)
    confidence, accuracy, samples = (np.array(column) for column in table.values())
    return float((np.abs(confidence - accuracy) * samples).sum() / samples.sum())


def temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which a classifier's cross-entropy is least, e^-3 to e^3.

    With log-probabilities z, the scaled ones are softmax(z / T): the order of the classes stays.

    Args:
        probabilities: Of samples that were not trained on, ``(n, classes)``.
        labels: Class numbers, ``(n,)``.
    """
    z = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))

    def loss(log_temperature: float) -> float:
        scaled = z / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled).sum(axis=1))
        return float((total - scaled[np.arange(len(labels)), labels]).mean())

    found = minimize_scalar(loss, bounds=_RANGE, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def scaled(probabilities: np.ndarray, by: float) -> np.ndarray:
    """Probabilities ``(n, classes)`` at a temperature."""
    z = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST)) / by
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return (z / z.sum(axis=1, keepdims=True)).astype(np.float32)
