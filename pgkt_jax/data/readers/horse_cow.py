"""Horses and cows: part annotations of PASCAL-Part with the keypoints of the poselets' authors."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np

from pgkt_jax.data import checks, files
from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.data.readers import pascal_part
from pgkt_jax.data.readers.people import (
    ReadPeople,
    check_there,
    cropped,
    has_limb,
    held_out,
    need,
    read_ids,
    read_image,
)
from pgkt_jax.data.readers.poses import Pose
from pgkt_jax.skeleton import COW, HORSE

GUIDE = """\
horse_cow wants, under --manual-dir:
  JPEGImages/ID.jpg            VOC 2010 trainval (host.robots.ox.ac.uk/pascal/VOC/voc2010)
  Annotations_Part/ID.mat      PASCAL-Part (roozbehm.info/pascal-parts)
  horse/ID_N.xml, cow/ID_N.xml keypoints (voc2011_keypoints_Feb2012 of www2.eecs.berkeley.edu, Bourdev et al.)
  train_id.txt, val_id.txt     the ids of the split for training and of that for testing, one a line; animals of
                               neither whose photograph is there have keypoints only"""

_NAMES = {
    "L_Eye": "left_eye", "R_Eye": "right_eye", "L_EarBase": "left_ear_base", "R_EarBase": "right_ear_base",
    "Nose": "nose", "Throat": "throat", "TailBase": "tail_base", "Withers": "withers",
} | {
    f"{s}_{e}_{name}": f"{side}_{end}_{name.lower()}"
    for s, side in (("L", "left"), ("R", "right"))
    for e, end in (("F", "front"), ("B", "back"))
    for name in ("Elbow", "Knee", "Paw")
}  # fmt: skip
"""The annotation's keypoint -> ours; sides are the animal's own."""


def read_horse_cow(root: Path, *, animal: Literal["horse", "cow"] = "horse", val: int = 20) -> ReadPeople:
    """Crops around animals with keypoints: `train`, `val` (held out of the list for training), `test` and `poses`.

    In `poses`, without label maps, is every animal of neither list whose photograph is there: the keypoints are of a
    later VOC than the photographs, so some have none.

    Args:
        root: the folder of what `GUIDE` lists.
        animal: whose.
        val: how many animals of the training list are held out.

    Raises:
        ValueError: files are missing or are not of their form.
    """
    found = need(root, GUIDE, {
        "images": ["JPEGImages"],
        "part annotations": ["Annotations_Part"],
        f"keypoints of the {animal}": [animal],
        "ids for training": ["train_id.txt"],
        "ids for testing": ["val_id.txt"],
    })  # fmt: skip
    images, annotations, keypoints = found["images"], found["part annotations"], found[f"keypoints of the {animal}"]
    herds = _herds(keypoints)
    listed = {name: read_ids(found[f"ids for {name}ing"]) for name in ("train", "test")}
    groups = {}
    for name, ids in listed.items():
        ids = [id for id in ids if id in herds]
        check_there(images / f"{id}.jpg" for id in ids)
        check_there(annotations / f"{id}.mat" for id in ids)
        groups[name] = LazyPeople(_placeable(herds, ids), partial(_labelled, images, annotations, animal))
    train, held = held_out(groups["train"], val)
    others = [id for id in herds.keys() - set().union(*listed.values()) if files.is_there(images / f"{id}.jpg")]
    poses = LazyPeople(_placeable(herds, sorted(others)), partial(_posed, images))
    splits = {"train": train, "val": held, "test": groups["test"], "poses": poses}
    return ReadPeople({"horse": HORSE, "cow": COW}[animal], splits)


Item = tuple[Sequence[Pose], int]
"""All animals on an image, and the row of one of them."""


def _placeable(herds: Mapping[str, Sequence[Pose]], ids: Sequence[str]) -> list[Item]:
    """The animals on these images of whom a part can be placed."""
    return [(herds[id], row) for id in ids for row, pose in enumerate(herds[id]) if has_limb(pose.visible, HORSE)]


def _herds(folder: Path) -> dict[str, list[Pose]]:
    """Image id -> the animals on it that have keypoints."""
    herds: dict[str, list[Pose]] = defaultdict(list)
    for path in sorted(folder.glob("*.xml")):
        with checks.about(str(path)):
            pose = _read_keypoints(path)
        herds[pose.image].append(pose)
    return herds


def _read_keypoints(path: Path) -> Pose:
    """`<annotation><image>ID</image>...<keypoints><keypoint name visible x y z/>...`; what is not listed is unseen."""
    text = files.read_text(path)
    # No file of this form declares entities, the means of billion-laughs attacks on the parser.
    if "<!" in text:
        raise ValueError("has a document type or a comment, which these files have not")
    try:
        annotation = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise ValueError(f"is not XML ({error})") from None
    if annotation.tag != "annotation" or not (image := (annotation.findtext("image") or "").strip()):
        raise ValueError("is no <annotation> that names its <image>")
    joints, visible = np.zeros((HORSE.num_joints, 2), np.float32), np.zeros(HORSE.num_joints, bool)
    for point in annotation.iter("keypoint"):
        name = point.get("name", "")
        with checks.about(f"keypoint {name}"):
            if name not in _NAMES:
                raise ValueError(f"is unknown; known are {', '.join(_NAMES)}")
            place = np.array([_number(point.get(axis)) for axis in ("x", "y")])
            joints[HORSE.joint(_NAMES[name])], visible[HORSE.joint(_NAMES[name])] = place, point.get("visible") == "1"
    return Pose(path.stem, image, *_with_knees(joints, visible))


def _with_knees(joints: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle of elbow and paw in place of a knee that is not annotated: the poselets' authors have marked none."""
    for side in ("left", "right"):
        for end in ("front", "back"):
            elbow, knee, paw = (HORSE.joint(f"{side}_{end}_{name}") for name in ("elbow", "knee", "paw"))
            if visible[elbow] and visible[paw] and not visible[knee]:
                joints[knee], visible[knee] = joints[[elbow, paw]].mean(axis=0), True
    return joints, visible


def _number(text: str | None) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"is at {text!r}, not at a number")
    return number


def _posed(images: Path, item: Item) -> Person:
    pose = item[0][item[1]]
    image = read_image(images / f"{pose.image}.jpg")
    return cropped(Person(pose.id, image, pose.joints, pose.visible))


def _labelled(images: Path, annotations: Path, kind: str, item: Item) -> Person:
    herd, me = item
    pose = herd[me]
    image = read_image(images / f"{pose.image}.jpg")
    size = image.shape[:2]
    bodies = pascal_part.read_bodies(annotations / f"{pose.image}.mat", kind, pascal_part.ANIMAL_PARTS, size)
    owners = pascal_part.match(bodies, [other.joints for other in herd], [other.visible for other in herd])
    return cropped(Person(pose.id, image, pose.joints, pose.visible, pascal_part.alone(bodies, owners[me], size)))
