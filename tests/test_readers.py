"""Readers give data sets on disk as people: real samples where they are, else files in the published layout."""

import numpy as np
import pytest
from annotations import (
    HEIGHT,
    JOINT,
    PART,
    SAMPLE_HORSE,
    STANDING,
    UPPER_BODY,
    WIDTH,
    box,
    boxes,
    couple,
    csv_row,
    horse_xml,
    mpii_mat,
    mpii_points,
    pascal_mat,
    pascal_sample,
    put,
    put_image,
    put_labels,
    sample,
    structures,
)
from scipy.io import savemat

from pgkt_jax.data.readers.horse_cow import read_horse_cow
from pgkt_jax.data.readers.label_list import read_label_list
from pgkt_jax.data.readers.lip import read_lip
from pgkt_jax.data.readers.mpii import read_mpii
from pgkt_jax.data.readers.pascal_part import PERSON_PARTS, read_bodies
from pgkt_jax.data.readers.pascal_person_part import read_pascal_person_part
from pgkt_jax.data.readers.people import read_ids
from pgkt_jax.data.readers.regions import nearest_parts, of_one_person
from pgkt_jax.data.sources import read_splits
from pgkt_jax.skeleton import COW, HORSE, IGNORE, PASCAL_PERSON

# --- real samples -----------------------------------------------------------------------------------------


@pytest.fixture
def pascal(tmp_path):
    pascal_sample(tmp_path)
    (tmp_path / "val_id.txt").rename(tmp_path / "pascal_person_part_val_id.txt")  # another of its names
    return tmp_path


def test_pascal_part_sample_by_image(pascal):
    people = read_pascal_person_part(pascal, records="image", val=0)
    assert people.splits == {"train": 2, "test": 2}
    baby, couple = people.split("train")[0], people.split("test")[1]
    assert (baby.id, baby.image.shape, baby.visible.any()) == ("2008_000652", (213, 320, 3), False)
    # Areas of the annotation's masks: head with all on it, right upper arm, left upper arm, nothing of some.
    areas = np.bincount(baby.label_map.ravel(), minlength=256)
    assert (baby.label_map > 0).sum() == 23609
    assert set(np.flatnonzero(areas)) == {0, 1, 2, 3, 4, 5, 6, 8, 9, 10, IGNORE}
    # Both face the camera, so their right arms are at the left of the picture; no lower arm of hers is seen there.
    left, right = (np.nonzero(couple.label_map == PART[f"{s}_upper_arm"])[1].mean() for s in ("left", "right"))
    assert right < 200 < left
    assert areas[IGNORE] < 0.05 * 23609


def test_pascal_part_sample_by_person(pascal):
    put(pascal / "poses.csv", "\n".join(csv_row("2008_003228.jpg", joints) for joints in couple()))
    people = read_pascal_person_part(pascal, val=0)
    assert people.splits == {"test": 2}
    person = people.split("test")[1]
    assert person.id == "2008_003228_1"
    assert person.image.shape[:2] == person.label_map.shape
    column, row = np.round(person.joints[UPPER_BODY]).astype(int).T
    ids = person.label_map[row, column]
    assert ids[2:5].tolist() == [PART["right_upper_arm"], PART["right_upper_arm"], PART["right_lower_arm"]]
    other = people.split("test")[0]
    her_head = np.round(other.joints[JOINT("head_top")] + [0, 20]).astype(int)
    assert other.label_map[her_head[1], her_head[0]] == PART["head"]
    # His crop holds her, and she is neither one of his parts nor background.
    assert (person.label_map == IGNORE).sum() > 10_000


def test_both_lengths_of_the_id_lists_are_read():
    folder = sample("pascal_part_sample")
    counts = [len(read_ids(folder / f"pascal_person_part_{name}_id.txt")) for name in ("train", "val")]
    assert counts == [1696, 1797]


def test_horse_sample(pascal):
    put(pascal / "val_id.txt", "2008_000939")
    put(pascal / "horse" / "2010_005243_1.xml", horse_xml("2010_005243", "horse", SAMPLE_HORSE))
    people = read_horse_cow(pascal, val=0)
    assert (people.splits, people.skeleton) == ({"train": 1}, HORSE)
    horse = people.split("train")[0]
    parts = {part.name: row for row, part in enumerate(HORSE.parts, start=1)}
    # It faces the camera: keypoints and masks agree that its left is at the right of the picture.
    for joint, part in (("left_front_paw", "left_front_lower_leg"), ("right_front_paw", "right_front_lower_leg")):
        place = np.argwhere(horse.label_map == parts[part])[:, ::-1].mean(axis=0)
        assert abs(place[0] - horse.joints[HORSE.joint(joint), 0]) < 6


