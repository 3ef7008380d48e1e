"""Loading and splitting: who is on which side, and how many of each class."""

import h5py
import numpy as np
import pytest

from tfnets import har
from tfnets.errors import InputError


def who(split):
    return set(split.groups.tolist())


def counts(split):
    return np.bincount(split.y).tolist()


def test_the_built_in_data_have_the_courses_sizes():
    data = har.load()
    assert data.name == "built-in smartwatch exercises"
    assert counts(data.test) == [100] * 6
    assert counts(data.train) == [450] * 6
    assert counts(data.val) == [50] * 6
    assert data.input_shape == (150, 3)
    assert data.split_kind.startswith("by subject, test: 9, 10; validation: a strat")
    assert counts(har.load(validation_fraction=0).train) == [500] * 6


@pytest.mark.parametrize("subjects", [(), ("1", "2"), ("7",), (3, 4)])
def test_nobody_is_on_both_sides(subjects):
    data = har.load(test_subjects=subjects)
    assert who(data.test) == set(map(str, subjects or (9, 10)))
    assert not who(data.test) & who(data.train)
    assert len(who(data.train) | who(data.test)) == 10
    assert len(set(counts(data.test))) == 1


def test_a_random_split_mixes_people_and_says_so():
    data = har.load(split="random")
    assert data.train.groups is data.test.groups is None
    assert counts(data.test) == [100] * 6
    assert "random, windows of all subjects mixed" in data.split_kind


def test_the_same_call_gives_the_same_windows():
    assert har.load().digest == har.load().digest != har.load(test_subjects=[1]).digest


def test_without_validation_data():
    data = har.load(validation_fraction=0)
    assert data.val is None
    assert list(data.splits) == ["train", "test"]


def write_course(path):
    labels = np.eye(6)[np.arange(60) % 6]
    x = np.random.default_rng(0).normal(size=(60, 20, 3))
    with h5py.File(path, "w") as file:
        file.update({"trX": x, "trY": labels, "tstX": -x[:12], "tstY": labels[:12]})
    return path


def test_a_file_with_its_own_split(tmp_path):
    data = har.load(write_course(tmp_path / "course.h5"))
    assert [len(split) for split in data.splits.values()] == [54, 6, 12]
    assert data.split_kind.startswith("as given in the file; validation")
    assert data.test.groups is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "time"}, "unknown split 'time'; choose from subject, random."),
        ({"validation_fraction": 1}, "validation_fraction is 1; expected a number from 0 to belo"),
        (
            {"test_subjects": ["11"]},
            "test_subjects names '11'; there are the subjects 1, 2, .*10.",
        ),
        ({"test_subjects": range(1, 11)}, "test_subjects leaves nobody to train on; there are"),
        ({"split": "random", "test_subjects": [1]}, "test_subjects goes with split=subject only"),
        ({"data": "/nowhere"}, "data '/nowhere' does not exist: 'builtin', a .csv"),
        ({"validation_fraction": 0.0001}, "no 0.01 % of the training windows can be held out"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        har.load(**options)


def test_options_that_a_file_does_not_have(tmp_path):
    path = write_course(tmp_path / "course.h5")
    with pytest.raises(InputError, match="has its own split; split=random does not apply"):
        har.load(path, split="random")
    with pytest.raises(InputError, match="does not say who is who; leave test_subjects out"):
        har.load(path, test_subjects=["1"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"is not one of these: 'builtin', a \.csv, "):
        har.load(tmp_path / "folder")
