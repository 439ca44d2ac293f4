"""State dictionaries that PyTorch saved, without PyTorch and without running what is pickled in them.

Both forms of torch.serialization: the zip archive (since 1.6), and the older row of pickles that torchvision's vgg16
and pix2pix's networks still come in. A pickle names functions to call; here it may name only those that put tensors and
ordered dictionaries together, and they are ours.
"""

import collections
import io
import math
import pickle
import pickletools
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from pgkt_jax.data import files

MAX_BYTES = 8 * 2**30
"""The largest file that is read."""
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {
    "DoubleStorage": np.float64, "FloatStorage": np.float32, "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16, "LongStorage": np.int64, "IntStorage": np.int32, "ShortStorage": np.int16,
    "CharStorage": np.int8, "ByteStorage": np.uint8, "BoolStorage": np.bool_,
}  # fmt: skip


@dataclass
class _Storage:
    """A run of numbers that tensors are views of; `data` is filled in last."""

    dtype: np.dtype
    size: int
    data: np.ndarray | None = None


@dataclass(frozen=True)
class _Tensor:
    """As the pickle has it, unchecked until the array is made: its BUILD can change every field."""

    storage: Any
    offset: Any
    shape: tuple
    strides: tuple

    def array(self) -> np.ndarray:
        data, numbers = self.storage.data, (self.offset, *self.shape, *self.strides)
        if data is None or len(self.shape) != len(self.strides) or any(type(n) is not int or n < 0 for n in numbers):
            raise ValueError("a tensor without its numbers")
        count, last = (
            math.prod(self.shape),
            self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides)),
        )
        if count > len(data) or (count and last >= len(data)):
            raise ValueError(f"a tensor {self.shape} reaches beyond its {len(data)} numbers")
        strides = tuple(stride * data.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, strides, writeable=False)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}


class _Refused(pickle.UnpicklingError):
    """What no file of weights needs."""


class _Unpickler(pickle.Unpickler):
    """Names nothing but `ALLOWED` and storages; collects the storages by their keys."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self._file = file
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return np.dtype(STORAGES[name])
        if (module, name) not in ALLOWED:
            raise _Refused(f"it names {module}.{name}, which no file of weights needs: refused")
        return ALLOWED[module, name]

    def persistent_load(self, saved: Any) -> _Storage:
        kind, dtype, key, _, size, *view = saved
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str) or any(view):
            raise _Refused("it refers to something other than a whole storage")
        return self.storages.setdefault(key, _Storage(dtype, size))

    def load(self) -> Any:
        """The next pickle of the file, if its few bytes do not ask for more memory than it can fill."""
        start = self._file.tell()
        # That every text and array is as long as it says, pickletools sees to.
        for count, (code, number, _) in enumerate(pickletools.genops(self._file), start=1):
            if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(number or 0) <= count:
                raise _Refused(f"it numbers an object {number} when it has made {count} at most")
        self._file.seek(start)
        return super().load()


def read(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a state dictionary.

    Raises:
        ValueError: it is none, is cut short, or names anything but tensors.
    """
    try:
        data = files.read_bytes(path, limit=MAX_BYTES)
        named = _read_zip(data) if zipfile.is_zipfile(io.BytesIO(data)) else _read_pickles(io.BytesIO(data))
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named):
            raise ValueError("it holds no dictionary of tensors by name")
        return {name: tensor.array() for name, tensor in named.items() if isinstance(tensor, _Tensor)}
    except _Refused as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:  # a broken pickle can fail in any way
        raise ValueError(f"{path}: no state dictionary of PyTorch, or cut short ({error})") from error


def _read_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("data.pkl")
        if root + "byteorder" in archive.namelist() and _stored(archive, root + "byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        unpickler = _Unpickler(io.BytesIO(_stored(archive, root + "data.pkl")))
        named = unpickler.load()
        for key, storage in unpickler.storages.items():
            data = _stored(archive, f"{root}data/{key}")
            if len(data) != storage.size * storage.dtype.itemsize:
                raise ValueError(f"storage {key} is incomplete")
            storage.data = np.frombuffer(data, storage.dtype)
    return named


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """An entry as PyTorch writes them all, not compressed: else a small file could fill memory."""
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    return archive.read(name)


def _read_pickles(file: io.BytesIO) -> Any:
    if (_Unpickler(file).load(), _Unpickler(file).load()) != (MAGIC, PROTOCOL):
        raise ValueError("not PyTorch's magic number")
    if not _Unpickler(file).load().get("little_endian"):
        raise ValueError("its numbers are big-endian")
    unpickler = _Unpickler(file)
    named = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        (size,) = struct.unpack("<q", file.read(8))
        data = file.read(size * storage.dtype.itemsize) if size == storage.size else b""
        if len(data) != storage.size * storage.dtype.itemsize:
            raise ValueError(f"storage {key} is incomplete")
        storage.data = np.frombuffer(data, storage.dtype)
    return named
