"""What the runs of the speech task do: train, evaluate, log; classify a clip."""

import io
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

import tfnets.speech
from mlproject import tracking
from tfnets import evaluation, figures, training
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.parameters import Derivation, derive
from tfnets.progress import duration
from tfnets.speech import features, wav


def train(architecture: str, parameters: dict, run: tracking.Run) -> str:
    """Trains and evaluates one network and logs everything about it.

    Args:
        architecture: As for :func:`tfnets.speech.build`.
        parameters: The command's options by name.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    recipe = training.Recipe(
        **{key: parameters[key] for key in ("epochs", "batch_size", "learning_rate", "seed")}
    )
    options = {key: parameters[key] for key in ("pooling", "reset_after", "recurrent_bias")}
    tfnets.speech.check(architecture, **options)
    words = [word.strip() for word in parameters["words"].split(",")]
    data = tfnets.speech.load(parameters["data"], words, clips=parameters["clips"])
    run.log_dataset(data)
    inputs = "waveforms" if data.from_audio else "matrices"
    run.log_tags({"model": architecture, "optimizer": "adam", "inputs": inputs})

    def build() -> keras.Model:
        return tfnets.speech.build(
            architecture,
            input_shape=data.input_shape,
            num_classes=len(data.classes),
            **options,
        )

    execution = tfnets.speech.execution(architecture, recipe.batch_size)
    run.log_tags({"execution": str(execution)})
    trained = training.train(build, data, recipe, run.log_epoch, execution=execution)
    network = trained.model
    test = evaluation.evaluate(network, data.test, data.classes)
    table = derive(network)
    deployed = tfnets.speech.deployable(
        network, data.classes, mean=data.mean, std=data.std, waveforms=data.from_audio
    )

    run.log_metrics(
        {f"test/{name}": value for name, value in test.metrics.items()}
        | {f"time/{name}_s": value for name, value in data.seconds.items()}
        | {"time/train_s": trained.seconds, "params/total": network.count_params()}
    )
    title = f"{run.name}: {data.name}"
    run.log_figure(figures.curves(trained.history, title), "curves.png")
    run.log_figure(
        figures.confusion_matrix(test.confusion, data.classes, f"{run.name}\n{data.name}, test"),
        "confusion_matrix.png",
    )
    run.log_table(test.by_class, "test_by_class.json")
    run.log_table(table.columns(), "parameters.json")
    run.log_text(f"{table}\n", "parameters.txt")
    run.log_text(_model_summary(network), "model_summary.txt")
    model_uri = run.log_model(deployed, _example(data), _about_model(data))
    run.describe(_description(architecture, data, trained, test, table, model_uri, run))
    times = {"time/log_s": run.seconds, "time/total_s": run.elapsed}
    run.log_metrics(times)
    return _summary(data, trained, test, times, run)


def _epochs(trained: training.Trained) -> str:
    count = len(trained.history)
    return f"{count} epoch{'s' if count > 1 else ''}"


def _model_summary(network: keras.Model) -> str:
    text = io.StringIO()
    network.summary(print_fn=lambda line: text.write(f"{line}\n"), line_length=80)
    return text.getvalue()


def _example(data: Dataset) -> np.ndarray:
    """One input of the deployed model: a second of silence, or the first test matrix."""
    if data.from_audio:
        return np.zeros((1, features.SAMPLES), np.float32)
    return data.test.x[:1] * np.float32(data.std) + np.float32(data.mean)


def _about_model(data: Dataset) -> dict:
    """What a user of the deployed model must know; stands in its MLmodel file."""
    about = {"classes": list(data.classes), "data": data.name}
    if data.from_audio:
        return about | {"sample_rate": features.SAMPLE_RATE, "input": "waveform in [-1, 1]"}
    return about | {"input": f"matrices {data.input_shape}"}


def _description(
    architecture: str,
    data: Dataset,
    trained: training.Trained,
    test: evaluation.Evaluation,
    table: Derivation,
    model_uri: str,
    run: tracking.Run,
) -> str:
    sizes = ", ".join(f"{len(split):,} {name}" for name, split in data.splits.items())
    last = trained.history[-1]
    serve = f"mlflow models serve -m runs:/{run.id}/model --env-manager local -p 5001"
    lines = [
        f"**{architecture}** on *{data.name}* ({', '.join(data.classes)}): test accuracy "
        f"**{test.metrics['accuracy']:.4f}** after {_epochs(trained)}, "
        f"{duration(trained.seconds)} of training, {table.total:,} parameters.",
        f"Data: {sizes} samples, split {data.split_kind}.",
        f"Gap between training and validation accuracy in the last epoch: "
        f"{last['train/accuracy'] - last['val/accuracy']:+.4f}.",
        f"The deployed model (`{model_uri}`) takes "
        + ("waveforms of 16 kHz" if data.from_audio else "feature matrices")
        + " and answers with a probability for each class:",
        f"```\n{serve}\n```",
        "Where the parameters come from:",
        f"```\n{table}\n```",
    ]
    return "\n\n".join(lines)


def _summary(
    data: Dataset,
    trained: training.Trained,
    test: evaluation.Evaluation,
    times: dict[str, float],
    run: tracking.Run,
) -> str:
    command, address = tracking.ui_lines(run)
    parts = data.seconds | {"training": trained.seconds, "logging": times["time/log_s"]}
    rest = times["time/total_s"] - sum(parts.values())
    spent = ", ".join(f"{name} {duration(value)}" for name, value in parts.items())
    rows = [
        (
            "Test accuracy",
            f"{test.metrics['accuracy']:.4f}  ({len(data.test):,} samples of {data.name})",
        ),
        ("Parameters", f"{trained.model.count_params():,}"),
        ("Training time", f"{duration(trained.seconds)} for {_epochs(trained)}"),
        (
            "Wall time",
            f"{duration(times['time/total_s'])}: {spent}, imports and the rest {duration(rest)}",
        ),
        ("Run", f"{run.name}  {run.id}"),
        ("Open the UI", f"{command}  then  {address}" if command else address),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


@dataclass(frozen=True)
class Heard:
    """What a model hears in a clip; ``print`` it.

    Attributes:
        clip: The clip's path.
        model: URI of the model.
        probabilities: By word, the most probable first.
    """

    clip: Path
    model: str
    probabilities: dict[str, float]

    @property
    def word(self) -> str:
        """The most probable word."""
        return next(iter(self.probabilities))

    def __str__(self) -> str:
        width = max(map(len, self.probabilities))
        bars = [
            f"  {name:<{width}}  {probability:.4f}  {'#' * round(40 * probability)}"
            for name, probability in self.probabilities.items()
        ]
        return "\n".join([f"{self.clip.name}: {self.word}", *bars, f"Model: {self.model}"])


def classify(path: str, model: str) -> Heard:
    """Classifies one clip.

    Args:
        path: A WAV file, 16 kHz mono 16-bit PCM.
        model: As for :func:`mlproject.tracking.load_model`.

    Raises:
        InputError: For a clip that cannot be read or a model that does not take waveforms.
    """
    samples = wav.read(path).astype(np.float32) / 32768
    network, uri = tracking.load_model(model, "speech", "waveforms")
    inputs, outputs = getattr(network, "input_shape", None), getattr(network, "output", None)
    if not isinstance(outputs, dict) or not isinstance(inputs, tuple) or len(inputs) != 2:
        what = f"takes inputs of shape {inputs}, not waveforms" if inputs else "is none of ours"
        raise InputError(f"model {uri} {what}; a model of a run on audio is needed.")
    answers = network.predict(samples[np.newaxis], verbose=0)
    probabilities = {name: float(values[0]) for name, values in answers.items()}
    ranked = dict(sorted(probabilities.items(), key=lambda item: -item[1]))
    return Heard(Path(path), uri, ranked)


def log_heard(heard: Heard, run: tracking.Run) -> None:
    """Logs the probabilities of a clip as a table."""
    columns = {
        "word": list(heard.probabilities),
        "probability": list(heard.probabilities.values()),
    }
    run.log_table(columns, "probabilities.json")
    run.log_tags({"word": heard.word, "model.uri": heard.model})
