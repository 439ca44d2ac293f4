"""The blobs of a .caffemodel: as much of protocol buffers as caffe.proto's weights need.

Field numbers after caffe.proto (BVLC/caffe; DeepLab's own as stored at kazuto1011/deeplab-pytorch). A blob is named by
its layer and its place there: `conv1_1.0` is the kernel, `conv1_1.1` the bias.
"""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from pgkt_jax.data import files

MAX_BYTES = 2**31
"""The largest file that is read; protocol buffers have no larger ones."""
LAYERS_V1, LAYERS = 2, 100
NAME_V1, BLOBS_V1 = 4, 6
NAME, BLOBS = 1, 7
FLOATS, SHAPE, DOUBLES, LEGACY_SHAPE = 5, 7, 8, (1, 2, 3, 4)
VARINT, EIGHT_BYTES, DELIMITED, FOUR_BYTES = 0, 1, 2, 5
Fields = dict[int, list[Any]]


def read(path: Path) -> dict[str, np.ndarray]:
    """Every blob of a file, float32 or float64.

    Raises:
        ValueError: it is no caffemodel, is cut short, or a blob has more or fewer numbers than its shape.
    """
    try:
        blobs: dict[str, np.ndarray] = {}
        net = _fields(memoryview(files.read_bytes(path, limit=MAX_BYTES)))
        for field, name_field, blob_field in ((LAYERS, NAME, BLOBS), (LAYERS_V1, NAME_V1, BLOBS_V1)):
            for layer in map(_fields, net[field]):
                name = bytes(layer[name_field][0]).decode() if layer[name_field] else ""
                blobs |= {f"{name}.{i}": _blob(_fields(blob)) for i, blob in enumerate(layer[blob_field])}
        if not blobs:
            raise ValueError("no layer has weights")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: no caffemodel, or cut short ({error})") from error
    return blobs


def _blob(blob: Fields) -> np.ndarray:
    parts = blob[FLOATS] or blob[DOUBLES]
    data = b"".join(map(bytes, parts))
    values = np.frombuffer(data, "<f4" if blob[FLOATS] else "<f8")
    if blob[SHAPE]:
        shape = tuple(_integers(_fields(blob[SHAPE][0])[1]))
    else:
        shape = tuple(blob[field][-1] if blob[field] else 1 for field in LEGACY_SHAPE)
        shape = shape if math.prod(shape[:3]) > 1 else shape[3:]  # a bias was 1 x 1 x 1 x n
    if math.prod(shape) != values.size:
        raise ValueError(f"{values.size} numbers for a blob {shape}")
    return values.reshape(shape)


def _integers(values: list[Any]) -> list[int]:
    """Repeated integers, packed into one field or not."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(number)
    return found


def _fields(message: Any) -> Fields:
    """Field number -> its values in order: integers, or the bytes of everything else."""
    if isinstance(message, int):
        raise TypeError("a number where a message is due")
    fields: Fields = defaultdict(list)
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind, length = tag & 7, 0
        if kind == VARINT:
            value, at = _varint(message, at)
            fields[tag >> 3].append(value)
            continue
        if kind == DELIMITED:
            length, at = _varint(message, at)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            length = 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {kind}")
        if length > len(message) - at:
            raise ValueError(f"{length} bytes promised, {len(message) - at} left")
        fields[tag >> 3].append(message[at : at + length])
        at += length
    return fields


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = 0
    for shift, byte in zip(range(0, 70, 7), data[at : at + 10]):
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")
