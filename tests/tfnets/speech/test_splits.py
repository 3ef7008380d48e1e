"""Who is trained on and tested on; every form of folder and table that says so."""

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfnets import speech
from tfnets.errors import InputError
from tfnets.speech import splits
from tfnets.speech.clips import SILENCE, UNKNOWN, Clip, Listing
from tfnets.speech.folder import list_folder, list_pattern
from tfnets.speech.manifest import list_manifest

PEOPLE = ("anna", "ben", "carl", "dora", "emil", "fay")


def listing(people=PEOPLE, words=("no", "go"), takes=10):
    """Clips that are nowhere: nothing is read to split them."""
    clips = [
        Clip(f"{word}_{who}_{take}.wav", word, who)
        for word in words
        for who in people
        for take in range(takes)
    ]
    return Listing(Path("/nowhere"), tuple(clips))


def people(parts, of):
    return {
        name: sorted({of.clips[n].speaker for n in numbers})
        for name, numbers in parts.numbers.items()
    }


def test_test_speakers_and_the_next_one_validates():
    of = listing()
    parts = splits.split(of, splits.Choice(test_speakers=("ben", "carl")))
    assert people(parts, of) == {
        "train": ["anna", "emil", "fay"],
        "val": ["dora"],
        "test": ["ben", "carl"],
    }
    assert parts.kind == "by speaker, test: ben, carl; validation: dora"
    last = splits.split(of, splits.Choice(test_speakers=("fay",)))
    assert people(last, of)["val"] == ["anna"]


@pytest.mark.parametrize("folds", [2, 3, 6])
def test_every_speaker_is_tested_on_once(folds):
    of = listing()
    tested = []
    for fold in range(1, folds + 1):
        parts = splits.split(of, splits.Choice(folds=folds, fold=fold))
        who = people(parts, of)
        assert not set(who["train"]) & {*who["val"], *who["test"]}
        assert not set(who["val"]) & set(who["test"])
        assert sorted(np.concatenate(list(parts.numbers.values()))) == [*range(120)]
        tested += who["test"]
    assert sorted(tested) == sorted(PEOPLE)


def test_of_two_speakers_one_is_tested_on_and_the_others_clips_validate():
    of = listing(PEOPLE[:2])
    parts = splits.split(of, splits.Choice(test_speakers=("ben",)))
    assert people(parts, of) == {"train": ["anna"], "val": ["anna"], "test": ["ben"]}
    assert {name: len(each) for name, each in parts.numbers.items()} == {
        "train": 18,
        "val": 2,
        "test": 20,
    }
    assert parts.by_speaker == ("train", "test")


@pytest.mark.parametrize("count", range(1, 9))
def test_few_speakers_get_a_choice(count):
    of = listing([f"s{n}" for n in range(count)])
    expected = "one speaker, s0: .*split=clip" if count == 1 else f"test_speakers=s{count - 1}, or"
    with pytest.raises(InputError, match=expected):
        splits.split(of, splits.Choice())
    parts = splits.split(of, splits.Choice(split="clip"))
    assert all(len(numbers) for numbers in parts.numbers.values())
    if count > 1:
        parts = splits.split(of, splits.Choice(folds=count))
        assert people(parts, of)["test"] == ["s0"]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"test_speakers": ("zoe",)}, "names 'zoe'; there are the speakers anna, ben"),
        ({"test_speakers": PEOPLE}, "leaves nobody to train on"),
        ({"folds": 7}, "folds is 7; expected 2 to 6"),
        ({"folds": 1}, "folds is 1; expected 2 or more"),
        ({"folds": 3, "fold": 4}, "fold is 4; expected 1 to 3"),
        ({"fold": 2}, "folds is 0"),
        ({"folds": 3, "test_speakers": ("anna",)}, "test_speakers and folds contradict"),
        ({"folds": 3, "split": "clip"}, "folds and split=clip contradict"),
        ({"split": "day"}, "unknown split 'day'"),
    ],
)
def test_what_cannot_be_split_is_said(choice, message):
    with pytest.raises(InputError, match=message):
        splits.split(listing(), splits.Choice(**choice))


