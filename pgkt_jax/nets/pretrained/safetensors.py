"""The safetensors format: 8 bytes of length, a JSON header with types, shapes and offsets, the tensors' bytes.

https://github.com/huggingface/safetensors#format; the limit on the header is that of its reference implementation.
"""

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from pgkt_jax.data import checks, files

MAX_BYTES = 8 * 2**30
"""The largest file of weights that is read: ten times a ResNet-101 with its optimiser."""
HEADER_LIMIT = 100_000_000
DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip


def read(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a file.

    Raises:
        ValueError: it is missing, too large or no safetensors file, or its header promises what is not there.
    """
    with checks.about(str(path)):
        data = memoryview(files.read_bytes(path, limit=MAX_BYTES))
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else HEADER_LIMIT + 1
    if length > min(HEADER_LIMIT, len(data) - 8):
        raise ValueError(f"{path}: no safetensors file, or cut short: its header does not fit into it")
    try:
        header = json.loads(bytes(data[8 : 8 + length]))
        header.pop("__metadata__", None)
        return {name: _tensor(data[8 + length :], entry) for name, entry in header.items()}
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"{path}: no valid safetensors header ({error})") from error


def _tensor(data: memoryview, entry: dict[str, Any]) -> np.ndarray:
    (start, end), shape, dtype = entry["data_offsets"], tuple(entry["shape"]), np.dtype(DTYPES[entry["dtype"]])
    if not (all(type(n) is int and n >= 0 for n in (start, end, *shape)) and start <= end <= len(data)):
        raise ValueError(f"bytes {start} to {end} of {len(data)}, shape {shape}")
    if math.prod(shape) * dtype.itemsize != end - start:
        raise ValueError(f"{end - start} bytes for a tensor {shape} of {dtype}")
    return np.frombuffer(data[start:end], dtype).reshape(shape)


def write(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes float32 tensors; what was there before stays until all are written."""
    header, start = {}, 0
    for name, tensor in tensors.items():
        end = start + 4 * tensor.size
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": (start, end)}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(np.asarray(tensor, "<f4").tobytes())
    unfinished.replace(path)
