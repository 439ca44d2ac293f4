"""Readers give what people have on disk as people: real samples where they are, else files in the published layout."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pgkt_jax.data.readers.coco_poses import read_coco_poses
from pgkt_jax.data.readers.horse_cow import read_horse_cow
from pgkt_jax.data.readers.label_list import read_label_list
from pgkt_jax.data.readers.lip import read_lip
from pgkt_jax.data.readers.mpii import read_mpii
from pgkt_jax.data.readers.pascal_part import PERSON_PARTS, read_bodies
from pgkt_jax.data.readers.pascal_person_part import read_pascal_person_part
from pgkt_jax.data.readers.people import read_ids
from pgkt_jax.data.readers.poses import read_poses
from pgkt_jax.data.readers.regions import nearest_parts, of_one_person
from pgkt_jax.data.sources import read_splits
from pgkt_jax.skeleton import COW, HORSE, IGNORE, PASCAL_PERSON
from pgkt_jax.stages.photographs import with_poses

SHARED = Path(__file__).parents[2] / "shared" / "data"
HEIGHT, WIDTH = 120, 80
JOINT = PASCAL_PERSON.joint
PART = {part.name: row for row, part in enumerate(PASCAL_PERSON.parts, start=1)}

# Somebody who faces the camera, PASCAL-16: the right side is at the left of the picture.
STANDING = np.array(
    [
        [33, 110], [33, 90], [34, 66], [46, 66], [47, 90], [47, 110], [40, 66], [40, 32], [40, 28], [40, 12],
        [22, 62], [25, 48], [30, 34], [50, 34], [55, 48], [58, 62],
    ],
    float,
)  # fmt: skip


def sample(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the sample {name} is not on this machine")
    return SHARED / name


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def put_image(path: Path, *, mode: str = "RGB", size: tuple[int, int] = (HEIGHT, WIDTH), **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.indices(size)
    Image.fromarray(np.stack([rows, columns, rows * 0 + 90], -1).astype(np.uint8)).convert(mode).save(path, **options)
    return path


def put_labels(path: Path, labels: np.ndarray) -> Path:
    """A palette PNG, as PASCAL's: its colours tell nothing of the indices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette([(7 * i + 5) % 256 for i in range(768)])
    picture.save(path)
    return path


def triples(joints: np.ndarray, confidence: float = 0.9) -> list[float]:
    return np.column_stack([joints, np.full(len(joints), confidence)]).ravel().tolist()


def csv_row(name: str, joints: np.ndarray, flag: str = "1") -> str:
    """A line of LIP's lip_train_set.csv, whole pixels, `nan` where not annotated, as github Daniil-Osokin/
    gccpm-look-into-person-cvpr19.pytorch datasets/lip.py reads it; the paper's authors' file looks alike."""
    return ",".join([name, *(f"{x:g},{y:g},{flag}" for x, y in joints)])


def coco17() -> np.ndarray:
    """STANDING in COCO's order, eyes and ears at the nose."""
    limbs = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    names = [f"{side}_{joint}" for joint in limbs for side in ("left", "right")]
    return np.vstack([[[40, 20]] * 5, STANDING[[JOINT(name) for name in names]]])


def side_of(pose) -> bool:
    """Whether the right wrist is where STANDING has it: swapped sides or orders would show."""
    return np.allclose(pose.joints[JOINT("right_wrist")], STANDING[JOINT("right_wrist")], atol=1)


# --- real samples ---------------------------------------------------------------------------------------


@pytest.fixture
def coco_sample(tmp_path):
    folder = sample("coco_keypoints_sample")
    (tmp_path / "images").symlink_to(folder)
    (tmp_path / "poses.json").symlink_to(folder / "person_keypoints.json")
    return tmp_path


