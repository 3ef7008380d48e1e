"""The built-in corpus: words spoken by eSpeak NG, made hard with rooms and noise.

It is synthesised speech in the layout of Speech Commands, so that everything works
without a download; it is easier than recordings of people that a model never heard.

A speaker is one of eSpeak's voice variants with one of its English accents. Speakers
are split by *family*: variants that share their name (steph, steph2, steph3) or their
formant frequencies (Diogo, miguel, michel) come into the same split, so that no vocal
tract of the test is one of the training's. Each clip has its own speed, pitch, vocal tract
length, room, place in the second, noise and level.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tfnets import cache
from tfnets.errors import InputError
from tfnets.progress import Progress
from tfnets.speech import audio, espeak
from tfnets.speech.features import SAMPLE_RATE, SAMPLES

ACCENTS = (
    "en",  # eSpeak's name for British English; it refuses "en-gb"
    "en-029",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-gb-x-rp",
    "en-us",
    "en-us-nyc",
)

# Robots, whispers, jokes and tests of eSpeak's own.
_NOT_PEOPLE = re.compile(
    r"robo|robot|whisper|demonic|croak|fast|announcer|kaukovalta|tweaky", re.IGNORECASE
)

LEAST_CLIPS, MOST_CLIPS = 15, 100_000  # a word; with three words 13 GB of sound

NOISES = ("white", "pink", "brown", "babble")

# Shares of each split in the number of training clips, and of the voices.
_CLIPS = {"train": 1.0, "val": 2 / 15, "test": 1 / 5}
_VOICES = {"val": 0.10, "test": 0.15}

# Goes into the name of the cached folder: a change of the recipe makes a new corpus.
RECIPE = 2


@dataclass(frozen=True)
class Clip:
    """What is spoken, by whom, and what is done to it.

    ``rate`` is in words a minute, ``pitch`` on eSpeak's scale of 0 to 100, ``warp`` the
    factor on all formant frequencies, ``place`` the part of the free time before the
    word, ``level`` the clip's peak in dB below full scale, ``reverberation`` the time
    in seconds to decay by 60 dB (0 for none), ``snr`` the signal-to-noise ratio in dB.
    """

    split: str
    word: str
    variant: str
    accent: str
    take: int
    rate: int
    pitch: int
    warp: float
    place: float
    level: float
    reverberation: float
    noise: str
    snr: float
    seed: int

    @property
    def speaker(self) -> str:
        """Variant and accent: ``"steph2.en-us"``."""
        return f"{self.variant.replace(' ', '-')}.{self.accent}"

    @property
    def path(self) -> str:
        """Path in the corpus: ``"go/steph2.en-us_nohash_0.wav"``."""
        return f"{self.word}/{self.speaker}_nohash_{self.take}.wav"


def render(words: Sequence[str], clips: int = 3000, progress: bool = True) -> Path:
    """The folder of the corpus, rendered if the cache does not hold it yet.

    The same words and number give the same samples on the same machine; between
    NumPy versions a sample may differ by its least significant bit.

    Args:
        words: What to speak; any words of the letters a to z.
        clips: Training clips a word. Validation has 2/15, test 1/5 of that.
        progress: Whether to say how far the rendering has come.

    Returns:
        A folder with ``word/speaker_nohash_take.wav``, ``validation_list.txt``,
        ``testing_list.txt`` and ``corpus.json``, which says how it was made.

    Raises:
        InputError: For a word that cannot be spoken, fewer than 15 clips or too
            many, or where
            eSpeak NG is not installed.
    """
    for word in words:
        if not re.fullmatch(r"[a-z]+(['-][a-z]+)*", word):
            raise InputError(
                f"the built-in corpus cannot speak {word!r}; words are of the letters a to z."
            )
    if not LEAST_CLIPS <= clips <= MOST_CLIPS:
        raise InputError(
            f"clips is {clips}; the built-in corpus has {LEAST_CLIPS} to {MOST_CLIPS:,} a word."
        )
    voices = split_voices(espeak.formants())
    name = cache.key(
        recipe=RECIPE, words=list(words), clips=clips, voices=voices, espeak=espeak.version()
    )
    return cache.folder(
        f"speech/corpus-{'-'.join(words)[:40]}-{clips}-{name}",
        lambda folder: _fill(folder, plan(words, clips, voices), progress),
    )


def families(formants: dict[str, tuple[float, ...]]) -> list[list[str]]:
    """Groups voice variants that are alike.

    Args:
        formants: Formant frequencies of each variant by its name, as
            :func:`tfnets.speech.espeak.formants` gives them.

    Returns:
        Lists of names, sorted: two variants that share a name but for its number, or
        all formant frequencies, are in the same list, and so are their likes' likes.
    """
    result: list[list[str]] = []
    for name in sorted(formants):
        alike = [
            others
            for others in result
            if any(_stem(o) == _stem(name) or formants[o] == formants[name] for o in others)
        ]
        result = [others for others in result if others not in alike]
        result.append(sorted([name, *(o for others in alike for o in others)]))
    return result


def _stem(variant: str) -> str:
    """A variant's name in lower case without the number and what was put before it."""
    return variant.rstrip("0123456789").lower().removeprefix("anxious")


