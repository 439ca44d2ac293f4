"""PASCAL-Person-Part: photographs of VOC 2010 whose people have part labels and, for refinement, poses."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.data.readers import pascal_part
from pgkt_jax.data.readers.people import (
    ReadPeople,
    check_there,
    cropped,
    find,
    has_body,
    held_out,
    need,
    read_ids,
    read_image,
    read_label_map,
)
from pgkt_jax.data.readers.poses import Pose, read_poses
from pgkt_jax.data.readers.regions import CLASS_CANDIDATES, first_parts, nearest_parts, of_one_person
from pgkt_jax.skeleton import PASCAL_PERSON

GUIDE = """\
pascal_person_part wants, under --manual-dir:
  JPEGImages/ID.jpg          VOC 2010 trainval (host.robots.ox.ac.uk/pascal/VOC/voc2010)
  Annotations_Part/ID.mat    PASCAL-Part (roozbehm.info/pascal-parts), or, in its place, ready label maps:
    SegmentationPart/ID.png  of the classes 0 to 6 (head, torso, upper and lower arms, upper and lower legs)
  train_id.txt, val_id.txt   the ids, one a line; 1,716 and 1,817, or the 1,696 and 1,797 also in circulation; the
                             names pascal_person_part_train_id.txt and pascal_person_part_val_id.txt will do
  poses.csv or poses.json    for --records person: image, (x, y, visible) x 16 a line, or COCO's person_keypoints"""

Labels = Callable[[str, tuple[int, int], Sequence[Pose], int | None], np.ndarray]
"""(image id, image size, everybody's poses, the row of one of them or None for everybody) -> part ids, uint8[H, W]."""


def read_pascal_person_part(
    root: Path, *, records: Literal["person", "image"] = "person", val: int = 100
) -> ReadPeople:
    """Splits `train`, `val` (held out of the list for training, as in the paper) and `test` (the list for validation).

    Args:
        root: the folder of what `GUIDE` lists.
        records: `person`, for refinement: crops around those who show at least the joints of the upper body; the
            others in a crop are 255, and so is everybody where a pose lies on nobody's mask. `image`, for parsing:
            whole images without joints; ready label maps do not tell left from right, so merged classes alone are
            right there.
        val: how many records of the training list are held out.

    Raises:
        ValueError: files are missing or are not of their form.
    """
    wanted = {
        "images": ["JPEGImages"],
        "part annotations": ["Annotations_Part", "SegmentationPart"],
        "ids for training": ["train_id.txt", "pascal_person_part_train_id.txt"],
        "ids for testing": ["val_id.txt", "pascal_person_part_val_id.txt"],
    }
    if records == "person":
        wanted["poses"] = ["poses.csv", "poses.json"]
    found = need(root, GUIDE, wanted)
    images, annotations = found["images"], found["part annotations"]
    ready = find(root, "Annotations_Part") is None
    ids = {name: read_ids(found[f"ids for {name}ing"]) for name in ("train", "test")}
    check_there(images / f"{id}.jpg" for listed in ids.values() for id in listed)
    check_there(annotations / f"{id}{'.png' if ready else '.mat'}" for listed in ids.values() for id in listed)
    labels: Labels = partial(_ready_labels if ready else _annotated_labels, annotations)
    groups = {}
    poses = _by_image(read_poses(found["poses"], images)) if records == "person" else {}
    for name, listed in ids.items():
        if records == "image":
            groups[name] = LazyPeople(listed, partial(_image_record, images, labels))
        else:
            people = [(poses[id], row) for id in listed for row in range(len(poses[id]))]
            people = [(crowd, row) for crowd, row in people if has_body(crowd[row].visible, "upper")]
            groups[name] = LazyPeople(people, partial(_person_record, images, labels))
    train, held = held_out(groups["train"], val)
    return ReadPeople(PASCAL_PERSON, {"train": train, "val": held, "test": groups["test"]})


def _by_image(poses: Sequence[Pose]) -> dict[str, list[Pose]]:
    found: dict[str, list[Pose]] = defaultdict(list)
    for pose in poses:
        found[Path(pose.image).stem].append(pose)
    return found


def _image_record(images: Path, labels: Labels, id: str) -> Person:
    image = read_image(images / f"{id}.jpg")
    count = PASCAL_PERSON.num_joints
    nowhere, unseen = np.zeros((count, 2), np.float32), np.zeros(count, bool)
    return Person(id, image, nowhere, unseen, labels(id, image.shape[:2], [], None))


def _person_record(images: Path, labels: Labels, item: tuple[Sequence[Pose], int]) -> Person:
    poses, me = item
    pose, id = poses[me], Path(poses[me].image).stem
    image = read_image(images / f"{id}.jpg")
    return cropped(Person(pose.id, image, pose.joints, pose.visible, labels(id, image.shape[:2], poses, me)))


def _annotated_labels(
    folder: Path, id: str, size: tuple[int, int], poses: Sequence[Pose], me: int | None
) -> np.ndarray:
    bodies = pascal_part.read_bodies(folder / f"{id}.mat", "person", pascal_part.PERSON_PARTS, size)
    if me is None:
        return pascal_part.together(bodies, size)
    owners = pascal_part.match(bodies, [pose.joints for pose in poses], [pose.visible for pose in poses])
    return pascal_part.alone(bodies, owners[me], size)


def _ready_labels(folder: Path, id: str, size: tuple[int, int], poses: Sequence[Pose], me: int | None) -> np.ndarray:
    classes = read_label_map(folder / f"{id}.png", size, PASCAL_PERSON.num_classes - 1)
    if me is None:
        return first_parts(classes)
    joints, visible = (np.stack([getattr(pose, name) for pose in poses]) for name in ("joints", "visible"))
    own = of_one_person(classes, me, joints, visible)
    return nearest_parts(own, CLASS_CANDIDATES, joints[me], visible[me])
