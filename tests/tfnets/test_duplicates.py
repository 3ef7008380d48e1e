"""Copies of samples: found by content, and never trained and tested on at once."""

import os
import shutil

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from bad_input import matrices
from tfnets import duplicates, speech
from tfnets.dataset import SPLITS
from tfnets.errors import InputError
from tfnets.speech import audio, recordings

SPLIT = st.lists(st.tuples(st.sampled_from("abcdefghijklmnop "), st.integers(0, 2)), max_size=12)


@given(st.fixed_dictionaries({"train": SPLIT, "val": SPLIT, "test": SPLIT}))
def test_nothing_is_trained_and_tested_on(samples):
    digests = {name: [d.strip() for d, _ in each] for name, each in samples.items()}
    labels = {name: np.array([y for _, y in each], int) for name, each in samples.items()}

    def content(found, name):
        return {digests[name][n] for n in found.kept[name]} - {""}

    try:
        found = duplicates.find(digests, labels, "drop", "data")
    except InputError:  # nothing of a split is left
        of = {name: set(each) for name, each in digests.items()}
        assert "" not in of["val"] or "" not in of["train"]
        assert (of["val"] and of["val"] <= of["test"]) or (
            of["train"] and of["train"] <= of["test"] | of["val"]
        )
        return
    assert found.kept["test"].tolist() == list(range(len(digests["test"])))
    assert not content(found, "test") & (content(found, "val") | content(found, "train"))
    assert not content(found, "val") & content(found, "train")
    # What is dropped is still there in another split; what has no content stays.
    everything = set().union(*(content(found, name) for name in SPLITS))
    assert everything == {d for each in digests.values() for d in each} - {""}
    for name in SPLITS:
        gone = set(range(len(digests[name]))) - set(found.kept[name].tolist())
        assert all(digests[name][n] for n in gone)
    real = [d for each in digests.values() for d in each if d]
    assert found.count == len(real) - len(set(real))
    assert bool(found.count) == bool(found.remarks)
    kept = duplicates.find(digests, labels, "keep", "data")
    assert {name: len(each) for name, each in kept.kept.items()} == {
        name: len(each) for name, each in digests.items()
    }
    assert kept.count == found.count


def load(folder, **options):
    return speech.load(folder, ("no", "go", "down"), progress=False, **options)


def clip(folder, word, who, take=0):
    return folder / word / f"{who}_nohash_{take}.wav"


def sizes(data):
    return [len(data.train), len(data.val), len(data.test)]


def later(samples):
    """The recording with a tenth of a second of digital silence before it, and less after it."""
    return np.concatenate([np.zeros(1600, np.int16), samples])[: len(samples)]


