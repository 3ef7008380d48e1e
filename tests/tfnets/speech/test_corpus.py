import hashlib
import itertools
import json
import re

import numpy as np
import pytest

from tfnets import speech
from tfnets.errors import InputError
from tfnets.speech import audio, corpus, espeak

WORDS = ("no", "go", "down")


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_rendering_is_the_same_to_the_bit(tmp_path, monkeypatch):
    folders = []
    for number in range(2):
        monkeypatch.setenv("TFNETS_CACHE", str(tmp_path / str(number)))
        folders.append(corpus.render(WORDS, 60, progress=False))
    assert contents(folders[0]) == contents(folders[1])


def test_what_is_rendered_is_not_rendered_again(monkeypatch):
    folder = corpus.render(WORDS, 15, progress=False)
    monkeypatch.setattr(espeak, "speak", lambda jobs: pytest.fail("rendered again"))
    assert corpus.render(WORDS, 15, progress=False) == folder


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda clip: clip.unlink(), "1 of {files} files are missing, added or of another size"),
        (lambda clip: clip.write_bytes(clip.read_bytes()[:9000]), ".*of another size"),
        (
            lambda clip: clip.write_bytes(clip.read_bytes()[:44] + bytes(32_000)),
            "1 of its files have other contents",
        ),
    ],
)
def test_a_corpus_that_lost_something_is_not_trained_on(fresh_cache, damage, what):
    folder = corpus.render(WORDS, 15, progress=False)
    files = len([path for path in folder.rglob("*") if path.is_file()]) - 1
    damage(sorted(folder.glob("go/*.wav"))[3])
    what = what.format(files=files)
    message = rf"the cached folder {folder} is damaged: {what}, go/.*\.wav; delete the folder"
    with pytest.raises(InputError, match=message):
        speech.load("builtin", WORDS, clips=15, progress=False)
    assert not list(fresh_cache.glob("speech/features-*"))


def test_layout_and_sizes():
    folder = corpus.render(WORDS, 30, progress=False)
    clips = [path.relative_to(folder) for path in folder.glob("*/*.wav")]
    assert {str(path.parent) for path in clips} == set(WORDS)
    assert len(clips) == 3 * (30 + 4 + 6)
    assert all(re.fullmatch(r"[^/]+_nohash_\d+\.wav", path.name) for path in clips)
    for name, count in (("validation_list.txt", 12), ("testing_list.txt", 18)):
        listed = (folder / name).read_text().split()
        assert len(listed) == count
        assert all((folder / path).is_file() for path in listed)
    assert len(json.loads((folder / "corpus.json").read_text())["clips"]) == len(clips)


def test_clips_are_one_second_of_sound_at_different_levels():
    folder = corpus.render(WORDS, 30, progress=False)
    clips = np.stack([audio.read(path).samples for path in sorted(folder.glob("*/*.wav"))])
    assert clips.shape[1] == 16_000
    peaks = 20 * np.log10(np.abs(clips.astype(float)).max(axis=1))
    assert -26.1 < peaks.min() < -18
    assert -12 < peaks.max() < -5.9
    assert (clips.std(axis=1) > 0).all()


def test_voices_of_different_splits_are_nothing_alike():
    formants = espeak.formants()
    voices = corpus.split_voices(formants)
    for one, two in itertools.combinations(voices.values(), 2):
        assert not {formants[name] for name in one} & {formants[name] for name in two}
        stems = [{name.rstrip("0123456789").lower() for name in names} for names in (one, two)]
        assert not stems[0] & stems[1]
    assert len(set().union(*voices.values())) == sum(map(len, voices.values())) > 80
    assert min(map(len, voices.values())) >= 8
    everyone = {name.lower() for names in voices.values() for name in names}
    assert not [name for name in everyone if "robo" in name or "whisper" in name]


def test_families_are_joined_by_name_and_by_formants():
    formants = {"anna": (1.0,), "anna2": (2.0,), "bert": (2.0,), "Carl": (3.0,), "dora": (4.0,)}
    formants |= {"AnxiousCarl": (5.0,), "dora2": (1.0,)}
    assert sorted(corpus.families(formants)) == [
        ["AnxiousCarl", "Carl"],
        ["anna", "anna2", "bert", "dora", "dora2"],
    ]


def test_formants_are_those_of_the_voice_files():
    formants = espeak.formants()
    assert formants["michel"] == formants["miguel"] == (105, 95, 100, 95, 30, 90, 110, 100, 100)
    assert formants["m1"] != formants["f1"]


def test_words_that_take_longer_than_a_second_are_cut():
    words = ("incomprehensibilities", "antidisestablishmentarianism")
    data = speech.load(words=words, clips=15, progress=False)
    assert len(data.train) == 30


def test_speakers_of_the_loaded_corpus_are_unseen_in_the_test():
    data = speech.load(clips=30, progress=False)
    groups = {name: set(split.groups) for name, split in data.splits.items()}
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["val"]
    assert not groups["val"] & groups["test"]


def test_any_words_can_be_spoken():
    data = speech.load(words=("yes", "left"), clips=15, progress=False)
    assert data.classes == ("yes", "left")
    assert len(data.train) == 30


def test_an_unknown_variant_is_refused_not_ignored():
    job = {"text": "no", "voice": "en+nobody", "rate": 150, "pitch": 50}
    with pytest.raises(InputError, match=r"0 of 1 clips: eSpeak NG has no voice 'en\+nobody'"):
        list(espeak.speak([job]))


def test_every_accent_is_known_to_espeak():
    jobs = [
        {"text": "down", "voice": f"{accent}+max", "rate": 150, "pitch": 50}
        for accent in corpus.ACCENTS
    ]
    spoken = list(espeak.speak(jobs))
    assert len({samples.tobytes() for samples in spoken}) == len(corpus.ACCENTS)


@pytest.mark.parametrize("word", ["42", "No", "a/b", "naïve"])
def test_words_that_cannot_be_spoken(word):
    with pytest.raises(InputError, match=f"cannot speak '{word}'"):
        corpus.render((word, "go"), 30)


def test_too_few_clips_and_too_many():
    for clips in (3, 10**9, float("nan")):
        with pytest.raises(InputError, match=f"clips is {clips}; .* 15 to 100,000 a word"):
            corpus.render(WORDS, clips)


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch, fresh_cache):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[builtin\]'"):
        corpus.render(WORDS, 30)
    assert not list(fresh_cache.rglob("*.wav"))


def test_an_interrupted_rendering_leaves_nothing(monkeypatch, fresh_cache):
    written = []

    def interrupt(path, samples):
        written.append(path)
        if len(written) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(audio, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        corpus.render(WORDS, 30, progress=False)
    assert len(written) == 5
    assert not [path for path in fresh_cache.rglob("*") if path.is_file()]
    assert not list((fresh_cache / "speech").iterdir())
