import io
import os
import pickle
import tracemalloc
import wave
import zipfile

import numpy as np
import pytest

from tfnets import speech
from tfnets.errors import InputError
from tfnets.speech import audio, features
from tfnets.speech.folder import hash_split


def load(source, words=("no", "go", "down")):
    return speech.load(source, words, progress=False)


# A folder in the Speech Commands layout


def test_folder_with_lists(speech_folder):
    data = load(speech_folder)
    assert data.classes == ("no", "go", "down")
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 24,
        "val": 6,
        "test": 6,
    }
    assert set(data.val.groups) == {"speaker4"}
    assert set(data.test.groups) == {"speaker5"}
    assert data.split_kind == "by speaker, from lists"
    for split in data.splits.values():
        assert split.x.shape[1:] == (101, 40)
        assert split.x.dtype == np.float32
        assert split.y.dtype == np.int32


def test_folder_is_standardised_with_the_training_splits_numbers(speech_folder):
    data = load(speech_folder)
    assert abs(data.train.x.mean(dtype=np.float64)) < 1e-5
    assert abs(data.train.x.std(dtype=np.float64) - 1) < 1e-5
    clip = audio.read(speech_folder / "no/speaker5_nohash_0.wav").samples
    expected = (features.log_mel(clip[None])[0] - data.mean) / data.std
    np.testing.assert_allclose(data.test.x[0], expected, atol=1e-4)


def test_words_decide_the_classes_and_their_order(speech_folder):
    data = load(speech_folder, ("down", "no"))
    assert data.classes == ("down", "no")
    assert len(data.train) == 16
    assert data.train.y[:8].tolist() == [0] * 8


def test_folder_without_lists_splits_by_the_published_hash(tmp_path, write_clip):
    folder = tmp_path / "commands"
    for number in range(40):
        for word in ("no", "go"):
            write_clip(folder / word / f"{number:08x}_nohash_0.wav", samples=100)
    write_clip(folder / "_background_noise_" / "tap.wav")
    data = load(folder, ("no", "go"))
    assert data.split_kind == "by speaker, from the hash of the name"
    for name, split in data.splits.items():
        assert set(split.groups) == {
            f"{number:08x}"
            for number in range(40)
            if hash_split(f"{number:08x}_nohash_7.wav") == name
        }


# Speakers as they stand in the two lists of Speech Commands v0.02.
LISTED = {
    "test": "bb05582b 97f4c236 f2e59fea fdb5155e dc75148d 3f170018 18f8afd5 0c40e715 893705bb",
    "val": "368bedd4 f34e6f44 1e02ffc5 e71a9381 525eaa62 3ca784ec 64e48f55 439c84f4 6a27a9bf",
}


def test_hash_rule_agrees_with_the_published_lists():
    for split, speakers in LISTED.items():
        for speaker in speakers.split():
            assert hash_split(f"down/{speaker}_nohash_0.wav") == split
            assert hash_split(f"six/{speaker}_nohash_3.wav") == split


def test_hash_rule_gives_a_tenth_to_each_of_validation_and_test():
    splits = [hash_split(f"{number:08x}_nohash_0.wav") for number in range(20_000)]
    assert splits.count("val") == pytest.approx(2_000, abs=150)
    assert splits.count("test") == pytest.approx(2_000, abs=150)


def test_short_clips_are_padded_and_long_ones_cut(speech_folder):
    with wave.open(str(speech_folder / "no/speaker5_nohash_0.wav"), "rb") as file:
        sound = np.frombuffer(file.readframes(16_000), np.int16)
    audio.write(speech_folder / "no/speaker5_nohash_0.wav", sound[:5_000])
    audio.write(speech_folder / "no/speaker5_nohash_1.wav", np.tile(sound, 2))
    data = load(speech_folder)
    padded = np.pad(sound[:5_000], (0, 11_000))
    expected = (features.log_mel(np.stack([padded, sound])) - data.mean) / data.std
    np.testing.assert_allclose(data.test.x[:2], expected, atol=1e-4)


def test_features_are_cached_and_follow_the_clips(speech_folder, fresh_cache, monkeypatch):
    first = load(speech_folder)
    monkeypatch.setattr(features, "log_mel", lambda *a: pytest.fail("computed again"))
    again = load(speech_folder)
    assert again.digest == first.digest
    np.testing.assert_array_equal(again.train.x, first.train.x)
    monkeypatch.undo()
    monkeypatch.setenv("TFNETS_CACHE", str(fresh_cache))
    audio.write(speech_folder / "no/speaker0_nohash_0.wav", np.ones(50, np.int16))
    assert load(speech_folder).digest != first.digest


