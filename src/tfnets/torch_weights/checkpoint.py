"""A module's weights from a file, read as numbers and never as code."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from tfnets.arrays import read_npz, readable
from tfnets.errors import InputError

# What PyTorch writes with torch.save: pickles, which can hold any code.
_PICKLES = {".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar"}

_HOW_TO_SAVE = (
    "save the weights in PyTorch with safetensors.torch.save_file(module.state_dict(), "
    "'weights.safetensors') or np.savez('weights.npz', **{name: tensor.cpu().numpy() for "
    "name, tensor in module.state_dict().items()})"
)


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds; ``torch_weights.load(model, c.entries, ordered=c.ordered)``.

    Attributes:
        entries: Entry name -> array.
        ordered: Whether they have the order of the module's state_dict. An .npz file keeps
            it, a .safetensors file does not.
    """

    entries: dict[str, np.ndarray]
    ordered: bool


def read_file(path: str | Path) -> Checkpoint:
    """A state_dict that was saved as ``.safetensors`` or ``.npz``.

    Nothing is unpickled: a file that holds pickles is refused.

    Args:
        path: The file.

    Raises:
        InputError: For a file that is missing, of another kind or damaged.
    """
    path = Path(os.path.expanduser(path)).absolute()
    kind = path.suffix.lower()
    if kind in _PICKLES:
        raise InputError(f"checkpoint {path} can hold code and is not opened; {_HOW_TO_SAVE}.")
    if not path.is_file():
        what = "is a folder" if path.exists() else "does not exist"
        raise InputError(f"checkpoint {path} {what}; expected a .safetensors or .npz file.")
    if kind not in (".safetensors", ".npz"):
        raise InputError(
            f"checkpoint {path} is no .safetensors or .npz file by its name; {_HOW_TO_SAVE}."
        )
    with readable(f"checkpoint {path} is not a readable {kind} file of plain arrays"):
        if kind == ".safetensors":
            return Checkpoint(load_file(path), ordered=False)
        return Checkpoint(read_npz(path), ordered=True)
