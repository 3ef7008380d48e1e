"""Clips as other microphones, rooms and hands would have recorded them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from tfnets.speech.augmentation import noise
from tfnets.speech.features import SAMPLE_RATE

GAINS = (-30, -20, -10, 10)  # dB, nothing clipped
CLIPPED = (10, 20)  # dB, cut at full scale
SHIFTS = (-0.2, -0.1, 0.1, 0.2)  # seconds
SNRS = (30, 20, 10, 0)  # dB, of the whole second
RATES = (8_000, 11_025, 22_050, 44_100)  # Hz


@dataclass(frozen=True)
class Condition:
    """What was done to clips.

    Attributes:
        kind: ``"as they are"``, ``"gain"``, ``"clipped"``, ``"shift"``, ``"white noise"``, ``"pink
            noise"`` or ``"rate"``.
        value: By how much.
        unit: ``"dB"``, ``"s"`` or ``"Hz"``.
    """

    kind: str
    value: float = 0.0
    unit: str = ""

    def __str__(self) -> str:
        sign = "+" if self.kind in ("gain", "clipped", "shift") else ""
        return f"{self.kind} {self.value:{sign}g} {self.unit}" if self.unit else self.kind

    @property
    def metric(self) -> str:
        """A name for a metric: ``"gain_-30"``."""
        value = f"_{self.value:g}" if self.unit else ""
        return f"{self.kind.replace(' ', '_')}{value}"


def conditions(clips: np.ndarray, seed: int = 0) -> Iterator[tuple[Condition, np.ndarray]]:
    """Clips ``(n, samples)`` in [-1, 1] at 16 kHz, changed in one way after the other."""
    clips = clips.astype(np.float32)
    yield Condition("as they are"), clips
    for gain in GAINS:
        yield Condition("gain", gain, "dB"), clips * np.float32(10 ** (gain / 20))
    for gain in CLIPPED:
        yield (
            Condition("clipped", gain, "dB"),
            np.clip(clips * np.float32(10 ** (gain / 20)), -1, 1),
        )
    for shift in SHIFTS:
        yield Condition("shift", shift, "s"), shifted(clips, round(shift * SAMPLE_RATE))
    for kind in ("white", "pink"):
        for snr in SNRS:
            rng = np.random.default_rng([seed, snr])
            yield Condition(f"{kind} noise", snr, "dB"), noisy(clips, kind, snr, rng)
    for rate in RATES:
        yield Condition("rate", rate, "Hz"), np.stack([_at_rate(clip, rate) for clip in clips])


def shifted(clips: np.ndarray, samples: int) -> np.ndarray:
    """Clips later (or earlier, if negative) by so many samples, with silence before."""
    result = np.zeros_like(clips)
    if samples >= 0:
        result[:, samples:] = clips[:, : clips.shape[1] - samples]
    else:
        result[:, :samples] = clips[:, -samples:]
    return result


def noisy(clips: np.ndarray, kind: str, snr: float, rng: np.random.Generator) -> np.ndarray:
    """Clips with noise, each at a signal-to-noise ratio over its whole length, dB."""
    added = np.stack([noise(kind, clips.shape[1], rng) for _ in clips])
    power = np.mean(clips.astype(np.float64) ** 2, axis=1) * 10 ** (-snr / 10)
    return (clips + added * np.sqrt(power)[:, None]).astype(np.float32)


def _at_rate(clip: np.ndarray, rate: int) -> np.ndarray:
    there = soxr.resample(clip, SAMPLE_RATE, rate, quality="HQ")
    back = soxr.resample(there, rate, SAMPLE_RATE, quality="HQ")
    return np.pad(back[: len(clip)], (0, max(0, len(clip) - len(back))))
