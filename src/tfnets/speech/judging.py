"""Recordings to judge a trained model on: words that it knows, and others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfnets.dataset import Dataset, Split
from tfnets.errors import InputError
from tfnets.speech import recordings, splits
from tfnets.speech.clips import SILENCE, UNKNOWN, Listing, nfc
from tfnets.speech.data import BUILTIN, REST, list_source


@dataclass(frozen=True)
class Recordings:
    """Clips with the classes of a model.

    Attributes:
        name: Name of the data.
        kind: Which clips, in words.
        listing: The clips.
        words: The model's words that are among them.
        labels: Class number of each in the model; -1 for another word of a model without a class
            for these.
    """

    name: str
    kind: str
    listing: Listing
    words: tuple[str, ...]
    labels: np.ndarray

    def waveforms(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Clips by number, ``(n, 16000)`` float32."""
        return recordings.waveforms(self.listing, list(numbers))

    @property
    def speakers(self) -> np.ndarray | None:
        """Who speaks in each; None where that is not known."""
        speakers = [clip.speaker for clip in self.listing.clips]
        return None if None in speakers else np.array(speakers)

    def named(self, classes: Sequence[str]) -> Dataset:
        """Name and classes as a data set has them, for figures."""
        nothing = Split(np.empty(0), np.empty(0, np.int32))
        return Dataset(
            self.name, str(self.listing.root), tuple(classes), nothing, None, nothing, "", ""
        )


def select(
    classes: Sequence[str],
    part: str = "test",
    *,
    data: str | Path = BUILTIN,
    words: Sequence[str] = (),
    clips: int = 3000,
    pattern: str = "",
    split: str = "speaker",
    test_speakers: Sequence[str] = (),
    folds: int = 0,
    fold: int = 1,
    unknown: Sequence[str] = (),
    silence: bool = False,
    progress: bool = True,
) -> Recordings:
    """Recordings for a model.

    Args:
        classes: The model's.
        part: ``"test"`` or ``"val"``: the clips of that split; ``"all"``: every clip.
        words: Which of the model's words; empty for all that the data have.
        unknown: Words that the model does not know; ``("rest",)`` for all others of the data.
        silence: Whether to add silence, if the model knows it.
        data: As for :func:`tfnets.speech.load`.
        clips: As there.
        pattern: As there.
        split: As there.
        test_speakers: As there.
        folds: As there.
        fold: As there.
        progress: As there.

    Raises:
        InputError: If there is no word in common, or as for :func:`tfnets.speech.load`.
    """
    trained = [name for name in classes if name not in (UNKNOWN, SILENCE)]
    words, unknown = tuple(map(nfc, words)), tuple(map(nfc, unknown))
    for word in words:
        if word not in trained:
            raise InputError(f"words names {word!r}; the model knows: {', '.join(trained)}.")
    if silence and SILENCE not in classes:
        raise InputError("silence is true, but the model has no class for it.")
    spoken = words or tuple(trained)
    name, listing, _ = list_source(data, spoken, clips, pattern, unknown, progress)
    there = tuple(word for word in spoken if word in listing.words)
    if not there:
        raise InputError(
            f"{listing.root} has none of the model's words, {', '.join(trained)}; it has: "
            f"{', '.join(listing.words)}."
        )
    if unknown == REST:
        unknown = tuple(word for word in listing.words if word not in trained)
    twice = next((word for word in unknown if word in trained), None)
    if twice:
        raise InputError(f"unknown names {twice!r}, which the model knows.")
    listing = listing.of((*there, *unknown))
    numbers = np.arange(len(listing.clips))
    kind = "all clips"
    if part != "all":
        parts = splits.split(listing, splits.Choice(split, tuple(test_speakers), folds, fold))
        numbers, kind = parts.numbers[part], f"{part} split, {parts.kind}"
    chosen = [listing.clips[n] for n in numbers]
    if not any(clip.word in there for clip in chosen):
        raise InputError(f"{listing.root}: no clips of {', '.join(there)} in the {kind}.")
    if silence:
        known = sum(clip.word in there for clip in chosen)
        chosen += [recordings.silence("test", n) for n in range(max(1, known // len(there)))]
    listing = replace(listing, clips=tuple(chosen))
    kind = "; ".join([kind, *listing.remarks])
    other = classes.index(UNKNOWN) if UNKNOWN in classes else -1
    of = {word: n for n, word in enumerate(classes)}
    labels = np.array([of.get(clip.word, other) for clip in chosen], np.int32)
    return Recordings(name, kind, listing, there, labels)


def rejection(known: np.ndarray, others: np.ndarray, missed: float) -> tuple[float, float]:
    """How many other words are taken for trained ones where some of these are missed.

    Args:
        known: For each clip of a trained word the largest probability of any trained word.
        others: The same of other words' clips.
        missed: Share of the former that may be below the threshold.

    Returns:
        The threshold, and the share of the others that reach it.
    """
    threshold = float(np.quantile(known, missed, method="higher"))
    return threshold, float((others >= threshold).mean())