# --- label maps in their published layouts ----------------------------------------------------------------


def test_classes_become_parts_by_the_nearest_limb():
    labels = boxes(arm=3, torso=2, head=1)
    visible = np.ones(16, bool)
    parts = nearest_parts(labels, {1: [1], 2: [2], 3: [3, 4]}, STANDING, visible)
    assert (parts[40, 20], parts[40, 60], parts[40, 40], parts[0, 0]) == (4, 3, 2, 0)
    visible[JOINT("left_elbow")] = False
    assert nearest_parts(labels, {1: [1], 2: [2], 3: [3, 4]}, STANDING, visible)[40, 60] == 4
    visible[JOINT("right_elbow")] = False
    assert nearest_parts(labels, {1: [1], 2: [2], 3: [3, 4]}, STANDING, visible)[40, 60] == IGNORE


def test_pixels_that_may_be_somebody_elses_are_ignored():
    labels = np.zeros((HEIGHT, 3 * WIDTH), np.uint8)
    labels[:, :WIDTH] = boxes(arm=3, torso=2, head=1)
    labels[:, 44 : WIDTH + 44] |= boxes(arm=3, torso=2, head=1)  # touches the first
    labels[20:40, 200:220] = 2  # somebody without joints
    joints, visible = np.stack([STANDING, STANDING + np.array([44, 0])]), np.ones((2, 16), bool)
    mine = of_one_person(labels, 0, joints, visible)
    assert (mine[40, 40], mine[40, 84], mine[30, 210], mine[100, 5]) == (2, IGNORE, IGNORE, 0)
    assert of_one_person(labels, 1, joints, visible)[40, 84] == 2


@pytest.fixture
def ready_labels(tmp_path):
    put_image(tmp_path / "VOC" / "JPEGImages" / "a.jpg")
    put_labels(tmp_path / "SegmentationPart" / "a.png", boxes(arm=3, torso=2, head=1))
    put(tmp_path / "train_id.txt", "a\n")
    put(tmp_path / "val_id.txt", "a.jpg\n")
    put(tmp_path / "poses.csv", csv_row("a.jpg", STANDING))
    return tmp_path


def test_pascal_person_part_from_ready_palette_labels(ready_labels):
    person = read_pascal_person_part(ready_labels, val=0).split("train")[0]
    x0, y0 = np.round(STANDING[0] - person.joints[0]).astype(int)
    assert (person.label_map[40 - y0, 20 - x0], person.label_map[40 - y0, 60 - x0]) == (4, 3)
    image = read_pascal_person_part(ready_labels, records="image", val=0).split("test")[0]
    merged = PASCAL_PERSON.class_lut[image.label_map]
    np.testing.assert_array_equal(merged, boxes(arm=3, torso=2, head=1))


def test_pascal_part_paints_small_parts_over_large_ones_and_ignores_the_unlabelled(ready_labels):
    (ready_labels / "SegmentationPart" / "a.png").unlink()
    body = box(10, 115, 18, 62)
    parts = {"nose": box(20, 22, 39, 41), "head": box(10, 28, 34, 46), "rhand": box(60, 64, 18, 24),
             "torso": box(28, 68, 33, 47), "neck": box(26, 30, 38, 42), "ruarm": box(30, 48, 20, 33)}  # fmt: skip
    silhouette = box(10, 115, 70, 78)
    pascal_mat(
        ready_labels / "Annotations_Part" / "a.mat",
        ("person", silhouette, {}),
        ("dog", body, {}),
        ("person", body, parts),
    )
    whole = read_pascal_person_part(ready_labels, records="image", val=0).split("test")[0].label_map
    expected = {(20, 40): "head", (62, 20): "right_lower_arm", (60, 40): "torso", (40, 25): "right_upper_arm"}
    assert {at: whole[at] for at in expected} == {at: PART[name] for at, name in expected.items()}
    assert (whole[50, 74], whole[100, 40], whole[5, 5]) == (IGNORE, IGNORE, 0)  # no parts at all; of no part; nobody
    person = read_pascal_person_part(ready_labels, val=0).split("train")[0]
    assert set(np.unique(person.label_map)) == {0, 1, 2, 4, 6, IGNORE}


