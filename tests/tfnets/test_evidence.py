"""Intervals and tests over people: against scipy, and on simulated data with known answers."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tfnets import evidence
from tfnets.errors import InputError

SIMULATIONS = 1_000


def people(count, seed):
    """Accuracies of people as one meets them: skewed, each measured on 40 samples; mean 0.8."""
    rng = np.random.default_rng(seed)
    return rng.binomial(40, rng.beta(8, 2, (SIMULATIONS, count))) / 40


def normal(count, seed):
    return np.random.default_rng(seed).normal(0.8, 0.05, (SIMULATIONS, count))


@pytest.mark.parametrize("draw", [people, normal])
@pytest.mark.parametrize("count", [6, 10, 30])
def test_an_interval_holds_the_mean_as_often_as_it_claims(draw, count):
    intervals = [evidence.interval(values) for values in draw(count, seed=count)]
    covered = np.mean([low <= 0.8 <= high for _, low, high, _ in intervals])
    assert abs(covered - 0.95) <= 0.03


def test_a_percentile_bootstrap_would_not():
    rng = np.random.default_rng(0)
    values = normal(6, seed=6)
    drawn = rng.integers(0, 6, (SIMULATIONS, 500, 6))
    means = np.take_along_axis(values[:, None, :], drawn, axis=2).mean(axis=2)
    low, high = np.percentile(means, [2.5, 97.5], axis=1)
    assert np.mean((low <= 0.8) & (high >= 0.8)) < 0.9


def test_two_people_have_no_interval():
    mean, low, high, count = evidence.interval([0.7, 0.9])
    assert (mean, count) == (pytest.approx(0.8), 2)
    assert np.isnan([low, high]).all()
    assert str(evidence.interval([0.7, 0.9])) == "80.0 (2 people: no interval)"
    assert str(evidence.interval([0.7])) == "70.0 (1 person: no interval)"


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=6, max_size=40), st.sampled_from([0.9, 0.95, 0.99]))
def test_an_interval_is_scipys(values, confidence):
    mean, low, high, _ = evidence.interval(values, confidence)
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1
    if np.ptp(values) > 1e-6:
        theirs = stats.ttest_1samp(values, 0).confidence_interval(confidence)
        assert low == pytest.approx(max(theirs.low, 0), abs=1e-12)
        assert high == pytest.approx(min(theirs.high, 1), abs=1e-12)


def test_no_people_are_one_line():
    with pytest.raises(InputError, match="values are empty; expected one number for each person"):
        evidence.interval([])


def test_people_are_averaged_first():
    correct = [1, 1, 1, 0, 0, 1, 0.5]
    found = evidence.by_person(np.array(correct), ["2", "2", "2", "2", "10", "10", "b"])
    assert found == {"2": 0.75, "10": 0.5, "b": 0.5}
    assert list(found) == ["2", "10", "b"]
    names = ["s10", "dana", "fay", "s2"]
    assert list(evidence.by_person(np.ones(4), names)) == ["dana", "fay", "s2", "s10"]


@pytest.mark.parametrize("count", [2, 5, 9])
def test_the_permutation_test_tries_all_signs(count):
    values = np.random.default_rng(count).normal(0.3, 1, count)
    means = [np.mean(values * signs) for signs in itertools.product([1, -1], repeat=count)]
    expected = np.mean(np.abs(means) >= abs(values.mean()) - 1e-12)
    assert evidence.permutation(values) == pytest.approx(expected)
    assert evidence.permutation(np.abs(values)) == pytest.approx(evidence.smallest(count))


@pytest.mark.parametrize("count", [6, 10])
def test_a_test_of_nothing_is_wrong_no_more_often_than_it_says(count):
    one, other = (people(count, seed=seed)[:400] for seed in (1, 2))
    found = [evidence.permutation(each) for each in one - other]
    # Exact: at most the level, but for what 400 draws of it vary.
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_a_family_of_comparisons_is_wrong_no_more_often_than_one():
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        names = [str(n) for n in range(8)]
        accuracies = {k: dict(zip(names, rng.beta(8, 2, 8), strict=True)) for k in "abcd"}
        wrong += any(each.adjusted <= 0.05 for each in evidence.compare(accuracies, "a"))
    assert wrong / 200 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def test_a_difference_that_is_there_is_found():
    rng = np.random.default_rng(0)
    names = [str(n) for n in range(10)]
    base = rng.beta(8, 2, 10) * 0.8
    accuracies = {
        "reference": dict(zip(names, base, strict=True)),
        "better": dict(zip(names, base + 0.1 + rng.normal(0, 0.02, 10), strict=True)),
        "worse": dict(zip(names, base - 0.1 + rng.normal(0, 0.02, 10), strict=True)),
        "alike": dict(zip(names, base + rng.normal(0, 0.02, 10), strict=True)),
    }
    found = {each.name: each for each in evidence.compare(accuracies, "reference")}
    assert {name: each.verdict() for name, each in found.items()} == {
        "better": "better",
        "worse": "worse",
        "alike": "not separated",
    }
    assert found["better"].p == pytest.approx(2 / 2**10)
    assert found["better"].adjusted == pytest.approx(3 * 2 / 2**10)
    ranked = evidence.ranks(accuracies)
    assert next(iter(ranked.average)) == "better"
    assert list(ranked.average)[-1] == "worse"
    assert ("better", "worse") in evidence.separated(list(ranked.average), ranked)
    assert any({"reference", "alike"} <= set(group) for group in ranked.groups)


def test_few_people_cannot_separate_anything():
    accuracies = {"a": {"1": 0.1, "2": 0.2}, "b": {"1": 0.9, "2": 0.9}}
    (found,) = evidence.compare(accuracies, "a")
    assert found.p == found.smallest == 0.5
    assert found.verdict() == "not separated (2 people cannot: p is at least 0.5)"
    assert evidence.ranks(accuracies | {"c": {"1": 0.0, "2": 0.1}}) is None


def test_what_cannot_be_compared_is_one_line():
    accuracies = {"a": {"1": 0.1}, "b": {"2": 0.9}}
    with pytest.raises(InputError, match="b was tested on 2, a on 1; expected the same people"):
        evidence.compare(accuracies, "a")
    with pytest.raises(InputError, match="reference is 'c'; expected one of a, b"):
        evidence.compare(accuracies, "c")


@given(st.lists(st.floats(0, 1), max_size=8))
@settings(max_examples=50, deadline=None)
def test_holms_correction_is_its_definition(values):
    adjusted = evidence.holm(values)
    order = sorted(range(len(values)), key=lambda n: values[n])
    highest = 0.0
    for place, n in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - place) * values[n]))
        assert adjusted[n] == pytest.approx(highest)


def test_critical_differences_are_demsars():
    """Table 5 of Demsar 2006: q for 2 to 10 classifiers at 0.05; here with 10 people."""
    for count, q in {3: 2.343, 4: 2.569, 5: 2.728, 10: 3.164}.items():
        rng = np.random.default_rng(count)
        accuracies = {
            str(k): {str(n): float(v) for n, v in enumerate(rng.random(10))} for k in range(count)
        }
        ranked = evidence.ranks(accuracies)
        assert ranked.critical == pytest.approx(q * np.sqrt(count * (count + 1) / 60), abs=2e-3)
        assert sum(ranked.average.values()) == pytest.approx(count * (count + 1) / 2)
