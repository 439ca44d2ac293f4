"""Whom the benchmarks work on. A host without OpenCV can neither draw puppets nor read pictures: it gets sticks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.data.puppet_body import Body, Build, Pose
from pgkt_jax.data.splits import Source
from pgkt_jax.skeleton import PASCAL_PERSON, Skeleton

HALF_WIDTHS = {"head": 0.06, "torso": 0.09}
"""Of sticks, as fractions of a standing height; .035 for arms and legs. So they cover about what puppets cover."""


def open_people(data: str) -> Source:
    """As `data.sources.open_people`; where OpenCV is missing, `puppets` are stick people in the poses of puppets.

    Raises:
        ValueError: the folder has problems, or OpenCV is missing and a folder is asked for.
    """
    try:
        from pgkt_jax.data import sources
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise
        if data != "puppets":
            raise ValueError(f"{data}: reading pictures wants OpenCV (opencv-python-headless)") from error
        return StickPeople()
    return sources.open_people(data)


@dataclass(frozen=True)
class StickPeople:
    """People of the puppets' poses and builds whose parts are thick sticks, on pictures of noise.

    Attributes:
        size: (height, width) of every picture in pixels.
        count: people in each of the splits train and test.
    """

    size: tuple[int, int] = (128, 64)
    count: int = 200

    @property
    def skeleton(self) -> Skeleton:
        return PASCAL_PERSON

    @property
    def splits(self) -> dict[str, int]:
        return {"train": self.count, "test": self.count}

    def split(self, name: str) -> Sequence[Person]:
        start = self.count * list(self.splits).index(name)
        return LazyPeople(range(start, start + self.count), self._person)

    def _person(self, index: int) -> Person:
        rng = np.random.default_rng(index)
        body = Body.posed(Pose.random(rng), Build.random(rng)).framed(self.size, rng)
        joints = body.joints()
        limbs = joints[np.asarray(PASCAL_PERSON.limbs)]
        widths = np.array([HALF_WIDTHS.get(part.name, 0.035) for part in PASCAL_PERSON.parts]) * body.scale
        x, y = np.meshgrid(np.arange(self.size[1]), np.arange(self.size[0]))
        pixels = np.stack([x, y], -1)[None]
        start, along = limbs[:, None, None, 0], (limbs[:, 1] - limbs[:, 0])[:, None, None]
        share = ((pixels - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-6)
        nearest = start + np.clip(share, 0, 1)[..., None] * along
        distance = np.linalg.norm(pixels - nearest, axis=-1) / widths[:, None, None]
        label_map = np.where(distance.min(0) < 1, distance.argmin(0) + 1, 0).astype(np.uint8)
        image = rng.integers(0, 256, (*self.size, 3), np.uint8)
        return Person(f"stick_{index:05d}", image, joints.astype(np.float32), np.ones(len(joints), bool), label_map)
