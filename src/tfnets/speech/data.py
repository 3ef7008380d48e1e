"""Spoken words from a folder, an .npz file or the built-in corpus."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from tfnets import keras_settings
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.npz import from_npz
from tfnets.speech import corpus, download
from tfnets.speech.folder import from_folder

BUILTIN = "builtin"
SPEECH_COMMANDS = "speech_commands"
WORDS = ("no", "go", "down")


def load(
    data: str | Path = BUILTIN,
    words: Sequence[str] = WORDS,
    *,
    clips: int = 3000,
    progress: bool = True,
) -> Dataset:
    """Loads spoken words as standardised log-mel matrices.

    Args:
        data: One of four sources:

            * ``"builtin"``: the synthesised corpus of :mod:`tfnets.speech.corpus`.
            * ``"speech_commands"``: Google's data set of that name, version 0.02, which is
              downloaded on first use (:mod:`tfnets.speech.download`).
            * A folder in the layout of Speech Commands (Warden 2018,
              arXiv:1804.03209): ``word/<speaker>_nohash_<take>.wav``, 16 kHz mono
              16-bit PCM, with ``validation_list.txt`` and ``testing_list.txt``.
              Without the lists the hash of the speaker's name decides, as published
              with the data set. Clips are padded with silence or cut to one second.
            * An ``.npz`` file with ``x_train``, ``y_train``, ``x_test``, ``y_test``
              and, if you have them, ``x_val``, ``y_val`` and ``classes``: matrices
              ``(n, time, features)``, labels as class numbers or one-hot. Without
              validation data a stratified 10 % of the training data is taken.
        words: Folders to use as classes, any number from two up; what the built-in
            corpus speaks. An .npz file has its own classes.
        clips: Training clips a word of the built-in corpus.
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
    try:
        dataset = _from_source(data, words, clips, progress)
    except OSError as error:
        raise InputError(
            f"{error.filename or data}: cannot be read: {error.strerror or error}."
        ) from None
    return dataset.check().standardise()


def _from_source(data: str | Path, words: Sequence[str], clips: int, progress: bool) -> Dataset:
    path = Path(os.path.expanduser(data))
    if path.suffix.lower() == ".npz":
        return from_npz(path)
    _check_words(words)
    made = {
        BUILTIN: (
            "built-in synthesised speech",
            "rendering",
            lambda: corpus.render(words, clips, progress),
        ),
        SPEECH_COMMANDS: (
            "Speech Commands v0.02",
            "download",
            lambda: download.speech_commands(progress),
        ),
    }
    if str(data) == SPEECH_COMMANDS:
        for word in words:
            if word not in download.WORDS:  # before 2.4 GB are fetched in vain
                there = ", ".join(download.WORDS)
                raise InputError(f"Speech Commands has no word {word!r}; it has: {there}.")
    if str(data) not in made:
        return from_folder(path, words, progress, name=path.resolve().name)
    name, what, make = made[str(data)]
    started = time.perf_counter()
    folder = make()
    making = time.perf_counter() - started
    dataset = from_folder(folder, words, progress, name=name)
    dataset.seconds[what] = making
    return dataset


def _check_words(words: Sequence[str]) -> None:
    if len(words) < 2:
        raise InputError(
            f"words is {','.join(words)!r}: only one class; a classifier needs two or more."
        )
    twice = next((word for word in words if list(words).count(word) > 1), None)
    if twice:
        raise InputError(f"words names {twice!r} twice; each class must be named once.")
    for word in words:
        if not word or word != Path(word).name or word.startswith((".", "_")):
            raise InputError(f"words holds {word!r}, which cannot be the name of a word's folder.")
