"""Worse joints, to find out how good they have to be."""

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pgkt_jax.data.person import LazyPeople, Person, changed


def noisy(people: Sequence[Person], deviation: float, *, seed: int) -> LazyPeople:
    """People with normal noise on every joint, the same for the same person and seed.

    Args:
        people: whose joints, float32[J, 2] (x, y), change; all else stays.
        deviation: the standard deviation in x and in y, as a share of the longer side of the box around the person's
            visible joints.
        seed: of the noise; not negative.
    """

    def one(person: Person) -> Person:
        if not deviation or not person.visible.any():
            return person
        extent = np.ptp(person.joints[person.visible], axis=0).max()
        rng = np.random.default_rng([seed, zlib.crc32(person.id.encode())])
        offsets = rng.normal(0, deviation * extent, person.joints.shape).astype(np.float32)
        return replace(person, joints=person.joints + offsets)

    return changed(people, one)
