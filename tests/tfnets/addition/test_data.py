"""Numbers digit by digit: their sums beside Python's, and who is trained on which."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfnets import addition
from tfnets.addition import data
from tfnets.errors import InputError


def digits_of(number, base, length):
    digits = []
    for _ in range(length):
        number, digit = divmod(number, base)
        digits.append(digit)
    assert not number
    return digits


def numbers(digits, base):
    """Python's integers for rows of digits ``(n, time)``."""
    return [sum(int(d) * base**place for place, d in enumerate(row)) for row in digits]


def pairs(x, base=10):
    """Unordered pairs of Python's integers for digits ``(n, time, 2)``."""
    both = zip(numbers(x[..., 0], base), numbers(x[..., 1], base), strict=True)
    return {tuple(sorted(pair)) for pair in both}


def training_pairs(loaded, n, seed=0):
    return loaded.train.draw(np.random.default_rng(seed), n)


def test_the_example_of_the_documentation():
    x = np.array([[[7, 8], [5, 6], [0, 0], [0, 0]]])
    assert addition.add(x).tolist() == [[5, 2, 1, 0]]


@settings(deadline=None)
@given(
    base=st.integers(2, 36),
    terms=st.lists(
        st.tuples(st.integers(0, 36**60), st.integers(0, 36**60)), min_size=1, max_size=5
    ),
)
def test_sums_are_those_of_pythons_integers(base, terms):
    length = 1
    while base**length <= max(a + b for a, b in terms):
        length += 1
    x = [
        list(zip(digits_of(a, base, length), digits_of(b, base, length), strict=True))
        for a, b in terms
    ]
    sums = addition.add(np.array(x), base)
    assert sums.dtype == np.int32
    assert numbers(sums, base) == [a + b for a, b in terms]


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 36), st.integers(2, 40), st.integers(0, 2**32))
def test_what_is_drawn_are_digits_and_their_sums(base, seq_len, seed):
    drawn = data._training_pairs(seq_len, base, np.random.default_rng(seed), 30)
    assert drawn.x.shape == (30, seq_len, 2)
    assert drawn.y.shape == (30, seq_len)
    assert drawn.x.dtype == drawn.y.dtype == np.int32
    assert drawn.x.min() >= 0
    assert drawn.x.max() < base
    assert not drawn.x[:, -1].any()  # room for the carry
    a, b = (numbers(drawn.x[..., which], base) for which in (0, 1))
    assert numbers(drawn.y, base) == [one + other for one, other in zip(a, b, strict=True)]


def test_numbers_that_no_machine_integer_holds():
    loaded = addition.load(1001)
    drawn = training_pairs(loaded, 20)
    a, b = (numbers(drawn.x[..., which], 10) for which in (0, 1))
    assert max(a) > 10**998
    assert numbers(drawn.y, 10) == [one + other for one, other in zip(a, b, strict=True)]


def test_digits_are_drawn_uniformly():
    drawn = training_pairs(addition.load(11), 20_000).x
    for which in (0, 1):
        counts = np.bincount(drawn[:, :-1, which].ravel(), minlength=10)
        np.testing.assert_allclose(counts / counts.sum(), 0.1, atol=0.005)


@pytest.mark.parametrize(("seq_len", "base"), [(3, 10), (5, 2), (8, 2), (11, 10)])
def test_no_split_has_a_pair_of_another(seq_len, base):
    loaded = addition.load(seq_len, base, val_pairs=50, test_pairs=50)
    x = training_pairs(loaded, 50_000).x
    # Of long numbers none would come twice anyway; but none here could have been held out.
    hashes = data._hash(x.transpose(1, 2, 0).astype(np.uint8))
    assert set(np.unique(hashes % 16)) == set(range(2, 16))
    drawn = pairs(x, base)
    val, test = pairs(loaded.val.x, base), pairs(loaded.test.x, base)
    assert val
    assert test
    assert not drawn & val
    assert not drawn & test
    assert not val & test


