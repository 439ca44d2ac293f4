"""From network outputs to labels at every image's own size, and from labels to IoU (paper, section 4.3)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.data.batch import People
from pgkt_jax.prior import label_of_prior
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.train.metrics import Score, confusion_matrix, score
from pgkt_jax.train.views import unsee
from pgkt_jax.typing import Array, Float, UInt8

Labels = UInt8[Array, "B H W"]
BATCH = 8


def masks_to_labels(
    outputs: Float[Array, "B h w C"], boxes: Float[Array, "B 4"], canvas: tuple[int, ...], *, masks: bool
) -> Labels:
    """Class ids on the canvas from outputs seen through boxes: interpolated first, then decided.

    Args:
        outputs: part masks in 0..1 (background left out), or logits of all classes.
        boxes: the box of every output.
        canvas: (H, W).
        masks: which of the two. Masks: the largest where it is at least .5. Logits: the largest.
    """
    full = jax.vmap(lambda seen, box: unsee(seen, box, (canvas[0], canvas[1])))(outputs, boxes)
    return label_of_prior(full) if masks else jnp.argmax(full, -1).astype(jnp.uint8)


def predict(label: Callable[[People], Labels], people: People, *, batch: int = BATCH) -> np.ndarray:
    """Labels of any number of people with one compiled batch size: the last batch is filled up and cut."""
    labels = []
    for start in range(0, people.size, batch):
        rows = np.minimum(np.arange(start, start + batch), people.size - 1)
        labels.append(np.asarray(label(jax.tree.map(lambda leaf, rows=rows: leaf[rows], people))))
    return np.concatenate(labels)[: people.size]


def score_people(labels: np.ndarray, people: People, skeleton: Skeleton) -> Score:
    """IoU over all pixels of all people, at each image's own size: the canvas around an image is ignored."""
    truth = skeleton.class_lut[np.asarray(people.label_maps)]
    return score([confusion_matrix(labels, truth, skeleton.num_classes)], skeleton.classes)
