"""Annotations and results of pose estimators as small files in the layouts that are published, for tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pgkt_jax.skeleton import PASCAL_PERSON

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


UPPER_BODY = [
    JOINT(name)
    for name in ("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
                 "left_wrist")
]  # fmt: skip

SAMPLE_HORSE = {"Throat": (124, 149), "Nose": (140, 165), "L_F_Paw": (132, 239), "R_F_Paw": (112, 242)}
"""The horse of 2010_005243, marked by hand. It faces the camera: its left is at the right of the picture."""


def couple() -> tuple[np.ndarray, np.ndarray]:
    """The upper bodies of the woman and of the man of 2008_003228, marked by hand, PASCAL-16."""
    man, woman = np.full((2, 16, 2), -1.0)
    man[UPPER_BODY] = [
        [219, 27], [220, 140], [146, 173], [127, 255], [132, 342], [278, 173], [285, 255], [285, 300],
    ]  # fmt: skip
    woman[UPPER_BODY] = [
        [343, 91], [343, 183], [300, 215], [300, 280], [300, 340], [416, 220], [420, 315], [416, 370],
    ]  # fmt: skip
    return woman, man


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


def openpose25() -> np.ndarray:
    """STANDING in OpenPose's order: nose, neck, arms, middle of the hips, legs, face, feet."""
    sides = ("right", "left")
    arms = [f"{side}_{joint}" for side in sides for joint in ("shoulder", "elbow", "wrist")]
    legs = [f"{side}_{joint}" for side in sides for joint in ("hip", "knee", "ankle")]
    names = ["thorax", *arms, "pelvis", *legs]
    return np.vstack([[[40, 20]], STANDING[[JOINT(name) for name in names]], np.full((10, 2), 20.0)])


OPENPOSE18_ROWS = [*range(8), *range(9, 15), 15, 16, 17, 18]


def landmarks() -> list[dict[str, float]]:
    shares = np.full((33, 2), (40.5 / WIDTH, 20.5 / HEIGHT))
    shares[11:17] = (coco17()[5:11] + 0.5) / (WIDTH, HEIGHT)
    shares[23:29] = (coco17()[11:17] + 0.5) / (WIDTH, HEIGHT)
    return [{"x": x, "y": y, "z": 0.0, "visibility": 0.9, "presence": 0.9} for x, y in shares.tolist()]


def documents() -> dict[str, object]:
    """Everything that poses.json may be; one person on one image each time."""
    person, name = triples(coco17()), "000000000007.jpg"
    halpe_trunk = triples(STANDING[[JOINT("head_top"), JOINT("neck"), JOINT("pelvis")]])
    openpose18 = triples(openpose25()[OPENPOSE18_ROWS])
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
        "AlphaPose cmu": {name: {"version": 0.1, "bodies": [{"joints": openpose18}]}},
        "AlphaPose open": {name: {"version": 0.1, "people": [{"pose_keypoints_2d": openpose18}]}},
        "MediaPipe": {name: {"pose_landmarks": [landmarks()], "pose_world_landmarks": []}},
    }


def boxes(*, arm: int, torso: int, head: int, x: int = 0) -> np.ndarray:
    """Labels of STANDING moved by x: head, torso, both arms."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[10:28, 34 + x : 46 + x] = head
    labels[28:68, 18 + x : 62 + x] = arm
    labels[28:68, 33 + x : 47 + x] = torso
    return labels


def box(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return mask


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
    savemat(path, {"RELEASE": {"annolist": structures(annolist), "img_train": np.array([1, 0, 1, 0])}})


def structures(value):
    """Lists of equal dictionaries as 1 x N arrays of structures, all others as arrays of objects."""
    if isinstance(value, dict):
        return {name: structures(v) for name, v in value.items()}
    if not isinstance(value, list):
        return value
    made = np.zeros((1, len(value)), [(name, object) for name in value[0]])
    for column, row in enumerate(value):
        for name, v in row.items():
            made[0, column][name] = structures(v)
    return made


def pascal_sample(root):
    """The sample of PASCAL-Part as a user has the data set; the test is skipped where it is absent."""
    folder = sample("pascal_part_sample")
    for name in ("JPEGImages", "Annotations_Part"):
        (root / name).symlink_to(folder)
    put(root / "train_id.txt", "2008_000652\n2010_005243\n")
    put(root / "val_id.txt", "2008_000939\n2008_003228\n")
