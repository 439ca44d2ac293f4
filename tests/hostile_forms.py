"""Every kind of file that this package reads from elsewhere, sound, and how it is read: `SOUND`."""

import dataclasses
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from annotations import (
    HEIGHT,
    STANDING,
    WIDTH,
    boxes,
    coco17,
    csv_row,
    documents,
    horse_xml,
    mpii_mat,
    openpose25,
    pascal_mat,
    put,
    put_image,
    put_labels,
    triples,
)
from caffe_proto import caffemodel

from pgkt_jax.config import RefineConfig
from pgkt_jax.data.builders import array_record
from pgkt_jax.data.folder import read_people_folder
from pgkt_jax.data.person import Person
from pgkt_jax.data.readers.coco_poses import read_coco_poses
from pgkt_jax.data.readers.horse_cow import read_horse_cow
from pgkt_jax.data.readers.label_list import read_label_list
from pgkt_jax.data.readers.lip import read_lip
from pgkt_jax.data.readers.mpii import read_mpii
from pgkt_jax.data.readers.pascal_person_part import read_pascal_person_part
from pgkt_jax.data.readers.poses import read_poses
from pgkt_jax.nets.pretrained import caffemodel as caffe_file
from pgkt_jax.nets.pretrained import npy, safetensors, torch_file
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.train import identity
from pgkt_jax.train.log import read_metrics
from pgkt_jax.train.run_folder import read_bank, read_config, read_skeleton

DATA = Path(__file__).parent / "data"
BODY = boxes(arm=1, torso=1, head=1) > 0


class Form(NamedTuple):
    """A kind of folder.

    Attributes:
        files: name -> bytes of a sound one.
        read: reads a folder whole.
        documents: the JSON files whose every value is to be changed.
        optional: files whose absence is no fault.
    """

    files: dict[str, bytes]
    read: Callable[[Path], Any]
    documents: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def everybody(source):
    return [person for split in source.splits for person in source.split(split)]


def person_record(id, split, labelled=True):
    rows = [[float(x), float(y), 1] for x, y in STANDING]
    parts = "parts/a.png" if labelled else None
    return {"id": id, "split": split, "image": "images/a.jpg", "parts": parts, "joints": rows}


