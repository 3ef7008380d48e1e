"""What Keras has to be set to: TensorFlow as its backend, float32 everywhere.

A user's environment, ``keras.json`` or program can have chosen otherwise; that is said in one
line, before data are loaded or Keras fails somewhere inside. Layers that ask for it are told
explicitly that channels are last, so ``image_data_format`` does not matter.
"""

import json
import os
import sys
from pathlib import Path

from tfnets.errors import InputError


def check_backend() -> None:
    """Raises ImportError if Keras runs, or would run once it is imported, on another backend.

    Keras itself is not imported: it would look for a backend that may not be installed.
    """
    loaded = getattr(sys.modules.get("keras"), "config", None)
    if loaded is not None and hasattr(loaded, "backend"):
        backend, where = loaded.backend(), "Keras has been imported with it"
    elif os.environ.get("KERAS_BACKEND"):
        backend, where = os.environ["KERAS_BACKEND"], "environment variable KERAS_BACKEND"
    else:
        backend, where = _file().get("backend", "tensorflow"), str(_path())
    if backend != "tensorflow":
        raise ImportError(
            f"the backend of Keras is {backend!r} ({where}); tfnets needs 'tensorflow': set "
            "KERAS_BACKEND=tensorflow before Keras is imported."
        )


def check() -> None:
    """Raises InputError if Keras computes in anything but float32."""
    import keras

    floatx, policy = keras.config.floatx(), keras.config.dtype_policy().name
    if floatx != "float32":
        where = _path() if _file().get("floatx") == floatx else "set in this process"
        raise InputError(
            f"Keras' floatx is {floatx!r} ({where}); tfnets computes in float32: call "
            "keras.config.set_floatx('float32') and set_dtype_policy('float32') first."
        )
    if policy != "float32":
        raise InputError(
            f"Keras' dtype policy is {policy!r} (set in this process); tfnets computes in "
            "float32: call keras.config.set_dtype_policy('float32') first."
        )


def _path() -> Path:
    """Where Keras looks for its configuration."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser() / "keras.json"
    home = os.path.expanduser("~")
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras" / "keras.json"


def _file() -> dict:
    try:
        content = json.loads(_path().read_text())
    except (OSError, ValueError, RuntimeError):  # Keras takes its defaults, too
        return {}
    return content if isinstance(content, dict) else {}