def test_coco_sample(coco_sample):
    people = read_coco_poses(coco_sample).split("poses")
    assert [person.id[-8:] for person in people] == ["463557_0", "234748_0", "030752_0", "037666_0", "227000_2"]
    assert read_coco_poses(coco_sample, body="upper").splits == {"poses": 10}
    annotated = json.loads((coco_sample / "poses.json").read_text())["annotations"]
    wanted = np.reshape(next(a for a in annotated if a["image_id"] == 30752)["keypoints"], (17, 3))
    person = people[2]  # the skier, who comes towards us
    ankle, shoulder = person.joints[[JOINT("right_ankle"), JOINT("left_shoulder")]]
    np.testing.assert_allclose(ankle - shoulder, wanted[16, :2] - wanted[5, :2])
    assert person.joints[JOINT("right_shoulder"), 0] < person.joints[JOINT("left_shoulder"), 0]
    assert person.label_map is None
    assert (person.joints > 0).all()
    assert (person.joints < person.image.shape[1::-1]).all()
    assert person.image.shape[0] < 640


def test_alphapose_sample(tmp_path):
    folder = sample("alphapose_sample")
    (tmp_path / "images").symlink_to(folder)
    (tmp_path / "poses.json").symlink_to(folder / "alphapose-results.json")
    people = read_coco_poses(tmp_path).split("poses")
    assert [person.id for person in people] == [
        *(f"COCO_train2014_000000131780_{row}" for row in range(4)), "COCO_train2014_000000036827_0",
    ]  # fmt: skip
    neck, wrist = people[0].joints[[JOINT("neck"), JOINT("right_wrist")]]
    np.testing.assert_array_equal(wrist - neck, [312 - 321, 343 - 308])
    behind = people[1].joints  # a man seen from behind: his left is at the left
    assert behind[JOINT("left_shoulder"), 0] < behind[JOINT("right_shoulder"), 0]


def test_mpii_sample():
    folder = sample("mpii_poses")
    poses = read_poses(folder / "sample.csv", folder)
    assert (len(poses), poses[0].image, sum(pose.visible.all() for pose in poses)) == (200, "024009590.jpg", 197)
    np.testing.assert_array_equal(poses[0].joints[JOINT("right_ankle")], [922, 553])


@pytest.fixture
def pascal_sample(tmp_path):
    folder = sample("pascal_part_sample")
    for name in ("JPEGImages", "Annotations_Part"):
        (tmp_path / name).symlink_to(folder)
    put(tmp_path / "train_id.txt", "2008_000652\n2010_005243\n")
    put(tmp_path / "pascal_person_part_val_id.txt", "2008_000939\n2008_003228\n")
    return tmp_path


def test_pascal_part_sample_by_image(pascal_sample):
    people = read_pascal_person_part(pascal_sample, records="image", val=0)
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


def test_pascal_part_sample_by_person(pascal_sample):
    man, woman = np.full((2, 16, 2), -1.0)
    upper = ("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow")
    rows = [JOINT(name) for name in (*upper, "left_wrist")]
    man[rows] = [[219, 27], [220, 140], [146, 173], [127, 255], [132, 342], [278, 173], [285, 255], [285, 300]]
    woman[rows] = [[343, 91], [343, 183], [300, 215], [300, 280], [300, 340], [416, 220], [420, 315], [416, 370]]
    put(pascal_sample / "poses.csv", "\n".join(csv_row("2008_003228.jpg", joints) for joints in (woman, man)))
    people = read_pascal_person_part(pascal_sample, val=0)
    assert people.splits == {"test": 2}
    person = people.split("test")[1]
    assert person.id == "2008_003228_1"
    assert person.image.shape[:2] == person.label_map.shape
    column, row = np.round(person.joints[rows]).astype(int).T
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