def test_cached_features_follow_the_split(speech_folder, fresh_cache):
    """Of two speakers one moves from validation to test and the other the other way."""
    before = load(speech_folder)
    for name, speaker in (("validation_list.txt", 5), ("testing_list.txt", 4)):
        text = (speech_folder / name).read_text()
        (speech_folder / name).write_text(
            text.replace(f"speaker{9 - speaker}", f"speaker{speaker}")
        )
    after = load(speech_folder)
    np.testing.assert_array_equal(after.val.x, before.test.x)
    np.testing.assert_array_equal(after.test.x, before.val.x)
    assert set(after.val.groups) == {"speaker5"}


def test_clips_whose_names_tell_no_speaker(tmp_path, write_clip):
    for word in ("no", "go"):
        for number in range(40):
            write_clip(tmp_path / word / f"clip{number}.wav", samples=100)
    data = load(tmp_path, ("no", "go"))
    assert data.split_kind == "speakers unknown, from the hash of the name"
    assert all(split.groups is None for split in data.splits.values())
    write_clip(tmp_path / "no/anna_nohash_0.wav")
    with pytest.raises(InputError, match=r"no/clip0\.wav does not say who speaks, as other clips"):
        load(tmp_path, ("no", "go"))


def zeroed(file):
    """As after a power cut: of the right size."""
    file.write_bytes(bytes(file.stat().st_size))


@pytest.mark.parametrize(
    ("name", "damage", "what"),
    [
        ("x.npy", lambda file: file.write_bytes(b"no array"), "of another size, x.npy"),
        ("x.npy", lambda file: file.unlink(), "1 of 2 files are missing, .*, x.npy"),
        ("x.npy", zeroed, "1 of its files have other contents, x.npy"),
        ("about.json", zeroed, "1 of its files have other contents, about.json"),
        ("manifest.json", zeroed, "its manifest.json is not what was written"),
        ("manifest.json", lambda file: file.write_text("[1]"), "its manifest.json is not"),
        ("more.npy", lambda file: file.touch(), "1 of 2 files are missing, added .* more.npy"),
    ],
)
def test_damaged_features_are_named(speech_folder, fresh_cache, name, damage, what):
    load(speech_folder)
    (folder,) = fresh_cache.glob("speech/features-*")
    damage(folder / name)
    message = rf"the cached folder {folder} is damaged: .*{what}.*; delete the folder, and it is"
    with pytest.raises(InputError, match=message):
        load(speech_folder)


def test_features_of_an_earlier_version_are_made_anew(speech_folder, fresh_cache):
    before = load(speech_folder)
    (folder,) = fresh_cache.glob("speech/features-*")
    (folder / "manifest.json").unlink()
    zeroed(folder / "x.npy")
    after = load(speech_folder)
    assert after.digest == before.digest
    np.testing.assert_array_equal(after.train.x, before.train.x)
    assert (folder / "manifest.json").exists()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_bad_clip_leaves_nothing_in_the_cache(speech_folder, fresh_cache):
    (speech_folder / "down/speaker3_nohash_1.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"speaker3_nohash_1\.wav: not readable as audio"):
        load(speech_folder)
    assert not list((fresh_cache / "speech").iterdir())


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match=r"data folder '.*/nowhere' does not exist; give 'buil"):
        load(tmp_path / "nowhere")


def test_a_file_that_is_no_folder(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"data folder '.*/a\.txt' is a file"):
        load(tmp_path / "a.txt")


def test_a_word_without_clips_names_those_that_have_some(speech_folder):
    with pytest.raises(InputError, match=r"word 'up' has no clips in .*; it has: down, go, no"):
        load(speech_folder, ("no", "up"))


def test_a_word_missing_from_a_split(speech_folder):
    for take in range(2):
        (speech_folder / f"go/speaker5_nohash_{take}.wav").unlink()
    listed = (speech_folder / "testing_list.txt").read_text().split()
    kept = [path for path in listed if not path.startswith("go/")]
    (speech_folder / "testing_list.txt").write_text("\n".join(kept))
    with pytest.raises(InputError, match="word 'go' has no clips in the test split"):
        load(speech_folder)


def test_a_speaker_in_two_splits(speech_folder):
    with (speech_folder / "testing_list.txt").open("a") as file:
        file.write("no/speaker0_nohash_0.wav\n")
    with pytest.raises(InputError, match="'speaker0' is in both the train and the test split"):
        load(speech_folder)


