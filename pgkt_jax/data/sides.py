"""Left against right: whether limbs lie on their own masks or on those of the other side."""

import numpy as np

from pgkt_jax.data.person import Person
from pgkt_jax.skeleton import Skeleton

_ALONG = np.linspace(0.2, 0.8, 13, dtype=np.float32)[:, None]
"""Where a limb is looked at, as shares of its length: not at its ends, where other parts begin."""


def crossed_parts(person: Person, skeleton: Skeleton) -> dict[str, bool]:
    """Whether a part's limb lies more on the mask of the mirrored part than on its own.

    A few crossed parts are legs or arms that hide each other. If most are, joints or masks have left and right swapped.

    Args:
        person: whose joints and label map are compared.
        skeleton: names parts, limbs and sides.

    Returns:
        Part name -> whether it is crossed, of the parts that have a side, a visible limb, and its own or the mirrored
        mask below that; empty without a label map.
    """
    crossed: dict[str, bool] = {}
    if person.label_map is None:
        return crossed
    bounds = np.array(person.label_map.shape[::-1]) - 1
    for part, mirrored in enumerate(skeleton.part_mirror_lut[1 : skeleton.num_parts + 1], start=1):
        ends = skeleton.limbs[part - 1]
        if mirrored == part or not person.visible[ends].all():
            continue
        a, b = person.joints[ends]
        points = np.rint(a + _ALONG * (b - a))
        columns, rows = points[((points >= 0) & (points <= bounds)).all(axis=1)].astype(int).T
        found = person.label_map[rows, columns]
        own, other = int((found == part).sum()), int((found == mirrored).sum())
        if own or other:
            crossed[skeleton.parts[part - 1].name] = other > own
    return crossed
