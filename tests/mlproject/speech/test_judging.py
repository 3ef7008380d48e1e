"""Models judged on other recordings, and on the same made worse, through the real commands."""

import json
import shutil
import subprocess
import sys

import mlflow
import numpy as np
import pytest

from mlproject.speech.commands import cli
from processes import post_as_to_a_server
from tfnets.speech import audio, judging, robustness


def artifact(run, name):
    return json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{name}"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_clip):
    """Three people say two words and two others."""
    tmp_path = tmp_path_factory.mktemp("own")
    for number, word in enumerate(("no", "go", "up", "left")):
        for who in ("a", "b", "c"):
            for take in range(4):
                write_clip(
                    tmp_path / "own" / word / f"{who}_nohash_{take}.wav",
                    250.0 * 1.6**number,
                    seed=10 * ord(who) + take,
                )
    return tmp_path / "own"


@pytest.fixture(scope="module")
def trained(shared_store, command, folder):
    result = command(
        cli,
        "fc",
        data=folder,
        words="no,go",
        test_speakers="c",
        protocol="tfnets",
        epochs=20,
        optimizer="adam",
        batch_size=8,
    )
    assert result.exit_code == 0, result.output
    run = newest()
    return run


def test_a_training_by_our_protocol_says_what_it_used(trained):
    used = {key: trained.data.params[f"used/{key}"] for key in ("level", "augment", "keep")}
    assert used == {"level": "clip", "augment": "True", "keep": "best"}
    assert 0.04 < trained.data.metrics["temperature"] < 21
    assert 0 <= trained.data.metrics["test/ece"] <= 1
    table = artifact(trained, "reliability.json")
    assert table["columns"] == ["confidence", "accuracy", "samples"]
    assert sum(row[2] for row in table["data"]) == 8
    model = mlflow.tensorflow.load_model(f"runs:/{trained.info.run_id}/model")
    assert {"level", "temperature"} <= {layer.name for layer in model.layers}


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        ({"params": {"sample_rate": 8000}}, "sample_rate is 8000; this model takes waveforms of"),
        ({"inputs": [[1000.0] * 80]}, "the waveform is far above full scale, 1; divide 16-bit"),
        ({"inputs": [[0.0] * 16_001]}, "more than the 16000 samples that are listened to; send"),
        ({"params": {"sample_rate": 16000}}, ""),
        ({}, ""),
    ],
)
def test_a_server_says_what_a_request_should_be(trained, request_, line):
    body = json.dumps({"inputs": [[0.0, 0.1, -0.1] * 1000]} | request_)
    status, answer = post_as_to_a_server(f"runs:/{trained.info.run_id}/model", body)
    assert status == (400 if line else 200)
    assert line in answer.get("message", "")
    assert "\n" not in answer.get("message", "")


def newest():
    return mlflow.search_runs(
        search_all_experiments=True, order_by=["attributes.start_time DESC"], output_format="list"
    )[0]


def test_evaluate_is_what_numpy_makes_of_the_models_answers(trained, command, folder):
    result = command(cli, "evaluate", data=folder, unknown="rest", part="all")
    assert result.exit_code == 0, result.output
    run = newest()
    model = mlflow.tensorflow.load_model(f"runs:/{trained.info.run_id}/model")

    def hear(word):
        clips = [audio.read(path).samples for path in sorted((folder / word).iterdir())]
        return np.stack([model(np.stack(clips))[name] for name in ("no", "go")], 1)

    heard = {word: hear(word) for word in ("no", "go", "up", "left")}
    right = np.concatenate([heard["no"].argmax(1) == 0, heard["go"].argmax(1) == 1])
    metrics = run.data.metrics
    assert metrics["test/accuracy"] == pytest.approx(right.mean())
    assert metrics["test/accuracy_low"] < right.mean() <= metrics["test/accuracy_high"]
    known = np.sort(np.concatenate([heard["no"].max(1), heard["go"].max(1)]))
    others = np.concatenate([heard["up"].max(1), heard["left"].max(1)])
    threshold = known[3]  # 2 of 24 are below; of 3 it would be more than a tenth
    assert metrics["others/clips"] == 24
    assert metrics["others/threshold"] == pytest.approx(threshold, abs=1e-5)
    assert metrics["others/false_alarms"] == pytest.approx((others >= threshold - 1e-6).mean())
    table = artifact(run, "by_speaker.json")
    assert [row[:2] for row in table["data"]] == [["a", 8], ["b", 8], ["c", 8]]
    assert "of 24 clips rejected" in result.output


