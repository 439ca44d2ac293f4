"""What a run folder keeps for whoever uses its networks later: skeleton, pose bank, and settings that read back.

A training's folder is self-contained: `config.json` and `checkpoints/` (see `train.checkpoint`), `skeleton.json`, and
for the refinement network `bank.npz`: `label_maps` uint8[N, H, W], `joints` float32[N, J, 2] and `visible`
bool[N, J] of the people that its priors are made of, without their photographs (about 2 kB a person).
"""

import dataclasses
import io
import json
import types
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from pgkt_jax.data import checks, files
from pgkt_jax.prior import PoseBank
from pgkt_jax.skeleton import Part, Skeleton

MAX_BANK_BYTES = 16 * 2**30
"""The largest pose bank that is read, unpacked: two hundred thousand people."""

Settings = TypeVar("Settings")


def save_skeleton(folder: Path, skeleton: Skeleton) -> None:
    """Writes `skeleton.json`, the whole table: a run with a skeleton of one's own needs no code to be used."""
    files.write_atomically(folder / "skeleton.json", json.dumps(dataclasses.asdict(skeleton), indent=1).encode())


def read_skeleton(folder: Path) -> Skeleton:
    """The skeleton of a run.

    Raises:
        ValueError: `skeleton.json` is missing or says no skeleton.
    """
    path = folder / "skeleton.json"
    with checks.about(str(path)):
        found = read_object(path)
        try:
            parts = tuple(
                Part(checks.text(part["name"]), _pair(part["limb"]), checks.text(part["class_name"]))
                for part in found["parts"]
            )
            joints = tuple(checks.text(joint) for joint in found["joints"])
            return Skeleton(checks.text(found["name"]), joints, parts, _pair(found["torso"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"says no skeleton ({error})") from None


def _pair(joints: Sequence[object]) -> tuple[str, str]:
    start, end = joints
    return checks.text(start), checks.text(end)


def save_bank(folder: Path, bank: PoseBank) -> None:
    """Writes `bank.npz` and `skeleton.json`."""
    save_skeleton(folder, bank.skeleton)
    data = io.BytesIO()
    np.savez_compressed(data, label_maps=bank.label_maps, joints=bank.joints, visible=bank.visible)
    files.write_atomically(folder / "bank.npz", data.getvalue())


def read_bank(folder: Path, *, limb_frames: bool = True) -> PoseBank:
    """The pose bank of a run; `limb_frames` as for `PoseBank.create`.

    Raises:
        ValueError: `bank.npz` or `skeleton.json` is missing, damaged, or they do not fit.
    """
    skeleton, path = read_skeleton(folder), folder / "bank.npz"
    with checks.about(str(path)):
        data = files.read_bytes(path, limit=MAX_BANK_BYTES)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > MAX_BANK_BYTES:
                    raise ValueError(f"unpacks to more than {MAX_BANK_BYTES:,} bytes")
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                maps, joints, visible = (arrays[name] for name in ("label_maps", "joints", "visible"))
        except Exception as error:  # zipfile, zlib and numpy each have their own
            raise ValueError(f"holds no pose bank ({error})") from None
        count, length = len(maps), (len(maps), skeleton.num_joints)
        if maps.dtype != np.uint8 or maps.ndim != 3 or not maps.size:
            raise ValueError(f"label_maps: are {maps.dtype}{list(maps.shape)}, not uint8[N, H, W]")
        if joints.dtype != np.float32 or joints.shape != (*length, 2):
            raise ValueError(f"joints: are {joints.dtype}{list(joints.shape)}, not float32[{count}, {length[1]}, 2]")
        if visible.dtype != bool or visible.shape != length:
            raise ValueError(f"visible: are {visible.dtype}{list(visible.shape)}, not bool[{count}, {length[1]}]")
        # As large as they were, so that nothing is reduced twice.
        side = max(maps.shape[1:])
        return PoseBank.create(skeleton, list(maps), joints, visible, max_side=side, limb_frames=limb_frames)


def read_config(folder: Path, kind: type[Settings]) -> Settings:
    """The settings of a training, `config.json` as `kind`, a frozen dataclass.

    Raises:
        ValueError: the file is missing, or a field is unknown, missing or of the wrong kind; the fields are named.
    """
    path = folder / "config.json"
    with checks.about(str(path)):
        found, kinds = read_object(path), get_type_hints(kind)
        faults = [
            *(f"{name} is unknown" for name in sorted(found.keys() - kinds.keys())),
            *(f"{name} is missing" for name in sorted(kinds.keys() - found.keys())),
        ]
        if faults:
            raise ValueError(f"holds no {kind.__name__} of this version: {', '.join(faults)}")
        values = {}
        for name, value in found.items():
            with checks.about(name):
                values[name] = _value(value, kinds[name])
        return kind(**values)


def training_in(folder: Path, names: Sequence[str], command: str) -> Path:
    """The folder of a training: `folder` itself, or the first of its subfolders `names` that has checkpoints.

    Raises:
        ValueError: there is none; says by which command one comes about.
    """
    for path in (folder, *(folder / name for name in names)):
        if (path / "config.json").is_file() and (path / "checkpoints").is_dir():
            return path
    wanted = ", ".join(f"{name}/" for name in names)
    raise ValueError(f"{folder} holds no trained network ({wanted}): train one with `pgkt {command} CONFIG`")


def read_object(path: Path) -> dict[str, Any]:
    """A file that holds a JSON object; raises ValueError with a predicate, as those of `data.files`."""
    text = files.read_text(path)
    with checks.about("is not JSON"):
        found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("is not an object")
    return found


def _value(value: Any, kind: Any) -> Any:
    """A JSON value as the field's type has it: lists become tuples, whole numbers floats."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal and value in inner:
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _value(value, next(k for k in inner if k is not type(None)))
    if origin is tuple and isinstance(value, list):
        kinds = inner[:1] * len(value) if inner[-1] is ... else inner
        if len(value) == len(kinds):
            return tuple(map(_value, value, kinds))
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (bool, int, str) and type(value) is kind:
        return value
    raise ValueError(f"is {value!r}, not {getattr(kind, '__name__', None) if origin is None else kind}")
