"""Files of poses and what pose estimators write: real samples where they are, else files in the published layout."""

import json

import numpy as np
import pytest
from annotations import (
    HEIGHT,
    JOINT,
    OPENPOSE18_ROWS,
    STANDING,
    WIDTH,
    coco17,
    csv_row,
    documents,
    landmarks,
    openpose25,
    put,
    put_image,
    sample,
    triples,
)
from PIL import Image

from pgkt_jax.data.readers.coco_poses import read_coco_poses
from pgkt_jax.data.readers.poses import read_poses
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages.photographs import with_poses

# --- real samples -----------------------------------------------------------------------------------------


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


# --- poses in their published layouts ---------------------------------------------------------------------


def side_of(pose) -> bool:
    """Whether the right wrist is where STANDING has it: swapped sides or orders would show."""
    return np.allclose(pose.joints[JOINT("right_wrist")], STANDING[JOINT("right_wrist")], atol=1)


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


@pytest.mark.parametrize("joints", [openpose25(), openpose25()[OPENPOSE18_ROWS]], ids=["BODY_25", "COCO"])
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


# --- images -----------------------------------------------------------------------------------------------


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


# --- what is wrong is said --------------------------------------------------------------------------------


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
