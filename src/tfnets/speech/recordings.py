"""The clips of a source as sound and as features, the latter from the cache."""

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfnets import cache
from tfnets.dataset import SPLITS
from tfnets.errors import InputError, first_line
from tfnets.progress import Progress
from tfnets.speech import audio, augmentation, features
from tfnets.speech.clips import SILENCE, Clip, Listing

_AT_ONCE = 256
# Goes into the key of cached features: how silence is made.
_SILENCE_RECIPE = 1
# Samples before and after a clip's loudest one by which it is known again: half a second in all.
_AROUND = features.SAMPLE_RATE // 4
_PARTS = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}


@dataclass(frozen=True)
class Matrices:
    """Features of all clips of a listing.

    Attributes:
        x: ``(clips, 101, 40)`` float32, decibels; a file that is mapped into memory.
        digests: Of each clip's features.
        sounds: Of each clip's sound (:func:`fingerprint`).
        remarks: What was repaired, and what was cut, in words.
    """

    x: np.ndarray
    digests: list[str]
    sounds: list[str]
    remarks: tuple[str, ...]


def silence(split: str, number: int) -> Clip:
    """A second without speech: noise of some loudness, or next to nothing."""
    return Clip(f"{SILENCE}/{split}/{number}", SILENCE, f"{SILENCE} {split}", split)


def sound(listing: Listing, clip: Clip) -> audio.Sound:
    """A clip's samples, at most a second of them."""
    if clip.word == SILENCE and clip.path.startswith(f"{SILENCE}/"):
        return audio.Sound(_silence(listing, clip), features.SAMPLE_RATE, 1.0)
    return audio.read(listing.root / clip.path, start=clip.start, end=clip.end)


def waveforms(listing: Listing, numbers: Sequence[int]) -> np.ndarray:
    """Clips by their numbers, ``(n, 16000)`` float32: padded with silence, or cut."""
    return np.stack([audio.one_second(sound(listing, listing.clips[n]).samples) for n in numbers])


@functools.lru_cache(maxsize=3)
def noises(listing: Listing, split: str = "train") -> list[np.ndarray]:
    """A split's parts of the recordings of background noise."""
    first, last = _PARTS[split]
    result = []
    for path in listing.noises:
        samples = audio.read(listing.root / path, most=600 * features.SAMPLE_RATE).samples
        result.append(samples[int(first * len(samples)) : int(last * len(samples))])
    return result


def matrices(listing: Listing, progress: bool) -> Matrices:
    """Features of a listing's clips, computed if the cache does not have them.

    Raises:
        InputError: For a recording that cannot be read, or a damaged cache.
    """
    files = sorted({*(c.path for c in listing.clips if not _is_made(c)), *listing.noises})
    with ThreadPoolExecutor() as pool:
        versions = pool.map(_version, [listing.root / path for path in files])
        contents = dict(zip(files, versions, strict=True))
    name = cache.key(
        root=str(listing.root.resolve()),
        clips=[clip.name for clip in listing.clips],
        files=contents,
        features=features.SETTINGS,
        recipe=features.RECIPE,
        silence=_SILENCE_RECIPE,
        fingerprint=[_AROUND, 2],
    )
    cached = cache.folder(
        f"speech/features-{name}", lambda target: _fill(target / "x.npy", listing, progress)
    )
    cache.verify(cached)
    try:
        x = np.load(cached / "x.npy", mmap_mode="r", allow_pickle=False)
        if x.shape != (len(listing.clips), *features.SHAPE):
            raise ValueError(f"x has shape {x.shape}")
        about = json.loads((cached / "about.json").read_text())
        remarks = _remarks(about, len(listing.clips))
        return Matrices(x, about["digests"], about["sounds"], remarks)
    except Exception as error:  # what NumPy makes of a damaged file can be anything
        raise InputError(
            f"the cached features in {cached} are damaged ({first_line(error)}); delete it."
        ) from None


def fingerprint(samples: np.ndarray) -> str:
    """Digest of the half second around a clip's loudest sample.

    It is the same for a copy that begins earlier or later, as long as that half second is in
    both or is followed by silence. Empty for digital silence, which is the same everywhere.

    Args:
        samples: ``(n,)`` float32.
    """
    if not len(samples) or samples.min() == samples.max():
        return ""
    loudest = int(np.abs(samples).argmax())
    around = np.pad(samples, _AROUND)[loudest : loudest + 2 * _AROUND]
    return hashlib.sha256(around.astype(np.float32).tobytes()).hexdigest()


