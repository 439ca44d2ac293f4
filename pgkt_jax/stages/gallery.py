"""The pictures of a report: a few test people, every method's label beside the truth."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.data.splits import Splits
from pgkt_jax.geometry import image_box
from pgkt_jax.prior import PoseBank, make_prior
from pgkt_jax.report.figures import colorize, draw_joints, overlay, prior_picture
from pgkt_jax.report.gallery import GalleryRow
from pgkt_jax.train import hosts

MOST = 8


def shown_rows(people: int) -> np.ndarray:
    """int[N]: the rows of the people that are shown, evenly through the split, the same for every method."""
    return np.unique(np.linspace(0, people - 1, MOST).astype(int))


def gallery(
    splits: Splits, labels: Mapping[str, np.ndarray], *, bank: PoseBank | None = None, k: int = 3
) -> list[GalleryRow]:
    """A strip of pictures for every shown person of split test, of those whom this process labels.

    Args:
        splits: the people of the run.
        labels: a method's name -> class ids uint8[N, H, W] of the shown people, on the canvas.
        bank: to show the part-level prior of the k nearest in it, too.
        k: see bank.
    """
    skeleton, people = splits.skeleton, hosts.share(splits.test)
    box = jnp.array(image_box(splits.canvas))
    prior = jax.jit(
        lambda bank, joints, visible: make_prior(bank, joints, visible, box, size=splits.canvas, k=k)
    )  # fmt: skip
    rows = []
    for at, row in enumerate(shown_rows(len(people))):
        person = people[row]
        height, width = person.image.shape[:2]
        pictures = {"photograph, joints": draw_joints(person.image, person.joints, person.visible, skeleton)}
        if bank is not None:
            joints = np.where(person.visible[:, None], person.joints, 0).astype(np.float32)
            masks = np.asarray(prior(bank, joints, person.visible))[:height, :width]
            pictures["part-level prior"] = prior_picture(masks, skeleton.palette)
        for name, label_maps in labels.items():
            pictures[name] = overlay(person.image, label_maps[at, :height, :width], skeleton.palette)
        if person.label_map is not None:
            pictures["truth"] = colorize(skeleton.class_lut[person.label_map], skeleton.palette)
        rows.append(GalleryRow(person.id, list(pictures.items())))
    return rows
