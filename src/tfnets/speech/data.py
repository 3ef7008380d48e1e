"""Spoken words from a folder, an .npz file or the built-in corpus."""

import hashlib
import json
import re
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from tfnets import cache
from tfnets.dataset import SPLITS, Dataset, Split
from tfnets.errors import InputError
from tfnets.progress import Progress
from tfnets.speech import corpus, features, wav

BUILTIN = "builtin"
WORDS = ("no", "go", "down")
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}


def load(
    data: str | Path = BUILTIN,
    words: Sequence[str] = WORDS,
    *,
    clips: int = 3000,
    progress: bool = True,
) -> Dataset:
    """Loads spoken words as standardised log-mel matrices.

    Args:
        data: One of three sources:

            * ``"builtin"``: the synthesised corpus of :mod:`tfnets.speech.corpus`.
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
    if str(data) == BUILTIN:
        _check_words(words)
        started = time.perf_counter()
        folder = corpus.render(words, clips, progress)
        rendering = time.perf_counter() - started
        dataset = _from_folder(folder, words, progress, name="built-in synthesised speech")
        dataset.seconds["render"] = rendering
    elif str(data).endswith(".npz"):
        dataset = _from_npz(Path(data))
    else:
        _check_words(words)
        folder = Path(data).expanduser()
        dataset = _from_folder(folder, words, progress, name=folder.name)
    return dataset.check().standardise()


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


def _from_folder(folder: Path, words: Sequence[str], progress: bool, *, name: str) -> Dataset:
    """The clips of a folder in the layout of Speech Commands, features from the cache."""
    paths, split_kind = _list_clips(folder, words)
    started = time.perf_counter()
    stats = {path: folder.joinpath(path).stat() for split in SPLITS for path in paths[split]}
    key = cache.key(
        folder=str(folder.resolve()),
        clips={path: [stat.st_size, stat.st_mtime_ns] for path, stat in stats.items()},
        splits={split: len(paths[split]) for split in SPLITS},
        words=list(words),
        features=features.SETTINGS,
    )
    cached = cache.folder(
        f"speech/features-{key}", lambda target: _fill_features(target, folder, paths, progress)
    )
    splits = {}
    for split in SPLITS:
        folders = [path.split("/")[0] for path in paths[split]]
        splits[split] = Split(
            x=np.load(cached / f"{split}.npy"),
            y=np.array([list(words).index(word) for word in folders], np.int32),
            groups=np.array([_speaker(path) for path in paths[split]]),
        )
    digest = json.loads((cached / "digest.json").read_text())
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


def _fill_features(
    target: Path, folder: Path, paths: dict[str, list[str]], progress: bool
) -> None:
    total = sum(map(len, paths.values()))
    meter = Progress("computing log-mel features", total) if progress else None
    digest = hashlib.sha256()
    for split in SPLITS:
        x = np.empty((len(paths[split]), *features.SHAPE), np.float32)
        for start in range(0, len(x), 256):
            batch = paths[split][start : start + 256]
            sound = np.stack([wav.one_second(wav.read(folder / path)) for path in batch])
            x[start : start + len(batch)] = features.log_mel(sound)
            if meter:
                meter.step(len(batch))
        np.save(target / f"{split}.npy", x)
        digest.update("\n".join(paths[split]).encode())
        digest.update(x)
    if meter:
        meter.close()
    (target / "digest.json").write_text(json.dumps(digest.hexdigest()))


def _list_clips(folder: Path, words: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """The clips' paths below the folder, by split, and how the split was made."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(
            f"data folder {str(folder)!r} {what}; give 'builtin', an .npz file or a folder in "
            "the Speech Commands layout (word/<speaker>_nohash_<take>.wav)."
        )
    clips: list[str] = []
    for word in words:
        found = sorted(f"{word}/{path.name}" for path in (folder / word).glob("*.wav"))
        if not found:
            others = sorted(
                path.parent.name
                for path in folder.glob("[!._]*/*.wav")
                if not path.parent.name.startswith("_")
            )
            there = ", ".join(dict.fromkeys(others)) or "no words at all"
            raise InputError(
                f"word {word!r} has no clips ({folder / word}/*.wav); the folder has: {there}."
            )
        clips += found
    lists = {split: folder / name for split, name in LISTS.items()}
    there = [path for path in lists.values() if path.is_file()]
    if not there:
        by_split = {split: [] for split in SPLITS}
        for clip in clips:
            by_split[hash_split(clip)].append(clip)
        return by_split, "by speaker, from the hash of the name"
    if len(there) == 1:
        missing = next(path.name for path in lists.values() if path not in there)
        raise InputError(
            f"data folder {str(folder)!r} has {there[0].name} but no {missing}; "
            "give both, or neither for a split by the hash of the speaker's name."
        )
    return _split_by_lists(clips, lists, words), "by speaker, from lists"


