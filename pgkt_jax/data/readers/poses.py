"""Files of poses: annotations and what pose estimators write, all as PASCAL-16 joints in pixels of named images.

| file | form |
|---|---|
| *.csv, 49 columns | image, (x, y, v) x 16: the paper's authors', and LIP's; `nan` and negative: unseen |
| *.csv, 33 columns | image, (x, y) x 16 |
| *.json, `images` and `annotations` | COCO person_keypoints (cocodataset.org/#format-data), crowds left out |
| *.json, a list | COCO keypoint detections, and AlphaPose's default form, whose image_id is a file name |
| *.json, image -> `bodies` | AlphaPose `--format cmu` (AlphaPose doc/output.md) |
| *.json, image -> `people` | AlphaPose `--format open` |
| *.json, image -> `pose_landmarks` | MediaPipe: each image's `PoseLandmarkerResult`, (x, y) in shares of the image |
| a folder of *_keypoints.json | OpenPose `--write_json`, one file an image (openpose doc/02_output.md) |

Every layout gives the confidence or COCO's flag as third number; a joint is seen from `MIN_CONFIDENCE` on.
"""

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pgkt_jax.data import checks, files, pictures
from pgkt_jax.joint_orders import JOINT_ORDERS, MIN_CONFIDENCE, to_pascal16
from pgkt_jax.skeleton import PASCAL_PERSON

MAX_POSE_BYTES = 2**30
"""The largest file of poses that is read: COCO's detections on its largest set are a tenth of that."""

