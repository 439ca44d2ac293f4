"""One person's way to a label: the nearest people, those picked, the masks of each morphed, and their mean."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.config import DataConfig, RefineConfig
from pgkt_jax.data.person import Person
from pgkt_jax.data.sources import reduced
from pgkt_jax.geometry import image_box
from pgkt_jax.prior import PoseBank, nearest_poses, prior_from
from pgkt_jax.retrieval import Neighbours
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.stages.parse import PARSERS
from pgkt_jax.stages.predict import Parser, Refiner
from pgkt_jax.stages.refine import REFINERS, bank_of, trained_refiner
from pgkt_jax.train.identity import has_trained_on
from pgkt_jax.train.run_folder import read_bank, read_config, training_in

MAX_SIDE = DataConfig().max_side
"""Larger images are reduced to this longer side, in pixels, as they are for a training."""


@dataclass(frozen=True)
class Teachers:
    """The labelled people that priors are made of.

    Attributes:
        bank: their poses and masks.
        config: k, n and method of a prior, and the settings of the refinement network where there is one.
        training: the folder of that network, or None.
        rows: whom in split train of a data set each row of the bank is; None where that is not known.
    """

    bank: PoseBank
    config: RefineConfig
    training: Path | None
    rows: Sequence[int] | None

    def without(self, row: int) -> "Teachers":
        """The same, but somebody in split train is never picked: nobody is a prior of himself."""
        if self.rows is None or row not in self.rows:
            return self
        return replace(self, bank=replace(self.bank, valid=self.bank.valid.at[self.rows.index(row)].set(False)))


def teachers_of_people(train: Sequence[Person], skeleton: Skeleton, config: RefineConfig) -> Teachers:
    """Everybody in split train who has masks.

    Raises:
        ValueError: too few have, or k > n.
    """
    if not 1 <= config.k <= config.n:
        raise ValueError(f"k = {config.k} neighbours cannot be picked out of n = {config.n}: 1 <= k <= n must hold")
    rows, labelled = [], []
    for row, person in enumerate(train):
        if person.label_map is not None:
            rows.append(row)
            labelled.append(replace(person, image=np.empty((0, 0, 3), np.uint8)))  # the memory goes to the masks
    if len(rows) <= config.n:
        raise ValueError(f"the n = {config.n} nearest people want {config.n + 1} with masks, not {len(rows)}")
    return Teachers(bank_of(labelled, skeleton), config, None, rows)


def teachers_of_run(run: Path, train: Sequence[Person] = ()) -> Teachers:
    """The people that a run's refinement network has learnt from.

    Args:
        run: the folder of a run, or of its training with the part-level prior.
        train: split train of a data set; where these are the people, the bank's rows are theirs.

    Raises:
        ValueError: the run has no such training, or a file of it is missing or of another version.
    """
    training = training_in(run, REFINERS[:1], "refine")
    config = read_config(training, RefineConfig)
    if config.prior != "part-level":
        raise ValueError(f"{training}: its network looks at no people in a similar pose (prior = {config.prior})")
    bank = read_bank(training, limb_frames=config.method == "limb_frames")
    known = bank.size <= len(train) and has_trained_on(
        training, [reduced(person, MAX_SIDE) for person in train[: bank.size]]
    )
    return Teachers(bank, config, training, range(bank.size) if known else None)


def person_of_bank(bank: PoseBank, row: int) -> Person:
    """What a bank keeps of somebody: masks and joints on black, with a margin for joints that lie beyond the masks."""
    label_map = np.asarray(bank.label_maps[row])
    margin = round(0.1 * max(label_map.shape))
    height, width = (np.flatnonzero(label_map.any(axis)).max(initial=0) + 1 + margin for axis in (1, 0))
    label_map = np.pad(label_map, margin)[: height + margin, : width + margin]
    joints = np.asarray(bank.joints[row]) + np.float32(margin)
    image = np.zeros((*label_map.shape, 3), np.uint8)
    return Person(f"bank/{row}", image, joints, np.asarray(bank.visible[row]), label_map)


class Neighbour(NamedTuple):
    """One of the nearest people.

    Attributes:
        row: of the bank.
        distance: of the two poses, root mean square over the joints that both show, in torso lengths.
        prior: float32[H, W, C - 1], this person's masks alone, morphed and merged; None where not picked.
    """

    row: int
    distance: float
    prior: np.ndarray | None


class Explanation(NamedTuple):
    """What a prior is made of.

    Attributes:
        neighbours: the nearest first, the picked ones among them.
        prior: float32[H, W, C - 1] in 0..1, at the size of the person's image; zeros where nobody was found.
    """

    neighbours: list[Neighbour]
    prior: np.ndarray


def explain(teachers: Teachers, person: Person) -> Explanation:
    """Makes the prior of a person of the k nearest, and keeps what it is made of.

    Args:
        teachers: the labelled people; the person must not be one of them (see `Teachers.without`).
        person: whose image says the size, and the frame of the joints.
    """
    bank, config = teachers.bank, teachers.config
    size = (person.image.shape[0], person.image.shape[1])
    joints, visible, box = jnp.asarray(person.joints), jnp.asarray(person.visible), jnp.array(image_box(size))
    near = Neighbours(*map(np.asarray, _nearest(bank, joints, visible, n=config.n)))
    picked = Neighbours(*(leaf[: config.k] for leaf in near))

    def prior(valid: np.ndarray) -> np.ndarray:
        """Of those of the picked that are valid: of one of them alone, its masks."""
        made = _prior(bank, picked._replace(valid=valid), joints, visible, box, size=size, method=config.method)
        return np.asarray(made)

    neighbours = [
        Neighbour(int(row), float(np.sqrt(distance)), prior(np.arange(config.k) == i) if i < config.k else None)
        for i, (row, distance, valid) in enumerate(zip(*near))
        if valid
    ]
    return Explanation(neighbours, prior(picked.valid))


# A program for each size of image, and not for each person.
_nearest = jax.jit(lambda bank, joints, visible, n: nearest_poses(bank, joints, visible, k=n), static_argnames="n")
_prior = jax.jit(prior_from, static_argnames=("size", "method"))


def refined_label(teachers: Teachers, person: Person) -> np.ndarray | None:
    """uint8[H, W] of class ids: what the refinement network says of a person; None: none has been trained.

    Raises:
        ValueError: there is no checkpoint yet.
    """
    if teachers.training is None:
        return None
    network = trained_refiner(teachers.config, teachers.bank, teachers.training).network()
    refiner = Refiner(teachers.config, network, teachers.bank, batch=1)
    return refiner([person.image], [person.joints], [person.visible])[0]


def parsed_label(run: Path, image: np.ndarray) -> np.ndarray | None:
    """uint8[H, W] of class ids: what a run's parsing network says of an image uint8[H, W, 3]; None: it has none yet.

    Raises:
        ValueError: the network cannot be read.
    """
    if not any((run / name / "checkpoints").is_dir() for name in PARSERS):
        return None
    return Parser.from_checkpoint(run, batch=1)([image])[0]