def test_cow(tmp_path):
    put_image(tmp_path / "JPEGImages" / "a.jpg")
    put(tmp_path / "train_id.txt", "a\nno_cow_there\n")
    put(tmp_path / "val_id.txt", "\n")
    put(tmp_path / "cow" / "a_1.xml", horse_xml("a", "cow", {"Withers": (50, 30), "TailBase": (20, 30)}))
    parts = {
        "torso": box(25, 60, 15, 55),
        "rhorn": box(10, 14, 70, 72),
        "lbho": box(90, 95, 20, 24),
        "tail": box(30, 50, 12, 15),
    }
    pascal_mat(tmp_path / "Annotations_Part" / "a.mat", ("cow", box(5, 100, 10, 75), parts))
    people = read_horse_cow(tmp_path, animal="cow", val=0)
    assert (people.splits, people.skeleton) == ({"train": 1}, COW)
    cow = people.split("train")[0]
    ids = {HORSE.parts[id - 1].name for id in set(np.unique(cow.label_map)) - {0, IGNORE}}
    assert ids == {"torso", "tail"}  # the crop goes around the joints
    assert cow.joints[HORSE.joint("withers"), 0] - cow.joints[HORSE.joint("tail_base"), 0] == 30


def test_the_knees_of_animals_are_between_elbow_and_paw_where_nobody_has_marked_them(tmp_path):
    points = {"L_F_Elbow": (50, 40), "L_F_Paw": (54, 90), "R_F_Elbow": (60, 40), "R_B_Paw": (20, 90),
              "L_B_Elbow": (10, 40), "L_B_Knee": (13, 70), "L_B_Paw": (10, 90)}  # fmt: skip
    put_image(tmp_path / "JPEGImages" / "a.jpg")
    (tmp_path / "Annotations_Part").mkdir()
    for name in ("train_id.txt", "val_id.txt"):
        put(tmp_path / name, "\n")
    put(tmp_path / "horse" / "a_1.xml", horse_xml("a", "horse", points))
    (horse,) = read_horse_cow(tmp_path).split("poses")
    seen = {HORSE.joints[row] for row in np.flatnonzero(horse.visible)}
    assert {name for name in seen if "knee" in name} == {"left_front_knee", "left_back_knee"}
    paw = horse.joints[HORSE.joint("left_front_paw")]
    np.testing.assert_array_equal(horse.joints[HORSE.joint("left_front_knee")] - paw, [-2, -25])
    paw = horse.joints[HORSE.joint("left_back_paw")]
    np.testing.assert_array_equal(horse.joints[HORSE.joint("left_back_knee")] - paw, [3, -20])


def test_animals_of_neither_list_have_keypoints_only(tmp_path):
    points = {"Withers": (50, 30), "TailBase": (20, 30)}
    for id in ("a", "b", "c", "d", "e"):
        for number in (1, 2) if id == "d" else (1,):
            put(tmp_path / "horse" / f"{id}_{number}.xml", horse_xml(id, "horse", points))
        if id != "e":  # of a VOC later than the photographs
            put_image(tmp_path / "JPEGImages" / f"{id}.jpg")
        if id in "abc":
            horse = ("horse", box(5, 100, 10, 75), {"torso": box(25, 60, 15, 55)})
            pascal_mat(tmp_path / "Annotations_Part" / f"{id}.mat", horse)
    put(tmp_path / "horse" / "d_3.xml", horse_xml("d", "horse", {"Nose": (50, 30)}))  # no part can be placed
    put(tmp_path / "train_id.txt", "a\nb\n")
    put(tmp_path / "val_id.txt", "c\n")
    people = read_horse_cow(tmp_path, val=1)
    assert people.splits == {"train": 1, "val": 1, "test": 1, "poses": 2}
    splits = read_splits(people)  # as Table 4 takes them
    assert [horse.id for horse in splits.keypoints_only] == ["d_1", "d_2"]
    assert [horse.label_map for horse in people.split("poses")] == [None, None]
    np.testing.assert_array_equal(people.split("poses")[0].joints, people.split("test")[0].joints)


@pytest.mark.parametrize("stored", [int, float, np.uint8])
def test_mpii_keeps_whole_bodies(tmp_path, stored):
    put_image(tmp_path / "images" / "a.jpg")
    mpii_mat(tmp_path / "mpii_human_pose_v1_u12_1.mat", STANDING, stored=stored)
    assert read_mpii(tmp_path).splits == {}
    people = read_mpii(tmp_path, alone=False)
    assert people.splits == {"poses": 1}
    (person,) = people.split("poses")
    x0, y0 = STANDING[0] - person.joints[0]  # MATLAB counts from one, we from zero
    np.testing.assert_allclose(person.joints + np.array([x0, y0]), STANDING)
    assert (x0, y0) == (int(x0), int(y0))


