"""What every reader reads, drawn: joints lie on their limb in the photograph and on their part's mask.

The photographs are label maps in shades of grey, so that they tell where a joint belongs. Every test leaves a sheet of
photographs, masks and joints (read.png) in its temporary folder, those of the real samples too.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from annotations import (
    SAMPLE_HORSE,
    STANDING,
    couple,
    csv_row,
    horse_xml,
    mpii_points,
    openpose25,
    pascal_mat,
    pascal_sample,
    put,
    put_labels,
    sample,
    structures,
    triples,
)
from PIL import Image
from scipy.io import savemat

from pgkt_jax.data.pictures import decode_image, encode_png
from pgkt_jax.data.readers.coco_poses import read_coco_poses
from pgkt_jax.data.readers.horse_cow import read_horse_cow
from pgkt_jax.data.readers.label_list import read_label_list
from pgkt_jax.data.readers.lip import read_lip
from pgkt_jax.data.readers.mpii import read_mpii
from pgkt_jax.data.readers.pascal_part import ANIMAL_PARTS, PERSON_PARTS
from pgkt_jax.data.readers.pascal_person_part import read_pascal_person_part
from pgkt_jax.report.figures import contact_sheet, side_palette
from pgkt_jax.report.people import person_picture
from pgkt_jax.skeleton import HORSE, IGNORE, PASCAL_PERSON

PICTURE = Path(__file__).parents[1] / "pgkt_jax" / "docs" / "readers.png"
SIZE = (120, 240)
SHADE = 20  # between the greys of two part ids

# A horse that looks to the right; its own right side is the near one.
GRAZING = {
    "Nose": (200, 80), "Throat": (170, 50), "Withers": (150, 30), "TailBase": (60, 30),
    "L_F_Elbow": (155, 60), "L_F_Paw": (165, 110), "R_F_Elbow": (135, 60), "R_F_Paw": (130, 110),
    "L_B_Elbow": (85, 60), "L_B_Paw": (95, 110), "R_B_Elbow": (65, 60), "R_B_Paw": (55, 110),
}  # fmt: skip
JOINT_OF = {"Nose": "nose", "Throat": "throat", "Withers": "withers", "TailBase": "tail_base"} | {
    f"{s}_{e}_{name}": f"{side}_{end}_{name.lower()}"
    for s, side in (("L", "left"), ("R", "right"))
    for e, end in (("F", "front"), ("B", "back"))
    for name in ("Elbow", "Paw")
}


def drawn(joints, skeleton=PASCAL_PERSON):
    """uint8[H, W]: a thick line of part ids for every limb; of two parts with one limb the first."""
    labels = np.zeros(SIZE, np.uint8)
    for id, (start, end) in reversed(list(enumerate(skeleton.limbs, start=1))):
        ends = [tuple(np.round(joints[row]).astype(int).tolist()) for row in (start, end)]
        cv2.line(labels, *ends, id, thickness=9)
    return labels


def horse_joints():
    joints = np.zeros((HORSE.num_joints, 2))
    for name, place in GRAZING.items():
        joints[HORSE.joint(JOINT_OF[name])] = place
    for leg in ("left_front", "right_front", "left_back", "right_back"):
        ends = [HORSE.joint(f"{leg}_{name}") for name in ("elbow", "paw")]
        joints[HORSE.joint(f"{leg}_knee")] = joints[ends].mean(axis=0)
    return joints


def crowd():
    """Joints and label maps of two people whose forearms touch, the first in front, and of a child beside them."""
    joints = [STANDING + np.array([44, 0]), STANDING + np.array([88, 0]), 0.4 * STANDING + np.array([138, 70])]
    return joints, [drawn(each) for each in joints]


def put_photograph(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels * np.uint8(SHADE)).save(path, quality=95)


def masks_of(labels, part_ids):
    """A mask for every part that has pixels, under the first name that the annotation has for it."""
    names = {id: name for name, id in reversed(part_ids.items())}
    return {names[id]: labels == id for id in np.unique(labels).tolist() if id}


def put_lists(root):
    put(root / "train_id.txt", "a\n")
    put(root / "val_id.txt", "\n")


# --- readers: each gets somebody, or a crowd, on photograph a ---------------------------------------------


def person_part(root, *, ready=False):
    """The child has a mask and no pose."""
    joints, labels = crowd()
    seen = np.where(labels[0], labels[0], np.where(labels[1], labels[1], labels[2]))
    put_photograph(root / "JPEGImages" / "a.jpg", seen)
    put_lists(root)
    put(root / "poses.csv", "\n".join(csv_row("a.jpg", each) for each in joints[:2]))
    if ready:
        put_labels(root / "SegmentationPart" / "a.png", PASCAL_PERSON.class_lut[seen])
    else:
        hidden = np.zeros(SIZE, bool)
        objects = []
        for each in labels:
            own = np.where(hidden, 0, each)
            objects.append(("person", own > 0, masks_of(own, PERSON_PARTS)))
            hidden |= each > 0
        pascal_mat(root / "Annotations_Part" / "a.mat", *objects)
    return read_pascal_person_part(root, val=0)


def lip(root):
    labels = drawn(STANDING)
    clothes = np.array([0, 13, 5, 5, 5, 5, 5, 9, 9, 9, 9], np.uint8)[labels]  # face, upper clothes, pants
    for name in ("train", "val"):
        put_photograph(root / f"{name}_images" / f"{name}.jpg", labels)
        put_labels(root / f"{name}_segmentations" / f"{name}.png", clothes)
        put(root / f"lip_{name}_set.csv", csv_row(f"{name}.jpg", STANDING))
    return read_lip(root, val=0)


def horse(root):
    labels = drawn(horse_joints(), HORSE)
    put_photograph(root / "JPEGImages" / "a.jpg", labels)
    put_photograph(root / "JPEGImages" / "b.jpg", labels)
    put_lists(root)
    for id in "ab":
        put(root / "horse" / f"{id}_1.xml", horse_xml(id, "horse", GRAZING))
    pascal_mat(root / "Annotations_Part" / "a.mat", ("horse", labels > 0, masks_of(labels, ANIMAL_PARTS)))
    return read_horse_cow(root, val=0)


def mpii(root):
    put_photograph(root / "images" / "a.jpg", drawn(STANDING))
    people = [{"annopoints": {"point": mpii_points(STANDING)}}]
    annolist = [{"image": {"name": "a.jpg"}, "annorect": people}]
    savemat(root / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": {"annolist": structures(annolist)}})
    return read_mpii(root)


def openpose(root):
    put_photograph(root / "images" / "a.jpg", drawn(STANDING))
    found = {"people": [{"pose_keypoints_2d": triples(openpose25())}]}
    put(root / "poses" / "a_keypoints.json", str(found).replace("'", '"'))
    return read_coco_poses(root)


def label_list(root):
    put_photograph(root / "a.jpg", drawn(STANDING))
    put_labels(root / "a.png", PASCAL_PERSON.class_lut[drawn(STANDING)])
    put(root / "train.txt", "a.jpg a.png\n")
    return read_label_list(root)


READERS = {
    "pascal_person_part, mat": (person_part, {"train": 2}),
    "pascal_person_part, png": (lambda root: person_part(root, ready=True), {"train": 2}),
    "lip": (lip, {"train": 1, "test": 1}),
    "horse_cow": (horse, {"train": 1, "poses": 1}),
    "mpii": (mpii, {"poses": 1}),
    "coco_poses": (openpose, {"poses": 1}),
    "label_list": (label_list, {"train": 1}),
}


def everybody(read):
    return [person for split in read.splits for person in read.split(split)]


def draw(people, skeleton, path):
    palette = side_palette(skeleton)
    rows = [[person_picture(p, skeleton, joints=False), person_picture(p, skeleton, palette=palette)] for p in people]
    path.write_bytes(encode_png(contact_sheet(rows, captions=("photograph", "masks and joints"))))


def overview(root):
    """One of everybody that each reader has read: photograph above, masks and joints below."""
    columns = []
    for name, (make, _) in READERS.items():
        read = make(root / name)
        person, palette = everybody(read)[0], side_palette(read.skeleton)
        photograph = person_picture(person, read.skeleton, joints=False)
        columns.append((photograph, person_picture(person, read.skeleton, palette=palette)))
    return contact_sheet(list(zip(*columns)), captions=list(READERS))


def test_the_picture_of_the_docs_is_what_the_readers_read(tmp_path):
    shown, drawn = decode_image(PICTURE.read_bytes()), overview(tmp_path)
    assert shown.shape == drawn.shape
    assert np.abs(shown.astype(int) - drawn).mean() < 2, "python tests/test_reader_pictures.py draws it anew"


def limb_middles(person, skeleton):
    """(part id, row, column) of every limb whose joints are seen; of two parts with one limb the first."""
    limbs = {}
    for id, (start, end) in enumerate(skeleton.limbs.tolist(), start=1):
        if person.visible[[start, end]].all():
            limbs.setdefault((start, end), id)
    for (start, end), id in limbs.items():
        column, row = np.round(person.joints[[start, end]].mean(axis=0)).astype(int).tolist()
        yield id, row, column


@pytest.mark.parametrize("name", READERS)
def test_joints_lie_on_their_limbs_and_masks(tmp_path, name):
    make, splits = READERS[name]
    read = make(tmp_path)
    assert read.splits == splits
    skeleton, people = read.skeleton, everybody(read)
    draw(people, skeleton, tmp_path / "read.png")
    for person in people:
        for id, row, column in limb_middles(person, skeleton):
            part = skeleton.parts[id - 1].name
            assert round(person.image[row, column].mean() / SHADE) == id, part
            assert person.label_map is None or person.label_map[row, column] == id, part
        limbs = 0 if name == "label_list" else len(set(map(tuple, skeleton.limbs.tolist())))
        assert len(list(limb_middles(person, skeleton))) == limbs


# Ready label maps do not say whose a pixel is: where two people touch, the nearer limb decides.
@pytest.mark.parametrize(("ready", "wrong"), [(False, 0.0), (True, 0.1)], ids=["mat", "png"])
def test_in_a_crowd_the_others_are_neither_ones_own_parts_nor_background(tmp_path, ready, wrong):
    joints, labels = crowd()
    for number, person in enumerate(person_part(tmp_path, ready=ready).split("train")):
        x, y = np.round(joints[number][0] - person.joints[0]).astype(int)
        height, width = person.label_map.shape
        crops = [each[y : y + height, x : x + width] for each in labels]
        others = np.any([crop for row, crop in enumerate(crops) if row != number], axis=0) & (crops[number] == 0)
        assert others.sum() > 100
        assert (person.label_map[others] == IGNORE).mean() >= 1 - wrong
        assert (person.label_map[others] > 0).all()
        assert (person.label_map[~np.any(crops, axis=0)] == 0).all()
        assert (person.label_map[crops[number] > 0] == crops[number][crops[number] > 0]).mean() > 0.85


# --- real samples -----------------------------------------------------------------------------------------


def real_couple(root):
    pascal_sample(root)
    put(root / "poses.csv", "\n".join(csv_row("2008_003228.jpg", joints) for joints in couple()))
    return read_pascal_person_part(root, val=0)


def whole_photographs(root):
    pascal_sample(root)
    return read_pascal_person_part(root, records="image", val=0)


def real_horse(root):
    pascal_sample(root)
    put(root / "horse" / "2010_005243_1.xml", horse_xml("2010_005243", "horse", SAMPLE_HORSE))
    return read_horse_cow(root, val=0)


def coco(root):
    folder = sample("coco_keypoints_sample")
    (root / "images").symlink_to(folder)
    (root / "poses.json").symlink_to(folder / "person_keypoints.json")
    return read_coco_poses(root)


def alphapose(root):
    folder = sample("alphapose_sample")
    (root / "images").symlink_to(folder)
    (root / "poses.json").symlink_to(folder / "alphapose-results.json")
    return read_coco_poses(root)


SAMPLES = {
    "couple": (real_couple, {"test": 2}, 7),
    "photographs": (whole_photographs, {"train": 2, "test": 2}, 0),
    "horse": (real_horse, {"train": 1}, 1),
    "coco": (coco, {"poses": 5}, 0),
    "alphapose": (alphapose, {"poses": 5}, 0),
}
"""Reader, people by split, limbs that are seen."""


@pytest.mark.parametrize("name", SAMPLES)
def test_joints_of_real_samples_lie_on_their_masks(tmp_path, name):
    make, splits, limbs = SAMPLES[name]
    read = make(tmp_path)
    assert read.splits == splits
    people = everybody(read)
    draw(people, read.skeleton, tmp_path / "read.png")
    hits = [
        person.label_map[row, column] == id
        for person in people
        if person.label_map is not None
        for id, row, column in limb_middles(person, read.skeleton)
        if (person.label_map == id).any()  # her right arm is behind him: it has joints but no mask
    ]
    assert len(hits) == limbs
    assert sum(hits) >= 0.8 * limbs  # of his left upper arm only a strip is to be seen


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PICTURE.write_bytes(encode_png(overview(Path(folder))))