@settings(deadline=None)
@given(st.integers(2, 36), st.integers(2, 20), st.integers(1, 20), st.integers(0, 2**32))
def test_neither_order_nor_zeros_move_a_pair_to_another_split(base, seq_len, more, seed):
    digits = data._draw(np.random.default_rng(seed), seq_len, base, 50)
    hashes = data._hash(digits)
    np.testing.assert_array_equal(data._hash(digits[:, ::-1]), hashes)
    longer = np.concatenate([digits, np.zeros((more, 2, 50), np.uint8)])
    np.testing.assert_array_equal(data._hash(longer), hashes)


def test_every_pair_that_is_not_held_out_can_be_trained_on():
    loaded = addition.load(5, 2)
    everything = {tuple(sorted((a, b))) for a in range(16) for b in range(16)}
    trained = pairs(training_pairs(loaded, 20_000).x, 2)
    assert trained | pairs(loaded.val.x, 2) | pairs(loaded.test.x, 2) == everything


def test_an_eighth_is_held_out():
    digits = data._draw(np.random.default_rng(0), 11, 10, 200_000)
    shares = np.bincount((data._hash(digits) % 16).astype(int)) / 200_000
    np.testing.assert_allclose(shares, 1 / 16, atol=0.003)


@pytest.mark.parametrize(("seq_len", "base"), [(11, 10), (4, 10), (3, 36), (4, 2)])
def test_held_out_pairs_are_different_and_always_the_same(seq_len, base):
    split = addition.held_out(seq_len, base, 700)
    again = addition.held_out(seq_len, base, 700)
    np.testing.assert_array_equal(split.x, again.x)
    np.testing.assert_array_equal(split.y, again.y)
    assert len(pairs(split.x, base)) == len(split)
    np.testing.assert_array_equal(addition.add(split.x, base), split.y)


def test_where_there_are_few_pairs_all_that_are_held_out_are_tested():
    split = addition.held_out(3, 10, 2000)
    everything = [(a, b) for a in range(100) for b in range(a, 100)]
    digits = np.array([[digits_of(a, 10, 3), digits_of(b, 10, 3)] for a, b in everything])
    hashes = data._hash(digits.transpose(2, 1, 0).astype(np.uint8))
    held = {pair for pair, number in zip(everything, hashes % 16, strict=True) if number == 0}
    assert pairs(split.x) == held
    assert len(split) == len(held)
    assert 200 < len(split) < 450  # a sixteenth of 5,050


def test_more_held_out_pairs_than_there_are():
    split = addition.held_out(4, 10, 50_000)
    assert 28_000 < len(split) == len(pairs(split.x)) < 34_000  # a sixteenth of 500,500


def test_the_data_set_says_what_it_is():
    loaded = addition.load()
    assert (len(loaded.val), len(loaded.test)) == (1000, 2000)
    assert loaded.input_shape == (11, 2)
    assert loaded.classes == tuple("0123456789")
    assert set(loaded.splits) == {"val", "test"}  # the training is drawn anew
    assert loaded.name == "random numbers of 10 digits in base 10"
    assert loaded.digest == addition.load().digest
    digests = {addition.load(*each).digest for each in ((11, 10), (12, 10), (11, 9))}
    assert len(digests) == 3


def test_a_seed_decides_what_is_drawn():
    loaded = addition.load(7)
    one, same, other = (training_pairs(loaded, 100, seed).x for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: addition.load(base=1), "base is 1; it must be from 2 to 36"),
        (lambda: addition.load(base=37), "base is 37"),
        (lambda: addition.load(seq_len=1), "seq_len is 1; it must be 2 or more"),
        (lambda: addition.load(2, 2), "seq_len is 2; with base 2 there are 4 pairs of numbers"),
        (lambda: addition.held_out(0, 10, 5), "seq_len is 0"),
        (lambda: addition.add(np.array([[[5, 10]]])), "digits are 5 to 10; expected 0 to 9"),
        (lambda: addition.add(np.array([[[1.5, 1]]])), "digits have the dtype float64; expected"),
        (lambda: addition.add(np.array([[[-1, 1]]])), "digits are -1 to 1; expected 0 to 9"),
        (lambda: addition.add(np.array([[[5, 5]]])), "1 sums have more than 1 digits"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
