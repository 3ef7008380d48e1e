"""Who is trained on and who is tested on: decided before any feature is computed."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tfnets.dataset import SPLITS
from tfnets.errors import InputError
from tfnets.naming import natural
from tfnets.speech.clips import Clip, Listing
from tfnets.speech.folder import hash_split

KINDS = ("speaker", "clip")

_FEW = 8  # speakers that the hash of a name does not spread over three splits
_HELD_OUT = 0.1  # share of the rest that validates, and of clips that validate or test
_SHOWN = 12


@dataclass(frozen=True)
class Choice:
    """How clips are split.

    Attributes:
        split: ``"speaker"``: nobody is trained and tested on. ``"clip"``: clips of the same
            people in all splits, which flatters.
        test_speakers: Who is tested on; if empty, the source or the hash of the names decides.
        folds: Into how many parts the speakers are cut; 0 for no folds.
        fold: Which part is tested on, from 1.
    """

    split: str = "speaker"
    test_speakers: tuple[str, ...] = ()
    folds: int = 0
    fold: int = 1

    def __post_init__(self):
        if self.split not in KINDS:
            raise InputError(f"unknown split {self.split!r}; choose from {', '.join(KINDS)}.")
        if self.folds == 1 or self.folds < 0:
            raise InputError(f"folds is {self.folds}; expected 2 or more, or 0 for none.")
        if self.folds and not 1 <= self.fold <= self.folds:
            raise InputError(f"fold is {self.fold}; expected 1 to {self.folds}.")
        if not self.folds and self.fold != 1:
            raise InputError(f"fold is {self.fold}, but folds is 0; say how many there are.")
        given = [
            name
            for name, value in (
                ("test_speakers", self.test_speakers),
                ("folds", self.folds),
                ("split=clip", self.split == "clip"),
            )
            if value
        ]
        if len(given) > 1:
            raise InputError(f"{given[0]} and {given[1]} contradict each other; give one.")


@dataclass(frozen=True)
class Parts:
    """Clips by split.

    Attributes:
        numbers: By split, numbers of the listing's clips in its order.
        kind: How they were split, in words.
        by_speaker: The splits in which nobody is who is in another of these.
    """

    numbers: dict[str, np.ndarray]
    kind: str
    by_speaker: tuple[str, ...]


def split(listing: Listing, choice: Choice) -> Parts:
    """Splits the clips of a listing.

    With test speakers or folds (contiguous parts of the speakers in the order of their names), the
    next speakers validate, a tenth of the rest but at least one; if only one is left, a tenth of
    that one's clips. Otherwise the source decides, or, for more than eight speakers, the hash of
    the name as published with Speech Commands.

    Raises:
        InputError: If that cannot be done, with the option that would help.
    """
    clips = listing.clips
    speakers = sorted({c.speaker for c in clips if c.speaker is not None}, key=natural)
    nameless = [clip for clip in clips if clip.speaker is None]
    if speakers and nameless and choice.split == "speaker":
        raise InputError(
            f"{listing.root / nameless[0].path} does not say who speaks, as other clips do; all "
            "clips must be called <speaker>_nohash_<take>.wav, or none."
        )
    if choice.split == "clip":
        return _by_clip(clips, range(len(clips)), "by clip, the same people in every split")
    if (choice.test_speakers or choice.folds) and not speakers:
        what = "test_speakers" if choice.test_speakers else "folds"
        raise InputError(
            f"{what}: {listing.root} does not say who speaks; name the speaker in the files "
            "(<speaker>_nohash_<take>.wav, or a pattern with {speaker}) or in a manifest."
        )
    if choice.test_speakers:
        return _test_on(clips, speakers, _known(choice.test_speakers, speakers), "")
    if choice.folds:
        if choice.folds > len(speakers):
            raise InputError(
                f"folds is {choice.folds}; expected 2 to {len(speakers)}, for there are the "
                f"speakers {_shown(speakers)}."
            )
        block = np.array_split(np.array(speakers, object), choice.folds)[choice.fold - 1]
        return _test_on(clips, speakers, list(block), f"fold {choice.fold} of {choice.folds}, ")
    if listing.split_kind:
        return _as_given(listing, speakers)
    if speakers and len(speakers) <= _FEW:
        raise InputError(_few(listing, speakers))
    numbers = _numbers(clips, lambda clip: hash_split(clip.speaker or clip.path))
    empty = next((name for name in SPLITS if not len(numbers[name])), None)
    if empty:
        if speakers:
            raise InputError(_few(listing, speakers))
        return _by_clip(clips, range(len(clips)), "speakers unknown, by clip")
    kind = "by speaker" if speakers else "speakers unknown"
    return Parts(numbers, f"{kind}, from the hash of the name", SPLITS if speakers else ())


def check(parts: Parts, listing: Listing, words: Sequence[str]) -> None:
    """Raises InputError for a word that cannot be trained or tested: validation may lack some."""
    for name in ("train", "test"):
        there = {listing.clips[number].word for number in parts.numbers[name]}
        for word in words:
            if word not in there:
                raise InputError(
                    f"word {word!r} has no clips in the {name} split ({parts.kind}); choose other "
                    "words, or other speakers (test_speakers, folds and fold)."
                )
    if not len(parts.numbers["val"]):
        raise InputError(
            f"{listing.root}: the validation split is empty ({parts.kind}); give test_speakers or "
            "folds."
        )


def _few(listing: Listing, speakers: list[str]) -> str:
    if len(speakers) == 1:
        return (
            f"{listing.root} has one speaker, {speakers[0]}: there is nobody else to test on; "
            "split=clip tests on other clips of the same person, which flatters."
        )
    return (
        f"{listing.root} has {len(speakers)} speakers, {_shown(speakers)}: too few to split by "
        f"the hash of their names; give test_speakers={speakers[-1]}, or folds={len(speakers)} "
        f"and fold=1 to {len(speakers)} to test on each in turn."
    )


def _as_given(listing: Listing, speakers: list[str]) -> Parts:
    clips, kind = listing.clips, listing.split_kind
    if not speakers:
        kind = kind.replace("by speaker", "speakers unknown")
    numbers = _numbers(clips, lambda clip: str(clip.split))
    if len(numbers["val"]) or not len(numbers["train"]):
        return Parts(numbers, kind, SPLITS if speakers else ())
    within = _by_clip(clips, numbers["train"], "", testing=False).numbers
    kind += "; validation: a tenth of the training clips"
    return Parts(within | {"test": numbers["test"]}, kind, ("train", "test") if speakers else ())


def _known(wanted: Sequence[str], speakers: list[str]) -> list[str]:
    unknown = [speaker for speaker in wanted if speaker not in speakers]
    if unknown or set(wanted) == set(speakers):
        what = f"names {unknown[0]!r}" if unknown else "leaves nobody to train on"
        raise InputError(f"test_speakers {what}; there are the speakers {_shown(speakers)}.")
    return list(dict.fromkeys(wanted))


def _test_on(clips: Sequence[Clip], speakers: list[str], tested: list[str], how: str) -> Parts:
    rest = [speaker for speaker in speakers if speaker not in tested]
    kind = f"by speaker, {how}test: {_shown(tested)}"
    if len(rest) == 1:
        own = [n for n, clip in enumerate(clips) if clip.speaker == rest[0]]
        numbers = _by_clip(clips, own, "", testing=False).numbers
        numbers["test"] = np.array([n for n, c in enumerate(clips) if c.speaker in tested])
        return Parts(numbers, f"{kind}; validation: a tenth of {rest[0]}'s", ("train", "test"))
    after = speakers.index(tested[-1]) + 1
    following = [s for s in speakers[after:] + speakers[:after] if s in rest]
    validates = following[: max(1, round(_HELD_OUT * len(rest)))]
    of = dict.fromkeys(rest, "train") | dict.fromkeys(validates, "val")
    of |= dict.fromkeys(tested, "test")
    numbers = _numbers(clips, lambda clip: of[str(clip.speaker)])
    return Parts(numbers, f"{kind}; validation: {_shown(validates)}", SPLITS)


def _by_clip(
    clips: Sequence[Clip], among: Iterable[int], kind: str, testing: bool = True
) -> Parts:
    """A tenth of each word's clips for validation, another for the test, at least one each."""
    of_word: dict[str, list[int]] = {}
    for number in among:
        of_word.setdefault(clips[number].word, []).append(number)
    numbers: dict[str, list[int]] = {name: [] for name in SPLITS}
    for own in of_word.values():
        # In an order that does not depend on what else is there.
        own.sort(key=lambda n: hashlib.sha1(os.fsencode(clips[n].name)).digest())
        share = max(1, round(_HELD_OUT * len(own)))
        test = share if testing else 0
        numbers["test"] += own[:test]
        numbers["val"] += own[test : test + share]
        numbers["train"] += own[test + share :]
    return Parts({name: np.array(sorted(each), int) for name, each in numbers.items()}, kind, ())


def _numbers(clips: Sequence[Clip], of: Callable[[Clip], str]) -> dict[str, np.ndarray]:
    splits = np.array([of(clip) for clip in clips])
    return {name: np.flatnonzero(splits == name) for name in SPLITS}


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