def test_mpii_keeps_people_who_are_alone_in_their_image(tmp_path):
    for name in "abc":
        put_image(tmp_path / "images" / f"{name}.jpg")
    whole, box_alone = {"annopoints": {"point": mpii_points(STANDING)}}, {"annopoints": np.zeros((0, 0))}
    annolist = [
        {"image": {"name": f"{name}.jpg"}, "annorect": people}
        for name, people in (("a", [whole]), ("b", [whole, whole]), ("c", [whole, box_alone]))
    ]
    savemat(tmp_path / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": {"annolist": structures(annolist)}})
    assert [person.id for person in read_mpii(tmp_path).split("poses")] == ["a_0"]
    assert read_mpii(tmp_path, alone=False).splits == {"poses": 4}


def test_lip(tmp_path):
    """Folders as the archives unpack; see `csv_row` for a public reader of images and poses."""
    clothes = boxes(arm=5, torso=5, head=13)
    clothes[68:115, 25:55] = 9  # trousers
    clothes[60:66, 18:24] = 15  # a bare right hand
    for name, id in (("train", "3_1"), ("train", "4_2"), ("val", "5_1")):
        put_image(tmp_path / "TrainVal_images" / f"{name}_images" / f"{id}.jpg")
        put_labels(tmp_path / "TrainVal_parsing_annotations" / f"{name}_segmentations" / f"{id}.png", clothes)
    poses = tmp_path / "TrainVal_pose_annotations"
    row = csv_row("4_2.jpg", STANDING).split(",")
    row[1:4] = "nan", "nan", "nan"  # no right ankle
    nobody = csv_row("6_1.jpg", STANDING * np.nan, "nan")
    put(poses / "lip_train_set.csv", "\n".join([csv_row("3_1.jpg", STANDING), ",".join(row), nobody]))
    put(poses / "lip_val_set.csv", csv_row("5_1.jpg", STANDING, "0"))
    people = read_lip(tmp_path, val=1)
    assert people.splits == {"train": 1, "val": 1, "test": 1}
    person = people.split("test")[0]
    assert person.id == "5_1"
    places = {(20, 40): "head", (50, 40): "torso", (40, 26): "right_upper_arm", (56, 60): "left_lower_arm",
              (62, 20): "right_lower_arm", (80, 30): "right_upper_leg", (105, 50): "left_lower_leg"}  # fmt: skip
    assert {at: person.label_map[at] for at in places} == {at: PART[name] for at, name in places.items()}


@pytest.fixture
def label_lists(tmp_path):
    """The list of the paper's authors, which ends in a blank line, one for testing, and their README."""
    put_image(tmp_path / "JPEGImages" / "a.jpg")
    put_image(tmp_path / "coco" / "a.jpg")
    labels = boxes(arm=3, torso=2, head=1)
    labels[0, 0] = IGNORE
    put_labels(tmp_path / "labels" / "a.png", labels)
    put(tmp_path / "train_all.txt", "/JPEGImages/a.jpg /labels/a.png\ncoco/a.jpg labels/a.png\n\n")
    put(tmp_path / "voc.txt", "coco/a.jpg labels/a.png\n")
    put(tmp_path / "README.txt", "Labels that the paper's authors have synthesised.\n")
    return tmp_path


def test_label_list(label_lists):
    people = read_label_list(label_lists)
    assert people.splits == {"train": 2}
    assert [person.id for person in people.split("train")] == ["JPEGImages_a", "coco_a"]
    labels = boxes(arm=3, torso=2, head=1)
    labels[0, 0] = IGNORE
    np.testing.assert_array_equal(PASCAL_PERSON.class_lut[people.split("train")[0].label_map], labels)


def test_which_label_list_is_which_split(label_lists):
    assert read_label_list(label_lists, test="voc.txt").splits == {"train": 2, "test": 1}
    with pytest.raises(ValueError, match=r"is missing\n  list for val: nowhere.txt"):
        read_label_list(label_lists, val="nowhere.txt")
    with pytest.raises(ValueError, match=r"--test: '/tmp/voc\.txt' is not the name of a file"):
        read_label_list(label_lists, test="/tmp/voc.txt")
    (label_lists / "voc.txt").rename(label_lists / "train.txt")
    with pytest.raises(ValueError, match=r"2 lists for train: train.txt, train_all.txt; choose one with --train NAME"):
        read_label_list(label_lists)
    assert read_label_list(label_lists, train="train_all.txt").splits == {"train": 2}


# --- what is wrong is said --------------------------------------------------------------------------------


def test_missing_images_are_counted(tmp_path):
    (tmp_path / "images").mkdir()
    put(tmp_path / "poses.csv", "\n".join(csv_row(f"{row}.jpg", STANDING) for row in range(5)))
    with pytest.raises(ValueError, match=r"5 of 5 files are missing: .*0.jpg, .*1.jpg, .*2.jpg, \.\.\."):
        read_mpii(tmp_path)


def test_nobody_in_the_image(tmp_path):
    put_image(tmp_path / "images" / "a.jpg", size=(900, 900))
    put(tmp_path / "poses.csv", csv_row("a.jpg", STANDING + 500))
    people = read_mpii(tmp_path).split("poses")
    put_image(tmp_path / "images" / "a.jpg")
    with pytest.raises(ValueError, match="person a_0: joints: all lie outside the image of 80 x 120 pixels"):
        people[0]


def test_bad_ready_labels(ready_labels):
    path, people = ready_labels / "SegmentationPart" / "a.png", read_pascal_person_part(ready_labels).split("test")
    put_labels(path, np.full((HEIGHT, WIDTH), 9))
    with pytest.raises(ValueError, match=r"a\.png: has unknown part ids 9"):
        people[0]
    put_labels(path, np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"a\.png: is 4 x 3 pixels, its image 80 x 120"):
        people[0]


BOX = box(0, 9, 0, 9)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no", "cannot be read as a MATLAB file"),
        (b"MATLAB 5.0 MAT-file" * 50, "cannot be read as a MATLAB file"),
        (("person", BOX, {"wing": BOX}), r"objects\[0\]: part_name: is 'wing'; known are torso"),
        (("person", BOX[:3], {}), r"objects\[0\]: mask: is 3 x 80, its image 120 x 80 pixels"),
        (("person", BOX, {"head": BOX[:3]}), r"objects\[0\]: head: mask: is 3 x 80"),
        (None, "has no variable 'anno'"),
    ],
)
def test_bad_part_annotation(tmp_path, content, problem):
    path = tmp_path / "a.mat"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is None:
        savemat(path, {"other": 1})
    else:
        pascal_mat(path, content)
    with pytest.raises(ValueError, match=f"a.mat: {problem}"):
        read_bodies(path, "person", PERSON_PARTS, (HEIGHT, WIDTH))