def split_voices(formants: dict[str, tuple[float, ...]]) -> dict[str, list[str]]:
    """The variants that are people, by split: whole families, in the order of a hash.

    A family that is too large for what is left of validation and test is trained on.
    """
    people = {name: f for name, f in formants.items() if not _NOT_PEOPLE.search(name)}
    voices: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for names in sorted(families(people), key=lambda f: hashlib.sha256(f[0].encode()).digest()):
        room = (s for s, share in _VOICES.items() if len(voices[s] + names) <= share * len(people))
        voices[next(room, "train")] += names
    return {split: sorted(names) for split, names in voices.items()}


def plan(words: Sequence[str], clips: int, voices: dict[str, list[str]]) -> list[Clip]:
    """Every clip of the corpus, ordered by split and voice."""
    result = []
    for number, (split, share) in enumerate(_CLIPS.items()):
        for word in words:
            spelled = [ord(letter) for letter in word]
            rng = np.random.default_rng([RECIPE, number, *spelled])
            takes: dict[tuple[str, str], int] = {}
            for _ in range(round(clips * share)):
                voice = (str(rng.choice(voices[split])), str(rng.choice(ACCENTS)))
                takes[voice] = takes.get(voice, -1) + 1
                result.append(
                    Clip(
                        split,
                        word,
                        *voice,
                        take=takes[voice],
                        rate=int(rng.integers(120, 211)),
                        pitch=int(rng.integers(25, 81)),
                        warp=float(rng.uniform(0.88, 1.14)),
                        place=float(rng.uniform()),
                        level=float(rng.uniform(-26, -6)),
                        reverberation=float(rng.uniform(0.1, 0.6) * (rng.uniform() < 0.5)),
                        noise=str(rng.choice(NOISES)),
                        snr=float(rng.uniform(0, 20)),
                        seed=int(rng.integers(2**31)),
                    )
                )
    order = {split: number for number, split in enumerate(_CLIPS)}
    return sorted(result, key=lambda c: (order[c.split], c.accent, c.variant, c.word, c.take))


def _fill(folder: Path, clips: list[Clip], progress: bool) -> None:
    for word in sorted({clip.word for clip in clips}):
        (folder / word).mkdir()
    with Progress("rendering the built-in corpus", len(clips), shown=progress) as meter:
        for clip, samples in zip(clips, synthesise(clips), strict=True):
            audio.write(folder / clip.path, samples)
            meter.step()
    for split, name in (("val", "validation_list.txt"), ("test", "testing_list.txt")):
        paths = sorted(clip.path for clip in clips if clip.split == split)
        (folder / name).write_text("\n".join(paths) + "\n")
    about = {
        "what": "speech synthesised by eSpeak NG with simulated rooms and noise",
        "recipe": RECIPE,
        "clips": [asdict(clip) | {"path": clip.path} for clip in clips],
    }
    (folder / "corpus.json").write_text(json.dumps(about))


