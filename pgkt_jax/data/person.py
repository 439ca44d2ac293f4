"""The one record that every data source gives, and sequences of it that hold nothing in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

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


class LazyPeople(Sequence[Person]):
    """People who are read, drawn or changed whenever one of them is looked at, and not kept.

    Args:
        items: what stands for each of them.
        make: the person of an item.
    """

    def __init__(self, items: Sequence[Any], make: Callable[[Any], Person]):
        self._items, self._make = items, make

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, row: int) -> Person: ...
    @overload
    def __getitem__(self, row: slice) -> "LazyPeople": ...
    def __getitem__(self, row: int | slice) -> "Person | LazyPeople":
        chosen = self._items[row]
        return LazyPeople(chosen, self._make) if isinstance(row, slice) else self._make(chosen)


def joined(*groups: Sequence[Person]) -> LazyPeople:
    """People of several sequences, one after the other."""
    return LazyPeople([(group, row) for group in groups for row in range(len(group))], lambda at: at[0][at[1]])


def changed(people: Sequence[Person], change: Callable[[Person], Person]) -> LazyPeople:
    """People, each changed by a function when it is looked at."""
    return LazyPeople(range(len(people)), lambda row: change(people[row]))
