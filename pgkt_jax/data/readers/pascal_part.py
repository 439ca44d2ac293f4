"""PASCAL-Part annotations: whole objects and their parts, every one with a mask.

`Annotations_Part/ID.mat` holds `anno` with `imname` and `objects`, each with `class`, `class_ind`, `mask` (uint8[H, W],
0 or 1) and `parts`, each with `part_name` and `mask` (Chen et al., CVPR 2014; names as in part2ind.m of
roozbehm.info/pascal-parts). Sides are the body's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pgkt_jax.data import checks
from pgkt_jax.data.readers.mat import elements, field, read_mat
from pgkt_jax.skeleton import HORSE, IGNORE, PASCAL_PERSON, Skeleton

_MAX_BYTES = 64 * 2**20

_HEAD = ("head", "leye", "reye", "lear", "rear", "lebrow", "rebrow", "nose", "mouth", "hair")
_MUZZLE = ("head", "leye", "reye", "lear", "rear", "muzzle", "lhorn", "rhorn")


def _ids(skeleton: Skeleton, parts: Mapping[str, str]) -> dict[str, int]:
    ids = {part.name: row for row, part in enumerate(skeleton.parts, start=1)}
    return {name: ids[part] for name, part in parts.items()}


# The larger part first: what lies on it is painted over it.
PERSON_PARTS = _ids(
    PASCAL_PERSON,
    {"torso": "torso", "neck": "torso", **dict.fromkeys(_HEAD, "head")}
    | {f"{s}{name}": f"{side}_{part}" for s, side in (("l", "left"), ("r", "right")) for name, part in (
        ("uarm", "upper_arm"), ("larm", "lower_arm"), ("hand", "lower_arm"),
        ("uleg", "upper_leg"), ("lleg", "lower_leg"), ("foot", "lower_leg"),
    )},
)  # fmt: skip
"""The 24 parts of a person -> our ten. The neck lies below the joint of that name, so it goes to the torso."""

ANIMAL_PARTS = _ids(
    HORSE,
    {"torso": "torso", "neck": "neck", "tail": "tail", **dict.fromkeys(_MUZZLE, "head")}
    | {f"{s}{e}{name}": f"{side}_{end}_{part}_leg" for s, side in (("l", "left"), ("r", "right")) for e, end in (
        ("f", "front"), ("b", "back")) for name, part in (("uleg", "upper"), ("lleg", "lower"), ("ho", "lower"))},
)  # fmt: skip
"""The parts of horses and cows (hooves, horns and all) -> the twelve of `HORSE` and `COW`."""


@dataclass(frozen=True, eq=False)
class Body:
    """One annotated object.

    Attributes:
        mask: bool[H, W], the whole of it.
        label_map: uint8[H, W] part ids; 255 on what is of the object but of no part.
    """

    mask: np.ndarray
    label_map: np.ndarray


def read_bodies(path: Path, kind: str, part_ids: Mapping[str, int], size: tuple[int, int]) -> list[Body]:
    """The objects of a class in an annotation, in its order.

    Args:
        path: of the `.mat` file.
        kind: the name of the class, such as `person`.
        part_ids: the annotation's part names -> ours.
        size: (height, width) of the image.

    Raises:
        ValueError: the file cannot be read, or is not of this form; it names file, object and field.
    """
    annotation = read_mat(path, "anno", limit=_MAX_BYTES)
    with checks.about(str(path)):
        bodies = []
        for row, thing in enumerate(elements(field(annotation, "objects"))):
            with checks.about(f"objects[{row}]"):
                if field(thing, "class") == kind:
                    bodies.append(_body(thing, part_ids, size))
        return bodies


def _body(thing: object, part_ids: Mapping[str, int], size: tuple[int, int]) -> Body:
    whole = _mask(thing, size)
    label_map = np.where(whole, np.uint8(IGNORE), np.uint8(0))
    masks: dict[str, np.ndarray] = {}
    for part in elements(field(thing, "parts")):
        name = field(part, "part_name")
        if name not in part_ids:
            raise ValueError(f"part_name: is {name!r}; known are {', '.join(part_ids)}")
        with checks.about(name):
            masks[name] = _mask(part, size)
    for name, id in part_ids.items():
        if name in masks:
            label_map[masks[name]] = id
    return Body(whole, label_map)


def _mask(record: object, size: tuple[int, int]) -> np.ndarray:
    mask = np.asarray(field(record, "mask"))
    if mask.shape != size:
        raise ValueError("mask: is {}, its image {} x {} pixels".format(" x ".join(map(str, mask.shape)), *size))
    return mask > 0


def together(bodies: Sequence[Body], size: tuple[int, int]) -> np.ndarray:
    """uint8[H, W]: the parts of everybody; 255 where somebody is of whom the part is not known."""
    label_map = np.zeros(size, np.uint8)
    for body in bodies:
        label_map[body.mask] = body.label_map[body.mask]
    return label_map


def alone(bodies: Sequence[Body], me: int | None, size: tuple[int, int]) -> np.ndarray:
    """uint8[H, W]: the parts of one body, or of none; 255 on the others, who are neither its parts nor background."""
    label_map = np.zeros(size, np.uint8)
    for body in bodies:
        label_map[body.mask] = IGNORE
    if me is not None:
        own = bodies[me]
        label_map[own.mask] = own.label_map[own.mask]
    return label_map


def match(bodies: Sequence[Body], joints: Sequence[np.ndarray], visible: Sequence[np.ndarray]) -> list[int | None]:
    """For each pose (float32[J, 2], bool[J]) the body that most of its joints lie on; a body serves one pose.

    A pose none of whose joints lies on a free body gets None.
    """
    hits = np.array([[_hits(body.mask, xy, seen) for body in bodies] for xy, seen in zip(joints, visible)])
    result: list[int | None] = [None] * len(joints)
    while hits.size and hits.max() > 0:
        pose, body = (int(n) for n in np.unravel_index(hits.argmax(), hits.shape))
        result[pose] = body
        hits[pose], hits[:, body] = 0, 0
    return result


def _hits(mask: np.ndarray, joints: np.ndarray, visible: np.ndarray) -> int:
    column, row = np.round(joints[visible]).astype(int).T
    inside = (column >= 0) & (column < mask.shape[1]) & (row >= 0) & (row < mask.shape[0])
    return int(mask[row[inside], column[inside]].sum())
