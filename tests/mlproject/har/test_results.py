import numpy as np
import pytest

from mlproject.har.results import subjects
from tfnets.dataset import Dataset, Split


@pytest.mark.parametrize(
    ("there", "named"),
    [
        (["10", "9", "10"], "9, 10"),
        (["zoe", "anna", "p10", "p9"], "anna, p9, p10, zoe"),
    ],
)
def test_subjects_are_named_in_their_order(there, named):
    split = Split(np.zeros((len(there), 2, 3), np.float32), np.arange(len(there)), np.array(there))
    data = Dataset("d", "own", ("a", "b"), split, None, split, "by subject", "0")
    assert subjects(data, "test") == named
