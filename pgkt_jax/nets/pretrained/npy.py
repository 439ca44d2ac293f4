"""TensorFlow variables as caffe-tensorflow keeps them: a .npy file of one pickled {layer: {name: array}}."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct

from pgkt_jax.data import files

MAX_BYTES = 8 * 2**30
"""The largest file that is read."""
ALLOWED = {
    "_reconstruct": _reconstruct,
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "encode": lambda text, *_: text.encode("latin1"),
}


class _Refused(pickle.UnpicklingError):
    """What no file of weights needs."""


class _Unpickler(pickle.Unpickler):
    """Names nothing but numpy's arrays and their types."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] not in ("numpy", "_codecs") or name not in ALLOWED:
            raise _Refused(f"it names {module}.{name}, which no file of weights needs: refused")
        return ALLOWED[name]


def read(path: Path, *, trusted: bool) -> dict[str, np.ndarray]:
    """Every array of a file, named `layer/name`.

    Args:
        path: of the file.
        trusted: that whoever made it meant well. Nothing but arrays is unpickled, but numpy's own part in that was not
            written for hostile files.

    Raises:
        ValueError: it is not trusted, holds something else, or is cut short.
    """
    if not trusted:
        raise ValueError(f"{path}: a .npy of weights is a pickle: say --trust-pickle if you know where it comes from")
    try:
        with io.BytesIO(files.read_bytes(path, limit=MAX_BYTES)) as file:
            major, _ = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            if shape != () or dtype.kind != "O":
                raise ValueError("it holds an array and not a dictionary of layers")
            layers = _Unpickler(file, encoding="latin1").load()
        if isinstance(layers, np.ndarray):  # the 0-dimensional array around the dictionary is pickled with it
            layers = layers.item()
        return {
            f"{layer}/{name}": np.asarray(array) for layer, named in layers.items() for name, array in named.items()
        }
    except _Refused as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:  # a broken pickle can fail in any way
        raise ValueError(f"{path}: no dictionary of layers, or cut short ({error})") from error