def test_horse_sample(pascal_sample):
    points = {"Throat": (124, 149), "Nose": (140, 165), "L_F_Paw": (132, 239), "R_F_Paw": (112, 242)}
    put(pascal_sample / "val_id.txt", "2008_000939")
    put(pascal_sample / "horse" / "2010_005243_1.xml", horse_xml("2010_005243", "horse", points))
    people = read_horse_cow(pascal_sample, val=0)
    assert (people.splits, people.skeleton) == ({"train": 1}, HORSE)
    horse = people.split("train")[0]
    parts = {part.name: row for row, part in enumerate(HORSE.parts, start=1)}
    # It faces the camera: keypoints and masks agree that its left is at the right of the picture.
    for joint, part in (("left_front_paw", "left_front_lower_leg"), ("right_front_paw", "right_front_lower_leg")):
        place = np.argwhere(horse.label_map == parts[part])[:, ::-1].mean(axis=0)
        assert abs(place[0] - horse.joints[HORSE.joint(joint), 0]) < 6


# --- poses in their published layouts -------------------------------------------------------------------


def openpose25() -> np.ndarray:
    """STANDING in OpenPose's order: nose, neck, arms, middle of the hips, legs, face, feet."""
    sides = ("right", "left")
    arms = [f"{side}_{joint}" for side in sides for joint in ("shoulder", "elbow", "wrist")]
    legs = [f"{side}_{joint}" for side in sides for joint in ("hip", "knee", "ankle")]
    names = ["thorax", *arms, "pelvis", *legs]
    return np.vstack([[[40, 20]], STANDING[[JOINT(name) for name in names]], np.full((10, 2), 20.0)])


def landmarks() -> list[dict[str, float]]:
    shares = np.full((33, 2), (40.5 / WIDTH, 20.5 / HEIGHT))
    shares[11:17] = (coco17()[5:11] + 0.5) / (WIDTH, HEIGHT)
    shares[23:29] = (coco17()[11:17] + 0.5) / (WIDTH, HEIGHT)
    return [{"x": x, "y": y, "z": 0.0, "visibility": 0.9, "presence": 0.9} for x, y in shares.tolist()]


def documents() -> dict[str, object]:
    """Everything that poses.json may be; one person on one image each time."""
    person, name = triples(coco17()), "000000000007.jpg"
    halpe_trunk = triples(STANDING[[JOINT("head_top"), JOINT("neck"), JOINT("pelvis")]])
    return {
        "COCO annotations": {
            "images": [{"id": 7, "file_name": name}],
            "annotations": [
                {"image_id": 7, "iscrowd": 1, "num_keypoints": 17, "keypoints": person},
                {"image_id": 7, "iscrowd": 0, "num_keypoints": 0, "keypoints": [0] * 51},
                {"image_id": 7, "iscrowd": 0, "num_keypoints": 17, "keypoints": triples(coco17(), 2)},
            ],
        },
        "COCO annotations of 16 joints": {
            "images": [{"id": 7, "file_name": name}],
            "annotations": [{"image_id": 7, "keypoints": triples(STANDING, 2)}],
        },
        "COCO detections": [{"image_id": 7, "category_id": 1, "keypoints": person, "score": 0.8}],
        "AlphaPose": [{"image_id": f"/their/disk/{name}", "category_id": 1, "keypoints": person, "score": 2.9}],
        "AlphaPose, Halpe 26": [{"image_id": name, "keypoints": person + halpe_trunk + [1.0, 1.0, 0.9] * 6}],
        "AlphaPose, Halpe 136": [{"image_id": name, "keypoints": person + halpe_trunk + [1.0, 1.0, 0.9] * 116}],
        "COCO-WholeBody": [{"image_id": name, "keypoints": person + [1.0, 1.0, 0.9] * 116}],
        "AlphaPose cmu": {name: {"version": 0.1, "bodies": [{"joints": triples(openpose25()[_OP18])}]}},
        "AlphaPose open": {name: {"version": 0.1, "people": [{"pose_keypoints_2d": triples(openpose25()[_OP18])}]}},
        "MediaPipe": {name: {"pose_landmarks": [landmarks()], "pose_world_landmarks": []}},
    }


_OP18 = [*range(8), *range(9, 15), 15, 16, 17, 18]


