"""A trained network that adds numbers as one writes them."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import overload

import keras
import numpy as np
import tensorflow as tf

from tfnets import programs
from tfnets.addition.data import SYMBOLS, add
from tfnets.dataset import Split
from tfnets.errors import InputError

_VALUES = {symbol: value for value, symbol in enumerate(SYMBOLS)}
_VALUES |= {symbol.upper(): value for symbol, value in _VALUES.items()}

# Digits that the network sees at once; a bound on memory.
_AT_ONCE = 2**18


class Adder:
    """Adds two numbers, written as strings, by a network.

    Args:
        network: From digits ``(batch, time, 2)`` to logits ``(batch, time, base)``, for any
            time.
        seq_len: Digits of the longest sum that it was trained for; numbers have one less.
        base: Of the number system.
    """

    def __init__(self, network: keras.Model, seq_len: int = 11, base: int = 10):
        self.network, self.seq_len, self.base = network, seq_len, base
        # Traced with the first sum, once for all lengths: a server adds for long.
        self._logits = tf.function(
            lambda digits: network(digits, training=False),
            input_signature=[tf.TensorSpec((None, None, 2), tf.int32)],
            autograph=False,
        )

    @overload
    def add(self, a: str, b: str) -> str: ...  # type: ignore[overload-overlap]

    @overload
    def add(self, a: Sequence[str], b: Sequence[str]) -> list[str]: ...

    def add(self, a, b):
        """What the network says the sum is, or the sums are.

        ``add("57", "68")`` gives ``"125"``, ``add(["57", "1"], ["68", "2"])`` gives
        ``["125", "3"]``. The network sees as many digits as the longer of two numbers has, and
        one more for the carry.

        Args:
            a: A number such as ``"123456789"``, or a sequence of such; letters above 9 can be
                large or small.
            b: Another, or as many others.

        Returns:
            The answer without leading zeros; of sequences a list with that of each pair.

        Raises:
            InputError: For anything but digits of the base, a negative number, no number, one
                of more digits than were trained on, or a number beside a sequence.
        """
        if isinstance(a, str) and isinstance(b, str):
            return self.add([a], [b])[0]
        for name, given, other in (("a", a, b), ("b", b, a)):
            # A string is a sequence, too, but not one of numbers.
            if isinstance(given, str) and isinstance(other, Iterable):
                raise InputError(
                    f"{name} is the number {_short(given)} and the other a "
                    f"{type(other).__name__}; expected two strings or two lists of them."
                )
            if not isinstance(given, Iterable):
                raise InputError(
                    f"{name} is a {type(given).__name__}; expected a string of digits, or a "
                    "list of them."
                )
        a, b = list(a), list(b)
        if len(a) != len(b):
            raise InputError(f"there are {len(a)} a and {len(b)} b; expected as many of each.")
        pairs = [
            (self._digits("a", one), self._digits("b", other))
            for one, other in zip(a, b, strict=True)
        ]
        lengths = [max(map(len, pair)) + 1 for pair in pairs]
        answers = self.answer(_array(pairs, max(lengths, default=1)))
        return [text(row[:n], self.base) for row, n in zip(answers, lengths, strict=True)]

    def answer(self, digits: np.ndarray) -> np.ndarray:
        """The digits ``(n, time)`` that the network gives for those of two numbers."""
        return self._answer(self._logits, digits)

    def _answer(self, logits_of: Callable, digits: np.ndarray) -> np.ndarray:
        answers = [np.empty((0, digits.shape[1]), np.int32)]
        n = max(1, _AT_ONCE // digits.shape[1])
        for start in range(0, len(digits), n):
            logits = np.asarray(logits_of(digits[start : start + n]))
            answers.append(logits.argmax(axis=-1).astype(np.int32))
        return np.concatenate(answers)

    def judge(self, split: Split, most: int = 5) -> tuple[dict[str, float], dict[str, list]]:
        """How well the network adds the pairs of a split.

        Args:
            split: Digits ``x`` ``(n, time, 2)`` and those of the sums ``y`` ``(n, time)``.
            most: How many mistakes to show.

        Returns:
            ``accuracy``, the share of sums with every digit right, and ``digit_accuracy``;
            and of the first mistakes, by columns, ``seq_len`` (digits of a sum), ``a``,
            ``b``, ``answer``, ``sum`` (the right one) and ``wrong_digits``, their number.
        """
        # A network is judged once, after its training: by what is compiled for all of its kind.
        answers = self._answer(functools.partial(programs.predict, self.network), split.x)
        wrong = (answers != split.y).sum(axis=1)
        rows = np.flatnonzero(wrong)[:most]

        def written(digits: np.ndarray) -> list[str]:
            return [text(digits[row], self.base) for row in rows]

        length = split.x.shape[1]
        metrics = {
            "accuracy": float((wrong == 0).mean()),
            "digit_accuracy": float(1 - wrong.mean() / length),
        }
        return metrics, {
            "seq_len": [length] * len(rows),
            "a": written(split.x[..., 0]),
            "b": written(split.x[..., 1]),
            "answer": written(answers),
            "sum": written(split.y),
            "wrong_digits": wrong[rows].tolist(),
        }

    def _digits(self, name: str, number: str) -> list[int]:
        return digits_of(number, self.base, name, self.seq_len - 1)


def exact_sum(a: str, b: str, base: int = 10) -> str:
    """The sum of two numbers of any length as a string, by the carry.

    Raises:
        InputError: For anything but digits of the base.
    """
    pair = digits_of(a, base, "a"), digits_of(b, base, "b")
    return text(add(_array([pair], max(map(len, pair)) + 1), base)[0], base)


def digits_of(
    number: str, base: int = 10, name: str = "the number", most: int | None = None
) -> list[int]:
    """The digits of a number, the least significant first, without leading zeros but for 0.

    Raises:
        InputError: For anything but digits of the base, or more digits than ``most``, those of
            which a network was trained; it calls the number by its name.
    """
    needed = "" if base == 10 else f" of base {base}"
    needed = f"expected digits{needed}, {SYMBOLS[0]} to {SYMBOLS[base - 1]}"
    if not isinstance(number, str):
        raise InputError(f"{name} is a {type(number).__name__}, not a string; {needed}.")
    if not number:
        raise InputError(f"{name} is empty; {needed}.")
    if number.startswith("-") and number[1:]:
        raise InputError(f"{name} is {_short(number)}; negative numbers cannot be added here.")
    wrong = [symbol for symbol in set(number) if _VALUES.get(symbol, base) >= base]
    if wrong:
        first = min(wrong, key=number.index)
        raise InputError(f"{name} is {_short(number)}; {needed}, not {first!r}.")
    written = number.lstrip("0") or "0"
    if most is not None and len(written) > most:
        raise InputError(
            f"{name} is {_short(number)}, which has {len(written)} digits; this network was "
            f"trained for numbers of up to {most}."
        )
    return [_VALUES[symbol] for symbol in reversed(written)]


def text(digits: Sequence[int], base: int = 10) -> str:
    """A number as one writes it: ``"125"`` for the digits 5, 2, 1, 0."""
    written = "".join(SYMBOLS[digit] for digit in reversed(digits))
    return written.lstrip("0") or "0"


def _short(number: str) -> str:
    """A number in quotation marks, only its beginning if it is long."""
    return repr(number) if len(number) <= 40 else f"{number[:20]!r}..."


def _array(pairs: Sequence[tuple[list[int], list[int]]], length: int) -> np.ndarray:
    """Digits ``(n, length, 2)`` int32 of pairs of numbers."""
    digits = np.zeros((len(pairs), length, 2), np.int32)
    for row, pair in zip(digits, pairs, strict=True):
        for column, number in enumerate(pair):
            row[: len(number), column] = number
    return digits
