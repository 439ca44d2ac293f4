"""MATLAB files, read by scipy (the extra `data`), as plain objects."""

import io
import math
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from pgkt_jax.data import checks, files


def read_mat(path: Path, name: str, *, limit: int) -> Any:
    """A variable of a MATLAB file (version 5 to 7.2); structures become objects with their fields as attributes.

    Args:
        path: the file.
        name: of the variable.
        limit: the largest file that is read, in bytes.

    Raises:
        ValueError: scipy is not there, or the file is missing, too large, no MATLAB file or without the variable.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise ValueError("MATLAB files are read by scipy: pip install 'pgkt_jax[data]'") from None
    with checks.about(str(path)):
        data = files.read_bytes(path, limit=limit)
        try:
            variables = loadmat(io.BytesIO(data), struct_as_record=False, squeeze_me=True)
        except Exception as error:  # a damaged file can make scipy raise anything
            raise ValueError(f"cannot be read as a MATLAB file ({type(error).__name__})") from None
        if name not in variables:
            raise ValueError(f"has no variable {name!r}")
        return variables[name]


def field(record: object, name: str) -> Any:
    """A field of a structure; raises ValueError if there is none."""
    if not hasattr(record, name):
        raise ValueError(f"{name}: is missing")
    return getattr(record, name)


def number(record: object, name: str) -> float:
    """A field of a structure that is one finite number; raises ValueError if it is not."""
    value = field(record, name)
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name}: is {str(value)[:50]!r}, not a finite number")
    return float(value)


def elements(value: Any) -> Sequence[Any]:
    """The elements of an array of structures, which scipy squeezes to one, to none, or leaves as they are."""
    return np.atleast_1d(value).ravel().tolist() if isinstance(value, np.ndarray) else [value]