@pytest.mark.parametrize("form", documents())
def test_every_form_of_poses_gives_the_same_person(tmp_path, form):
    put_image(tmp_path / "images" / "000000000007.jpg")
    (pose,) = read_poses(put(tmp_path / "poses.json", json.dumps(documents()[form])), tmp_path / "images")
    assert (pose.id, pose.image) == ("000000000007_0", "000000000007.jpg")
    assert side_of(pose)
    assert pose.visible.all()
    assert read_coco_poses(tmp_path).splits == {"poses": 1}


@pytest.mark.parametrize("count", [26, 136])
def test_halpes_own_head_neck_and_hip_are_taken(tmp_path, count):
    trunk = np.array([[41.0, 11.0], [39.0, 29.0], [40.0, 67.0]])
    keypoints = triples(np.vstack([coco17(), trunk, np.ones((count - 20, 2))]))
    put(tmp_path / "poses.json", json.dumps([{"image_id": "a.jpg", "keypoints": keypoints}]))
    (pose,) = read_poses(tmp_path / "poses.json", tmp_path)
    np.testing.assert_array_equal(pose.joints[[JOINT("head_top"), JOINT("neck"), JOINT("pelvis")]], trunk)


@pytest.mark.parametrize(
    ("there", "named"),
    [
        (["000000000001.jpg"], "000000000001.jpg"),
        (["COCO_val2014_000000000001.jpg", "COCO_val2014_000000000002.jpg"], "COCO_val2014_000000000001.jpg"),
        (["COCO_train2014_000000000002.jpg", "COCO_val2014_000000000001.jpg"], "COCO_val2014_000000000001.jpg"),
        (["000000000001.jpg", "COCO_val2014_000000000001.jpg"], "000000000001.jpg"),
        (["holiday.jpg"], "000000000001.jpg"),
    ],
)
def test_cocos_detections_name_their_images_as_the_folder_does(tmp_path, there, named):
    for name in there:
        put_image(tmp_path / "images" / name)
    put(tmp_path / "poses.json", json.dumps([{"image_id": 1, "keypoints": triples(coco17())}]))
    (pose,) = read_poses(tmp_path / "poses.json", tmp_path / "images")
    assert pose.image == named


@pytest.mark.parametrize("joints", [openpose25(), openpose25()[_OP18]], ids=["BODY_25", "COCO"])
def test_openpose_folder(tmp_path, joints):
    put_image(tmp_path / "images" / "b.png")
    # doc/02_output.md of github CMU-Perceptual-Computing-Lab/openpose, and the person_id of later versions.
    nothing = {f"{part}_keypoints_{dimensions}": [] for part in ("face", "hand_left", "hand_right")
               for dimensions in ("2d", "3d")} | {"pose_keypoints_3d": []}  # fmt: skip
    person = {"person_id": [-1], "pose_keypoints_2d": triples(joints), **nothing}
    document = {"version": 1.3, "people": [person] * 2}
    put(tmp_path / "poses" / "b_keypoints.json", json.dumps(document))
    first, second = read_poses(tmp_path / "poses", tmp_path / "images")
    assert (first.id, second.id, first.image) == ("b_0", "b_1", "b.png")
    assert side_of(first)
    assert read_coco_poses(tmp_path).splits == {"poses": 2}


def test_pose_file_of_the_papers_authors(tmp_path):
    joints = STANDING.copy()
    joints[JOINT("thorax")], joints[JOINT("pelvis")], joints[JOINT("left_ankle")] = 0, -1, -1
    (pose,) = read_poses(put(tmp_path / "p.csv", csv_row("a.jpg", joints, "0") + "\n\n"), tmp_path)
    unseen = [PASCAL_PERSON.joints[row] for row in np.flatnonzero(~pose.visible)]
    assert unseen == ["left_ankle", "thorax"]
    np.testing.assert_array_equal(pose.joints[JOINT("pelvis")], [40, 66])  # the middle of the hips


