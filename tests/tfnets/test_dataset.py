"""Data sets that a user has made: checked, and given the dtypes that training computes in."""

from dataclasses import replace

import numpy as np
import pytest

from tfnets.dataset import Dataset, Split
from tfnets.errors import InputError


def of_user(**changes):
    """Three splits of 6 samples and two classes; ``train`` with the attributes of the changes."""
    x = np.random.default_rng(0).normal(size=(6, 4, 2)).astype(np.float32)
    split = Split(x, np.arange(6, dtype=np.int32) % 2, np.array(list("aabbcc")))
    others = (replace(split, groups=None), replace(split, groups=np.array([*"deffff"])))
    return Dataset(
        "mine", "memory", ("no", "go"), replace(split, **changes), *others, "by hand", "0"
    )


def test_what_is_right_stays_as_it_is():
    data = of_user()
    assert data.check() is data


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.uint64, np.int64, np.float16])
def test_other_numbers_become_those_of_training(dtype):
    y = (np.arange(6) % 2).astype(dtype)
    data = of_user(x=np.arange(48).reshape(6, 4, 2).astype(dtype), y=y).check()
    assert (data.train.x.dtype, data.train.y.dtype) == (np.float32, np.int32)
    assert data.train.y.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.train.x.ravel().tolist() == list(range(48))


NAN = np.full((4, 2), np.nan)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"y": np.array([0, 1, 0, np.nan, 0, 1])},
            r"train\.y\[3\] is nan; expected a class number from 0 to 1",
        ),
        ({"y": np.array([0, 1, 0, 0.5, 0, 1])}, r"train\.y\[3\] is 0\.5; expected a class number"),
        ({"y": np.array([0, 1, -1, 1, 0, 1])}, r"train\.y\[2\] is -1; expected a class number"),
        ({"y": np.array([0, 1, 0, 2, 0, 3])}, r"train\.y\[3\] is 2; .* \(rows with others: 2\)"),
        (
            {"y": np.array([0, 1, 0, 1, -(2**63), 1])},
            r"train\.y\[4\] is -9.*, what NaN becomes as",
        ),
        ({"y": np.eye(2)[[0, 1, 0, 1, 0, 1]]}, r"train\.y has shape \(6, 2\) and dtype float64"),
        ({"y": np.array(list("010101"))}, r"train\.y has shape \(6,\) and dtype <U1"),
        ({"x": np.stack([NAN * 0] * 6).astype(object)}, r"train\.x has shape .* dtype object"),
        (
            {"x": np.stack([0 * NAN, *[np.ones((4, 2))] * 5])},
            r"train\.x\[0\] holds nan at \[0, 0\]",
        ),
        ({"groups": np.array([1, 2, np.nan] * 2)}, r"train\.groups\[2\] is nan; it must say who"),
        ({"groups": np.array(["a"] * 5)}, "6 train samples but 5 groups"),
        ({"groups": np.array([*"abcdab"])}, "'d' is in both the train and the test split"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        of_user(**changes).check()
    assert str(caught.value).startswith("memory: ")
    assert "\n" not in str(caught.value)