_ORDERS = {
    15: "alphapose15", 16: "mpii16", 17: "coco17", 18: "openpose18", 25: "openpose25", 33: "blazepose33",
    # Halpe's whole body (AlphaPose doc/output.md) begins with its 26, COCO-WholeBody with COCO's 17.
    26: "halpe26", 136: "halpe26", 133: "coco17",
}  # fmt: skip
_COCO_NAME = re.compile(r"(?:COCO_\w+_)?(\d{12})\.jpg")
_EXTENSIONS = (".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".JPEG")


@dataclass(frozen=True, eq=False)
class Pose:
    """Somebody's joints.

    Attributes:
        id: the image's stem and a count, unique as long as no two images differ by folder or extension alone.
        image: the image's file name.
        joints: float32[16, 2], (x, y) in pixels, y down, pixel centres at integers.
        visible: bool[16].
        alone: whether nobody else is known to be in the image, neither with joints nor without.

    Raises:
        ValueError: a visible joint is far beyond any image.
    """

    id: str
    image: str
    joints: np.ndarray
    visible: np.ndarray
    alone: bool = False

    def __post_init__(self) -> None:
        if np.abs(self.joints[self.visible]).max(initial=0) > checks.MAX_COORDINATE:
            raise ValueError(f"person {self.id}: a joint is farther away than {checks.MAX_COORDINATE:g} pixels")


def read_poses(path: Path, images: Path, *, upright: bool = False) -> list[Pose]:
    """All poses of a file, or of a folder of OpenPose's.

    Args:
        path: see the table above.
        images: the folder of the images: MediaPipe's joints need their sizes, COCO's detections and OpenPose's files
            their names.
        upright: the images are turned by their EXIF orientation, which can swap width and height.

    Raises:
        ValueError: the file is not what its form says; it names file, item and field.
    """
    if path.is_dir():
        found = [_numbered(_of_openpose(file, images)) for file in sorted(path.glob("*_keypoints.json"))]
        if not found:
            raise ValueError(f"{path}: is a folder without OpenPose's *_keypoints.json")
        return [pose for poses in found for pose in poses]
    with checks.about(str(path)):
        if path.suffix == ".csv":
            return _numbered(_of_csv(files.read_bytes(path, limit=MAX_POSE_BYTES).decode("utf-8-sig", "replace")))
        document = _json(path)
        if isinstance(document, list):
            return _numbered(_of_detections(document, images))
        if isinstance(document, dict) and {"images", "annotations"} <= document.keys():
            return _numbered(_of_coco(document))
        if isinstance(document, dict):
            return _numbered(_of_images(document, images, upright))
        raise ValueError("is neither a list nor an object")


Body = tuple[np.ndarray, np.ndarray]
"""Joints float32[16, 2], visible bool[16]."""
Found = tuple[str, Body | None]
"""Image, and somebody's body in it; None: somebody, or a crowd, of whom no joint is annotated."""


def _numbered(found: Iterable[Found]) -> list[Pose]:
    found = list(found)
    people = Counter(image for image, _ in found)
    counts: Counter[str] = Counter()
    poses = []
    for image, body in found:
        if body is not None:
            poses.append(Pose(f"{Path(image).stem}_{counts[image]}", image, *body, alone=people[image] == 1))
            counts[image] += 1
    return poses


def _of_csv(text: str) -> Iterator[Found]:
    for line, row in enumerate(csv.reader(text.splitlines()), start=1):
        if not row:
            continue
        with checks.about(f"line {line}"):
            if len(row) not in (33, 49):
                raise ValueError(f"has {len(row)} columns, not 33 (image, (x, y) x 16) or 49 (image, (x, y, v) x 16)")
            try:
                numbers = np.array(row[1:], np.float64).reshape(16, -1)
            except ValueError:
                raise ValueError("has a column that is no number") from None
            joints = numbers[:, :2]
            # v tells hidden joints from others: both are annotated. The authors' file leaves the thorax at (0, 0).
            visible = np.isfinite(joints).all(1) & (np.nan_to_num(joints) >= 0).all(1) & joints.any(1)
            yield _file_name(row[0]), _with_pelvis(*to_pascal16(joints, visible, "mpii16"))


def _with_pelvis(joints: np.ndarray, visible: np.ndarray) -> Body:
    """The middle of the hips in place of a pelvis that is not annotated."""
    pelvis, hips = (PASCAL_PERSON.joint("pelvis"), [PASCAL_PERSON.joint(f"{side}_hip") for side in ("left", "right")])
    if not visible[pelvis] and visible[hips].all():
        joints[pelvis], visible[pelvis] = joints[hips].mean(axis=0), True
    return joints, visible


def _of_coco(document: Mapping[str, Any]) -> Iterator[Found]:
    names = {}
    for row, image in enumerate(_list(document, "images")):
        with checks.about(f"images[{row}]"):
            names[_field(image, "id", int)] = _file_name(_field(image, "file_name", str))
    for row, person in enumerate(_list(document, "annotations")):
        with checks.about(f"annotations[{row}]"):
            id = _field(person, "image_id", int)
            if id not in names:
                raise ValueError(f"image_id: there is no image {id}")
            # A crowd's box has no joints of anybody; people too small for joints have none either.
            annotated = not person.get("iscrowd") and person.get("keypoints")
            keypoints = _field(person, "keypoints", list) if annotated else []
            yield names[id], _joints(keypoints) if any(keypoints) else None


def _of_detections(people: Sequence[object], images: Path) -> Iterator[Found]:
    names = _coco_names(images)
    for row, person in enumerate(people):
        with checks.about(f"[{row}]"):
            id = _field(person, "image_id", (int, str))
            name = names.get(id, f"{id:012d}.jpg") if isinstance(id, int) else _file_name(id)  # AlphaPose gives names
            yield name, _joints(_field(person, "keypoints", list))


def _coco_names(images: Path) -> dict[int, str]:
    """Image id -> file name of COCO's: the id itself, and until 2014 COCO_val2014_ or the like before it."""
    named = [(match, name) for name in sorted(path.name for path in images.glob("*.jpg"))
             if (match := _COCO_NAME.fullmatch(name))]  # fmt: skip
    return {int(match[1]): name for match, name in reversed(named)}  # the first of two, which is the bare id


def _of_images(document: Mapping[str, object], images: Path, upright: bool) -> Iterator[Found]:
    for key, content in document.items():
        with checks.about(repr(key)):
            name = _file_name(key)
            if not isinstance(content, dict):
                raise ValueError("is not an object")
            if "pose_landmarks" in content:
                if poses := _list(content, "pose_landmarks"):
                    size = _size(images / name, upright)
                    for landmarks in poses:
                        yield name, _of_landmarks(landmarks, size)
            else:
                people, joints = ("bodies", "joints") if "bodies" in content else ("people", "pose_keypoints_2d")
                for row, person in enumerate(_list(content, people)):
                    with checks.about(f"{people}[{row}]"):
                        yield name, _joints(_field(person, joints, list))


def _size(image: Path, upright: bool) -> tuple[int, int]:
    """(height, width) in pixels of the image as it will be read; only the decoder knows how it turns it."""
    if not upright:
        return pictures.picture_size(files.read_bytes(image))
    height, width, _ = pictures.decode_image(files.read_bytes(image), upright=True).shape
    return height, width


def _of_landmarks(landmarks: object, size: tuple[int, int]) -> Body:
    """MediaPipe's x and y run from 0 to 1 between the edges of an image of this (height, width)."""
    if not isinstance(landmarks, list):
        raise ValueError("pose_landmarks: is not a list of lists")
    height, width = size
    numbers: list[float] = []
    for point in landmarks:
        x, y, seen = (_field(point, name, (int, float)) for name in ("x", "y", "visibility"))
        numbers += [x * width - 0.5, y * height - 0.5, seen]
    return _joints(numbers)


def _of_openpose(path: Path, images: Path) -> Iterator[Found]:
    stem = path.name.removesuffix("_keypoints.json")
    name = next((stem + end for end in _EXTENSIONS if (images / (stem + end)).is_file()), f"{stem}.jpg")
    with checks.about(str(path)):
        document = _json(path)
        if not isinstance(document, dict):
            raise ValueError("is not an object")
        for row, person in enumerate(_list(document, "people")):
            with checks.about(f"people[{row}]"):
                yield name, _joints(_field(person, "pose_keypoints_2d", list))


def _joints(numbers: Sequence[Any]) -> Body:
    """x, y, confidence of N joints in a row -> PASCAL-16 joints."""
    count, rest = divmod(len(numbers), 3)
    if rest or count not in _ORDERS:
        known = ", ".join(str(3 * n) for n in sorted(_ORDERS))
        raise ValueError(f"keypoints: are {len(numbers)} numbers; x, y, confidence of known joint orders are {known}")
    if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
        raise ValueError("keypoints: are not all finite numbers")
    order = JOINT_ORDERS[_ORDERS[count]]
    rows = np.array(numbers, np.float64).reshape(-1, 3)[: order.num_joints]
    return to_pascal16(rows[:, :2], rows[:, 2] >= MIN_CONFIDENCE, order)


def _json(path: Path) -> object:
    data = files.read_bytes(path, limit=MAX_POSE_BYTES)
    with checks.about("is not JSON"):
        return json.loads(data)


def _list(record: Mapping[str, Any], name: str) -> list[Any]:
    return _field(record, name, list)


def _field(record: object, name: str, kind: type | tuple[type, ...]) -> Any:
    """The field of a JSON object, of this kind."""
    if not isinstance(record, dict):
        raise ValueError("is not an object")
    if name not in record:
        raise ValueError(f"{name}: is missing")
    value = record[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name}: has a value of the wrong kind ({type(value).__name__})")
    return value


def _file_name(name: str) -> str:
    """Estimators give paths of their own machine; only the file counts, so nothing leaves the folder of images."""
    last = name.replace("\\", "/").rpartition("/")[2]
    if last in ("", ".", ".."):
        raise ValueError(f"{name!r} is not the name of an image")
    return last
