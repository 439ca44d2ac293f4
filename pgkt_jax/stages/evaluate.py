"""From network outputs to labels at every image's own size, and from labels to IoU (paper, section 4.3)."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.data.batch import People, stack_people, take
from pgkt_jax.data.files import write_atomically
from pgkt_jax.data.person import Person
from pgkt_jax.data.splits import Splits
from pgkt_jax.nets.guided_filter import follow_edges
from pgkt_jax.prior import label_of_prior
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.train import hosts
from pgkt_jax.train.metrics import Score, confusion_matrix, score
from pgkt_jax.train.sharding import local_mesh, split
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.views import mirrored_classes, unsee
from pgkt_jax.train.watch import Validation
from pgkt_jax.typing import Array, Bool, Float, Int, Side, UInt8

Labels = UInt8[Array, "B H W"]
BATCH = 8
SHOWN = 4
"""People on the picture of a validation."""


def labels_of(full: Float[Array, "B H W C"], people: People, *, masks: bool, outline: int) -> Labels:
    """Class ids of people from a network's outputs on their canvas, see `decided`."""
    inside = jax.vmap(partial(inside_image, canvas=people.images.shape[1:3]))(people.sizes)
    return jax.vmap(partial(decided, masks=masks, outline=outline))(full, people.images, inside)[0]


def inside_image(size: Int[Array, "2"], canvas: tuple[Side, ...]) -> Bool[Array, "H W"]:
    """Which pixels of a canvas (H, W) are of its image, of size (height, width)."""
    return (jnp.arange(canvas[0])[:, None] < size[0]) & (jnp.arange(canvas[1]) < size[1])


def decided(
    full: Float[Array, "H W C"], image: UInt8[Array, "H W 3"], inside: Bool[Array, "H W"], *, masks: bool, outline: int
) -> tuple[UInt8[Array, "H W"], Float[Array, "H W K"]]:
    """Class ids and probabilities from interpolated outputs.

    Args:
        full: part masks in 0..1 (background left out), or logits of all classes.
        image, inside: what the outline follows, and which of its pixels there are.
        masks: which of the two. Masks: the largest where it is at least .5. Logits: the largest.
        outline: radius of the guided filter, see `nets.guided_filter`; 0: none.
    """
    shares = class_shares(full, masks=masks)
    if outline:
        shares = follow_edges(shares, image, inside, radius=outline)
        return jnp.argmax(shares, -1).astype(jnp.uint8), shares
    return label_of_prior(full) if masks else jnp.argmax(full, -1).astype(jnp.uint8), shares


def on_canvas(
    outputs: Float[Array, "B h w C"], boxes: Float[Array, "B 4"], canvas: tuple[int, ...]
) -> Float[Array, "B H W C"]:
    """Outputs seen through boxes, interpolated at the pixels of a canvas (H, W)."""
    return jax.vmap(lambda seen, box: unsee(seen, box, (canvas[0], canvas[1])))(outputs, boxes)


def class_shares(full: Float[Array, "H W C"], *, masks: bool) -> Float[Array, "H W K"]:
    """Probabilities of all classes, background first, from interpolated outputs; their largest is the label.

    Logits: the softmax. Masks: each against what the largest leaves to the background, scaled to sum to 1; what a
    network says beyond 0..1 is cut off.
    """
    if not masks:
        return jax.nn.softmax(full, -1)
    full = jnp.clip(full, 0, 1)
    shares = jnp.concatenate([1 - jnp.max(full, -1, keepdims=True), full], -1)
    return shares / jnp.sum(shares, -1, keepdims=True)


def both_ways(
    outputs: Callable[[Float[Array, "B 4"]], Float[Array, "B h w C"]],
    boxes: Float[Array, "B 4"],
    skeleton: Skeleton,
    *,
    mirror: bool,
    flipped: Callable[[Float[Array, "B h w C"]], Float[Array, "B h w C"]] = lambda seen: seen[:, :, ::-1],
) -> Float[Array, "B h w C"]:
    """What a network says of boxes or, with `mirror`, the mean of that and of what it says of the mirrored boxes.

    A left arm is a right one in the mirror: classes of one side change places on the way back. `flipped` turns the
    outputs of a mirrored image over.
    """
    seen = outputs(boxes)
    if not mirror:
        return seen
    mirrored = flipped(outputs(boxes[:, jnp.array([2, 1, 0, 3])]))
    return (seen + mirrored_classes(mirrored, skeleton)) / 2


def stack_share(people: Sequence[Person], canvas: tuple[int, int]) -> People:
    """This process' share of people to label and to score, side by side; it can be nobody's."""
    mine = hosts.share(people)
    return take(stack_people(mine or people[:1], canvas), np.arange(len(mine)))


def batch_size() -> int:
    """People labelled at a time: split over this process' devices."""
    return -(-BATCH // jax.local_device_count()) * jax.local_device_count()


def predict(label: Callable[[People], Labels], people: People) -> np.ndarray:
    """Labels of any number of people with one compiled batch size: the last batch is filled up and cut."""
    mesh, batch = local_mesh(), batch_size()
    labels = [np.zeros((0, *people.images.shape[1:3]), np.uint8)]
    for start in range(0, people.size, batch):
        rows = np.minimum(np.arange(start, start + batch), people.size - 1)
        labels.append(np.asarray(label(split(take(people, rows), mesh))))
    return np.concatenate(labels)[: people.size]


def score_people(labels: np.ndarray, people: People, skeleton: Skeleton) -> Score:
    """IoU over all pixels of all processes' people, at each image's own size: the canvas around it is ignored."""
    truth = skeleton.class_lut[np.asarray(people.label_maps)]
    return score([hosts.summed(confusion_matrix(labels, truth, skeleton.num_classes))], skeleton.classes)


def validation(label: Callable[[TrainState, People], Labels], splits: Splits) -> Callable[[TrainState], Validation]:
    """What scores a state on split val and draws the first people of it.

    Args:
        label: jitted: (state, people) -> their labels.
        splits: whose val.
    """
    val = stack_share(splits.val, splits.canvas)

    def validate(state: TrainState) -> Validation:
        labels = predict(partial(label, state), val)
        picture = samples(labels, val, splits.skeleton) if hosts.is_first() else None
        return Validation(score_people(labels, val, splits.skeleton)["miou"], picture)

    return validate


def samples(labels: np.ndarray, people: People, skeleton: Skeleton) -> bytes | None:
    """A PNG of the first `SHOWN` people: photograph, labels, truth. None if there is nobody."""
    from pgkt_jax.data.pictures import encode_png  # OpenCV: only where pictures are made
    from pgkt_jax.report.figures import contact_sheet, overlay

    rows = []
    for label, image, label_map, (height, width) in zip(labels[:SHOWN], people.images, people.label_maps, people.sizes):
        photograph, truth = image[:height, :width], skeleton.class_lut[label_map[:height, :width]]
        painted = [overlay(photograph, found, skeleton.palette) for found in (label[:height, :width], truth)]
        rows.append([photograph, *painted])
    return encode_png(contact_sheet(rows, captions=("photograph", "labels", "truth"))) if rows else None


def write_results(path: Path, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> None:
    """Writes {"rows": [{"name", "miou", "iou": {class: value}}], "settings": ...}; a class that is nowhere has null."""
    if not hosts.is_first():
        return
    plain = [{**row, "iou": {c: None if math.isnan(v) else v for c, v in row["iou"].items()}} for row in rows]
    text = json.dumps({"rows": plain, "settings": settings}, indent=1, allow_nan=False)
    write_atomically(path, text.encode())
