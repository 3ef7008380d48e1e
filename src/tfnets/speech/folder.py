"""Folders of recordings: a folder a word, with Speech Commands' lists, or names by a pattern."""

import hashlib
import os
import posixpath
import re
from dataclasses import replace
from pathlib import Path

from tfnets.errors import InputError
from tfnets.speech import audio
from tfnets.speech.clips import Clip, Listing, hidden, nfc

LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}
NOISE = "_background_noise_"
FIELDS = ("word", "speaker", "take", "split")
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def list_folder(folder: Path) -> Listing:
    """The recordings of a folder that has a folder for each word.

    Files that are called ``<speaker>_nohash_<take>`` say who speaks. ``validation_list.txt`` and
    ``testing_list.txt`` decide the splits, if both are there; what they name that is not in the
    folder is counted. Hidden files and folders that begin with ``_`` are no words.

    Raises:
        InputError: If the folder is not there, holds no recordings, or has one of the lists.
    """
    _refuse_missing(folder)
    clips, others = [], 0
    paths = _files(folder)
    for path in paths:
        if path.count("/") != 1 or path.startswith("_"):
            continue
        if not audio.is_audio(Path(path)):
            others += 1
            continue
        word, name = path.split("/")
        speaker = re.sub(r"_nohash_.*$", "", name) if "_nohash_" in name else None
        clips.append(Clip(path, nfc(word), speaker and nfc(speaker)))
    if not clips:
        raise InputError(
            f"data folder {str(folder)!r} has no recordings word/*.wav (.flac, .mp3 ...); for "
            "recordings side by side give a pattern such as {word}_{speaker}_{take}.wav."
        )
    remarks = [f"{others} files that are no audio skipped"] if others else []
    noises = tuple(
        path for path in paths if path.startswith(f"{NOISE}/") and audio.is_audio(Path(path))
    )
    clips, missing, by_lists = _by_lists(folder, clips)
    if missing:
        remarks.append(f"{missing:,} clips of the lists are not in the folder")
    return Listing(
        folder,
        tuple(clips),
        "by speaker, from lists" if by_lists else "",
        tuple(remarks),
        noises,
    )


def list_pattern(folder: Path, pattern: str) -> Listing:
    """The recordings of a folder whose names say what they are.

    Args:
        folder: Searched with everything below it.
        pattern: A path below the folder with the fields ``{word}``, ``{speaker}``, ``{take}`` and
            ``{split}``; only ``{word}`` is needed. ``*`` stands for anything within a name.

    Raises:
        InputError: For a pattern without ``{word}`` or with other fields, a folder that is not
            there, or one in which nothing matches.
    """
    match = _compiled(pattern)
    _refuse_missing(folder)
    clips, others, first = [], 0, ""
    for path in _files(folder):
        if not audio.is_audio(Path(path)):
            continue
        found = match.fullmatch(nfc(path))
        if not found:
            others, first = others + 1, first or path
            continue
        of = found.groupdict()
        split = of.get("split")
        if split is not None and split.lower() not in _SPLIT_NAMES:
            raise InputError(
                f"{folder / path}: {split!r} is no split; expected train, val or test."
            )
        clips.append(
            Clip(path, of["word"], of.get("speaker"), split and _SPLIT_NAMES[split.lower()])
        )
    if not clips:
        what = f"{first!r} and others do not match" if others else "there are no recordings"
        raise InputError(f"pattern {pattern!r} fits nothing in {folder}: {what}.")
    skipped = (f"{others:,} recordings that do not match {pattern} skipped",) if others else ()
    kind = "as the names say" if "split" in match.groupindex else ""
    return Listing(folder, tuple(clips), kind, skipped)


def split_name(text: str) -> str | None:
    """``"train"``, ``"val"`` or ``"test"`` for what people call them; None for anything else."""
    return _SPLIT_NAMES.get(text.strip().lower())


