"""Where the people of a run come from, and who of them has a mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from pgkt_jax.data.batch import canvas_of
from pgkt_jax.data.folder import read_people_folder
from pgkt_jax.data.person import Person
from pgkt_jax.data.puppets import Puppets
from pgkt_jax.skeleton import Skeleton


@runtime_checkable
class Source(Protocol):
    """A data set: a kind of body, and people by the name of their split."""

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def splits(self) -> Mapping[str, int]: ...

    def split(self, name: str) -> Sequence[Person]: ...


def open_people(data: str) -> Source:
    """Opens `puppets` (drawn people, no files) or a people folder, checked whole.

    Raises:
        ValueError: the folder has problems; all of them are named.
    """
    return Puppets() if data == "puppets" else read_people_folder(Path(data))


@dataclass(frozen=True)
class Splits:
    """The people of a run, read into memory.

    Attributes:
        skeleton: the kind of body.
        labelled: people with joints and masks (the paper's D_s).
        keypoints_only: people whose masks are hidden from the run (D_p).
        hidden: the same people with the masks, if they have any, that only the upper bound and analyses may see.
        val, test: labelled people that choices are made on, and that are scored once.
    """

    skeleton: Skeleton
    labelled: list[Person]
    keypoints_only: list[Person]
    hidden: list[Person]
    val: list[Person]
    test: list[Person]

    @property
    def canvas(self) -> tuple[int, int]:
        """The (H, W) that holds every image: one size for all, so that what is compiled once serves all."""
        return canvas_of([*self.labelled, *self.hidden, *self.val, *self.test])

    @property
    def all_have_masks(self) -> bool:
        """Whether there is an upper bound to train: a mask for everybody."""
        return all(person.label_map is not None for person in self.hidden)


def read_splits(source: Source, *, labels: int | None = None, max_side: int = 512) -> Splits:
    """Reads splits train, val, test and poses (may be absent); the first `labels` people of train keep their masks.

    Images whose longer side exceeds `max_side` pixels are reduced with their joints and label maps.

    Raises:
        ValueError: a split is missing or empty, `labels` exceeds train, or a person who must have a mask has none.
    """
    names = ["train", "val", "test", *(["poses"] if source.splits.get("poses") else [])]
    read = {name: [_reduced(person, max_side) for person in source.split(name)] for name in names}
    train, val, test, poses = (read.get(name, []) for name in ("train", "val", "test", "poses"))
    labels = len(train) if labels is None else labels
    if not 1 <= labels <= len(train):
        raise ValueError(f"labels = {labels}: split train has {len(train)} people, choose 1 to {len(train)}")
    hidden = train[labels:] + poses
    for split, people in (("train", train[:labels]), ("val", val), ("test", test)):
        for person in people:
            if person.label_map is None:
                raise ValueError(f"people.json: person {person.id}: parts: a person of split {split} needs a label map")
    if not hidden:
        raise ValueError(
            "there is nobody with keypoints only: split poses is empty and every person of train has a mask"
        )
    return Splits(source.skeleton, train[:labels], [replace(p, label_map=None) for p in hidden], hidden, val, test)


def _reduced(person: Person, max_side: int) -> Person:
    height, width = person.image.shape[:2]
    ratio = max_side / max(height, width)
    if ratio >= 1:
        return person
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    scale = np.array([size[0] / width, size[1] / height], np.float32)
    label_map = person.label_map
    return replace(
        person,
        image=cv2.resize(person.image, size, interpolation=cv2.INTER_AREA),
        joints=(person.joints + np.float32(0.5)) * scale - np.float32(0.5),
        label_map=None if label_map is None else cv2.resize(label_map, size, interpolation=cv2.INTER_NEAREST_EXACT),
    )