def test_nobody_is_named():
    of = listing([None], takes=2)
    with pytest.raises(InputError, match="does not say who speaks; name the speaker"):
        splits.split(of, splits.Choice(folds=2))
    parts = splits.split(of, splits.Choice())
    assert parts.kind == "speakers unknown, by clip"


# Layouts, through load


@pytest.fixture
def flat(tmp_path, write_clip):
    """Six people's recordings side by side, as FSDD has them, with what systems leave behind."""
    for number, word in enumerate(("eins", "zwei")):
        for seed, who in enumerate(PEOPLE):
            for take in range(2):
                path = tmp_path / "flat" / f"{word}_{who}_{take}.wav"
                write_clip(path, 300.0 * 2**number, seed=10 * seed + take)
    (tmp_path / "flat" / "._eins_anna_0.wav").write_bytes(b"Mac OS X")
    (tmp_path / "flat" / ".DS_Store").write_bytes(b"Bud1")
    (tmp_path / "flat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "flat" / "notes.wav").write_bytes(b"x")
    return tmp_path / "flat"


def test_a_pattern(flat):
    data = speech.load(
        flat, pattern="{word}_{speaker}_{take}.wav", test_speakers=("ben",), progress=False
    )
    assert data.classes == ("eins", "zwei")
    assert set(data.test.groups) == {"ben"}
    assert data.split_kind == (
        "by speaker, test: ben; validation: carl; 1 recordings that do not match "
        "{word}_{speaker}_{take}.wav skipped"
    )


def test_a_pattern_gives_what_folders_give(flat, tmp_path):
    for path in flat.glob("*_*_*.wav"):
        if path.name.startswith("."):
            continue
        word, who, take = path.stem.split("_")
        (tmp_path / "deep" / word).mkdir(parents=True, exist_ok=True)
        (tmp_path / "deep" / word / f"{who}_nohash_{take}.wav").write_bytes(path.read_bytes())
    one = speech.load(flat, pattern="{word}_{speaker}_*.wav", folds=3, progress=False)
    other = speech.load(tmp_path / "deep", folds=3, progress=False)
    for name in ("train", "val", "test"):
        np.testing.assert_array_equal(one.splits[name].x, other.splits[name].x)
        np.testing.assert_array_equal(one.splits[name].y, other.splits[name].y)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{speaker}.wav", r"has no \{word\}"),
        ("{word}_{age}.wav", r"has \{age\} which is none of its fields"),
        ("{word}_{word}.wav", r"has \{word\} twice"),
        ("{word}-{take}.flac", "fits nothing in .*: 'eins_anna_0.wav' and others do not match"),
    ],
)
def test_patterns_that_fit_nothing(flat, pattern, message):
    with pytest.raises(InputError, match=message):
        list_pattern(flat, pattern)


@pytest.mark.parametrize("form", ["csv", "semicolons", "parquet"])
def test_a_manifest(flat, tmp_path, form):
    rows = [(path.name, *path.stem.split("_")[:2]) for path in sorted(flat.glob("[!.]*_*_*.wav"))]
    table = pd.DataFrame(rows, columns=["Path", "word", "speaker"])
    table["split"] = [
        {"anna": "test", "ben": "validation"}.get(who, "train") for who in table.speaker
    ]
    table.loc[len(table)] = ["ghost.wav", "eins", "carl", "train"]
    path = flat / f"table.{'parquet' if form == 'parquet' else 'csv'}"
    if form == "parquet":
        table.to_parquet(path)
    else:
        text = table.to_csv(index=False, sep=";" if form == "semicolons" else ",")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    data = speech.load(path, progress=False)
    assert data.classes == ("eins", "zwei")
    assert set(data.test.groups) == {"anna"}
    assert set(data.val.groups) == {"ben"}
    assert "1 recordings of the manifest are missing" in data.split_kind
    folds = speech.load(path, folds=6, fold=3, progress=False)
    assert set(folds.test.groups) == {"carl"}


