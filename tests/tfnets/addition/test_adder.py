"""Numbers as one writes them, added by a network; here one whose answers are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfnets import addition
from tfnets.addition import Adder, adder
from tfnets.dataset import Split
from tfnets.errors import InputError


class Exact(keras.layers.Layer):
    """Adds as a computer does; with ``forgets`` it drops every carry."""

    def __init__(self, base, forgets=False):
        super().__init__()
        self.base, self.forgets = base, forgets

    def _logits(self, digits):
        answer = digits.sum(-1) % self.base
        if not self.forgets:
            answer = addition.add(digits, self.base)
        return np.eye(self.base, dtype=np.float32)[answer]

    def call(self, digits):
        logits = tf.numpy_function(self._logits, [digits], tf.float32)
        return tf.ensure_shape(logits, (None, None, self.base))

    def compute_output_shape(self, shape):
        return (*shape[:2], self.base)


def exact(base=10, seq_len=11, forgets=False):
    digits = keras.Input((None, 2), dtype="int32")
    return Adder(keras.Model(digits, Exact(base, forgets)(digits)), seq_len, base)


ADDERS = {base: exact(base, 40) for base in (2, 7, 10, 16, 36)}


def by_hand(number, base):
    symbols = []
    while number:
        number, digit = divmod(number, base)
        symbols.append(adder.SYMBOLS[digit])
    return "".join(reversed(symbols)) or "0"


@settings(deadline=None)
@given(
    st.sampled_from(list(ADDERS)),
    st.lists(st.tuples(st.integers(0, 2**39 - 1), st.integers(0, 2**39 - 1)), max_size=4),
)
def test_answers_are_those_of_pythons_integers(base, terms):
    a, b = ([by_hand(pair[which], base) for pair in terms] for which in (0, 1))
    assert ADDERS[base].add(a, b) == [by_hand(sum(pair), base) for pair in terms]


@settings(deadline=None)
@given(st.integers(2, 36), st.integers(0), st.integers(0))
def test_exact_sums_are_those_of_pythons_integers(base, a, b):
    assert addition.exact_sum(by_hand(a, base), by_hand(b, base), base) == by_hand(a + b, base)


def test_exact_sums_have_no_longest_number():
    assert addition.exact_sum("9" * 5000, "1") == "1" + "0" * 5000


@pytest.mark.parametrize(
    ("a", "b", "answer"),
    [
        ("57", "68", "125"),
        ("0", "0", "0"),
        ("007", "0", "7"),
        ("0" * 30 + "9999999999", "1", "10000000000"),  # zeros in front do not count
        ("9999999999", "9999999999", "19999999998"),
    ],
)
def test_as_one_writes_them(a, b, answer):
    assert exact().add([a], [b]) == [answer]
    assert exact().add(a, b) == answer  # a string is a number, not a sequence of numbers


def test_large_letters_are_digits_too():
    assert exact(16).add(["FF"], ["1"]) == exact(16).add(["ff"], ["1"]) == ["100"]


def test_an_answer_does_not_depend_on_what_it_is_asked_with():
    network = addition.build(seed=0)  # untrained: what it says of zeros in front is anything
    trained_for = Adder(network, 30)
    a, b = ["5", "123456789012345678901", "40"], ["9", "1", "2"]
    together = trained_for.add(a, b)
    assert together == [trained_for.add([x], [y])[0] for x, y in zip(a, b, strict=True)]


def test_many_long_numbers_are_seen_in_parts(monkeypatch):
    split = addition.held_out(9, 10, 50)
    whole = exact().answer(split.x)
    monkeypatch.setattr(adder, "_AT_ONCE", 60)
    np.testing.assert_array_equal(exact().answer(split.x), whole)
    np.testing.assert_array_equal(whole, split.y)


def test_judging():
    x = [[[7, 8], [5, 6], [0, 0]], [[1, 2], [3, 4], [0, 0]], [[9, 1], [9, 0], [0, 0]]]
    x = np.array(x, np.int32)
    split = Split(x, addition.add(x))
    metrics, mistakes = exact(forgets=True).judge(split)
    assert metrics == {"accuracy": pytest.approx(1 / 3), "digit_accuracy": pytest.approx(5 / 9)}
    assert mistakes == {
        "seq_len": [3, 3],
        "a": ["57", "99"],
        "b": ["68", "1"],
        "answer": ["15", "90"],
        "sum": ["125", "100"],
        "wrong_digits": [2, 2],
    }
    assert exact(forgets=True).judge(split, 1)[1]["a"] == ["57"]
    metrics, mistakes = exact().judge(split)
    assert metrics == {"accuracy": 1, "digit_accuracy": 1}
    assert not any(mistakes.values())


@pytest.mark.parametrize(
    ("a", "message"),
    [
        ("12x4", "^a is '12x4'; expected digits, 0 to 9, not 'x'.$"),
        ("1.5", r"^a is '1.5'; expected digits, 0 to 9, not '\.'.$"),
        (" 1", "^a is ' 1'; expected digits, 0 to 9, not ' '.$"),
        ("٣", "^a is '٣'; expected digits, 0 to 9, not '٣'.$"),
        ("-5", "^a is '-5'; negative numbers cannot be added here.$"),
        ("-", "^a is '-'; expected digits, 0 to 9, not '-'.$"),
        ("", "^a is empty; expected digits, 0 to 9.$"),
        (12, "^a is a int, not a string; expected digits, 0 to 9.$"),
        (None, "^a is a NoneType, not a string; expected digits, 0 to 9.$"),
        (
            "12345678901",
            "^a is '12345678901', which has 11 digits; this network was trained for numbers of "
            "up to 10.$",
        ),
        ("1" * 100, r"^a is '11111111111111111111'\.\.\., which has 100 digits; "),
    ],
)
def test_bad_numbers_are_one_line(a, message):
    with pytest.raises(InputError, match=message):
        exact().add([a], ["1"])


def test_bad_numbers_of_another_base_and_missing_ones():
    with pytest.raises(InputError, match="b is '12'; expected digits of base 2, 0 to 1, not '2'"):
        exact(2).add(["1"], ["12"])
    for other in ("İ", "\u212a"):  # whose small forms are others
        with pytest.raises(InputError, match=f"of base 36, 0 to z, not '{other}'"):
            exact(36).add([other], ["1"])
    with pytest.raises(InputError, match="there are 2 a and 1 b; expected as many of each"):
        exact().add(["1", "2"], ["1"])


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (
            "57",
            ["68", "1"],
            "^a is the number '57' and the other a list; expected two strings or two lists",
        ),
        (("5", "7"), "68", "^b is the number '68' and the other a tuple; expected two strings or"),
        (57, 68, "^a is a int; expected a string of digits, or a list of them.$"),
        ("57", 68, "^b is a int; expected a string of digits, or a list of them.$"),
        (["57"], None, "^b is a NoneType; expected a string of digits"),
        ("", "1", "^a is empty"),
    ],
)
def test_one_number_or_many_but_not_both(a, b, message):
    with pytest.raises(InputError, match=message):
        exact().add(a, b)


def test_any_sequence_of_numbers():
    assert exact().add(np.array(["57", "1"]), iter(["68", "2"])) == ["125", "3"]
    assert exact().add([], []) == []
