"""Pairs of numbers, drawn digit by digit, and their sums (report addition_rnn, section 3.3).

A number is a row of digits, the least significant first, with zeros behind it so that the
sum fits. 57 + 68 in base 10 with ``seq_len`` 4:

    a       7  5  0  0
    b       8  6  0  0
    carry   0  1  1  0
    sum     5  2  1  0       which reads 125

**No pair of the validation or the test is ever trained on, by construction.** A hash of the
pair says which split it belongs to, before anything is drawn: one pair in 16 is the test's,
one in 16 the validation's, all others are the training's. Training draws pairs at random and
drops those that are not its own; nothing has to be remembered, so nothing can be forgotten.
The hash is the same for a + b and b + a and does not change with zeros behind a number: what
is tested on is not met in the other order either, nor in a sequence of another length.
"""

import hashlib
import string
from functools import partial

import numpy as np

from tfnets import keras_settings
from tfnets.dataset import Dataset, Split, Stream
from tfnets.errors import InputError

# The digits of each base are the first of these, as Python's int() reads them.
SYMBOLS = string.digits + string.ascii_lowercase

# Which split a pair belongs to, by its hash modulo _SHARE; what is left is the training's.
_SHARE = 16
_HELD_OUT = {"test": 0, "val": 1}

# Where there are so few pairs, all are looked at: chance could take long to find the last.
_FEW = 2**18

# Digits that are drawn at once in a search; a bound on memory.
_AT_ONCE = 2**26


def load(
    seq_len: int = 11, base: int = 10, *, val_pairs: int = 1000, test_pairs: int = 2000
) -> Dataset:
    """Random pairs of numbers to train, validate and test on.

    Numbers have up to ``seq_len - 1`` digits, each drawn uniformly: so no integer has to hold
    them, and there is no limit to their length.

    Args:
        seq_len: Digits of a sum, 2 or more: those of a number, and one for the carry.
        base: Of the number system, 2 to 36.
        val_pairs: How many different pairs to validate on.
        test_pairs: How many to test on. Where fewer are held out, all of them are used.

    Returns:
        The data set. Training pairs are drawn anew for every epoch; those of validation and
        test are the same for everybody. ``x`` has the digits of both numbers,
        ``(n, seq_len, 2)`` int32, ``y`` those of the sum, ``(n, seq_len)`` int32.

    Raises:
        InputError: For an invalid base or length, or if so few pairs exist that none
            can be held out.
    """
    keras_settings.check()
    _check(seq_len, base)
    val = held_out(seq_len, base, val_pairs, "val")
    test = held_out(seq_len, base, test_pairs, "test")
    if not len(val) or not len(test):
        raise InputError(
            f"seq_len is {seq_len}; with base {base} there are {base ** (2 * seq_len - 2)} pairs "
            "of numbers, too few to hold some out; expected more digits."
        )
    digest = hashlib.sha256(f"{base} {seq_len}".encode())
    for split in (val, test):
        digest.update(split.x.tobytes())
    return Dataset(
        name=f"random numbers of {seq_len - 1} digits in base {base}",
        source="drawn digit by digit",
        classes=tuple(SYMBOLS[:base]),
        train=Stream(partial(_training_pairs, seq_len, base)),
        val=val,
        test=test,
        split_kind="by a hash of the pair",
        digest=digest.hexdigest(),
    )


