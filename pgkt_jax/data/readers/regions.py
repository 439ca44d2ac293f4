"""From labels that do not tell parts apart (merged classes, clothes) to the parts of a body, with the joints' help."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from pgkt_jax.skeleton import IGNORE, PASCAL_PERSON, Skeleton

Candidates = Mapping[int, Sequence[int]]
"""Label -> the part ids that its pixels may belong to."""

_HALF_WIDTHS = {
    "head": 2.5, "torso": 3.0, "upper arms": 1.0, "lower arms": 0.8, "upper legs": 1.7, "lower legs": 1.1,
}  # fmt: skip
"""Half of the width of a clothed limb, by class, as multiples of an upper arm's."""

CLASS_CANDIDATES: Candidates = {
    class_id: (np.flatnonzero(PASCAL_PERSON.part_classes == class_id) + 1).tolist()
    for class_id in range(1, PASCAL_PERSON.num_classes)
}
"""What the merged classes 1 to 6 of a person are merged from."""


def first_parts(labels: np.ndarray, candidates: Candidates = CLASS_CANDIDATES) -> np.ndarray:
    """Part ids that merge back into the classes `labels`, uint8[H, W]; left and right stay untold (all are left)."""
    lut = np.arange(256, dtype=np.uint8)
    lut[list(candidates)] = [parts[0] for parts in candidates.values()]
    return lut[labels]


def nearest_parts(
    labels: np.ndarray,
    candidates: Candidates,
    joints: np.ndarray,
    visible: np.ndarray,
    *,
    skeleton: Skeleton = PASCAL_PERSON,
) -> np.ndarray:
    """Gives every pixel to that candidate of its label whose limb is nearest, in units of the limb's half-width.

    Args:
        labels: uint8[H, W]; 0 and 255 stay.
        candidates: of every other label.
        joints, visible: float[J, 2] (x, y) in pixels, pixel centres at integers, and bool[J].
        skeleton: the kind of body.

    Returns:
        uint8[H, W] part ids; 255 where a label has several candidates and none of their limbs is visible.
    """
    result = labels.copy()
    for label in set(np.unique(labels).tolist()) - {0, IGNORE}:
        parts = candidates[label]
        seen = [part for part in parts if visible[skeleton.limbs[part - 1]].all()]
        rows, columns = np.nonzero(labels == label)
        if len(parts) == 1 or len(seen) == 1:
            result[rows, columns] = parts[0] if len(parts) == 1 else seen[0]
        elif not seen:
            result[rows, columns] = IGNORE
        else:
            distances = [_limb_distance(part, joints, columns, rows, skeleton) for part in seen]
            result[rows, columns] = np.array(seen, np.uint8)[np.argmin(distances, axis=0)]
    return result


def of_one_person(
    labels: np.ndarray, me: int, joints: np.ndarray, visible: np.ndarray, *, skeleton: Skeleton = PASCAL_PERSON
) -> np.ndarray:
    """The classes of one of several people in an image: whatever may be somebody else's becomes 255.

    Somebody else's may be what lies nearer to another's limbs, and a separate region in which none of this
    person's joints lies: not everybody in an image has joints.

    Args:
        labels: uint8[H, W], merged classes of everybody.
        me: whose row counts.
        joints, visible: float[P, J, 2] and bool[P, J], of everybody who has joints.
        skeleton: the kind of body.
    """
    _, regions = cv2.connectedComponents((labels > 0).astype(np.uint8))
    height, width = labels.shape
    column, row = np.round(joints[me][visible[me]]).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    others = ~np.isin(regions, regions[row[inside], column[inside]])
    if len(joints) > 1:
        rows, columns = np.nonzero(labels > 0)
        limbs = [
            [
                _limb_distance(part, joints[person], columns, rows, skeleton)
                for part in range(1, skeleton.num_parts + 1)
                if visible[person][skeleton.limbs[part - 1]].all()
            ]
            for person in range(len(joints))
        ]
        nearest = [np.min(found, axis=0) if found else np.full(len(rows), np.inf) for found in limbs]
        others[rows, columns] |= np.argmin(nearest, axis=0) != me
    return np.where(others & (labels > 0), np.uint8(IGNORE), labels)


def _limb_distance(part: int, joints: np.ndarray, x: np.ndarray, y: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """float[N]: of pixels (x, y) from the part's limb, in units of its half-width."""
    start, end = joints[skeleton.limbs[part - 1]].astype(float)
    along = end - start
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(along @ along, 1e-9)
    share = np.clip(share, 0, 1)
    distance = np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])
    return distance / _HALF_WIDTHS[skeleton.parts[part - 1].class_name]