def test_a_clip_in_both_lists(speech_folder):
    with (speech_folder / "testing_list.txt").open("a") as file:
        file.write("no/speaker4_nohash_0.wav\n")
    with pytest.raises(InputError, match=r"'no/speaker4_nohash_0.wav' is in both lists"):
        load(speech_folder)


def test_lists_that_name_clips_of_a_larger_folder(speech_folder):
    before = load(speech_folder)
    with (speech_folder / "testing_list.txt").open("a") as file:
        file.write("no/ghost_nohash_0.wav\nup/ghost_nohash_0.wav\n")
    after = load(speech_folder)
    assert after.digest == before.digest
    assert after.split_kind == "by speaker, from lists; 2 clips of the lists are not in the folder"


def test_lists_as_a_windows_editor_leaves_them(speech_folder):
    before = load(speech_folder)
    for name in ("validation_list.txt", "testing_list.txt"):
        lines = (speech_folder / name).read_text().replace("/", "\\").replace("\n", "\r\n")
        (speech_folder / name).write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert load(speech_folder).digest == before.digest


def test_a_folder_for_a_list(speech_folder):
    (speech_folder / "testing_list.txt").unlink()
    (speech_folder / "testing_list.txt").mkdir()
    with pytest.raises(InputError, match=r"testing_list\.txt: cannot be read: Is a directory"):
        load(speech_folder)


def test_file_names_of_any_bytes_and_case(speech_folder):
    clip = speech_folder / "no/speaker0_nohash_0.wav"
    clip.rename(clip.with_name(os.fsdecode(b"\xff\xfe_nohash_0.WAV")))
    assert os.fsdecode(b"\xff\xfe") in load(speech_folder).train.groups


def test_one_list_only(speech_folder):
    (speech_folder / "validation_list.txt").unlink()
    with pytest.raises(InputError, match=r"has testing_list.txt but no validation_list.txt"):
        load(speech_folder)


def test_by_default_all_words_unless_the_reports_three_are_there(speech_folder):
    assert load(speech_folder, ()).classes == ("no", "go", "down")
    (speech_folder / "no").rename(speech_folder / "nein")
    for name in ("validation_list.txt", "testing_list.txt"):
        text = (speech_folder / name).read_text()
        (speech_folder / name).write_text(text.replace("no/", "nein/"))
    assert load(speech_folder, ()).classes == ("down", "go", "nein")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no",), "words is 'no': only one class"),
        (("no", "go", "no"), "words names 'no' twice"),
        (("no", ""), "words holds ''"),
        (("no", "../go"), r"words holds '\.\./go'"),
        (("no", "_background_noise_"), "words holds '_background_noise_'"),
    ],
)
def test_bad_words(speech_folder, words, message):
    with pytest.raises(InputError, match=message):
        load(speech_folder, words)


def test_constant_features(tmp_path, speech_folder):
    for path in speech_folder.glob("*/*.wav"):
        audio.write(path, np.zeros(16_000, np.int16))
    with pytest.raises(InputError, match="all training samples have the same value -80"):
        load(speech_folder)


# An .npz file with matrices


def matrices(**changes):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.normal(5, 3, size=(60, 9, 4)),
        "y_train": np.arange(60) % 3,
        "x_test": rng.normal(5, 3, size=(12, 9, 4)),
        "y_test": np.arange(12) % 3,
    } | changes
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.fixture
def npz(tmp_path):
    def write(**changes):
        np.savez(tmp_path / "data.npz", **matrices(**changes))
        return tmp_path / "data.npz"

    return write


def test_npz_with_a_stratified_validation_split(npz):
    data = load(npz())
    assert {n: np.bincount(s.y).tolist() for n, s in data.splits.items()} == {
        "train": [18, 18, 18],
        "val": [2, 2, 2],
        "test": [4, 4, 4],
    }
    assert data.classes == ("0", "1", "2")
    assert data.input_shape == (9, 4)
    assert not data.from_audio
    assert "stratified 10 %" in data.split_kind
    np.testing.assert_array_equal(data.val.x, load(npz()).val.x)


def test_npz_with_its_own_validation_split_and_class_names(npz):
    x_val = np.full((3, 9, 4), 7.0)
    data = load(npz(x_val=x_val, y_val=[0, 1, 2], classes=np.array(["a", "b", "c"])))
    assert data.classes == ("a", "b", "c")
    assert len(data.train) == 60
    np.testing.assert_allclose(data.val.x, (7 - data.mean) / data.std, rtol=1e-5)


def test_npz_with_one_hot_labels(npz):
    data = load(npz(y_train=np.eye(3)[np.arange(60) % 3]))
    assert np.bincount(data.train.y).tolist() == [18, 18, 18]


