"""Spoken words from recordings of any form, an .npz file or the built-in corpus."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfnets import duplicates as copies
from tfnets import keras_settings
from tfnets.dataset import SPLITS, Dataset, Split, Varied
from tfnets.errors import InputError
from tfnets.npz import from_npz
from tfnets.speech import corpus, download, level, recordings, splits
from tfnets.speech.augmentation import Augmentation, noise_bank
from tfnets.speech.clips import SILENCE, UNKNOWN, Clip, Listing, nfc
from tfnets.speech.folder import list_folder, list_pattern
from tfnets.speech.manifest import SUFFIXES as MANIFESTS
from tfnets.speech.manifest import list_manifest

BUILTIN = "builtin"
SPEECH_COMMANDS = "speech_commands"
WORDS = ("no", "go", "down")
REST = ("rest",)


@dataclass(frozen=True)
class Words:
    """Clips that are chosen, labelled and split; nothing is read yet.

    Attributes:
        name: Name of the data.
        listing: The clips.
        classes: Class names.
        labels: Class number of each clip.
        parts: The clips' numbers by split.
        seconds: What took how long.
    """

    name: str
    listing: Listing
    classes: tuple[str, ...]
    labels: np.ndarray
    parts: splits.Parts
    seconds: dict[str, float]


def load(
    data: str | Path = BUILTIN,
    words: Sequence[str] = (),
    *,
    clips: int = 3000,
    pattern: str = "",
    split: str = "speaker",
    test_speakers: Sequence[str] = (),
    folds: int = 0,
    fold: int = 1,
    unknown: Sequence[str] = (),
    silence: bool = False,
    level: str = "none",
    augment: bool = False,
    duplicates: str = "drop",
    progress: bool = True,
) -> Dataset:
    """Loads spoken words as standardised log-mel matrices.

    Args:
        data: Where from:

            * ``"builtin"``: the synthesised corpus of :mod:`tfnets.speech.corpus`.
            * ``"speech_commands"``: Google's data set of that name, version 0.02, which is
              downloaded on first use (:mod:`tfnets.speech.download`).
            * A folder with a folder for each word, such as Speech Commands (Warden 2018,
              arXiv:1804.03209): ``word/<speaker>_nohash_<take>.wav``, with
              ``validation_list.txt`` and ``testing_list.txt`` or without.
            * A folder with recordings side by side, and a ``pattern``.
            * A manifest, ``.csv`` or ``.parquet`` (:mod:`tfnets.speech.manifest`).
            * An ``.npz`` file with ``x_train``, ``y_train``, ``x_test``, ``y_test``
              and, if you have them, ``x_val``, ``y_val`` and ``classes``: matrices
              ``(n, time, features)``, labels as class numbers or one-hot. Without
              validation data a stratified 10 % of the training data is taken.

            Recordings have any format, rate, number of channels and length
            (:mod:`tfnets.speech.audio`); they are padded with silence or cut to one second.
        words: Words to use as classes, any number from two up; what the built-in
            corpus speaks. Empty for no, go and down if the data has them, else all words.
            An .npz file has its own classes.
        clips: Training clips a word of the built-in corpus.
        pattern: How recordings in a folder are called, ``"{word}_{speaker}_{take}.wav"``.
        split: ``"speaker"`` or ``"clip"`` (:class:`tfnets.speech.splits.Choice`).
        test_speakers: Who is tested on.
        folds: Into how many parts the speakers are cut, instead.
        fold: Which of them is tested on.
        unknown: Other words, all of which become one more class ``_unknown_``, with as many clips
            as the words have on average; ``("rest",)`` for all other words of the data.
        silence: Whether there is one more class ``_silence_``, noise and near-silence made here
            and, where the data has ``_background_noise_``, cut from that.
        level: What features are relative to (:mod:`tfnets.speech.level`): ``"none"``, ``"clip"``
            or ``"running"``.
        augment: Whether training clips are changed anew in each epoch
            (:mod:`tfnets.speech.augmentation`).
        duplicates: What becomes of recordings that are in two splits, under whatever name and
            speaker, also if one begins later than the other: ``"drop"`` takes them out of
            training (and validation), ``"keep"`` leaves them in (:mod:`tfnets.duplicates`).
        progress: Whether to say how far rendering and features have come.

    Returns:
        ``(n, 101, 40)`` float32 a split (an .npz file: its own shape), standardised
        with the training split's mean and standard deviation; splits disjoint by
        speaker, which :attr:`Split.groups` names. ``seconds`` says what took how
        long.

    Raises:
        InputError: For anything that is missing, unreadable, of the wrong kind, or
            does not fit together.
    """
    keras_settings.check()
    form = _Form(level, augment, duplicates)
    try:
        if _is_npz(data):
            own = {"pattern": pattern, "test_speakers": tuple(test_speakers), "folds": folds}
            own |= {"unknown": tuple(unknown), "silence": silence, "augment": augment}
            own |= {"level": level != "none", "split": split != "speaker"}
            for option, value in own.items():
                if value:
                    raise InputError(
                        f"{data} holds ready matrices with a split of their own; {option} is for "
                        "recordings."
                    )
            path = Path(os.path.expanduser(data))
            return from_npz(path, duplicates=duplicates).check().standardise()
        choice = splits.Choice(split, tuple(test_speakers), folds, fold)
        chosen = choose(data, words, clips, pattern, choice, unknown, silence, progress)
        return _dataset(chosen, form, progress)
    except OSError as error:
        raise InputError(
            f"{error.filename or data}: cannot be read: {error.strerror or error}."
        ) from None


def folds(
    data: str | Path = BUILTIN,
    words: Sequence[str] = (),
    *,
    parts: int | None = None,
    clips: int = 3000,
    pattern: str = "",
    level: str = "none",
    augment: bool = False,
    duplicates: str = "drop",
    progress: bool = True,
) -> Iterator[tuple[tuple[str, ...], Dataset]]:
    """The data of a cross-validation by speaker: everybody is tested on once.

    Args:
        data: As for :func:`load`; it must say who speaks.
        words: As for :func:`load`.
        parts: Into how many parts the speakers are cut; None leaves out one at a time.
        clips: As for :func:`load`.
        pattern: As for :func:`load`.
        level: As for :func:`load`.
        augment: As for :func:`load`.
        duplicates: As for :func:`load`.
        progress: As for :func:`load`.

    Yields:
        Who is tested on, and what ``load(data, folds=parts, fold=...)`` gives.

    Raises:
        InputError: As :func:`load` does.
    """
    if _is_npz(data):
        raise InputError(f"{data} has its own split; a cross-validation needs recordings.")
    if parts is None:
        try:
            _, listing, _ = list_source(data, words, clips, pattern, (), progress)
        except OSError as error:
            raise InputError(
                f"{error.filename or data}: cannot be read: {error.strerror or error}."
            ) from None
        of = listing.of(tuple(words) or listing.words)
        parts = max(2, len({clip.speaker for clip in of.clips if clip.speaker is not None}))
    for fold in range(1, parts + 1):
        loaded = load(
            data,
            words,
            clips=clips,
            pattern=pattern,
            folds=parts,
            fold=fold,
            level=level,
            augment=augment,
            duplicates=duplicates,
            progress=progress,
        )
        assert loaded.test.groups is not None  # folds are by speaker
        yield tuple(sorted(set(loaded.test.groups.tolist()))), loaded


@dataclass(frozen=True)
class _Form:
    level: str
    augment: bool
    duplicates: str

    def __post_init__(self):
        level.check(self.level)
        copies.check(self.duplicates)


def choose(
    data: str | Path,
    words: Sequence[str],
    clips: int,
    pattern: str,
    choice: splits.Choice,
    unknown: Sequence[str],
    silence: bool,
    progress: bool,
) -> Words:
    """Lists, chooses, labels and splits; arguments as for :func:`load`.

    Raises:
        InputError: As for :func:`load`, but for what shows in the recordings only.
    """
    words, unknown = tuple(map(nfc, words)), tuple(map(nfc, unknown))
    for each in (words, unknown):
        _check_words(each)
    if len(words) == 1:
        raise InputError(f"words is {words[0]!r}: only one class; a classifier needs two or more.")
    both = next((word for word in unknown if word in words), None)
    if both:
        raise InputError(f"{both!r} is among both words and unknown; a word has one class.")
    name, listing, seconds = list_source(data, words, clips, pattern, unknown, progress)
    words = words or (WORDS if set(WORDS) <= set(listing.words) else listing.words)
    if len(words) < 2:
        raise InputError(
            f"words is {','.join(words)!r}: only one class; a classifier needs two or more."
        )
    if unknown == REST:
        unknown = tuple(word for word in listing.words if word not in words)
        if not unknown:
            raise InputError(f"unknown is 'rest', but {listing.root} has only {', '.join(words)}.")
    listing = listing.of((*words, *unknown))
    parts = splits.split(listing, choice)
    splits.check(parts, listing, words)
    class_of = {word: number for number, word in enumerate(words)}
    classes = words
    if unknown:
        class_of |= dict.fromkeys(unknown, len(classes))
        classes += (UNKNOWN,)
        parts = _fewer(parts, listing, words)
    if silence:
        class_of[SILENCE] = len(classes)
        classes += (SILENCE,)
        listing, parts = _with_silence(parts, listing, words)
    labels = np.array([class_of[clip.word] for clip in listing.clips], np.int32)
    return Words(name, listing, classes, labels, parts, seconds)


def _is_npz(data: str | Path) -> bool:
    return Path(data).suffix.lower() == ".npz"


def list_source(
    data: str | Path,
    words: Sequence[str],
    clips: int,
    pattern: str,
    unknown: Sequence[str],
    progress: bool,
) -> tuple[str, Listing, dict[str, float]]:
    """A source's name, its clips, and what took how long; arguments as for :func:`load`."""
    if not str(data):
        raise InputError(
            "data is empty; expected 'builtin', 'speech_commands', a folder, a manifest or an "
            ".npz file."
        )
    path = Path(os.path.expanduser(data))
    made: dict[str, tuple[str, str, Callable[[], Listing]]] = {
        BUILTIN: (
            "built-in synthesised speech",
            "rendering",
            lambda: _rendered(words or WORDS, clips, unknown, progress),
        ),
        SPEECH_COMMANDS: (
            "Speech Commands v0.02",
            "download",
            lambda: list_folder(download.speech_commands(progress)),
        ),
    }
    manifest = path.suffix.lower() in MANIFESTS
    if pattern and (str(data) in made or manifest):
        raise InputError(f"pattern is for a folder of recordings; data is {str(data)!r}.")
    if str(data) == SPEECH_COMMANDS:
        for word in (*words, *(unknown if unknown != REST else ())):
            if word not in download.WORDS:  # before 2.4 GB are fetched in vain
                there = ", ".join(download.WORDS)
                raise InputError(f"Speech Commands has no word {word!r}; it has: {there}.")
    if str(data) in made:
        name, what, make = made[str(data)]
        started = time.perf_counter()
        listing = make()
        return name, listing, {what: time.perf_counter() - started}
    if manifest:
        return path.stem, list_manifest(path), {}
    listing = list_pattern(path, pattern) if pattern else list_folder(path)
    return path.resolve().name, listing, {}


