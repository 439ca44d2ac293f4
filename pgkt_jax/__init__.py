"""Human keypoints to body-part labels: what other JAX code calls.

bank = PoseBank.create(PASCAL_PERSON, label_maps, joints, visible)
prior = make_prior(bank, joints, visible, box, size=(256, 256))

Trained networks for photographs, numpy in and out (imported on first use, for they need flax and OpenCV):

label_maps = Refiner.from_checkpoint("runs/quickstart")(images, joints, visible)
label_maps = Parser.from_checkpoint("runs/quickstart")(images)
"""

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from pgkt_jax.stages.predict import Parser, Refiner

__version__ = "0.1.0"

__all__ = [
    "IGNORE", "PASCAL_PERSON", "Neighbours", "Parser", "Part", "PoseBank", "Refiner", "Skeleton", "label_of_prior",
    "make_prior", "nearest_poses", "prior_from", "skeleton_label_map",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("Parser", "Refiner"):
        from pgkt_jax.stages import predict

        return getattr(predict, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