def test_excerpts_of_one_long_recording(tmp_path, write_clip):
    from tfnets.speech import audio, features

    write_clip(tmp_path / "long.wav", samples=160_000)
    rows = [
        f"long.wav,{('a', 'b')[n % 2]},{('x', 'y', 'z')[n // 3]},{n}.0,{n}.5" for n in range(9)
    ]
    (tmp_path / "m.csv").write_text("path,word,speaker,start,end\n" + "\n".join(rows) + "\n")
    data = speech.load(tmp_path / "m.csv", test_speakers=("z",), progress=False)
    samples = audio.read(tmp_path / "long.wav", most=160_000).samples
    expected = features.log_mel(audio.one_second(samples[96_000:104_000])[None])[0]
    np.testing.assert_allclose(
        data.test.x[data.test.y == 0][0] * data.std + data.mean, expected, atol=1e-3
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,word\na.wav,x\n", "has no column 'path'"),
        ("path,word\n,x\n", "row 2: path is empty"),
        ("path,word\na.wav,\n", "row 2: word is empty"),
        ("path,word,split\na.wav,x,never\n", "'never' is no split; expected train, val or test"),
        ("path,word,start\na.wav,x,soon\n", "start is 'soon'; expected seconds"),
        ("path,word,start,end\na.wav,x,2,1\n", "end 1 is not after start 2"),
        ("path,word\nb.wav,x\n", "none of its 1 recordings is there"),
        ("path,word,speaker\na.wav,x,anna\na.wav,x,\n", "has no speaker, as others do"),
        ("", "is not a readable table"),
    ],
)
def test_broken_manifests(tmp_path, write_clip, text, message):
    write_clip(tmp_path / "a.wav", samples=100)
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        list_manifest(tmp_path / "m.csv")
    assert "\n" not in str(caught.value)


def test_names_are_compared_composed(tmp_path, write_clip):
    """macOS writes ö as o and two dots."""
    for form, who in (("NFD", "jörg"), ("NFC", "jörg")):
        name = unicodedata.normalize(form, f"größe/{who}_nohash_{form}.wav")
        write_clip(tmp_path / name, samples=100)
    found = list_folder(tmp_path)
    assert found.words == ("größe",)
    assert {clip.speaker for clip in found.clips} == {"jörg"}


def test_a_class_may_be_missing_in_validation(tmp_path, write_clip):
    for who in ("a", "b", "c"):
        for word in ("no", "go")[: 1 if who == "c" else 2]:
            write_clip(tmp_path / word / f"{who}_nohash_0.wav", 300 if word == "no" else 900)
    data = speech.load(tmp_path, test_speakers=("b",), progress=False)
    assert set(data.val.y.tolist()) == {data.classes.index("no")}


# None of these


def test_unknown_words_and_silence(tmp_path, write_clip):
    for number, word in enumerate(("no", "go", "up", "left", "bed")):
        for who in ("a", "b", "c"):
            for take in range(4):
                write_clip(tmp_path / word / f"{who}_nohash_{take}.wav", 200.0 + 100 * number)
    options = {"test_speakers": ("c",), "progress": False}
    data = speech.load(tmp_path, ("no", "go"), unknown=("rest",), silence=True, **options)
    assert data.classes == ("no", "go", UNKNOWN, SILENCE)
    for split in data.splits.values():
        assert np.bincount(split.y).tolist() == [4, 4, 4, 4]
    again = speech.load(tmp_path, ("no", "go"), unknown=("rest",), silence=True, **options)
    assert again.digest == data.digest
    model = speech.build("gru", num_classes=len(data.classes))
    assert model.count_params() == 70_531 + 129  # 128 weights and a bias
    with pytest.raises(InputError, match="'go' is among both words and unknown"):
        speech.load(tmp_path, ("no", "go"), unknown=("go",), **options)
    with pytest.raises(InputError, match=r"unknown is 'rest', but .* has only"):
        speech.load(tmp_path, unknown=("rest",), **options)
