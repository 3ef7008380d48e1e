"""Whether numbers are probabilities."""

import ml_dtypes
import numpy as np

# What makes probabilities of a network's last values, and whether they sum to 1.
KINDS = {"softmax": True, "sigmoid": False}

# How far sums over many classes may be from 1; in half precision a few of its last digits.
_CLOSE = 1e-3


def fault(outputs: np.ndarray, kind: str = "softmax") -> str:
    """Says why outputs are no probabilities; empty if they are.

    Args:
        outputs: ``(..., classes)``.
        kind: ``"softmax"``: over the classes they sum to 1; ``"sigmoid"``: each for itself.
    """
    close = max(_CLOSE, 4 * float(ml_dtypes.finfo(outputs.dtype).eps))
    outputs = outputs.astype(np.float64)
    if not outputs.size or not np.isfinite(outputs).all():  # others say what is wrong then
        return ""
    if outputs.min() < 0 or outputs.max() > 1 + close:
        return f"they lie between {outputs.min():.4g} and {outputs.max():.4g}"
    sums = outputs.sum(axis=-1).ravel()
    furthest = sums[np.abs(sums - 1).argmax()]
    if KINDS[kind] and abs(furthest - 1) > close:
        return f"those of a sample sum to {furthest:.4g}"
    return ""