def made(build: Callable[[Path], object]) -> dict[str, bytes]:
    """The files that a function writes into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def people_folder(root):
    put_image(root / "images" / "a.jpg")
    put_labels(root / "parts" / "a.png", boxes(arm=3, torso=2, head=1))
    people = [person_record("anna", "train"), person_record("ben", "poses", labelled=False)]
    put(root / "people.json", json.dumps({"skeleton": "pascal16", "people": people}))


def pose_file(document):
    def build(root):
        for name in ("000000000007.jpg", "a.jpg"):
            put_image(root / "images" / name)
        put(root / "poses.json", json.dumps(document))

    return build


def person_part(root, *, mat):
    put_image(root / "JPEGImages" / "a.jpg")
    if mat:
        pascal_mat(
            root / "Annotations_Part" / "a.mat",
            ("person", BODY, {"head": BODY}),
        )
    else:
        put_labels(root / "SegmentationPart" / "a.png", boxes(arm=3, torso=2, head=1))
    put(root / "train_id.txt", "a\n")
    put(root / "val_id.txt", "a\n")
    put(root / "poses.csv", csv_row("a.jpg", STANDING))


def lip(root):
    for of in ("train", "val"):
        put_image(root / f"{of}_images" / "a.jpg")
        put_labels(root / f"{of}_segmentations" / "a.png", boxes(arm=5, torso=5, head=13))
        put(root / f"lip_{of}_set.csv", csv_row("a.jpg", STANDING))


def horse(root):
    put_image(root / "JPEGImages" / "a.jpg")
    put(root / "train_id.txt", "a\n")
    put(root / "val_id.txt", "a\n")
    put(root / "horse" / "a_1.xml", horse_xml("a", "horse", {"Withers": (50, 30), "TailBase": (20, 30)}).strip())
    pascal_mat(
        root / "Annotations_Part" / "a.mat",
        ("horse", BODY, {"torso": BODY}),
    )


def mpii(root):
    put_image(root / "images" / "a.jpg")
    mpii_mat(root / "mpii_human_pose_v1_u12_1.mat", STANDING)


def label_list(root):
    put_image(root / "a.jpg")
    put_labels(root / "a.png", boxes(arm=3, torso=2, head=1))
    put(root / "train.txt", "a.jpg a.png\n")


def openpose(root):
    put_image(root / "images" / "a.jpg")
    rows = np.c_[openpose25(), np.ones(25)].ravel().tolist()
    document = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": rows}]}
    put(root / "poses" / "a_keypoints.json", json.dumps(document))


SOMEBODY = Person(
    "anna", np.full((HEIGHT, WIDTH, 3), 90, np.uint8), STANDING.astype(np.float32), np.ones(16, bool),
    boxes(arm=3, torso=2, head=1).astype(np.uint8),
)  # fmt: skip


def records(root):
    array_record.write_array_record("people", PASCAL_PERSON, {"train": [SOMEBODY]}, root)


def trained_on(root):
    put(root / "checkpoints" / "1" / "state", "")
    put(root / "trained_on.json", json.dumps(identity._trained_on([SOMEBODY])))


def read_trained_on(root):
    found = identity._read_trained_on(root / "trained_on.json")
    identity.check_people(root, [SOMEBODY])
    return identity.has_trained_on(root, [SOMEBODY]) and found


def metrics(root):
    rows = ({"step": step, "loss": 0.5, "miou": 0.25} for step in (2, 4))
    put(root / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def tensors(root):
    safetensors.write(root / "net.safetensors", {"a.kernel": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float32)})


def numpy_weights(root):
    with (root / "net.npy").open("wb") as file:
        np.save(file, np.array({"conv1": {"weights": np.ones((2, 2))}}, object), allow_pickle=True)


def settings(root):
    put(root / "config.json", json.dumps(dataclasses.asdict(RefineConfig())))


def skeleton(root):
    put(root / "skeleton.json", json.dumps(dataclasses.asdict(PASCAL_PERSON)))


def bank(**arrays: Any) -> bytes:
    label_map = boxes(arm=3, torso=2, head=1).astype(np.uint8)
    sound = {
        "label_maps": label_map[None],
        "joints": STANDING[None].astype(np.float32),
        "visible": np.ones((1, 16), bool),
    }
    data = io.BytesIO()
    np.savez(data, **{name: value for name, value in {**sound, **arrays}.items() if value is not None})
    return data.getvalue()


SOUND: dict[str, Form] = {
    "people": Form(made(people_folder), lambda f: everybody(read_people_folder(f)), ("people.json",)),
    **{
        f"poses, {name}": Form(
            made(pose_file(document)),
            lambda f: read_poses(f / "poses.json", f / "images"),
            ("poses.json",) if name in ("COCO annotations", "COCO detections", "AlphaPose open", "MediaPipe") else (),
            ("images/a.jpg", "images/000000000007.jpg"),
        )
        for name, document in documents().items()
    },
    "coco_poses": Form(
        made(pose_file([{"image_id": "a.jpg", "keypoints": triples(coco17())}])),
        lambda f: everybody(read_coco_poses(f)),
        (),
        ("images/000000000007.jpg",),
    ),
    "person part, mat": Form(made(lambda f: person_part(f, mat=True)), lambda f: everybody(read_pascal_person_part(f))),
    "person part, png": Form(
        made(lambda f: person_part(f, mat=False)), lambda f: everybody(read_pascal_person_part(f))
    ),
    "lip": Form(made(lip), lambda f: everybody(read_lip(f))),
    "poses, OpenPose": Form(
        made(openpose),
        lambda f: read_poses(f / "poses", f / "images"),
        ("poses/a_keypoints.json",),
        ("images/a.jpg",),
    ),
    "records": Form(made(records), lambda f: everybody(array_record.ArrayRecordPeople(f)), (
        "people/1.0.0/dataset_info.json", "people/1.0.0/features.json", "people/1.0.0/metadata.json",
    )),
    # Of a list of ids only those count that have keypoints, and an animal without is no fault.
    "horse": Form(made(horse), lambda f: everybody(read_horse_cow(f)), (), ("train_id.txt", "val_id.txt")),
    "mpii": Form(made(mpii), lambda f: everybody(read_mpii(f, alone=False))),
    "label list": Form(made(label_list), lambda f: everybody(read_label_list(f))),
    "safetensors": Form(made(tensors), lambda f: safetensors.read(f / "net.safetensors")),
    "torch zip": Form({"net.pth": (DATA / "state_zip.pth").read_bytes()}, lambda f: torch_file.read(f / "net.pth")),
    "torch": Form({"net.pth": (DATA / "state_legacy.pth").read_bytes()}, lambda f: torch_file.read(f / "net.pth")),
    "caffe": Form(
        {"net.caffemodel": caffemodel({"conv.0": np.ones((2, 3), np.float32)}, v1=False)},
        lambda f: caffe_file.read(f / "net.caffemodel"),
    ),
    "tensorflow": Form(made(numpy_weights), lambda f: npy.read(f / "net.npy", trusted=True)),
    "settings": Form(made(settings), lambda f: read_config(f, RefineConfig), ("config.json",)),
    "trained on": Form(made(trained_on), read_trained_on, ("trained_on.json",), ("checkpoints/1/state",)),
    "metrics": Form(
        made(metrics), lambda f: tuple(read_metrics(f / "metrics.jsonl", "miou")), (), ("metrics.jsonl",)
    ),
    "skeleton": Form(made(skeleton), read_skeleton, ("skeleton.json",)),
    "bank": Form(made(skeleton) | {"bank.npz": bank()}, lambda f: read_bank(f, limb_frames=False)),
}  # fmt: skip
