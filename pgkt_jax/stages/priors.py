"""Labels by priors alone, no network: the part-level prior against sticks (paper, Table 2)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.data.batch import People
from pgkt_jax.geometry import image_box
from pgkt_jax.prior import Method, PoseBank, label_of_prior, make_prior, skeleton_label_map
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.stages.evaluate import predict
from pgkt_jax.typing import Array

KS = (1, 3, 5, 7)
"""How many neighbours the paper's Table 2 compares."""


def prior_labels(bank: PoseBank, people: People, *, k: int, method: Method) -> np.ndarray:
    """Class ids uint8[B, H, W] of people by the part-level prior of their k nearest, at the images' own size."""
    canvas = people.label_maps.shape[1:]

    def label(bank: PoseBank, joints: Array, visible: Array) -> Array:
        box = jnp.array(image_box(canvas))
        return label_of_prior(make_prior(bank, joints, visible, box, size=canvas, k=k, method=method))

    return _labels(label, bank, people)


def stick_labels(skeleton: Skeleton, people: People) -> np.ndarray:
    """Class ids uint8[B, H, W] of people by sticks between their joints, at the images' own size."""
    canvas = people.label_maps.shape[1:]

    def label(_: None, joints: Array, visible: Array) -> Array:
        return label_of_prior(skeleton_label_map(skeleton, joints, visible, jnp.array(image_box(canvas)), size=canvas))

    return _labels(label, None, people)


def _labels(label: Callable[..., Array], bank: PoseBank | None, people: People) -> np.ndarray:
    labels = jax.jit(jax.vmap(label, (None, 0, 0)))
    return predict(lambda batch: labels(bank, batch.joints, batch.visible), people)