def test_robustness_is_a_table_and_metrics(trained, command, folder):
    result = command(cli, "robustness", data=folder, test_speakers="c")
    assert result.exit_code == 0, result.output
    metrics = newest().data.metrics
    # A level of the clip: loudness changes nothing.
    assert metrics["robustness/gain_-10"] == metrics["robustness/as_they_are"]
    assert "pink noise 0 dB" in result.output
    assert len(artifact(newest(), "robustness.json")["data"]) == 23


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": "up"}, "words names 'up'; the model knows: no, go"),
        ({"silence": True}, "silence is true, but the model has no class for it"),
        ({"unknown": "go"}, "unknown names 'go', which the model knows"),
        ({"data": "builtin", "clips": 15, "words": "down"}, "words names 'down'"),
        ({"test_speakers": "zoe"}, "names 'zoe'"),
    ],
)
def test_recordings_that_a_model_cannot_be_judged_on(trained, command, folder, options, message):
    result = command(cli, "evaluate", **({"data": folder} | options))
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert newest().info.status == "FAILED"


@pytest.mark.slow
def test_classify_reads_standard_input_and_says_what_it_did_not_hear(trained, folder, tmp_path):
    sound = audio.read(folder / "no/a_nohash_0.wav").samples
    audio.write(tmp_path / "long.wav", (np.tile(sound, 3) * 32767).astype(np.int16))
    done = subprocess.run(
        [sys.executable, "-m", "mlproject.speech", "classify", "-"],
        input=(tmp_path / "long.wav").read_bytes(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "the recording has 3.00 s; the first second was classified" in done.stdout.decode()


def test_rejection_by_hand():
    known, others = np.linspace(0.1, 1, 10), np.array([0.05, 0.15, 0.25, 0.9])
    threshold, accepted = judging.rejection(known, others, 0.1)
    assert threshold == pytest.approx(0.2)
    assert accepted == 0.5


def test_conditions_are_what_they_say():
    rng = np.random.default_rng(0)
    clips = (0.1 * rng.standard_normal((3, 16_000))).astype(np.float32)
    found = {str(condition): changed for condition, changed in robustness.conditions(clips)}
    assert len(found) == 23
    np.testing.assert_allclose(found["gain -20 dB"], clips / 10, rtol=1e-6)
    assert np.abs(found["clipped +20 dB"]).max() == 1
    np.testing.assert_array_equal(found["shift +0.1 s"][:, 1_600:], clips[:, :-1_600])
    np.testing.assert_array_equal(found["shift -0.2 s"][:, :-3_200], clips[:, 3_200:])
    added = found["pink noise 10 dB"].astype(float) - clips
    assert 10 * np.log10(np.mean(clips**2) / np.mean(added**2)) == pytest.approx(10, abs=0.01)
    low = np.abs(np.fft.rfft(found["rate 8000 Hz"][0]))
    assert low[4_500:].max() < 0.05 * low[:3_500].max()


def test_mistakes_can_be_listened_to(trained, command, folder, tmp_path):
    """Words in each other's folders: what the network has learnt is wrong there."""
    swapped = tmp_path / "swapped"
    shutil.copytree(folder / "no", swapped / "go")
    shutil.copytree(folder / "go", swapped / "no")
    result = command(cli, "evaluate", data=swapped, part="all")
    assert result.exit_code == 0, result.output
    run = newest()
    table = artifact(run, "mistakes.json")
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert len(rows) == 10
    scores = [max(row["no"], row["go"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    model = mlflow.tensorflow.load_model(f"runs:/{trained.info.run_id}/model")
    for number, row in enumerate(rows, 1):
        assert {row["true"], row["heard"]} == {"no", "go"}
        place = f"runs:/{run.info.run_id}/mistakes/{number}.wav"
        heard = audio.read(mlflow.artifacts.download_artifacts(place)).samples
        clips = [audio.read(path).samples for path in (swapped / row["true"]).iterdir()]
        padded = [np.pad(clip, (0, 16_000))[:16_000] for clip in clips]
        apart = [np.abs(np.pad(heard, (0, 16_000))[:16_000] - clip).max() for clip in padded]
        assert min(apart) <= 1 / 32_768
        answer = model(heard[None])
        assert float(answer[row["heard"]][0]) == pytest.approx(row[row["heard"]], abs=1e-3)
