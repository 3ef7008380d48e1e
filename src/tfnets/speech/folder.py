"""A folder in the layout of Speech Commands: its clips, its splits, its features."""

import hashlib
import json
import os
import posixpath
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfnets import cache
from tfnets.dataset import SPLITS, Dataset, Split
from tfnets.errors import InputError, first_line
from tfnets.progress import Progress
from tfnets.speech import features, wav

_WAV = "*.[wW][aA][vV]"
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}


def from_folder(folder: Path, words: Sequence[str], progress: bool, *, name: str) -> Dataset:
    """The clips of a folder in the layout of Speech Commands, features from the cache."""
    paths, split_kind = list_clips(folder, words)
    speakers = _have_speakers(folder, paths)
    if not speakers:
        split_kind = split_kind.replace("by speaker", "speakers unknown")
    started = time.perf_counter()
    stats = {path: folder.joinpath(path).stat() for split in SPLITS for path in paths[split]}
    key = cache.key(
        folder=str(folder.resolve()),
        clips={path: [stat.st_size, stat.st_mtime_ns] for path, stat in stats.items()},
        splits=paths,
        features=features.SETTINGS,
        recipe=features.RECIPE,
    )
    cached = cache.folder(
        f"speech/features-{key}", lambda target: _fill_features(target, folder, paths, progress)
    )
    x, digest = _read_features(cached, paths)
    splits: dict[str, Any] = {}
    for split in SPLITS:
        folders = [path.split("/")[0] for path in paths[split]]
        splits[split] = Split(
            x=x[split],
            y=np.array([list(words).index(word) for word in folders], np.int32),
            groups=np.array([_speaker(path) for path in paths[split]]) if speakers else None,
        )
    return Dataset(
        name=name,
        source=str(folder.resolve()),
        classes=tuple(words),
        **splits,
        split_kind=split_kind,
        digest=digest,
        from_audio=True,
        seconds={"features": time.perf_counter() - started},
    )


def _have_speakers(folder: Path, paths: dict[str, list[str]]) -> bool:
    """Whether the file names say who speaks: all of them do, or none."""
    clips = [path for split in SPLITS for path in paths[split]]
    nameless = [path for path in clips if "_nohash_" not in path]
    if nameless and len(nameless) < len(clips):
        raise InputError(
            f"{folder / nameless[0]} does not say who speaks, as other clips do; all clips must "
            "be called <speaker>_nohash_<take>.wav, or none."
        )
    return not nameless


def _read_features(cached: Path, paths: dict[str, list[str]]) -> tuple[dict[str, np.ndarray], str]:
    try:
        x = {split: np.load(cached / f"{split}.npy", allow_pickle=False) for split in SPLITS}
        for split in SPLITS:
            if x[split].shape != (len(paths[split]), *features.SHAPE):
                raise ValueError(f"{split} has shape {x[split].shape}")
        return x, json.loads((cached / "digest.json").read_text())
    except Exception as error:  # what NumPy makes of a damaged file can be anything
        raise InputError(
            f"the cached features in {cached} are damaged ({first_line(error)}); delete it."
        ) from None


def _fill_features(
    target: Path, folder: Path, paths: dict[str, list[str]], progress: bool
) -> None:
    total = sum(map(len, paths.values()))
    digest = hashlib.sha256()
    with Progress("computing log-mel features", total, shown=progress) as meter:
        for split in SPLITS:
            x = np.empty((len(paths[split]), *features.SHAPE), np.float32)
            for start in range(0, len(x), 256):
                batch = paths[split][start : start + 256]
                sound = np.stack([wav.one_second(wav.read(folder / path)) for path in batch])
                x[start : start + len(batch)] = features.log_mel(sound)
                meter.step(len(batch))
            np.save(target / f"{split}.npy", x)
            digest.update(os.fsencode("\n".join(paths[split])))
            digest.update(x.data)
    (target / "digest.json").write_text(json.dumps(digest.hexdigest()))


def list_clips(folder: Path, words: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """The clips' paths below the folder, by split, and how the split was made."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(
            f"data folder {str(folder)!r} {what}; give 'builtin', 'speech_commands', an .npz "
            "file or a folder in the Speech Commands layout (word/<speaker>_nohash_<take>.wav)."
        )
    clips: list[str] = []
    for word in words:
        found = sorted(f"{word}/{path.name}" for path in (folder / word).glob(_WAV))
        if not found:
            others = sorted(
                path.parent.name
                for path in folder.glob(f"[!._]*/{_WAV}")
                if not path.parent.name.startswith("_")
            )
            there = ", ".join(dict.fromkeys(others)) or "no words at all"
            raise InputError(
                f"word {word!r} has no clips ({folder / word}/*.wav); the folder has: {there}."
            )
        clips += found
    lists = {split: folder / name for split, name in LISTS.items()}
    given = [path for path in lists.values() if path.exists()]
    if not given:
        by_split: dict[str, list[str]] = {split: [] for split in SPLITS}
        for clip in clips:
            by_split[hash_split(clip)].append(clip)
        return by_split, "by speaker, from the hash of the name"
    if len(given) == 1:
        missing = next(path.name for path in lists.values() if path not in given)
        raise InputError(
            f"data folder {str(folder)!r} has {given[0].name} but no {missing}; "
            "give both, or neither for a split by the hash of the speaker's name."
        )
    return _split_by_lists(clips, lists, words), "by speaker, from lists"


def _split_by_lists(
    clips: list[str], lists: dict[str, Path], words: Sequence[str]
) -> dict[str, list[str]]:
    known = set(clips)
    split_of: dict[str, str] = {}
    for split, path in lists.items():
        # Also as a Windows editor leaves them: with a byte order mark, with backslashes.
        for line in path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines():
            clip = posixpath.normpath(line.strip().replace("\\", "/"))
            if clip.split("/")[0] not in words:
                continue
            if clip not in known:
                raise InputError(f"{path} names {clip!r}, which is not in the folder.")
            if split_of.setdefault(clip, split) != split:
                raise InputError(f"{clip!r} is in both lists, {' and '.join(LISTS.values())}.")
    by_split: dict[str, list[str]] = {split: [] for split in SPLITS}
    for clip in clips:
        by_split[split_of.get(clip, "train")].append(clip)
    return by_split


def _speaker(path: str) -> str:
    """The speaker of a clip: its file name before ``_nohash_``, or else all of it."""
    return re.sub(r"_nohash_.*$", "", path.rpartition("/")[2])


def hash_split(path: str, validation: float = 10, testing: float = 10) -> str:
    """The split of a clip by the rule published with Speech Commands (its README.md).

    All clips of a speaker come into the same split, whatever else is in the folder.

    Args:
        path: The clip's path or file name.
        validation: Percentage of speakers for validation.
        testing: Percentage of speakers for the test.

    Returns:
        ``"train"``, ``"val"`` or ``"test"``.
    """
    most = 2**27 - 1
    number = int(hashlib.sha1(os.fsencode(_speaker(path))).hexdigest(), 16)
    percentage = number % (most + 1) * (100 / most)
    if percentage < validation:
        return "val"
    return "test" if percentage < validation + testing else "train"
