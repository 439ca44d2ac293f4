"""What a people folder may say of a person: the checks that its reader and its writer share.

Each check is a ValueError that says what a value is and is not; `about` puts in front of it of what it speaks.
"""

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pgkt_jax.joint_orders import MIN_CONFIDENCE
from pgkt_jax.skeleton import IGNORE, Skeleton

MAX_COORDINATE = 1e6  # pixels; excludes NaN and infinities as well


@contextmanager
def about(subject: str) -> Iterator[None]:
    """Say of what a ValueError speaks."""
    try:
        yield
    except (ValueError, RecursionError) as error:  # json recurses over what it reads and writes
        raise ValueError(f"{subject}: {error}") from None


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"is {reprlib.repr(value)}, not a text")
    return value


def object_or_none(value: object) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"is {reprlib.repr(value)}, not an object")
    return value


def joints_of_rows(rows: object, skeleton: Skeleton, *, labelled: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Rows [x, y, v] -> joints float32[J, 2], visible bool[J]; whoever has a label map may do without (None)."""
    if rows is None and labelled:
        return np.zeros((skeleton.num_joints, 2), np.float32), np.zeros(skeleton.num_joints, bool)
    if not isinstance(rows, list) or len(rows) != skeleton.num_joints:
        found = f"{len(rows)} rows" if isinstance(rows, list) else reprlib.repr(rows)
        raise ValueError(f"is {found}, not {skeleton.num_joints} rows [x, y, v]")
    faults = [fault for fault in map(_joint_fault, skeleton.joints, rows) if fault]
    if faults:
        raise ValueError("; ".join(faults))
    visible = np.array([row[2] >= MIN_CONFIDENCE for row in rows])
    if not visible[skeleton.limbs].all(axis=-1).any():
        raise ValueError(f"no part's limb has both its joints visible (v >= {MIN_CONFIDENCE})")
    return np.array([row[:2] for row in rows], np.float32), visible


def rows_of_joints(
    joints: np.ndarray, visible: np.ndarray, skeleton: Skeleton, *, labelled: bool
) -> list[list[float]] | None:
    """Rows [x, y, v], checked, with the shortest decimals that give the same float32 back; None as above."""
    count = skeleton.num_joints
    if joints.shape != (count, 2) or visible.shape != (count,):
        raise ValueError(f"are {list(joints.shape)}, visible {list(visible.shape)}, not [{count}, 2] and [{count}]")
    if labelled and not visible.any():
        return None
    rows = [[*(float(str(np.float32(n))) for n in xy), int(v)] for xy, v in zip(joints, visible)]
    joints_of_rows(rows, skeleton)
    return rows


def _joint_fault(joint: str, row: object) -> str | None:
    """What is wrong with one row; an unseen joint has v 0 and any finite place."""
    if not isinstance(row, list) or len(row) != 3 or not all(type(n) in (int, float) for n in row):
        return f"{joint} is {reprlib.repr(row)}, not three numbers [x, y, v]"
    x, y, v = row
    if not (abs(x) <= MAX_COORDINATE and abs(y) <= MAX_COORDINATE):
        return f"{joint} is at ({x}, {y}), not a finite place within {MAX_COORDINATE:g} pixels"
    if not (0 <= v <= 1 or v == 2):
        return f"{joint} has v = {v}, not a confidence in 0..1"
    return None


def check_label_map(label_map: np.ndarray, size: tuple[int, ...] | None, skeleton: Skeleton) -> None:
    """Compare a label map with its image's (height, width), where that is known, and with the part ids."""
    if label_map.dtype != np.uint8 or label_map.ndim != 2:
        raise ValueError(f"is {label_map.dtype}{list(label_map.shape)}, not uint8[H, W]")
    faults = []
    if size is not None and label_map.shape != size:
        faults.append("is {1} x {0} pixels, its image {3} x {2}".format(*label_map.shape, *size))
    try:
        check_ids(label_map, skeleton.num_parts)
    except ValueError as fault:
        faults.append(str(fault))
    if faults:
        raise ValueError("; ".join(faults))


def check_ids(label_map: np.ndarray, largest: int) -> None:
    """Refuse values of a label map, uint8[H, W], other than 0 to `largest` and 255."""
    known = np.zeros(256, bool)
    known[[*range(largest + 1), IGNORE]] = True
    unknown = np.unique(label_map[~known[label_map]])
    if unknown.size:
        ids = ", ".join(map(str, unknown[:10])) + ", ..." * (unknown.size > 10)
        raise ValueError(f"has unknown part ids {ids} (0 to {largest} and {IGNORE} are known)")
