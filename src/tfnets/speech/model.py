"""The networks for spoken words (the speech reports) and the model that is deployed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers
from keras.initializers import GlorotUniform, Orthogonal

from tfnets import keras_settings, programs
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.export import Temperature, by_class
from tfnets.layers import GRU, FixedLength
from tfnets.loop import CLASSIFICATION
from tfnets.seeds import endless, initializers, torch_uniform
from tfnets.speech import features
from tfnets.speech.level import Level
from tfnets.torch_weights import state_dict as torch_weights

MODELS = ("fc", "cnn", "gru")
POOLINGS = ("last", "mean", "flatten")
INITIALIZERS = ("keras", "torch")

# What Keras' layers start with, biases at 0.
_KERAS = {"kernel": GlorotUniform, "recurrent": Orthogonal}

OBJECTIVE = CLASSIFICATION

# The fastest that was found on 2 cores, milliseconds a step of 1,024 clips:
# fc with XLA 15.6, without 16.1, in 2 parts 18.6; cnn without XLA 499, in 2 parts 472, in 4
# 467, in 8 492, with XLA 3,072; gru with XLA 287, in 2 parts 220, without XLA 481 and 333.
_EXECUTION = {
    "fc": Execution(xla=True, steps_per_call=32),
    "cnn": Execution(shards=4, steps_per_call=2),
    "gru": Execution(xla=True, shards=2, steps_per_call=4),
}

# A float recording may reach above 1, but not this far; 16-bit integers do.
_LOUDEST = 8.0

# What two 5 x 5 convolutions, each halved by pooling, leave one pixel of.
_SMALLEST = 16


def build(
    model: str = "gru",
    *,
    input_shape: tuple[int, ...] = features.SHAPE,
    num_classes: int = 3,
    pooling: str = "last",
    reset_after: bool = False,
    recurrent_bias: bool = True,
    initializer: str = "keras",
    seed: int | None = None,
) -> keras.Model:
    """Builds one of the three networks of the speech reports.

    Parameters with the default sizes:

    - ``"fc"``: 567,171; four dense layers of 128 on the flattened matrix (the layers are
      not in the reports; their number of parameters leaves these),
    - ``"cnn"``: 346,067; two 5 x 5 convolutions of 32 and 16 filters, each with 2 x 2
      pooling, two dense layers of 128 (speech_cnn, section 1.1),
    - ``"gru"``: 70,531; two GRU layers of 64, two dense layers of 128 (speech_rnn, section
      1.1); ``recurrent_bias=False`` gives 70,147 (see :mod:`tfnets.layers.gru`).

    Args:
        model: ``"fc"``, ``"cnn"`` or ``"gru"``.
        input_shape: ``(time, features)`` of one sample, log-mel frames x bands.
        num_classes: Number of words.
        pooling: The way from the frames of the second GRU layer to one vector
            (speech_rnn, section 1.2.2): ``"last"`` takes the last frame, ``"mean"`` the
            mean over time, ``"flatten"`` all frames side by side.
        reset_after: For the GRU: reset gate after the recurrent product, as PyTorch has it.
        recurrent_bias: For the GRU: a recurrent bias beside each input bias.
        initializer: ``"keras"``: as Keras' layers start, biases at 0. ``"torch"``: as PyTorch's
            modules start, in which the reports trained: weights and biases uniform in
            +-1/sqrt(inputs of a unit), of the GRU in +-1/sqrt(64), for it has 64 units.
        seed: Decides the initial weights, whatever other threads do; None for Keras' choice.

    Returns:
        A functional model from ``(batch, time, features)`` float32 to class
        probabilities ``(batch, num_classes)``.

    Raises:
        InputError: For an unknown model, pooling or initializer, fewer than two classes, matrices
            too small for the convolutions, or ``reset_after`` without ``recurrent_bias``.
    """
    keras_settings.check()
    form = {"reset_after": reset_after, "recurrent_bias": recurrent_bias}
    check(model, pooling=pooling, initializer=initializer, **form)
    if num_classes < 2:
        raise InputError(f"num_classes is {num_classes}; a classifier needs 2 or more.")

    start = _starts(initializer, seed)
    inputs = keras.Input(input_shape, name="log_mel")
    if model == "gru":
        x = _gru(inputs, pooling, start, form)
    elif model == "cnn":
        x = _cnn(inputs, start)
    else:
        x = layers.Flatten(data_format="channels_last", name="flatten")(inputs)
    for number in range(4 if model == "fc" else 2):
        of_layer = start(x.shape[-1])
        x = layers.Dense(128, activation="relu", name=f"dense_{number + 1}", **of_layer)(x)
    of_layer = start(x.shape[-1])
    outputs = layers.Dense(num_classes, activation="softmax", name="probabilities", **of_layer)(x)
    return programs.built(keras.Model(inputs, outputs, name=f"speech_{model}"))


def model_of(state_dict: Mapping[str, Any], *, skip: str | Sequence[str] = ()) -> str:
    """Which of the three networks a PyTorch state_dict belongs to, by the modules in it.

    Args:
        state_dict: Entry name -> tensor or array.
        skip: Entries that belong to no layer, as for :func:`tfnets.torch_weights.load`.

    Returns:
        ``"cnn"`` with a convolution, ``"gru"`` with a recurrent module, else ``"fc"``.

    Raises:
        InputError: As for :func:`tfnets.torch_weights.load`, for what is no state_dict or
            has modules that are not exchanged.
    """
    modules = torch_weights.group(torch_weights.read(state_dict, values=False, skip=skip))
    if modules["convolution"]:
        return "cnn"
    return "gru" if modules["recurrent"] else "fc"


def execution(model: str = "gru", batch_size: int = 1024) -> Execution:
    """How the steps of a network are computed fastest.

    Args:
        model: As for :func:`build`.
        batch_size: Samples a step; the choice here does not depend on it.

    Raises:
        InputError: For an unknown model.
    """
    _check_model(model)
    return _EXECUTION[model]


def check(
    model: str,
    *,
    pooling: str = "last",
    reset_after: bool = False,
    recurrent_bias: bool = True,
    initializer: str = "keras",
) -> None:
    """Raises :class:`InputError` for options of :func:`build` that do not exist or clash.

    A command calls it before it loads the data, so that nobody waits for that in vain.
    """
    _check_model(model)
    for name, value, there in (
        ("pooling", pooling, POOLINGS),
        ("initializer", initializer, INITIALIZERS),
    ):
        if value not in there:
            raise InputError(f"unknown {name} {value!r}; choose from {', '.join(there)}.")
    if reset_after and not recurrent_bias:
        raise InputError("recurrent_bias=False goes with reset_after=False only.")


def _check_model(model: str) -> None:
    if model not in MODELS:
        raise InputError(f"unknown model {model!r}; choose from {', '.join(MODELS)}.")


def _starts(initializer: str, seed: int | None) -> Callable[..., dict]:
    """A function from a layer's fan to its arguments for initial weights; none for Keras' own."""
    of_layers = endless(seed)

    def start(fan: int, *more: str) -> dict:
        own = next(of_layers)
        if initializer == "keras":
            kinds = {name: _KERAS[name] for name in ("kernel", *more)}
            return {} if seed is None else initializers(kinds, own)(*kinds)
        kinds = dict.fromkeys(("kernel", "bias", *more), torch_uniform(fan))
        return initializers(kinds, own)(*kinds)

    return start


def _gru(x, pooling: str, start: Callable[..., dict], form: dict[str, bool]):
    for number, sequences in ((1, True), (2, pooling != "last")):
        of_layer = start(64, "recurrent")
        x = GRU(64, return_sequences=sequences, name=f"gru_{number}", **form, **of_layer)(x)
    if pooling == "mean":
        return layers.GlobalAveragePooling1D("channels_last", name="mean_over_time")(x)
    if pooling == "flatten":
        return layers.Flatten(data_format="channels_last", name="flatten")(x)
    return x


def _cnn(x, start: Callable[..., dict]):
    time, bands = x.shape[1:]
    if min(time, bands) < _SMALLEST:
        raise InputError(
            f"matrices of {time} x {bands} are too small for the CNN; "
            f"it needs {_SMALLEST} x {_SMALLEST} or more."
        )
    x = layers.Reshape((time, bands, 1), name="one_channel")(x)
    last = {"data_format": "channels_last"}  # whatever Keras is set to
    for number, filters in enumerate((32, 16), 1):
        of_layer = start(5 * 5 * x.shape[-1]) | last
        x = layers.Conv2D(filters, 5, activation="relu", name=f"conv_{number}", **of_layer)(x)
        x = layers.MaxPooling2D(2, name=f"pool_{number}", **last)(x)
    return layers.Flatten(data_format="channels_last", name="flatten")(x)


def deployable(
    network: keras.Model,
    classes: Sequence[str],
    *,
    mean: float,
    std: float,
    waveforms: bool = True,
    level: str = "none",
    temperature: float = 1.0,
) -> keras.Model:
    """Wraps a trained network into the model that is exported.

    It takes what a user has, raw audio, and answers with a probability for each
    class by its name. Its parameters are the network's and no more.

    Args:
        network: A model from :func:`build`, trained on standardised features.
        classes: Names of the classes in the order of the network's outputs.
        mean: Mean of the training features that the network was trained with.
        std: Their standard deviation.
        waveforms: True for a model from waveforms ``(batch, samples)``, float32 in
            [-1, 1] at 16 kHz: a second each, shorter ones padded with silence;
            longer ones, empty ones, NaN and integers taken for floats (far above 1) are
            refused. False for one from feature
            matrices ``(batch, time, features)``, for data whose audio is not known.
        level: What the training features are relative to (:mod:`tfnets.speech.level`).
        temperature: By what the log-probabilities are divided (:mod:`tfnets.calibration`).

    Returns:
        A functional model whose output is a dictionary, class name ->
        probability ``(batch,)``.
    """
    if waveforms:
        inputs = keras.Input((None,), name="waveform")
        x = FixedLength(features.SAMPLES, loudest=_LOUDEST, name="one_second")(inputs)
        x = features.mel_layer()(x)
        x = layers.Permute((2, 1), name="time_first")(x)
        if level != "none":
            x = Level(level, name="level")(x)
    else:
        inputs = x = keras.Input(network.input_shape[1:], name="features")
    x = layers.Rescaling(1.0 / std, -mean / std, name="standardise")(x)
    # A model of the same layers; without the optimizer's state, should the network be compiled.
    body = keras.Model(network.input, network.output, name=network.name)
    outputs = body(x)
    if temperature != 1.0:
        outputs = Temperature(temperature, name="temperature")(outputs)
    return keras.Model(inputs, by_class(outputs, classes), name=f"{network.name}_deployed")
