"""What every source of recordings lists: which clip says what, who speaks, where it belongs."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfnets.errors import InputError

UNKNOWN, SILENCE = "_unknown_", "_silence_"  # Speech Commands' names for the classes


@dataclass(frozen=True)
class Clip:
    """A recording, or a part of one, with what it says.

    Attributes:
        path: Below the listing's root, with forward slashes, or absolute.
        word: What is said, in NFC.
        speaker: Who says it; None where that is not known.
        split: ``"train"``, ``"val"`` or ``"test"`` if the source says so, else None.
        start: Where it begins in the recording, seconds.
        end: Where it ends, seconds; None for the recording's end.
    """

    path: str
    word: str
    speaker: str | None = None
    split: str | None = None
    start: float = 0.0
    end: float | None = None

    @property
    def name(self) -> str:
        """The clip by its path and, of an excerpt, its place: what tells it from all others."""
        if not self.start and self.end is None:
            return self.path
        return f"{self.path}@{self.start:g}-{'' if self.end is None else f'{self.end:g}'}"


@dataclass(frozen=True)
class Listing:
    """The clips of a source.

    Attributes:
        root: What paths are relative to.
        clips: In a fixed order.
        split_kind: How the source splits its clips, in words; empty if it does not.
        remarks: What was skipped or missing, in words.
        noises: Recordings of background noise (``_background_noise_``), as ``clips.path``.
    """

    root: Path
    clips: tuple[Clip, ...]
    split_kind: str = ""
    remarks: tuple[str, ...] = ()
    noises: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All words, sorted."""
        return tuple(sorted({clip.word for clip in self.clips}))

    def of(self, words: Sequence[str]) -> "Listing":
        """The listing of some of its words only, in their order.

        Raises:
            InputError: For a word without clips.
        """
        there = self.words
        for word in words:
            if word not in there:
                shown = ", ".join(there) or "no words at all"
                raise InputError(f"word {word!r} has no clips in {self.root}; it has: {shown}.")
        by_word = (clip for word in words for clip in self.clips if clip.word == word)
        return replace(self, clips=tuple(by_word))


def nfc(text: str) -> str:
    """A name in Unicode's composed form: macOS writes names decomposed, others do not."""
    return unicodedata.normalize("NFC", text)


def hidden(parts: Iterable[str]) -> bool:
    """Whether a path leads through what systems leave behind: ``._x``, ``.git``, ``__MACOSX``."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)
