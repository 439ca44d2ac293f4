"""Part labels for people with keypoints only, by the refinement network (paper, section 3.7)."""

import dataclasses
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from pgkt_jax.config import RefineConfig
from pgkt_jax.data.batch import People, stack_people
from pgkt_jax.data.digests import digest
from pgkt_jax.data.person import Person
from pgkt_jax.geometry import box_pixels, segment_distance
from pgkt_jax.prior import PoseBank, nearest_poses
from pgkt_jax.retrieval import Neighbours
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.stages.evaluate import Labels, batch_size
from pgkt_jax.stages.refine import refined_labels
from pgkt_jax.train import hosts
from pgkt_jax.train.faults import Stopped, noting_sigterm
from pgkt_jax.train.log import Progress
from pgkt_jax.train.sharding import local_mesh, split
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.views import whole_box
from pgkt_jax.typing import Array, Bool, Float, UInt8

SPLIT = "synthesised"


def synthesize(
    config: RefineConfig,
    state: TrainState,
    bank: PoseBank,
    people: Sequence[Person],
    folder: Path,
    *,
    canvas: tuple[int, int],
    bank_ids: Sequence[str],
) -> None:
    """Labels people and writes them as a people folder of ten-part label maps, each with its provenance.

    Every process labels its share of them; the first one completes the folder, with these people and nobody else.
    People whom an earlier run with the same network, settings and bank finished are left as they are, if photograph
    and joints are the same, too. SIGTERM ends it when the people at hand are written, by `Stopped`, whose status is 0.

    Args:
        config, state, bank: the trained refinement network and the people its priors are made of.
        people: with joints; masks are not looked at.
        folder: of the result.
        canvas: (H, W) that holds every image.
        bank_ids: the ids of the bank's rows, for the provenance.
    """
    from pgkt_jax.data.writer import PeopleWriter  # OpenCV: only where labels are written

    origin = {"checkpoint": digest(state.params), "bank": digest(bank), "config": _as_json(config)}
    label = jax.jit(lambda state, bank, people: label_people(config, state, bank, people))
    writer, mesh, size = PeopleWriter(folder, bank.skeleton), local_mesh(), batch_size()
    # Who opens the folder removes files that are being written.
    hosts.wait("everybody has opened the folder")
    mine = hosts.share(people)
    # Rows, and not people: they may be more than memory holds.
    waiting = [
        row
        for row, person in enumerate(mine)
        if not _says(writer.finished.get(person.id), {**origin, "person": _seen(person)})
    ]
    progress = Progress("synthesize", len(mine), start=len(mine) - len(waiting), unit="people")
    with noting_sigterm() as stopping:
        for start in range(0, hosts.largest(len(waiting)), size):
            chosen = [mine[row] for row in waiting[start : start + size]]
            if chosen:
                # The last batch is filled up with its first person, so that one batch size is compiled.
                batch = stack_people(chosen + chosen[:1] * (size - len(chosen)), canvas)
                part_maps, neighbours = jax.device_get(label(state, bank, split(batch, mesh)))
            for i, person in enumerate(chosen):
                height, width = person.image.shape[:2]
                labelled = dataclasses.replace(person, label_map=part_maps[i, :height, :width])
                made_from = {**origin, "person": _seen(person), **_named(neighbours, i, bank_ids)}
                writer.add(labelled, split=SPLIT, provenance=made_from)
            progress.show(len(mine) - max(len(waiting) - start - size, 0))
            if stopping():
                print(f"{folder}: stopped by SIGTERM with {len(writer.finished)} people written", file=sys.stderr)
                raise Stopped
    hosts.wait("everybody is written")
    if hosts.is_first():
        # Opened again, to find whom the others have written.
        PeopleWriter(folder, bank.skeleton).close(of={person.id for person in people})
    hosts.wait("the folder is complete")


def label_people(config: RefineConfig, state: TrainState, bank: PoseBank, people: People) -> tuple[Labels, Neighbours]:
    """Part ids of people at their images' own size, and whom their priors were made of. Pure; jit it."""
    classes = refined_labels(config, state, bank, people)
    to_parts = jax.vmap(partial(parts_of_classes, skeleton=bank.skeleton))
    near = jax.vmap(lambda joints, visible: nearest_poses(bank, joints, visible, k=config.k))
    return to_parts(classes, people.joints, people.visible), near(people.joints, people.visible)


def parts_of_classes(
    classes: UInt8[Array, "H W"], joints: Float[Array, "J 2"], visible: Bool[Array, "J"], skeleton: Skeleton
) -> UInt8[Array, "H W"]:
    """Tells left from right: every pixel of a merged class goes to that part of the class whose limb is nearest.

    A part whose limb is not to be seen gets nothing, unless that is so for all parts of its class.

    Args:
        classes: class ids, in the frame of the joints.
        joints, visible: float[J, 2] (x, y) and bool[J].
        skeleton: the kind of body.

    Returns:
        Part ids; `skeleton.class_lut` takes them back to exactly these classes.
    """
    size = (classes.shape[0], classes.shape[1])
    x, y = box_pixels(whole_box(jnp.array(size)), size)
    limbs = jnp.asarray(skeleton.limbs)
    squared = jax.vmap(segment_distance, (0, None, None))(joints[limbs], x, y)
    # Unseen limbs lose against seen ones, and are still told apart from the parts of other classes.
    squared = jnp.where(visible[limbs].all(-1)[:, None, None], squared, jnp.float32(1e30))
    of_class = jnp.asarray(skeleton.part_classes)[:, None, None] == classes
    part = jnp.argmin(jnp.where(of_class, squared, jnp.inf), 0) + 1
    return jnp.where(classes == 0, 0, part).astype(jnp.uint8)


def _as_json(config: RefineConfig) -> dict[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(config).items()}


def _seen(person: Person) -> str:
    """Stands for all of a person that a label is made from."""
    return digest((person.image, person.joints, person.visible))


def _says(provenance: dict[str, Any] | None, origin: dict[str, Any]) -> bool:
    return provenance is not None and all(provenance.get(name) == value for name, value in origin.items())


def _named(neighbours: Neighbours, row: int, ids: Sequence[str]) -> dict[str, Any]:
    picked = zip(neighbours.indices[row], neighbours.distances[row], neighbours.valid[row])
    return {"neighbours": [{"id": ids[i], "distance": round(float(d), 6)} for i, d, valid in picked if valid]}