@pytest.mark.parametrize(
    "other",
    [
        {"iscrowd": 1, "num_keypoints": 0, "keypoints": [0] * 51},
        {"iscrowd": 0, "num_keypoints": 0, "keypoints": [0] * 51},
        {"iscrowd": 0},
        {"iscrowd": 0, "num_keypoints": 5, "keypoints": [40, 20, 2] * 5 + [0, 0, 0] * 12},
    ],
    ids=["crowd", "too small", "box alone", "head alone"],
)
def test_who_is_not_alone_can_be_left_out(tmp_path, other):
    """In labels synthesised for one of several people the others would be background."""
    person = {"iscrowd": 0, "num_keypoints": 17, "keypoints": triples(coco17(), 2)}
    annotations = [{"image_id": id, **one} for id, people in ((7, [person, other]), (8, [person])) for one in people]
    images = [{"id": id, "file_name": f"{id}.jpg"} for id in (7, 8)]
    put(tmp_path / "poses.json", json.dumps({"images": images, "annotations": annotations}))
    for id in (7, 8):
        put_image(tmp_path / "images" / f"{id}.jpg")
    assert [person.id for person in read_coco_poses(tmp_path, alone=True).split("poses")] == ["8_0"]
    assert [person.id for person in read_coco_poses(tmp_path).split("poses")] == ["7_0", "8_0"]


def test_who_is_not_alone_in_an_estimators_results_can_be_left_out(tmp_path):
    """A crowd without any flag: everybody is found, two of them on one photograph."""
    found = [{"image_id": name, "keypoints": triples(coco17())} for name in ("a.jpg", "b.jpg", "a.jpg")]
    put(tmp_path / "poses.json", json.dumps(found))
    for name in ("a.jpg", "b.jpg"):
        put_image(tmp_path / "images" / name)
    assert [person.id for person in read_coco_poses(tmp_path, alone=True).split("poses")] == ["b_0"]
    assert read_coco_poses(tmp_path).splits == {"poses": 3}


def test_confidence_below_the_threshold_is_unseen(tmp_path):
    person = triples(coco17())
    person[3 * 16 + 2] = 0.1  # right ankle
    put(tmp_path / "poses.json", json.dumps([{"image_id": "a.jpg", "keypoints": person}]))
    put_image(tmp_path / "images" / "a.jpg")
    assert read_coco_poses(tmp_path).splits == {}
    assert read_coco_poses(tmp_path, body="upper").splits == {"poses": 1}


# --- images ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_crop_of_grey_and_cmyk_photographs_with_joints_outside(tmp_path, mode):
    put_image(tmp_path / "images" / "a.jpg", mode=mode)
    joints = coco17() + np.array([30, 0])  # the left hand is beyond the border
    put(tmp_path / "poses.json", json.dumps([{"image_id": "a.jpg", "keypoints": triples(joints)}]))
    (person,) = read_coco_poses(tmp_path).split("poses")
    x0, y0 = np.round(joints[16] - person.joints[JOINT("right_ankle")]).astype(int)
    assert (x0, y0) == (52 - 10, 0)  # a quarter of 36 + 1 columns, rounded outwards
    assert person.image.shape == (HEIGHT, WIDTH - x0, 3)
    assert person.joints[JOINT("left_wrist"), 0] > person.image.shape[1]
    # Grey keeps no colour; a CMYK file that is read as it is meant keeps rows (red) growing downwards.
    assert person.image[100, 5, 0] > person.image[10, 5, 0]


