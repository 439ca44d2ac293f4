"""The one record that every data source gives."""

from dataclasses import dataclass, replace

import numpy as np

from pgkt_jax.skeleton import Skeleton


@dataclass(frozen=True)
class Person:
    """One person in one picture.

    Attributes:
        id: unique in its data set.
        image: uint8[H, W, 3], RGB.
        joints: float32[J, 2], (x, y) in pixels of `image`, y down, pixel centres at integers.
        visible: bool[J].
        label_map: uint8[H, W] of part ids (0 background, 255 ignored), or None where only joints are known.
    """

    id: str
    image: np.ndarray
    joints: np.ndarray
    visible: np.ndarray
    label_map: np.ndarray | None = None


def mirror_person(person: Person, skeleton: Skeleton) -> Person:
    """The same person in a mirror: the picture flips, and left and right change their names with it."""
    width = person.image.shape[1]
    swap = skeleton.joint_mirror
    joints = person.joints[swap] * np.array([-1, 1], np.float32) + np.array([width - 1, 0], np.float32)
    label_map = person.label_map
    return replace(
        person,
        image=np.ascontiguousarray(person.image[:, ::-1]),
        joints=joints,
        visible=person.visible[swap],
        label_map=None if label_map is None else skeleton.part_mirror_lut[label_map[:, ::-1]],
    )
