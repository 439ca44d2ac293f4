"""MPII Human Pose: people with 16 joints each, alone in their image, whose whole body is annotated."""

from pathlib import Path

import numpy as np

from pgkt_jax.data import checks
from pgkt_jax.data.readers.coco_poses import people_of
from pgkt_jax.data.readers.mat import elements, field, number, read_mat
from pgkt_jax.data.readers.people import ReadPeople, need
from pgkt_jax.data.readers.poses import Pose, read_poses
from pgkt_jax.skeleton import PASCAL_PERSON

GUIDE = """\
mpii wants, under --manual-dir:
  images/NAME.jpg                 MPII Human Pose (human-pose.mpi-inf.mpg.de)
  mpii_human_pose_v1_u12_1.mat    its annotation, or, in its place,
    poses.csv                     image, (x, y) x 16 a line, or
    poses.json                    COCO's form with 16 joints a person"""

_MAT_BYTES = 512 * 2**20


def read_mpii(root: Path, *, alone: bool = True) -> ReadPeople:
    """One split, `poses`: a crop around everybody in MPII's training images whose whole body is annotated.

    Args:
        root: the folder of what `GUIDE` lists.
        alone: leave out images with several people, as the paper does: in labels synthesised for one, the others are
            background.

    Raises:
        ValueError: files are missing or are not of their form.
    """
    annotations = ["mpii_human_pose_v1_u12_1.mat", "poses.csv", "poses.json"]
    found = need(root, GUIDE, {"images": ["images"], "annotation": annotations})
    path, images = found["annotation"], found["images"]
    poses = read_mpii_mat(path) if path.suffix == ".mat" else read_poses(path, images)
    return people_of(poses, images, "full", alone=alone, upright=False)


def read_mpii_mat(path: Path) -> list[Pose]:
    """Everybody with joints in MPII's annotation.

    `RELEASE.annolist(i)` has `image.name` and `annorect(j)`, which has `annopoints.point(k)` with `id` (0 to 15, in
    the order of PASCAL-16), `x` and `y`, where somebody was annotated (README.md of the annotation's archive).
    Coordinates are MATLAB's: the first pixel's centre is (1, 1).

    Raises:
        ValueError: the file is not of this form; it names the image and the field.
    """
    poses = []
    release = read_mat(path, "RELEASE", limit=_MAT_BYTES)
    with checks.about(str(path)):
        for row, entry in enumerate(elements(field(release, "annolist"))):
            with checks.about(f"annolist[{row}]"):
                name = Path(str(field(field(entry, "image"), "name"))).name
                everybody = elements(field(entry, "annorect"))
                people = [person for person in everybody if hasattr(person, "annopoints")]
                for count, person in enumerate(people):
                    alone = len(everybody) == 1
                    poses += _mpii_pose(f"{Path(name).stem}_{count}", name, person.annopoints, alone)
    return poses


def _mpii_pose(id: str, image: str, annotated: object, alone: bool) -> list[Pose]:
    """One pose, or none where the list of points is empty."""
    if not hasattr(annotated, "point"):
        return []
    joints, visible = np.zeros((PASCAL_PERSON.num_joints, 2), np.float32), np.zeros(PASCAL_PERSON.num_joints, bool)
    for point in elements(annotated.point):
        # MATLAB's numbers are doubles unless a file says otherwise, the ids too.
        joint, x, y = (number(point, name) for name in ("id", "x", "y"))
        if joint not in range(PASCAL_PERSON.num_joints):
            raise ValueError(f"point: id: is {joint:g}, no joint 0 to 15")
        joints[int(joint)], visible[int(joint)] = (x - 1, y - 1), True
    return [Pose(id, image, joints, visible, alone)]
