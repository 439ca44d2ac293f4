"""Human keypoints to body-part labels: what other JAX code calls.

bank = PoseBank.create(PASCAL_PERSON, label_maps, joints, visible)
prior = make_prior(bank, joints, visible, box, size=(256, 256))
"""

from pgkt_jax.prior import (
    PoseBank,
    label_of_prior,
    make_prior,
    nearest_poses,
    prior_from,
    skeleton_label_map,
)
from pgkt_jax.retrieval import Neighbours
from pgkt_jax.skeleton import IGNORE, PASCAL_PERSON, Part, Skeleton

__version__ = "0.1.0"

__all__ = [
    "IGNORE", "PASCAL_PERSON", "Neighbours", "Part", "PoseBank", "Skeleton", "label_of_prior", "make_prior",
    "nearest_poses", "prior_from", "skeleton_label_map",
]  # fmt: skip