def _rendered(words: Sequence[str], clips: int, unknown: Sequence[str], progress: bool) -> Listing:
    """The built-in corpus; other words are spoken by the same voices, as often in all."""
    if unknown == REST:
        raise InputError(
            "unknown is 'rest', but the built-in corpus speaks what it is given; name words, "
            "such as unknown=yes,stop,left."
        )
    listing = list_folder(corpus.render(words, clips, progress))
    if not unknown:
        return listing
    fewer = max(corpus.LEAST_CLIPS, -(-clips // len(unknown)))
    other = list_folder(corpus.render(unknown, fewer, progress))
    clips_of_other = tuple(
        replace(clip, path=(other.root / clip.path).as_posix()) for clip in other.clips
    )
    return replace(listing, clips=listing.clips + clips_of_other)


def _fewer(parts: splits.Parts, listing: Listing, words: Sequence[str]) -> splits.Parts:
    """As many unknown clips a split as a word has on average, spread evenly over their words."""
    known = set(words)
    numbers = {}
    for name, own in parts.numbers.items():
        inside = [n for n in own if listing.clips[n].word in known]
        of_word: dict[str, list[int]] = {}
        for n in own:
            if listing.clips[n].word not in known:
                of_word.setdefault(listing.clips[n].word, []).append(n)
        for each in of_word.values():
            each.sort(key=lambda n: hashlib.sha1(os.fsencode(listing.clips[n].name)).digest())
        turns = max(map(len, of_word.values()), default=0)
        by_turns = [e[turn] for turn in range(turns) for e in of_word.values() if turn < len(e)]
        chosen = by_turns[: max(1, round(len(inside) / len(known)))]
        numbers[name] = np.array(sorted(inside + chosen), int)
    return replace(parts, numbers=numbers)


def _with_silence(
    parts: splits.Parts, listing: Listing, words: Sequence[str]
) -> tuple[Listing, splits.Parts]:
    """The same with as many clips of silence a split as a word has on average."""
    known = set(words)
    made: list[Clip] = []
    numbers = {}
    for name, own in parts.numbers.items():
        count = sum(listing.clips[n].word in known for n in own)
        new = [recordings.silence(name, n) for n in range(max(1, round(count / len(known))))]
        first = len(listing.clips) + len(made)
        numbers[name] = np.concatenate([own, np.arange(first, first + len(new))])
        made += new
    return replace(listing, clips=(*listing.clips, *made)), replace(parts, numbers=numbers)


def _dataset(chosen: Words, form: _Form, progress: bool) -> Dataset:
    listing, parts = chosen.listing, chosen.parts
    started = time.perf_counter()
    matrices = recordings.matrices(listing, progress)
    found = copies.find(
        {name: [matrices.sounds[n] for n in parts.numbers[name]] for name in SPLITS},
        {name: chosen.labels[parts.numbers[name]] for name in SPLITS},
        form.duplicates,
        str(listing.root),
        "clips",
    )
    digest = hashlib.sha256()
    of_split: dict[str, Any] = {}
    raw: dict[str, np.ndarray] = {}
    for name in SPLITS:
        own = parts.numbers[name][found.kept[name]]
        raw[name] = np.ascontiguousarray(matrices.x[own])
        groups = None
        if name in parts.by_speaker:
            groups = np.array([listing.clips[n].speaker for n in own])
        of_split[name] = Split(level.apply(raw[name], form.level), chosen.labels[own], groups)
        for n in own:
            digest.update(os.fsencode(f"{name} {listing.clips[n].name} {matrices.digests[n]}\n"))
    data = Dataset(
        name=chosen.name,
        source=str(listing.root.resolve()),
        classes=chosen.classes,
        **of_split,
        split_kind="; ".join([parts.kind, *listing.remarks, *matrices.remarks, *found.remarks]),
        digest=digest.hexdigest(),
        from_audio=True,
        level=form.level,
        duplicates=found.count,
        seconds=chosen.seconds,
    )
    data = data.check().standardise()
    if form.augment:
        assert data.mean is not None
        assert data.std is not None
        train = of_split["train"]
        bank = noise_bank(recordings.noises(listing))
        change = Augmentation(bank, form.level, data.mean, data.std)
        data = replace(data, train=Varied(raw["train"], train.y, train.groups, change))
    data.seconds["features"] = time.perf_counter() - started
    return data


def _check_words(words: Sequence[str]) -> None:
    twice = next((word for word in words if list(words).count(word) > 1), None)
    if twice:
        raise InputError(f"words names {twice!r} twice; each class must be named once.")
    for word in words:
        if not word or word != Path(word).name or word.startswith((".", "_")):
            raise InputError(f"words holds {word!r}, which cannot be the name of a word's folder.")