def _split_by_lists(
    clips: list[str], lists: dict[str, Path], words: Sequence[str]
) -> dict[str, list[str]]:
    known = set(clips)
    split_of: dict[str, str] = {}
    for split, path in lists.items():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            clip = line.strip()
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
    """The speaker of a clip: its file name before ``_nohash_``."""
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
    number = int(hashlib.sha1(_speaker(path).encode()).hexdigest(), 16)
    percentage = number % (most + 1) * (100 / most)
    if percentage < validation:
        return "val"
    return "test" if percentage < validation + testing else "train"


def _from_npz(path: Path) -> Dataset:
    """Ready matrices from an .npz file, never unpickled."""
    path = path.expanduser()
    arrays = _read_npz(path)
    needed = ("x_train", "y_train", "x_test", "y_test")
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise InputError(
            f"{path} has no array {missing[0]!r}; it needs {', '.join(needed)} and has: "
            f"{', '.join(sorted(arrays)) or 'none'}."
        )
    if ("x_val" in arrays) != ("y_val" in arrays):
        raise InputError(f"{path} has only one of x_val and y_val; give both or neither.")
    given = [split for split in SPLITS if f"x_{split}" in arrays]
    x = {split: _samples(path, f"x_{split}", arrays) for split in given}
    y = {split: _labels(path, f"y_{split}", arrays) for split in given}
    if "classes" in arrays:
        classes = tuple(str(name) for name in arrays["classes"].ravel())
    else:
        most = max((int(labels.max()) for labels in y.values() if len(labels)), default=0)
        classes = tuple(str(number) for number in range(most + 1))
    kind = "as given in the file"
    if "val" not in given:
        kind += ", a stratified 10 % of training for validation"
        x["train"], x["val"], y["train"], y["val"] = _hold_out(path, x["train"], y["train"])
    digest = hashlib.sha256()
    for split in SPLITS:
        digest.update(x[split])
        digest.update(y[split])
    return Dataset(
        name=path.stem,
        source=str(path.resolve()),
        classes=classes,
        **{split: Split(np.ascontiguousarray(x[split]), y[split]) for split in SPLITS},
        split_kind=kind,
        digest=digest.hexdigest(),
    )


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"data file {str(path)!r} does not exist.")
    try:
        # Opened by us: NumPy leaves the file open when it turns out not to be an archive.
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                raise ValueError("it holds a single array")
            return {key: arrays[key] for key in arrays.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{path} is not a readable .npz file of plain arrays: {why}") from None


def _samples(path: Path, key: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    x = arrays[key]
    if x.ndim != 3 or 0 in x.shape[1:]:
        raise InputError(
            f"{path}: {key} has shape {x.shape}; (n, time, features) is needed, such as "
            f"(n, {features.FRAMES}, {features.BANDS})."
        )
    if x.dtype.kind not in "fiu":
        raise InputError(f"{path}: {key} has dtype {x.dtype}; real numbers are needed.")
    return np.ascontiguousarray(x, np.float32)


def _labels(path: Path, key: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    y = arrays[key]
    one_hot = y.ndim == 2 and y.shape[1] > 1
    if one_hot and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        return y.argmax(axis=1).astype(np.int32)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "fiu" or not (y == np.floor(y)).all():
        raise InputError(
            f"{path}: {key} has shape {arrays[key].shape} and dtype {y.dtype}; class numbers "
            "(n,) or one-hot rows (n, classes) are needed."
        )
    return y.astype(np.int32)


def _hold_out(path: Path, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    if len(x) != len(y):
        raise InputError(
            f"{path}: {len(x)} train samples but {len(y)} train labels; each sample needs one."
        )
    try:
        return tuple(train_test_split(x, y, test_size=0.1, stratify=y, random_state=0))
    except ValueError as error:
        raise InputError(
            f"{path}: no 10 % of the training data can be held out for validation: {error}"
        ) from None