def test_id_that_is_a_path_is_refused(ready_labels):
    put(ready_labels / "train_id.txt", "../secret\n")
    with pytest.raises(ValueError, match=r"train_id.txt: '../secret' is not an image id"):
        read_pascal_person_part(ready_labels)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": 16}, "point: id: is 16, no joint 0 to 15"),
        ({"id": 2.5}, "point: id: is 2.5, no joint 0 to 15"),
        ({"id": "3"}, "id: is '3', not a finite number"),
        ({"x": np.nan}, "x: is 'nan', not a finite number"),
        ({"y": np.zeros((0, 0))}, r"y: is '\[\]', not a finite number"),
    ],
)
def test_bad_mpii(tmp_path, fields, problem):
    (tmp_path / "images").mkdir()
    mpii_mat(tmp_path / "mpii_human_pose_v1_u12_1.mat", STANDING, **fields)
    with pytest.raises(ValueError, match=rf"u12_1.mat: annolist\[0\]: {problem}"):
        read_mpii(tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<annotation>", "a_1.xml: is not XML"),
        ('<!DOCTYPE a [<!ENTITY b "b">]><annotation/>', "a_1.xml: has a document type"),
        (horse_xml("a", "horse", {"Wing": (1, 2)}), "keypoint Wing: is unknown"),
        (horse_xml("a", "horse", {"Nose": (float("nan"), 2)}), "keypoint Nose: is at 'nan', not at a number"),
    ],
)
def test_bad_keypoints_of_a_horse(tmp_path, text, problem):
    for name in ("JPEGImages", "Annotations_Part"):
        (tmp_path / name).mkdir()
    for name in ("train_id.txt", "val_id.txt"):
        put(tmp_path / name, "a\n")
    put(tmp_path / "horse" / "a_1.xml", text)
    with pytest.raises(ValueError, match=problem):
        read_horse_cow(tmp_path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a.jpg", "train.txt: line 1: has 1 names, not two"),
        ("../a.jpg b.png", "line 1: must be a path inside the folder"),
        ("a.jpg b.png", "train.txt: 2 of 2 files are missing"),
    ],
)
def test_bad_label_list(tmp_path, line, problem):
    put(tmp_path / "train.txt", line)
    with pytest.raises(ValueError, match=problem):
        read_label_list(tmp_path)
