import io
import os
import struct
import sys
import threading
import tracemalloc
import wave

import numpy as np
import pytest
import soundfile

from tfnets.errors import InputError
from tfnets.speech import audio

RNG = np.random.default_rng(0)
TONE = (8_000 * np.sin(0.1 * np.arange(16_000)) + RNG.normal(scale=300, size=16_000)).astype("i2")
EXACT = TONE / np.float32(32768)


def write(path, rate=16_000, channels=1, width=2, frames=800):
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(bytes(frames * channels * width))
    return path


def raw(riff=None, size=None, tag=1, before=b"", extensible=False):
    """A WAV file of 16 kHz mono 16-bit samples, with what sizes a program may leave in it."""
    data = TONE.tobytes()
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, 1, 16_000, 32_000, 2, 16)
    if extensible:
        form += struct.pack("<HHIH", 22, 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + before + b"data"
    chunks += struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(chunks) if riff is None else riff) + chunks


LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf60.16.100\0"
FORMS = {
    "plain": (raw(), ""),
    "a chunk before the samples": (raw(before=LIST), ""),
    "a chunk after them": (raw() + LIST, ""),
    "extensible": (raw(extensible=True), ""),
    "a pipe of ffmpeg": (raw(riff=2**32 - 1, size=2**32 - 1, before=LIST), "never written"),
    "a pipe of SoX": (raw(riff=0x7FFFF024, size=0x7FFFF000), "never written"),
    "a pipe of arecord": (raw(riff=0x80000024, size=0x80000000), "never written"),
    "sizes never set": (raw(riff=0, size=0), "never written"),
    "size of the samples never set": (raw(size=0), "never written"),
    "a little too long": (raw(size=32_016), "cut off"),
    "half of it": (raw(size=64_000), "cut off"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_samples_whatever_the_header_says(tmp_path, form):
    content, repaired = FORMS[form]
    (tmp_path / "a.wav").write_bytes(content)
    sound = audio.read(tmp_path / "a.wav")
    np.testing.assert_array_equal(sound.samples, EXACT)
    assert sound.samples.dtype == np.float32
    assert (repaired in sound.repaired) if repaired else not sound.repaired


@pytest.mark.parametrize(
    ("suffix", "form", "subtype", "error"),
    [
        ("flac", "FLAC", None, 0),
        ("wav", "WAV", "PCM_24", 0),
        ("wav", "WAV", "FLOAT", 2e-8),
        ("wav", "WAV", "PCM_U8", 0.005),
        ("wav", "WAV", "ULAW", 0.01),
        ("w64", "W64", "PCM_16", 0),
        ("aiff", "AIFF", "PCM_16", 0),
        ("caf", "CAF", "PCM_16", 0),
        ("ogg", "OGG", "VORBIS", 0.05),
        ("opus", "OGG", "OPUS", 0.05),
        ("mp3", "MP3", None, 0.05),
    ],
)
def test_formats(tmp_path, suffix, form, subtype, error):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, EXACT, 16_000, format=form, subtype=subtype)
    sound = audio.read(path)
    assert (len(sound.samples), sound.rate, sound.repaired) == (16_000, 16_000, "")
    distance = np.abs(sound.samples - EXACT)
    assert np.sqrt(np.mean(distance**2)) <= error
    assert audio.is_audio(path)


def test_a_format_is_known_by_its_contents(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, 16_000, format="FLAC")
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav").samples, EXACT)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_other_rates_keep_frequencies_and_length(tmp_path, rate):
    soundfile.write(
        tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 500 * np.arange(rate) / rate), rate
    )
    sound = audio.read(tmp_path / "a.wav")
    assert (sound.rate, sound.seconds, len(sound.samples)) == (rate, 1.0, 16_000)
    expected = 0.5 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(sound.samples[800:-800], expected[800:-800], atol=2e-3)


def test_several_channels_are_averaged(tmp_path):
    left, right = EXACT, np.roll(EXACT, 500)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 16_000, subtype="FLOAT")
    sound = audio.read(tmp_path / "a.wav").samples
    np.testing.assert_allclose(sound, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize(("suffix", "codec"), [("m4a", "aac"), ("mp4", "aac")])
def test_what_phones_record(tmp_path, suffix, codec):
    av = pytest.importorskip("av", reason="PyAV, the extra [media], is not installed")
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44_100, layout="mono")
        tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(44_100) / 44_100)
        frame = av.AudioFrame.from_ndarray(tone[None].astype("f4"), format="fltp", layout="mono")
        frame.rate = 44_100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    sound = audio.read(path)
    assert sound.rate == 44_100
    assert len(sound.samples) == 16_000
    spectrum = np.abs(np.fft.rfft(sound.samples))
    assert spectrum.argmax() == 500


