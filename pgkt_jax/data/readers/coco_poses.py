"""People with joints only: COCO keypoints, and what pose estimators find in one's own photographs."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.data.readers.people import Body, ReadPeople, check_there, cropped, has_body, need, read_image
from pgkt_jax.data.readers.poses import Pose, read_poses
from pgkt_jax.skeleton import PASCAL_PERSON

GUIDE = """\
coco_poses wants, under --manual-dir:
  images/NAME.jpg          the photographs
  poses.json               COCO's person_keypoints_*.json or keypoint detections, AlphaPose's result file (its default
                           form, cmu and open), or MediaPipe's results as {"NAME.jpg": {"pose_landmarks": ...}}; or
    poses/                 OpenPose's --write_json folder, NAME_keypoints.json a photograph"""


def read_coco_poses(root: Path, *, body: Body = "full", alone: bool = False, upright: bool = False) -> ReadPeople:
    """One split, `poses`: a crop around everybody with enough joints.

    Args:
        root: the folder of what `GUIDE` lists.
        body: the joints that a person must have, `full` (as the paper's authors) or `upper`.
        alone: leave out images with several people: in labels synthesised for one, the others are background.
        upright: turn photographs by their EXIF orientation, as an estimator that reads them with `cv2.imread` does.

    Raises:
        ValueError: files are missing or are not of their form.
    """
    found = need(root, GUIDE, {"images": ["images"], "poses": ["poses.json", "poses"]})
    poses = read_poses(found["poses"], found["images"], upright=upright)
    return people_of(poses, found["images"], body, alone=alone, upright=upright)


def people_of(poses: Sequence[Pose], images: Path, body: Body, *, alone: bool, upright: bool) -> ReadPeople:
    """One split, `poses`: crops around those whose body is there; raises ValueError if one of their images is not."""
    kept = [pose for pose in poses if has_body(pose.visible, body) and (pose.alone or not alone)]
    check_there(images / pose.image for pose in kept)
    return ReadPeople(PASCAL_PERSON, {"poses": LazyPeople(kept, partial(_person, images, upright))})


def _person(images: Path, upright: bool, pose: Pose) -> Person:
    image = read_image(images / pose.image, upright=upright)
    return cropped(Person(pose.id, image, pose.joints, pose.visible))