def _told_apart(listing: Listing, heard: list[str]) -> list[str]:
    """Fingerprints that are the same only where all is the same that two clips both have.

    Clips can begin with the same tone, or be of one pitch.
    """
    of_print: dict[str, list[int]] = {}
    for number, digest in enumerate(heard):
        if digest:
            of_print.setdefault(digest, []).append(number)
    result = list(heard)
    for digest, numbers in of_print.items():
        different: list[np.ndarray] = []
        for number in numbers if len(numbers) > 1 else ():
            samples = sound(listing, listing.clips[number]).samples
            same = (n for n, other in enumerate(different) if _overlap_is_same(samples, other))
            place = next(same, len(different))
            if place == len(different):
                different.append(samples)
            result[number] = f"{digest}-{place}"
    return result


def _overlap_is_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two clips, laid upon each other by their loudest samples, are the same."""
    a, b = int(np.abs(one).argmax()), int(np.abs(other).argmax())
    before, after = min(a, b), min(len(one) - a, len(other) - b)
    return bool(np.array_equal(one[a - before : a + after], other[b - before : b + after]))


def _version(path: Path) -> str | list[int]:
    """What changes with a file's contents: their digest; of our own and of pipes size and time."""
    if path.is_relative_to(cache.directory()) or not path.is_file():
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns]
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fill(target, listing: Listing, progress: bool) -> None:
    cache.verify(listing.root)
    shape = (len(listing.clips), *features.SHAPE)
    x = np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=shape)
    about: dict = {"repaired": {}, "longer": 0}
    heard = [""] * len(x)
    with Progress("computing log-mel features", len(x), shown=progress) as meter:
        for numbers in _batches(listing):
            clips = [listing.clips[n] for n in numbers]
            sounds = [sound(listing, clip) for clip in clips]
            part = features.log_mel(np.stack([audio.one_second(each.samples) for each in sounds]))
            x[numbers] = part
            for number, each in zip(numbers, sounds, strict=True):
                heard[number] = fingerprint(each.samples)
            about["longer"] += sum(each.seconds > 1 + 1e-6 for each in sounds)
            about["repaired"] |= {
                clip.name: each.repaired
                for clip, each in zip(clips, sounds, strict=True)
                if each.repaired
            }
            meter.step(len(part))
    x.flush()
    about["digests"] = [hashlib.sha256(each).hexdigest() for each in x]
    about["sounds"] = _told_apart(listing, heard)
    (target.parent / "about.json").write_text(json.dumps(about))


def _batches(listing: Listing) -> Iterator[list[int]]:
    """Clips by number, a split's together: what else is in a batch shows in the last bit."""
    for split in (*SPLITS, None):
        own = [n for n, clip in enumerate(listing.clips) if clip.split == split]
        for start in range(0, len(own), _AT_ONCE):
            yield own[start : start + _AT_ONCE]


def _remarks(about: dict, clips: int) -> tuple[str, ...]:
    remarks = []
    if about["repaired"]:
        name, why = next(iter(about["repaired"].items()))
        remarks.append(
            f"of {len(about['repaired']):,} damaged recordings what is there was read ({name}: "
            f"{why})"
        )
    if about["longer"]:
        remarks.append(
            f"{about['longer']:,} of {clips:,} clips are longer than a second; the first is used"
        )
    return tuple(remarks)


def _is_made(clip: Clip) -> bool:
    return clip.path.startswith(f"{SILENCE}/")


def _silence(listing: Listing, clip: Clip) -> np.ndarray:
    _, split, number = clip.path.split("/")
    rng = np.random.default_rng([_SILENCE_RECIPE, list(_PARTS).index(split), int(number)])
    kinds = ["white", "pink", "brown", "still"]
    long = [each for each in noises(listing, split) if len(each) > features.SAMPLES]
    kind = int(rng.integers(len(kinds) + (4 if long else 0)))
    if kind >= len(kinds):
        of = long[int(rng.integers(len(long)))]
        start = int(rng.integers(len(of) - features.SAMPLES))
        return of[start : start + features.SAMPLES] * np.float32(10 ** (rng.uniform(-20, 0) / 20))
    if kinds[kind] == "still":  # what a recorder writes where nothing is heard
        return rng.integers(-1, 2, features.SAMPLES).astype(np.float32) / np.float32(32768)
    loud = 10 ** (rng.uniform(-70, -15) / 20)
    made = augmentation.noise(kinds[kind], features.SAMPLES, rng) * loud
    return made.clip(-1, 1).astype(np.float32)
