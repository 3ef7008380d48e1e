"""Late imports: what takes seconds to import is imported where a command needs it."""

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator

from mlproject.process import signals


@contextlib.contextmanager
def late_imports(*, tensorflow: bool = True) -> Iterator[None]:
    """Guards imports that take seconds, inside the function that needs them.

    As late as possible, so that ``--help`` answers at once; and each as a whole, even if a
    signal comes meanwhile, for a half-imported MLflow could not end a run::

        with late_imports():
            from mlproject.speech.train import train

    Python's garbage collector does not look through what is imported.

    Args:
        tensorflow: Whether TensorFlow is needed; it is imported first, quietly.
    """
    if tensorflow:
        start_tensorflow()
    with signals.deferred(), _without_collecting():
        yield


def start_tensorflow() -> None:
    """Imports TensorFlow without its dozens of lines on CPU features, GPUs and retracing.

    Set TF_CPP_MIN_LOG_LEVEL to 0 or 1 to see them. If the import fails, they are shown.
    Keras is set to what we compute with, whatever its environment variables and keras.json say,
    which are for the user's other programs. Its progress bars are off: each command reports its
    own progress.
    """
    # Keras reads its file when it is imported; there it finds none.
    with signals.deferred(), _without_collecting(), _environment(KERAS_HOME=os.devnull):
        _import_tensorflow()
        import keras
    # In case it had been imported before.
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.disable_interactive_logging()


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Keeps Python's garbage collector away from what is imported inside.

    It would look through all of it again and again, for nothing: modules stay. That is a
    third of the seconds that TensorFlow and MLflow need to start and to exit. If nothing new
    was imported, nothing is frozen: what a training has left over must be collected.
    """
    collecting, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before:
            gc.freeze()
        if collecting:
            gc.enable()


def _import_tensorflow() -> None:
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    if "tensorflow" in sys.modules or level in ("0", "1"):  # the user wants to see more
        return
    sys.stderr.flush()
    # TensorFlow reads the variable once. Processes that we start must be quiet in the same way,
    # so they get the value that we found.
    with (
        _environment(TF_CPP_MIN_LOG_LEVEL="3" if level == "3" else "2"),
        tempfile.TemporaryFile() as output,
        _stderr_into(output.fileno()) as stderr,
    ):
        try:
            import tensorflow as tf

            tf.zeros(1) + 1  # looks for a GPU, and says so
            # Functions are traced anew for every network, as they must be.
            tf.get_logger().setLevel("ERROR")
        except Exception:
            output.seek(0)
            os.write(stderr, output.read())
            raise


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Sets environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _stderr_into(target: int) -> Iterator[int]:
    """Sends file descriptor 2 to ``target``; yields a descriptor for the old one."""
    saved = os.dup(2)
    os.dup2(target, 2)
    try:
        yield saved
    finally:
        os.dup2(saved, 2)
        os.close(saved)