def test_npz_digest_follows_the_contents(npz):
    first = load(npz()).digest
    assert load(npz()).digest == first
    x = matrices()["x_test"]
    x[0, 0, 0] += 1
    assert load(npz(x_test=x)).digest != first


def with_value(n, row, value):
    """Samples of which one holds a value at [3, 1]."""
    x = np.random.default_rng(0).normal(size=(n, 9, 4))
    if value == -(2**63):
        x = np.round(10 * x).astype(int)
    x[row, 3, 1] = value
    return x


def labels(value):
    """Labels of 12 samples, number 5 among them."""
    y = (np.arange(12) % 3).astype(type(value))
    y[5] = value
    return y


FAR = np.full((12, 9, 4), 1e20)
BROKEN = {
    "no key": ({"y_test": None}, r"has no array 'y_test'; it needs x_train, .* and has: x_test"),
    "half a validation split": ({"x_val": np.zeros((3, 9, 4))}, "only one of x_val and y_val"),
    "two dimensions": (
        {"x_train": np.zeros((60, 36))},
        r"x_train has shape \(60, 36\); expected \(n, ti",
    ),
    "words for numbers": (
        {"x_test": np.full((12, 9, 4), "a")},
        "x_test has dtype <U1; expected real num",
    ),
    "other shape": ({"x_test": np.zeros((12, 8, 4))}, r"test samples have shape \(8, 4\), train"),
    "NaN": ({"x_test": with_value(12, 7, np.nan)}, r"x_test\[7\] holds nan at \[3, 1\]; all val"),
    # Places are those of the file, wherever the sample comes when validation is held out.
    "NaN, held out": ({"x_train": with_value(60, 7, np.nan)}, r"x_train\[7\] holds nan at "),
    "NaN, kept": ({"x_train": with_value(60, 25, np.nan)}, r"x_train\[25\] holds nan at "),
    "infinity": ({"x_train": with_value(60, 59, -np.inf)}, r"x_train\[59\] holds -inf at \[3, 1"),
    "too large": ({"x_test": with_value(12, 2, 1e300)}, r"x_test\[2\] holds 1e\+300 at \[3, 1\]"),
    "NaN, cast": (
        {"x_test": with_value(12, 2, -(2**63))},
        r"x_test\[2\] holds -9223372036854775808 at \[3, 1\]; all values must be finite",
    ),
    "NaN label": ({"y_test": labels(np.nan)}, r"y_test\[5\] is nan; expected a class number from"),
    "NaN label, cast": (
        {"y_train": [*range(9), -(2**63), *range(50)]},
        r"y_train\[9\] is -9223372036854775808, what NaN becomes as an integer; expected a class",
    ),
    "NaN label, cast to int32": (
        {"y_test": labels(np.int32(-(2**31)))},
        r"y_test\[5\] is -2147483648, what NaN becomes as an integer; expected a class number",
    ),
    "unsigned label": (
        {"y_test": labels(np.uint64(2**63))},
        r"y_test\[5\] is 9223372036854775808; expected a class number from 0 to 99999",
    ),
    "NaN in one-hot": (
        {"y_test": np.eye(3)[np.arange(12) % 3] + 0 * labels(np.nan)[:, None]},
        r"y_test\[5\] is not a one-hot row: it holds nan; expected one 1 and else 0",
    ),
    "two-hot": (
        {"y_test": (np.arange(12)[:, None] % 3 == np.arange(3)) | (np.arange(12) == 4)[:, None]},
        r"y_test\[4\] is not a one-hot row: its sum is 3; expected one 1",
    ),
    "fewer labels": ({"y_test": np.arange(11) % 3}, "12 test samples but 11 test labels"),
    "fewer training labels": ({"y_train": np.arange(9) % 3}, "60 train samples but 9 train lab"),
    "fractions": ({"y_train": np.arange(60) / 3}, r"y_train\[1\] is 0.33.*; expected a class num"),
    "label not in classes": (
        {"classes": np.array(["a", "b"])},
        r"y_train\[2\] is 2; .* from 0 to 1",
    ),
    "a class name twice": ({"classes": np.array(["a", "b", "a"])}, "2 classes are called 'a'"),
    "negative label": (
        {"y_test": np.arange(12) % 3 - 1},
        r"y_test\[0\] is -1; expected a class number from",
    ),
    "huge label": (
        {"y_test": np.arange(12) + 2**40},
        r"y_test\[0\] is 1099511627776; expected a clas",
    ),
    "a year for a label": (
        {"y_test": np.arange(12) + 2000},
        "class '3' has no samples in",
    ),
    "a nameless class": ({"classes": np.array(["a", "", "c"])}, "'' cannot be the name of a"),
    "far off": (
        {"x_train": np.random.default_rng(0).normal(0, 1e-30, (60, 9, 4)), "x_test": FAR},
        r"test samples reach 1e\+20, too far from",
    ),
    "no class names": ({"classes": np.array([])}, r"classes has shape \(0,\) and dtype float64"),
    "class without test": ({"y_test": np.arange(12) % 2}, "class '2' has no samples in the test"),
    "one class": (
        {"y_train": np.zeros(60, int), "y_test": np.zeros(12, int)},
        "only one class, '0'",
    ),
    "empty": (
        {"x_test": np.zeros((0, 9, 4)), "y_test": np.zeros(0, int)},
        "the test split is empty",
    ),
    "too few to split": (
        {"x_train": np.ones((3, 9, 4)), "y_train": [0, 1, 2]},
        "no 10 % of the training data can be held out",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_npz(npz, case):
    changes, message = BROKEN[case]
    with pytest.raises(InputError, match=message) as caught:
        load(npz(**changes))
    assert "\n" not in str(caught.value)
    assert "data.npz" in str(caught.value)


def add_array(path, name, shape, content):
    """Adds an array of float32 to an .npz file, whatever shape its header gives."""
    about = {"descr": "<f4", "fortran_order": False, "shape": shape}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, about)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as file,
    ):
        file.write(header.getvalue())
        for part in content:
            file.write(part)