def _files(folder: Path) -> list[str]:
    """Paths below a folder, sorted, without what is hidden."""
    found = []
    for base, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not hidden([name])]
        within = posixpath.normpath(os.path.relpath(base, folder).replace(os.sep, "/"))
        within = "" if within == "." else f"{within}/"
        if within.count("/") > 32:  # links that lead in a circle
            folders.clear()
        found += [f"{within}{name}" for name in names if not hidden([name])]
    return sorted(found)


def _refuse_missing(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(
            f"data folder {str(folder)!r} {what}; give 'builtin', 'speech_commands', an .npz "
            "file, a manifest (.csv, .parquet), a folder with a folder for each word "
            "(word/<speaker>_nohash_<take>.wav), or a folder and a pattern."
        )
    os.listdir(folder)  # one that cannot be read raises its error; os.walk would be silent


def _by_lists(folder: Path, clips: list[Clip]) -> tuple[list[Clip], int, bool]:
    """The clips with the splits of the lists, and how many of these are not there."""
    lists = {split: folder / name for split, name in LISTS.items()}
    given = [path for path in lists.values() if path.exists()]
    if not given:
        return clips, 0, False
    if len(given) == 1:
        missing = next(path.name for path in lists.values() if path not in given)
        raise InputError(
            f"data folder {str(folder)!r} has {given[0].name} but no {missing}; "
            "give both, or neither for a split by the hash of the speaker's name."
        )
    known = {nfc(clip.path) for clip in clips}
    split_of: dict[str, str] = {}
    absent = 0
    for split, path in lists.items():
        # Also as a Windows editor leaves them: with a byte order mark, with backslashes.
        for line in path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines():
            name = nfc(posixpath.normpath(line.strip().replace("\\", "/")))
            if not line.strip():
                continue
            if name not in known:
                absent += 1
            elif split_of.setdefault(name, split) != split:
                raise InputError(f"{name!r} is in both lists, {' and '.join(LISTS.values())}.")
    return [replace(c, split=split_of.get(nfc(c.path), "train")) for c in clips], absent, True


def _compiled(pattern: str) -> re.Pattern[str]:
    parts, fields = [], []
    for part in re.split(r"(\{[^{}]*\}|\*)", nfc(pattern.strip().replace("\\", "/"))):
        if part == "*":
            parts.append(r"[^/]*")
        elif part.startswith("{") and part.endswith("}"):
            field = part[1:-1]
            if field not in FIELDS or field in fields:
                what = "twice" if field in fields else "which is none of its fields"
                raise InputError(
                    f"pattern {pattern!r} has {part} {what}; choose from "
                    f"{', '.join(f'{{{each}}}' for each in FIELDS)}, each once."
                )
            fields.append(field)
            # A word may hold what stands between the fields; a speaker and a take may not.
            parts.append(f"(?P<{field}>[^/]+?)")
        else:
            parts.append(re.escape(part))
    if "word" not in fields:
        raise InputError(
            f"pattern {pattern!r} has no {{word}}; expected such as {{word}}_{{take}}.wav."
        )
    return re.compile("".join(parts))


def hash_split(path: str, validation: float = 10, testing: float = 10) -> str:
    """The split of a clip by the rule published with Speech Commands (its README.md).

    All clips of a speaker come into the same split, whatever else is in the folder.

    Args:
        path: The clip's path or file name, or the speaker.
        validation: Percentage of speakers for validation.
        testing: Percentage of speakers for the test.

    Returns:
        ``"train"``, ``"val"`` or ``"test"``.
    """
    most = 2**27 - 1
    speaker = re.sub(r"_nohash_.*$", "", path.rpartition("/")[2])
    number = int(hashlib.sha1(os.fsencode(speaker)).hexdigest(), 16)
    percentage = number % (most + 1) * (100 / most)
    if percentage < validation:
        return "val"
    return "test" if percentage < validation + testing else "train"