def test_without_pyav_a_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.m4a").write_bytes(bytes(4) + b"ftypM4A " + bytes(100))
    with pytest.raises(InputError, match=r"tfnets\[media\]'.*ffmpeg -i a\.m4a a\.wav"):
        audio.read(tmp_path / "a.m4a")


def test_an_excerpt(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile(TONE, 3), 16_000)
    sound = audio.read(tmp_path / "a.wav", start=1.25, end=1.75)
    np.testing.assert_array_equal(sound.samples, EXACT[4_000:12_000])
    assert sound.seconds == 0.5
    assert len(audio.read(tmp_path / "a.wav", start=0.5).samples) == 16_000
    with pytest.raises(InputError, match=r"no samples from 3 s to the end; it has 3\.000 s"):
        audio.read(tmp_path / "a.wav", start=3)


def test_a_pipe_and_standard_input(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(raw(size=2**32 - 1)))
    writer.start()
    np.testing.assert_array_equal(audio.read(tmp_path / "pipe").samples, EXACT)
    writer.join()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw(riff=0, size=0))))
    sound = audio.read("-")
    np.testing.assert_array_equal(sound.samples, EXACT)
    assert sound.repaired == "its length was never written"


def test_round_trip(tmp_path):
    samples = np.array([0, 1, -1, 32767, -32768], np.int16)
    audio.write(tmp_path / "a.wav", samples)
    read = audio.read(tmp_path / "a.wav").samples
    np.testing.assert_array_equal(read * 32768, samples)


def test_one_second_pads_and_cuts():
    assert audio.one_second(np.ones(3)).tolist() == [1, 1, 1] + [0] * 15_997
    assert len(audio.one_second(np.ones(20_000))) == 16_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 1_000}, r"sample rate is 1000 Hz; expected 4000 to 768000"),
        ({"frames": 0}, r"the clip is empty"),
    ],
)
def test_what_holds_no_speech_is_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        audio.read(write(tmp_path / "a.wav", **options))


@pytest.mark.parametrize("content", [b"RIFF", b"this is no sound at all" * 10])
def test_corrupt_files_are_refused(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.wav: not readable as audio \(Format not recognised"):
        audio.read(path)


def test_a_format_that_nobody_knows_is_refused(tmp_path):
    """FFmpeg opens it, and has no decoder for it."""
    head = bytearray(raw())
    head[20:24] = b"\x00nan"  # the tag of the format, the number of channels
    (tmp_path / "a.wav").write_bytes(head)
    with pytest.raises(InputError, match=r"a\.wav: not readable as audio \(.*no decoder"):
        audio.read(tmp_path / "a.wav")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(InputError, match=r"a\.wav: the file is empty"):
        audio.read(tmp_path / "a.wav")


def test_nan_is_refused(tmp_path):
    samples = np.where(np.arange(16_000) == 7, np.nan, 0)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(InputError, match="holds NaN or infinity"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("form", ["WAV", "FLAC", "AIFF"])
def test_of_a_file_cut_off_is_read_what_is_there(tmp_path, form):
    path = tmp_path / "a"
    soundfile.write(path, TONE, 16_000, format=form, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sound = audio.read(path)
    assert 2_000 < len(sound.samples) < 9_000
    np.testing.assert_array_equal(sound.samples, EXACT[: len(sound.samples)])
    assert sound.seconds == len(sound.samples) / 16_000
    assert sound.repaired == ("" if form == "AIFF" else "it is cut off")


def test_a_missing_file_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}/nothing.wav: no such file"):
        audio.read("nothing.wav")
    with pytest.raises(InputError, match="is a folder; expected a recording"):
        audio.read(tmp_path)


def test_a_clip_of_hours_is_read_in_bounded_memory(tmp_path):
    """1.5 GB of silence, of which the file system holds next to nothing."""
    path, samples = tmp_path / "long.wav", 750_000_000
    audio.write(path, np.arange(1, 5, dtype=np.int16))
    head = bytearray(path.read_bytes())
    head[4:8] = (36 + 2 * samples).to_bytes(4, "little")
    head[40:44] = (2 * samples).to_bytes(4, "little")
    path.write_bytes(head)
    os.truncate(path, 44 + 2 * samples)
    tracemalloc.start()
    sound = audio.read(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (sound.samples[:5] * 32768).tolist() == [1, 2, 3, 4, 0]
    assert len(sound.samples) == 16_000
    assert most < 10e6
    os.truncate(path, 2 * samples)
    assert audio.read(path).repaired == "it is cut off"