COPIES = {
    "as it is": lambda samples: samples,
    "later": later,
    "earlier": lambda samples: samples[800:],
    "with silence after it": lambda samples: np.pad(samples, (0, 3000)),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_recording_under_another_name(speech_folder, fresh_cache, how):
    before = load(speech_folder)
    assert sizes(before) == [24, 6, 6]
    assert before.duplicates == 0
    # A word of speaker 5, who is tested on; the loudest part in the middle, as in speech.
    samples, _ = soundfile.read(clip(speech_folder, "go", "speaker5"), dtype="int16")
    samples[6000:9000] *= 2
    for path, each in (
        (clip(speech_folder, "go", "speaker5"), samples),
        (clip(speech_folder, "go", "speaker1"), COPIES[how](samples)),
        (clip(speech_folder, "no", "speaker2", 1), COPIES[how](samples)),
    ):
        audio.write(path, each)
    data = load(speech_folder)
    assert sizes(data) == [22, 6, 6]
    assert data.duplicates == 2
    assert "2 train clips that are in the test split, too, dropped" in data.split_kind
    assert "1 copies have another label than their original" in data.split_kind
    assert data.digest != before.digest
    kept = load(speech_folder, duplicates="keep")
    assert sizes(kept) == [24, 6, 6]
    assert kept.duplicates == 2
    assert "2 train clips that are in the test split, too, kept on request" in kept.split_kind


def test_in_another_format_and_inside_a_split(speech_folder, fresh_cache):
    samples, rate = soundfile.read(clip(speech_folder, "go", "speaker0"), dtype="int16")
    clip(speech_folder, "go", "speaker1").unlink()
    soundfile.write(speech_folder / "go/speaker1_nohash_0.flac", samples, rate)
    data = load(speech_folder)
    assert sizes(data) == [24, 6, 6]
    assert data.duplicates == 1
    assert "1 clips are copies of another one in their split" in data.split_kind


def test_digital_silence_is_no_copy(speech_folder, fresh_cache):
    for who in ("speaker0", "speaker4", "speaker5"):
        audio.write(clip(speech_folder, "go", who), np.zeros(16_000, np.int16))
    data = load(speech_folder)
    assert sizes(data) == [24, 6, 6]
    assert data.duplicates == 0


def test_a_split_of_nothing_but_copies(speech_folder, fresh_cache):
    for word in ("no", "go", "down"):
        for take in range(2):
            source = clip(speech_folder, word, "speaker5", take)
            shutil.copy(source, clip(speech_folder, word, "speaker4", take))
    message = "all 6 val clips are in the test split, too; expected others. duplicates=keep"
    with pytest.raises(InputError, match=message):
        load(speech_folder)
    assert sizes(load(speech_folder, duplicates="keep")) == [24, 6, 6]


def test_parts_of_one_recording_that_overlap(tmp_path, write_clip, fresh_cache):
    rows = ["path,word,speaker,split,start,end"]
    for number, (word, who, split) in enumerate(
        (word, who, split)
        for word in ("no", "go")
        for who, split in (("a", "train"), ("b", "train"), ("c", "val"), ("d", "test"))
    ):
        write_clip(tmp_path / f"{number}.wav", 300.0, samples=48_000, seed=number)
        rows.append(f"{number}.wav,{word},{who},{split},0.5,1.5")
    # The loudest moment of the recording that is tested on is in a training clip, too.
    samples, _ = soundfile.read(tmp_path / "3.wav", dtype="int16")
    samples[18_000:20_000] *= 2
    audio.write(tmp_path / "3.wav", samples)
    rows.append("3.wav,no,a,train,0.8,1.8")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    data = speech.load(tmp_path / "list.csv", progress=False)
    assert sizes(data) == [4, 2, 2]
    assert data.duplicates == 1


def test_cached_features_belong_to_the_content(speech_folder, fresh_cache):
    before = load(speech_folder)
    path = clip(speech_folder, "go", "speaker0")
    stat = path.stat()
    samples, _ = soundfile.read(path, dtype="int16")
    audio.write(path, samples[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    after = load(speech_folder)
    assert after.digest != before.digest
    assert not np.array_equal(after.train.x, before.train.x)
    # The same clips elsewhere, at another time, are the same data.
    os.utime(path, ns=(0, 0))
    assert load(speech_folder).digest == after.digest
    assert len(list(fresh_cache.glob("speech/features-*"))) == 2


def test_two_words_with_the_same_vowel_are_no_copies():
    rng = np.random.default_rng(0)
    vowel = rng.normal(size=3000).astype(np.float32)
    one, other = (
        np.concatenate([rng.normal(size=2000).astype(np.float32) / 9, vowel]) for _ in range(2)
    )
    assert recordings.fingerprint(one) != recordings.fingerprint(other)
    assert recordings.fingerprint(one) == recordings.fingerprint(np.pad(one, 700))


def test_clips_that_begin_with_the_same_tone_are_no_copies(tmp_path, fresh_cache):
    rng = np.random.default_rng(0)
    beep = 20_000 * np.sin(np.arange(4800) * 0.4)
    for word in ("no", "go", "down"):
        for who in range(6):
            path = clip(tmp_path, word, f"s{who}")
            path.parent.mkdir(exist_ok=True)
            speech_part = rng.normal(scale=1000, size=6000)
            parts = [beep, np.zeros(5000), speech_part]
            audio.write(path, np.concatenate(parts).astype(np.int16))
    data = load(tmp_path, test_speakers=["s5"])
    assert data.duplicates == 0
    assert sum(sizes(data)) == 18


# --- .npz files ---


@pytest.fixture(params=["speech", "har"])
def npz(request, tmp_path):
    """Loads a file of such arrays as a task does."""
    from tfnets import har

    def load(options=(), **arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        task = {"speech": speech, "har": har}[request.param]
        return task.load(tmp_path / "data.npz", **dict(options))

    return load


def test_a_test_split_inside_the_training_split(npz):
    arrays = matrices()
    arrays["x_train"][10:22] = arrays["x_test"]
    data = npz(**arrays)
    assert len(data.train) + len(data.val) == 48
    assert len(data.test) == 12
    assert data.duplicates == 12
    assert "samples that are in the test split, too, dropped" in data.split_kind
    data = npz({"duplicates": "keep"}, **arrays)
    assert sizes(data) == [54, 6, 12]
    assert data.duplicates == 12


def test_samples_of_one_step_and_zeros_of_any_sign():
    x = np.random.default_rng(0).normal(size=(6, 1, 4))
    assert len(set(duplicates.contents(x)) - {""}) == 6
    assert duplicates.contents(np.full((2, 1, 4), 3.0)) == ["", ""]
    signed = np.stack([np.arange(8).reshape(4, 2)] * 2) * 1.0
    signed[0, 0, 0] = -0.0
    one, other = duplicates.contents(signed)
    assert one == other != ""


def test_subjects_as_bytes(tmp_path):
    from tfnets import har

    who = np.array([f"Jürgen {n % 5}".encode() for n in range(60)])
    x, y = np.random.default_rng(0).normal(size=(60, 9, 4)), np.arange(60) % 3
    np.savez(tmp_path / "own.npz", x=x, y=y, subjects=who)
    assert set(har.load(tmp_path / "own.npz").test.groups) == {"Jürgen 4"}
    np.savez(tmp_path / "own.npz", **matrices(), subjects_train=who)
    assert "Jürgen 1" in har.load(tmp_path / "own.npz").train.groups


def test_a_validation_split_that_is_the_test(npz):
    arrays = matrices()
    arrays |= {"x_val": arrays["x_test"], "y_val": arrays["y_test"]}
    with pytest.raises(InputError, match="all 12 val samples are in the test split, too"):
        npz(**arrays)


def test_arrays_that_nothing_reads_are_said(npz):
    arrays = matrices()
    data = npz(**arrays, x_valid=arrays["x_test"], y_valid=arrays["y_test"])
    assert "not read: x_valid, y_valid (read are x_train, y_train, x_test, y_test, x_val" in (
        data.split_kind
    )
    assert "not read" not in npz(**arrays, classes=np.array(["a", "b", "c"])).split_kind


def test_subjects_stay_with_their_samples_when_some_are_held_out(npz):
    arrays = matrices()
    who = np.arange(60) // 6
    data = npz(**arrays, subjects_train=who, subjects_test=np.full(12, 77))
    assert data.val.groups is None
    x = arrays["x_train"].astype(np.float32)
    if data.mean is not None:
        x = (x - np.float32(data.mean)) / np.float32(data.std)
    rows = [int(np.abs(x - sample).max((1, 2)).argmin()) for sample in data.train.x]
    assert data.train.groups.tolist() == [str(who[row]) for row in rows]
    with pytest.raises(InputError, match="'3' is in both the train and the test split"):
        npz(**arrays, subjects_train=who, subjects_test=np.full(12, 3))
    with pytest.raises(InputError, match=r"subjects_test has shape \(5,\); expected \(12,\)"):
        npz(**arrays, subjects_test=np.full(5, 3))