@pytest.mark.parametrize(
    ("shape", "content", "message"),
    [
        ((12, 9, 4), [], r"x_test declares shape \(12, 9, 4\), 1728 bytes, and 0 bytes are there"),
        ((2**40, 9, 4), [bytes(1728)], "x_test declares shape"),
        ((2**21, 9, 4), [bytes(2**20)] * 288, r"x_test declares 302 MB, .* the file holds \d+ kB"),
    ],
)
def test_an_npz_that_declares_more_than_it_holds(npz, shape, content, message):
    path = npz(x_test=None)
    add_array(path, "x_test", shape, content)
    with pytest.raises(InputError, match=message):
        load(path)


def test_only_what_is_asked_for_is_read_of_an_npz(npz):
    path = npz()
    add_array(path, "x_more", (2**22,), [bytes(np.arange(2**18, dtype="f4"))] * 2**4)
    tracemalloc.start()
    load(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**22


def test_missing_npz(tmp_path):
    with pytest.raises(InputError, match=r"data file '.*/none\.npz' does not exist"):
        load(tmp_path / "none.npz")


def test_npz_is_never_unpickled(npz, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = npz(x_train=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match=r"not a readable \.npz file of plain arrays"):
        load(path)
    assert not (tmp_path / "sprung").exists()
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match=r"not a readable \.npz file of plain arrays"):
        load(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "scrambled", "npy", "text"])
def test_corrupt_npz(npz, damage):
    path = npz()
    content = path.read_bytes()
    if damage == "npy":
        buffer = io.BytesIO()
        np.save(buffer, np.zeros(3))
        path.write_bytes(buffer.getvalue())
    else:
        path.write_bytes(
            {
                "empty": b"",
                "cut": content[: len(content) // 2],
                "scrambled": content[:200] + bytes(200) + content[400:],
                "text": b"x_train, y_train\n",
            }[damage]
        )
    with pytest.raises(InputError, match=r"data\.npz is not a readable \.npz file"):
        load(path)


def test_npz_of_any_damage_is_one_line(npz):
    """Bytes of the compressed data, the headers and the directory, each set wrong."""
    path = npz()
    np.savez_compressed(path, **matrices())
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            load(path)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017  other exceptions must come through


def test_npz_class_names_as_bytes(npz):
    assert load(npz(classes=np.array([b"a", b"b", "ü".encode()]))).classes == ("a", "b", "ü")


def test_a_folder_is_named_even_if_it_is_given_as_a_dot(speech_folder, monkeypatch):
    monkeypatch.chdir(speech_folder)
    assert load(".").name == "commands"


def test_what_cannot_be_read_is_named(speech_folder):
    (speech_folder / "no/x_nohash_0.wav").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"x_nohash_0\.wav: cannot be read: No such file"):
        load(speech_folder)


def test_a_home_that_does_not_exist():
    with pytest.raises(InputError, match="data folder '~nobody-of-that-name/a' does not exist"):
        load("~nobody-of-that-name/a")


def test_unwritable_cache(speech_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TFNETS_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot write to the cache folder .*set TFNETS_CACHE"):
        load(speech_folder)
