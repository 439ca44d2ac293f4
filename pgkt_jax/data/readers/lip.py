"""Look Into Person (LIP): 50,000 people cut out of COCO, with clothing labels and 16 joints each."""

from functools import partial
from pathlib import Path

from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.data.readers.people import ReadPeople, check_there, has_limb, held_out, need, read_image, read_label_map
from pgkt_jax.data.readers.poses import Pose, read_poses
from pgkt_jax.data.readers.regions import nearest_parts
from pgkt_jax.skeleton import PASCAL_PERSON

GUIDE = """\
lip wants, under --manual-dir (sysu-hcp.net/lip: TrainVal_images, TrainVal_parsing_annotations and
TrainVal_pose_annotations, unpacked):
  train_images/ID.jpg           val_images/ID.jpg
  train_segmentations/ID.png    val_segmentations/ID.png
  lip_train_set.csv             lip_val_set.csv"""

_ARMS = ("left_upper_arm", "right_upper_arm", "left_lower_arm", "right_lower_arm")
_LOWER_LEGS = ("left_lower_leg", "right_lower_leg")
_LEGS = ("left_upper_leg", "right_upper_leg", *_LOWER_LEGS)
_LABELS = (
    ("hat", ("head",)),
    ("hair", ("head",)),
    ("glove", ("left_lower_arm", "right_lower_arm")),
    ("sunglasses", ("head",)),
    ("upper clothes", ("torso", *_ARMS)),
    ("dress", ("torso", *_ARMS, *_LEGS)),
    ("coat", ("torso", *_ARMS, *_LEGS)),
    ("socks", _LOWER_LEGS),
    ("pants", _LEGS),
    ("jumpsuits", ("torso", *_ARMS, *_LEGS)),
    ("scarf", ("torso",)),
    ("skirt", _LEGS),
    ("face", ("head",)),
    ("left arm", ("left_upper_arm", "left_lower_arm")),
    ("right arm", ("right_upper_arm", "right_lower_arm")),
    ("left leg", ("left_upper_leg", "left_lower_leg")),
    ("right leg", ("right_upper_leg", "right_lower_leg")),
    ("left shoe", ("left_lower_leg",)),
    ("right shoe", ("right_lower_leg",)),
)
"""LIP's labels 1 to 19 (sysu-hcp.net/lip), and the parts that a pixel of each may belong to."""

_PART_IDS = {part.name: row for row, part in enumerate(PASCAL_PERSON.parts, start=1)}
_CANDIDATES = {label: [_PART_IDS[part] for part in parts] for label, (_, parts) in enumerate(_LABELS, start=1)}


def read_lip(root: Path, *, val: int = 1000) -> ReadPeople:
    """Splits `train`, `val` (held out of LIP's own training set) and `test` (LIP's validation set).

    Clothes are cut into parts along the joints: borders inside one garment are nobody's annotation. Whoever has a
    label map and the joints of any limb is there. A part whose limb lacks a joint gets no pixels of a garment; 255
    where that is so for all parts that the garment covers.

    Args:
        root: the folder of what `GUIDE` lists.
        val: how many people are held out.

    Raises:
        ValueError: files are missing or are not of their form.
    """
    wanted = {
        f"{of} {what}": [name.format(of)]
        for of in ("train", "val")
        for what, name in (
            ("images", "{}_images"), ("label maps", "{}_segmentations"), ("poses", "lip_{}_set.csv"),
        )
    }  # fmt: skip
    found = need(root, GUIDE, wanted)
    groups = {}
    for name in ("train", "val"):
        images, labels = found[f"{name} images"], found[f"{name} label maps"]
        poses = [pose for pose in read_poses(found[f"{name} poses"], images) if has_limb(pose.visible, PASCAL_PERSON)]
        check_there(images / pose.image for pose in poses)
        check_there(labels / f"{Path(pose.image).stem}.png" for pose in poses)
        groups[name] = LazyPeople(poses, partial(_person, images, labels))
    train, held = held_out(groups["train"], val)
    return ReadPeople(PASCAL_PERSON, {"train": train, "val": held, "test": groups["val"]})


def _person(images: Path, labels: Path, pose: Pose) -> Person:
    stem = Path(pose.image).stem
    image = read_image(images / pose.image)
    clothes = read_label_map(labels / f"{stem}.png", image.shape[:2], len(_LABELS))
    label_map = nearest_parts(clothes, _CANDIDATES, pose.joints, pose.visible)
    return Person(stem, image, pose.joints, pose.visible, label_map)