def synthesise(clips: Sequence[Clip]) -> Iterator[np.ndarray]:
    """Yields each clip's second of sound, ``(16000,)`` int16, in the order given."""
    jobs = (
        {
            "text": clip.word,
            "voice": f"{clip.accent}+{clip.variant}",
            "rate": clip.rate,
            "pitch": clip.pitch,
        }
        for clip in clips
    )
    talk: list[np.ndarray] = []  # what was said last in this split, for babble
    split = None
    for clip, spoken in zip(clips, espeak.speak(jobs), strict=True):
        if clip.split != split:
            split, talk = clip.split, []
        rng = np.random.default_rng(clip.seed)
        voice = _resample(_trim(spoken / 32768), clip.warp)[:SAMPLES]
        second = _place(_reverberate(voice, clip.reverberation, rng), clip.place)
        noise = _noise(clip.noise, talk, rng)
        talk = [*talk[-31:], voice]
        yield _mix(second, noise, clip.snr, clip.level)


def _trim(x: np.ndarray) -> np.ndarray:
    """The part of ``x`` that is louder than 1 % of its peak."""
    loud = np.flatnonzero(np.abs(x) > 0.01 * np.abs(x).max(initial=0))
    if not len(loud):
        raise InputError("eSpeak NG gave a silent clip; its voices seem to be damaged.")
    return x[loud[0] : loud[-1] + 1]


def _resample(x: np.ndarray, warp: float) -> np.ndarray:
    """From eSpeak's rate to 16 kHz, with every frequency times ``warp``."""
    length = round(len(x) * SAMPLE_RATE / espeak.SAMPLE_RATE / warp)
    # Zeros to a round number of samples: prime lengths make slow transforms.
    padded = -(-len(x) // 512) * 512
    out = round(padded * length / len(x))
    spectrum = np.fft.rfft(x, padded)[: out // 2 + 1]
    return np.fft.irfft(spectrum, out)[:length] * (out / padded)


def _reverberate(x: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """``x`` in a room whose sound takes ``seconds`` to decay by 60 dB."""
    if not seconds:
        return x
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / seconds)
    tail *= rng.uniform(0.3, 1.0) / np.sqrt(np.sum(tail**2))
    size = 2 * SAMPLES
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)
    wet = wet[: len(x) + len(tail)]
    wet[: len(x)] += x
    return wet


def _place(x: np.ndarray, place: float) -> np.ndarray:
    """``x`` somewhere in one second of silence; cut at its end if longer, as clips are."""
    second = np.zeros(SAMPLES)
    x = x[:SAMPLES]
    start = int(place * (SAMPLES - len(x)))
    second[start : start + len(x)] = x
    return second


def _noise(kind: str, talk: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """One second of noise."""
    if kind == "babble" and len(talk) >= 8:
        noise = np.zeros(SAMPLES)
        for number in rng.choice(len(talk), 8, replace=False):
            voice = talk[number][:SAMPLES]
            start = int(rng.integers(SAMPLES))
            turned = np.roll(np.pad(voice, (0, SAMPLES - len(voice))), start)
            noise += turned / np.sqrt(np.mean(voice**2))
        return noise
    # Power falls with the frequency's 0th, 1st or 2nd power: white, pink, brown.
    power = {"white": 0.0, "brown": 1.0}.get(kind, 0.5)
    spectrum = np.fft.rfft(rng.standard_normal(SAMPLES))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** power
    spectrum[:2] = 0
    return np.fft.irfft(spectrum, SAMPLES)


def _mix(second: np.ndarray, noise: np.ndarray, snr: float, level: float) -> np.ndarray:
    """Voice and noise at ``snr`` dB, the peak ``level`` dB from full scale; int16."""
    voice_power = np.mean(second[second != 0] ** 2)
    noise = noise * np.sqrt(voice_power / np.mean(noise**2)) * 10 ** (-snr / 20)
    mixed = second + noise
    mixed *= 32767 * 10 ** (level / 20) / np.abs(mixed).max()
    return np.round(mixed).astype(np.int16)