def held_out(seq_len: int, base: int, pairs: int, split: str = "test") -> Split:
    """Pairs that are never trained on, at no length; the same at every call.

    Args:
        seq_len: Digits of a sum, 2 or more.
        base: Of the number system, 2 to 36.
        pairs: How many, each another; fewer if there are not so many.
        split: ``"test"`` or ``"val"``.

    Returns:
        ``x`` ``(pairs, seq_len, 2)`` int32 and ``y`` ``(pairs, seq_len)`` int32.

    Raises:
        InputError: For an invalid base or length.
    """
    _check(seq_len, base)
    rest = _HELD_OUT[split]
    generator = np.random.default_rng((seq_len, base, rest))
    if base ** (2 * seq_len - 2) <= max(_FEW, 8 * _SHARE * pairs):
        digits = generator.permutation(_all(seq_len, base), axis=-1)
        digits = _different(digits[..., _hash(digits) % _SHARE == rest])
    else:
        digits = np.empty((seq_len, 2, 0), np.uint8)
        n = max(1, min(_SHARE * pairs, _AT_ONCE // (2 * seq_len)))
        while digits.shape[-1] < pairs:
            drawn = _draw(generator, seq_len, base, n)
            drawn = drawn[..., _hash(drawn) % _SHARE == rest]
            digits = _different(np.concatenate([digits, drawn], axis=-1))
    return _split(digits[..., :pairs], base)


def add(digits: np.ndarray, base: int = 10) -> np.ndarray:
    """The sums, by the carry from digit to digit.

    Args:
        digits: Of both numbers, ``(n, time, 2)`` integers, the least significant first.
        base: Of the number system.

    Returns:
        The sums' digits, ``(n, time)`` int32.

    Raises:
        InputError: If something is no digit, or a sum has more than ``time`` of them.
    """
    if digits.dtype.kind not in "iu":
        raise InputError(f"digits have the dtype {digits.dtype}; expected integers.")
    if digits.size and not 0 <= digits.min() <= digits.max() < base:
        raise InputError(f"digits are {digits.min()} to {digits.max()}; expected 0 to {base - 1}.")
    sums, carry = _add(digits.transpose(1, 2, 0).astype(np.uint8), base)
    if carry.any():
        raise InputError(
            f"{np.count_nonzero(carry)} sums have more than {digits.shape[1]} digits; "
            "expected longer sequences."
        )
    return _int32(sums)


def check_base(base: int) -> None:
    """Raises InputError for what is no base of a number system with our digits."""
    if not 2 <= base <= len(SYMBOLS):
        raise InputError(f"base is {base}; it must be from 2 to {len(SYMBOLS)}.")


def _check(seq_len: int, base: int) -> None:
    check_base(base)
    if seq_len < 2:
        raise InputError(f"seq_len is {seq_len}; it must be 2 or more: a digit and the carry.")


# Inside, digits are (time, 2, n) uint8: what is done to a digit is done to n at once.


def _training_pairs(seq_len: int, base: int, generator: np.random.Generator, n: int) -> Split:
    parts, missing = [], n
    while missing > 0:
        enough = missing * _SHARE // (_SHARE - len(_HELD_OUT)) + 100
        drawn = _draw(generator, seq_len, base, enough)
        parts.append(drawn[..., _hash(drawn) % _SHARE >= len(_HELD_OUT)])
        missing -= parts[-1].shape[-1]
    return _split(np.concatenate(parts, axis=-1)[..., :n], base)


def _draw(generator: np.random.Generator, seq_len: int, base: int, n: int) -> np.ndarray:
    digits = np.zeros((seq_len, 2, n), np.uint8)
    digits[:-1] = generator.integers(0, base, (seq_len - 1, 2, n), np.uint8)
    return digits


def _all(seq_len: int, base: int) -> np.ndarray:
    """Every pair of numbers."""
    count = base ** (seq_len - 1)
    pairs = np.stack(np.divmod(np.arange(count**2), count))
    places = base ** np.arange(seq_len)
    return (pairs // places[:, None, None] % base).astype(np.uint8)


def _different(digits: np.ndarray) -> np.ndarray:
    """Without pairs that are there before, in this or in the other order."""
    # As strings, in which no byte may be 0: NumPy takes those in the end for padding.
    a, b = (
        np.ascontiguousarray(numbers.T + 1).view(f"S{len(digits)}")[:, 0]
        for numbers in (digits[:, 0], digits[:, 1])
    )
    pairs = np.where(a < b, np.char.add(a, b), np.char.add(b, a))
    _, first = np.unique(pairs, return_index=True)
    return digits[..., np.sort(first)]


def _hash(digits: np.ndarray) -> np.ndarray:
    """A number for each pair, ``(n,)`` uint64; for a + b that of b + a.

    Different pairs can have the same, and are then in the same split.
    """
    weights = _mix(np.arange(1, len(digits) + 1, dtype=np.uint64))
    numbers = np.zeros(digits.shape[1:], np.uint64)
    for digit, weight in zip(digits, weights, strict=True):
        numbers += digit * weight
    return _mix(_mix(numbers).sum(axis=0, dtype=np.uint64))


def _mix(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele, Lea and Flood 2014), which scatters numbers."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _add(digits: np.ndarray, base: int) -> tuple[np.ndarray, np.ndarray]:
    """The sums' digits ``(time, n)``, and what is carried beyond them ``(n,)``."""
    sums = np.empty((digits.shape[0], digits.shape[2]), np.uint8)
    carry = np.zeros(digits.shape[2], np.uint8)
    for here, (a, b) in zip(sums, digits, strict=True):
        np.add(a, b, out=here)
        here += carry
        np.greater_equal(here, base, out=carry, casting="unsafe")
        here -= carry * np.uint8(base)
    return sums, carry


def _split(digits: np.ndarray, base: int) -> Split:
    return Split(_int32(digits), _int32(_add(digits, base)[0]))


def _int32(digits: np.ndarray) -> np.ndarray:
    """With the pairs in front."""
    return np.ascontiguousarray(np.moveaxis(digits, -1, 0)).astype(np.int32)