def test_exif_orientation_is_followed_only_on_demand(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by a quarter
    put_image(tmp_path / "images" / "a.jpg", size=(WIDTH, HEIGHT), exif=exif)
    put(tmp_path / "poses.json", json.dumps([{"image_id": "a.jpg", "keypoints": triples(coco17())}]))
    shapes = [read_coco_poses(tmp_path, upright=upright).split("poses")[0].image.shape for upright in (True, False)]
    assert shapes[0][0] > WIDTH  # as the estimator saw it: the whole person fits in
    assert shapes[1][0] <= WIDTH


@pytest.mark.parametrize(("upright", "size"), [(True, (WIDTH, HEIGHT)), (False, (HEIGHT, WIDTH))])
def test_shares_of_a_turned_photograph_are_shares_of_its_upright_size(tmp_path, upright, size):
    """Stored lying, as a phone that is held upright stores it; read so only where `upright` says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    put_image(tmp_path / "images" / "a.jpg", size=size, exif=exif)
    put(tmp_path / "poses.json", json.dumps({"a.jpg": {"pose_landmarks": [landmarks()]}}))
    (pose,) = read_poses(tmp_path / "poses.json", tmp_path / "images", upright=upright)
    np.testing.assert_allclose(pose.joints[0], STANDING[0], atol=1e-4)
    (person,) = read_coco_poses(tmp_path, upright=upright).split("poses")
    np.testing.assert_allclose(person.joints[3] - person.joints[0], STANDING[3] - STANDING[0], atol=1e-4)
    (photograph,) = with_poses([tmp_path / "images" / "a.jpg"], tmp_path / "poses.json", upright=upright)
    np.testing.assert_array_equal(photograph.poses[0].joints, pose.joints)


# --- label maps in their published layouts --------------------------------------------------------------


def boxes(*, arm: int, torso: int, head: int, x: int = 0) -> np.ndarray:
    """Labels of STANDING moved by x: head, torso, both arms."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[10:28, 34 + x : 46 + x] = head
    labels[28:68, 18 + x : 62 + x] = arm
    labels[28:68, 33 + x : 47 + x] = torso
    return labels


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


def pascal_mat(path: Path, *objects: tuple[str, np.ndarray, dict[str, np.ndarray]]) -> None:
    """The structure of PASCAL-Part, as MATLAB writes it: 1 x N arrays of structures."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def array(rows: list[dict]) -> np.ndarray:
        kinds = [(name, object) for name in rows[0]] if rows else [("part_name", object), ("mask", object)]
        made = np.zeros((1, len(rows)), kinds)
        for column, row in enumerate(rows):
            for name, value in row.items():
                made[0, column][name] = value
        return made

    things = [
        {
            "class": kind, "class_ind": 15, "mask": mask.astype(np.uint8),
            "parts": array([{"part_name": n, "mask": m.astype(np.uint8)} for n, m in parts.items()]),
        }
        for kind, mask, parts in objects
    ]  # fmt: skip
    savemat(path, {"anno": {"imname": path.stem, "objects": array(things)}})


def box(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return mask


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


def horse_xml(image: str, kind: str, points: dict[str, tuple[float, float]]) -> str:
    """As horse/2008_002459_4.xml and cow/2008_000711_4.xml of the annotation itself, of which github
    FurKan7/HybridGraph holds a copy (data/PascalVOC/raw/annotations); github Thinklab-SJTU/ThinkMatch
    src/dataset/pascal_voc.py reads it and lists its 16 keypoints, no knees among them. Some files have an outline."""
    rows = (f'<keypoint name="{n}" visible="1" x="{x:.2f}" y="{y:.2f}" z="0.00"/>' for n, (x, y) in points.items())
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotation>
	<image>{image}</image>
	<voc_id>1</voc_id>
	<category>{kind}</category>
	<visible_bounds height="100.00" width="60.00" xmin="10.00" ymin="10.00"/>
	<keypoints>{"".join(rows)}</keypoints>
	<polylinesegments>
		<segment name="foreground" x="10.00 70.00 70.00 " y="10.00 10.00 110.00 "/>
	</polylinesegments>
</annotation>
"""


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


def mpii_points(joints: np.ndarray) -> list[dict[str, float]]:
    return [{"x": x + 1, "y": y + 1, "id": row, "is_visible": 1} for row, (x, y) in enumerate(joints)]


def mpii_mat(path: Path, joints: np.ndarray, *, stored: Callable[[int], object] = int, **fields: object) -> None:
    """Two images: one with two people, of whom one lacks joints, and one with a box alone, as in MPII's test set.

    The layout is that which github mkabra/poseTF matlab/ScriptMPII.m reads: `annorect` may be empty, or without
    `annopoints`, and `annopoints` may be empty; ids are 0 to 15.

    `stored` gives the form of ids; `fields` take the place of every point's own.
    """
    points = [{**point, "id": stored(point["id"]), **fields} for point in mpii_points(joints)]
    people = [{"scale": 2.0, "annopoints": {"point": points}}, {"scale": 2.0, "annopoints": {"point": points[:9]}}]
    annolist = [
        {"image": {"name": "a.jpg"}, "annorect": people},
        {"image": {"name": "b.jpg"}, "annorect": {"scale": 1.0}},
        {"image": {"name": "c.jpg"}, "annorect": {"scale": 1.0, "annopoints": np.zeros((0, 0))}},
        {"image": {"name": "d.jpg"}, "annorect": np.zeros((0, 0))},
    ]
    savemat(path, {"RELEASE": {"annolist": _cells(annolist), "img_train": np.array([1, 0, 1, 0])}})


def _cells(value):
    """Lists of equal dictionaries as 1 x N arrays of structures, all others as arrays of objects."""
    if isinstance(value, dict):
        return {name: _cells(v) for name, v in value.items()}
    if not isinstance(value, list):
        return value
    made = np.zeros((1, len(value)), [(name, object) for name in value[0]])
    for column, row in enumerate(value):
        for name, v in row.items():
            made[0, column][name] = _cells(v)
    return made


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
    savemat(tmp_path / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": {"annolist": _cells(annolist)}})
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


# --- what is wrong is said ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("{", "poses.json: is not JSON"),
        ("[" * 100_000, "poses.json: is not JSON"),
        (7, "poses.json: is neither a list nor an object"),
        ([7], r"poses.json: \[0\]: is not an object"),
        ([{"keypoints": []}], r"\[0\]: image_id: is missing"),
        ([{"image_id": 1.5}], r"\[0\]: image_id: has a value of the wrong kind \(float\)"),
        ([{"image_id": ".."}], r"\[0\]: '..' is not the name of an image"),
        ([{"image_id": 1, "keypoints": [1, 2]}], r"keypoints: are 2 numbers; x, y, confidence of known"),
        ([{"image_id": 1, "keypoints": [1, "2", 3] * 17}], "keypoints: are not all finite numbers"),
        ([{"image_id": 1, "keypoints": [1, float("nan"), 3] * 17}], "keypoints: are not all finite numbers"),
        ([{"image_id": 1, "keypoints": [1, 1e9, 3] * 17}], "person 000000000001_0: a joint is farther away than 1e"),
        ({"images": [], "annotations": [{"image_id": 3}]}, r"annotations\[0\]: image_id: there is no image 3"),
        ({"images": [{"id": 3}], "annotations": []}, r"images\[0\]: file_name: is missing"),
        ({"a.jpg": {"bodies": [{}]}}, r"'a.jpg': bodies\[0\]: joints: is missing"),
        ({"a.jpg": {}}, "'a.jpg': people: is missing"),
        ({"a.jpg": []}, "'a.jpg': is not an object"),
        ({"b.jpg": {"pose_landmarks": [[]]}}, "'b.jpg': no such file"),
        ({"a.jpg": {"pose_landmarks": [[{"x": 1}]]}}, "'a.jpg': y: is missing"),
    ],
)
def test_bad_pose_file(tmp_path, document, problem):
    put_image(tmp_path / "a.jpg")
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(ValueError, match=problem):
        read_poses(put(tmp_path / "poses.json", text), tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a.jpg,1,2", "line 1: has 3 columns"),
        (csv_row("a.jpg", STANDING) + "\na.jpg" + ",x" * 48, "line 2: has a column that is no number"),
    ],
)
def test_bad_csv(tmp_path, text, problem):
    with pytest.raises(ValueError, match=problem):
        read_poses(put(tmp_path / "p.csv", text), tmp_path)


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
