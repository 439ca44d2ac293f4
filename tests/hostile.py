"""Makes broken and hostile files out of sound ones, by rule.

`corpus` changes one thing at a time of every form of `hostile_forms.SOUND`: files are cut,
gone or of another kind, values are others, names lead elsewhere.
"""

import copy
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import twins
from annotations import (
    HEIGHT,
    STANDING,
    WIDTH,
    csv_row,
    put,
)
from caffe_proto import caffemodel
from hostile_forms import SOMEBODY, SOUND, Form, bank, made, person_record, records

from pgkt_jax.data.builders import array_record
from pgkt_jax.nets.pretrained import torch_file

Edit = Callable[[Path], object]


def corpus() -> Iterator[tuple[str, str, Edit]]:
    """(name of the form, what is done to it, the edit of a folder of that form)."""
    for form, sound in SOUND.items():
        for name, data in sound.files.items():
            for what, edit in (*cuts(name, data, sound), *replaced(name, sound)):
                yield form, f"{name} {what}", edit
        for name in sound.documents:
            for what, text in other_values(json.loads(sound.files[name])):
                yield form, f"{name} {what}", rewrite(name, text)
    yield from hostile_names()
    yield from pictures()
    yield from numbers_of_joints()
    yield from banks()
    yield from people_of_records()
    yield from rows_of_metrics()
    yield from weights()


def rewrite(name: str, data: bytes | str) -> Edit:
    return lambda folder: put(folder / name, data)


def cuts(name: str, data: bytes, sound: Form) -> Iterator[tuple[str, Edit]]:
    """A cut text may be a sound text; a cut CSV is none in the middle of a row."""
    if name in sound.optional:
        return
    lengths = {0, 1, 9, len(data) // 3, len(data) // 2, len(data) - 1}
    if name.endswith((".csv", ".txt")):
        lengths = {1, len(data) // 2} if name.endswith(".csv") else set()
    for length in sorted(n for n in lengths if n < len(data)):
        yield f"cut to {length}", rewrite(name, data[:length])


def replaced(name: str, sound: Form) -> Iterator[tuple[str, Edit]]:
    if name in sound.optional:
        return

    def by(make: Callable[[Path], object]) -> Edit:
        return lambda folder: ((folder / name).unlink(), make(folder / name))

    if not name.endswith(".xml"):
        yield "missing", by(lambda path: None)
    yield "a folder", by(Path.mkdir)
    yield "a pipe", by(os.mkfifo)
    yield "a device", by(lambda path: path.symlink_to("/dev/zero"))
    yield "a loop", by(lambda path: path.symlink_to(path.name))
    yield "noise", rewrite(name, np.random.default_rng(len(name)).bytes(200))
    yield "a page of HTML", rewrite(name, "<html><body>404 Not Found</body></html>")


def other_values(document: Any) -> Iterator[tuple[str, str]]:
    """The document with one value changed: of another type, far out, or nothing at all."""
    for path in paths(document):
        for value in (None, True, -7, 1e400, "../x", [], {}, ...):
            changed = copy.deepcopy(document)
            parent = changed
            for step in path[:-1]:
                parent = parent[step]
            if value is ...:
                del parent[path[-1]]
            else:
                parent[path[-1]] = value
            yield f"{'.'.join(map(str, path))} = {value!r}", json.dumps(changed)


def paths(document: Any) -> Iterator[tuple]:
    """Where the values of a document are: of lists only the first element."""
    items = list(document.items()) if isinstance(document, dict) else []
    items = list(enumerate(document[:1])) if isinstance(document, list) else items
    for key, value in items:
        yield (key,)
        yield from ((key, *rest) for rest in paths(value))


NAMES = (
    "../outside/secret.jpg", "/etc/passwd", "images/../../outside/secret.jpg", "images", ".", "", "a\0.jpg", "x" * 5000,
    "file:///etc/passwd", "$(touch was_here)", "`touch was_here`", "; touch was_here", "|touch was_here", "~/.profile",
    "images/link.jpg", "images/away/secret.jpg", "\\\\host\\share", "-rf", "%s%n", "\u202egpj.a", "a.jpg\n",
)  # fmt: skip


def hostile_names() -> Iterator[tuple[str, str, Edit]]:
    def linked(edit: Edit) -> Edit:
        def link(folder: Path) -> None:
            (folder / "images").mkdir(exist_ok=True)
            (folder / "images" / "link.jpg").symlink_to(folder.parent / "outside" / "secret.jpg")
            (folder / "images" / "away").symlink_to(folder.parent / "outside")
            edit(folder)

        return link

    for name in NAMES:
        shown = f"name {name[:30]!r}"
        for field in ("image", "parts"):
            record = {**person_record("anna", "train"), field: name}
            text = json.dumps({"skeleton": "pascal16", "people": [record]})
            yield "people", f"{shown} as {field}", linked(rewrite("people.json", text))
        detection = [{"image_id": name, "keypoints": [9.0, 8.0, 0.9] * 17}]
        yield "coco_poses", shown, linked(rewrite("poses.json", json.dumps(detection)))
        if name.split() == [name]:
            yield "label list", shown, linked(rewrite("train.txt", f"{name} a.png\n"))
            yield "person part, png", shown, linked(rewrite("train_id.txt", f"{name}\n"))
            yield "horse", shown, linked(rewrite("train_id.txt", f"{name}\n"))
        if name.strip() and "\0" not in name:
            yield "lip", shown, linked(rewrite("lip_train_set.csv", csv_row(name.strip(), STANDING)))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, depth=8, colour=0, rows=b"\0" * 99) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + packed + chunk(b"IEND", b"")


def pictures() -> Iterator[tuple[str, str, Edit]]:
    jpeg = SOUND["people"].files["images/a.jpg"]
    frame = jpeg.index(b"\xff\xc0") + 5
    label = SOUND["people"].files["parts/a.png"]
    damaged = bytearray(label)
    damaged[-30] ^= 255
    strange = {
        "of 100,000 x 100,000": png(100_000, 100_000),
        "of 2^31 x 2^31": png(2**31 - 1, 2**31 - 1),
        "of 65,000 x 2": png(65_000, 2),
        "of 12,000 x 12,000": png(12_000, 12_000),
        "of 0 x 0": png(0, 0),
        "with too few rows": png(WIDTH, HEIGHT),
        "of another size": png(5, 5),
        "of 16 bits": png(WIDTH, HEIGHT, depth=16, rows=bytes((2 * WIDTH + 1) * HEIGHT)),
        "indexed, of 16 bits": png(WIDTH, HEIGHT, depth=16, colour=3, rows=bytes((2 * WIDTH + 1) * HEIGHT)),
        "indexed, of no bits": png(WIDTH, HEIGHT, depth=0, colour=3, rows=bytes(HEIGHT)),
        "in colour": png(WIDTH, HEIGHT, colour=2, rows=bytes((3 * WIDTH + 1) * HEIGHT)),
        "with unknown ids": png(WIDTH, HEIGHT, rows=bytes([0, *[77] * WIDTH] * HEIGHT)),
        "with a wrong checksum": bytes(damaged),
        "with an endless chunk": label[:33] + b"\xff\xff\xff\xffIDAT" + label[41:],
        "a JPEG": jpeg,
        "a GIF": b"GIF89a" + bytes(40),
    }
    for what, data in strange.items():
        for form, name in (
            ("people", "parts/a.png"), ("lip", "train_segmentations/a.png"), ("label list", "a.png"),
            ("person part, png", "SegmentationPart/a.png"),
        ):  # fmt: skip
            yield form, f"{name} {what}", rewrite(name, data)
    huge = jpeg[:frame] + struct.pack(">HH", 65_500, 65_500) + jpeg[frame + 4 :]
    for form, sound in SOUND.items():
        for name in sound.files:
            if name.endswith(".jpg") and name not in sound.optional:
                yield form, f"{name} a JPEG of 65,500 x 65,500", rewrite(name, huge)
                yield form, f"{name} a PNG of 100,000 x 100,000", rewrite(name, png(100_000, 100_000))


def numbers_of_joints() -> Iterator[tuple[str, str, Edit]]:
    """A million joints, nesting without end, numbers of 10,000 digits: where rows of joints are due."""
    strange = {
        "a million joints": "[" + "[1,2,1]," * 999_999 + "[1,2,1]]",
        "nested lists": "[" * 100_000 + "]" * 100_000,
        "10,000 digits": "9" * 10_000,
        "NaN": "[" + "[NaN,1,1]," * 15 + "[1,1,1]]",
    }
    for what, text in strange.items():
        person = json.dumps({**person_record("anna", "train"), "joints": "JOINTS"}).replace('"JOINTS"', text)
        yield "people", what, rewrite("people.json", f'{{"skeleton": "pascal16", "people": [{person}]}}')
        detection = f'[{{"image_id": "a.jpg", "keypoints": {text[:100_000]}}}]'
        yield "coco_poses", what, rewrite("poses.json", detection)
    twice = {"skeleton": "pascal16", "people": [person_record("anna", "train")] * 2}
    yield "people", "one id twice", rewrite("people.json", json.dumps(twice))
    yield "people", "UTF-16", rewrite("people.json", json.dumps(twice).encode("utf-16"))
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><annotation><image>&c;</image></annotation>'
    yield "horse", "an XML bomb", rewrite("horse/a_1.xml", bomb)
    outside = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation><image>&b;</image></annotation>'
    yield "horse", "an XML that names a file", rewrite("horse/a_1.xml", outside)


def banks() -> Iterator[tuple[str, str, Edit]]:
    maps = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    strange = {
        "without maps": bank(label_maps=None),
        "without joints": bank(joints=None),
        "with maps of floats": bank(label_maps=maps.astype(float)),
        "with maps of two dimensions": bank(label_maps=maps[0]),
        "with empty maps": bank(label_maps=maps[:, :0]),
        "with nobody": bank(
            label_maps=maps[:0], joints=np.zeros((0, 16, 2), np.float32), visible=np.zeros((0, 16), bool)
        ),
        "with joints of objects": bank(joints=np.array([{"a": 1}], object)),
        "with joints of text": bank(joints=np.full((1, 16, 2), "x")),
        "with joints that are NaN": bank(joints=np.full((1, 16, 2), np.nan, np.float32)),
        "with other joints": bank(joints=np.zeros((1, 14, 2), np.float32)),
        "with more joints than maps": bank(joints=np.zeros((3, 16, 2), np.float32)),
        "with visible of floats": bank(visible=np.ones((1, 16))),
        "that claims a petabyte": claimed((10**15,)),
        "that claims less than nothing": claimed((-5, 3)),
    }
    for what, data in strange.items():
        yield "bank", f"bank.npz {what}", rewrite("bank.npz", data)


def claimed(shape: tuple[int, ...]) -> bytes:
    """A bank whose joints say that they have another shape than they have numbers."""
    sound = bank(joints=np.zeros((16, 2), np.float32))
    told = str(shape).ljust(len("(16, 2)"))
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sound)) as old, zipfile.ZipFile(data, "w") as new:
        for name in old.namelist():
            array = old.read(name)
            if name == "joints.npy":
                header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {told}, }}".ljust(117) + "\n"
                array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(128)
            new.writestr(name, array)
    return data.getvalue()


class Command:
    """Unpickled as pickle would have it, it runs a command."""

    def __reduce__(self):
        return os.system, ("touch was_here",)


MAGIC_PICKLES = b"".join(
    pickle.dumps(value, 2) for value in (torch_file.MAGIC, torch_file.PROTOCOL, {"little_endian": True})
)


TUPLES = b"N" + b"2\x86" * 12
"""A tuple of one tuple twice, and so on: written out, it is a book."""


def torch_zip(pickled: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/data/0", b"", zipfile.ZIP_STORED)
    return data.getvalue()


def people_of_records() -> Iterator[tuple[str, str, Edit]]:
    """Records as nobody's builder writes them, around the checks of ours."""

    def written(**changes: Any) -> Edit:
        def write(folder: Path) -> None:
            shutil.rmtree(folder / "people")
            record = array_record._record
            with (
                mock.patch.object(array_record, "_check"),
                mock.patch.object(array_record, "_record", lambda person: {**record(person), **changes}),
            ):
                records(folder)

        return write

    lost = SOMEBODY.joints.copy()
    lost[3] = np.nan
    for what, changes in {
        "no id": {"id": " "},
        "an id that is no text": {"id": b"\xff\xfe"},
        "an image of noise": {"image": b"noise"},
        "a huge image": {"image": png(100_000, 100_000)},
        "parts of noise": {"parts": b"noise"},
        "parts of another size": {"parts": png(5, 5, rows=bytes(30))},
        "unknown parts": {"parts": png(WIDTH, HEIGHT, rows=bytes([0, *[77] * WIDTH] * HEIGHT))},
        "a joint nowhere": {"joints": lost},
        "joints far away": {"joints": SOMEBODY.joints * np.float32(1e30)},
        "no limb": {"visible": np.arange(16) == 0},
    }.items():
        yield "records", what, written(**changes)


def rows_of_metrics() -> Iterator[tuple[str, str, Edit]]:
    for what, line in {
        "an empty row": "{}",
        "a list": "[]",
        "a number": "7",
        "cut": '{"step": 2, "mi',
        "nested": "[" * 100_000,
        "a text as step": '{"step": "2", "miou": 0.5}',
        "no score": '{"step": 2, "loss": 0.5}',
        "a text as score": '{"step": 2, "miou": "high"}',
        "10,000 digits": '{"step": ' + "9" * 10_000 + ', "miou": 0.5}',
        "NUL": "\0\0\0",
        "no UTF-8": b"\xff\xfe{}",
    }.items():
        row = line if isinstance(line, bytes) else line.encode()
        yield "metrics", what, rewrite("metrics.jsonl", b'{"step": 1, "miou": 0.5}\n' + row + b"\n")


def weights() -> Iterator[tuple[str, str, Edit]]:
    def header(**changes: Any) -> bytes:
        entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes
        text = json.dumps({"a": entry}).encode()
        return struct.pack("<Q", len(text)) + text + bytes(8)

    for what, data in {
        "a shape too large": header(shape=[2**62, 4]),
        "a negative shape": header(shape=[-2, -1]),
        "a shape of floats": header(shape=[2.0]),
        "a shape of text": header(shape="2"),
        "offsets the wrong way": header(data_offsets=[8, 0]),
        "offsets beyond the end": header(data_offsets=[0, 2**63]),
        "three offsets": header(data_offsets=[0, 4, 8]),
        "an unknown type": header(dtype="F33"),
        "a list as type": header(dtype=[]),
        "a header of a list": struct.pack("<Q", 2) + b"[]",
        "a nested header": struct.pack("<Q", 100_000) + b"[" * 100_000,
        "a header of 2^63 bytes": struct.pack("<Q", 2**63) + bytes(8),
    }.items():
        yield "safetensors", what, rewrite("net.safetensors", data)
    length = struct.pack("<Q", 2**40)
    for what, pickled in {
        "a pickle that runs a command": pickle.dumps(Command(), 2),
        "a pickle of 64 million memo slots": b"\x80\x02Nr\xff\xff\xff\x03.",
        "a pickle of 64 million memo slots in digits": b"\x80\x02Np67108863\n.",
        "a pickle of a terabyte": b"\x80\x05" + pickle.BYTEARRAY8 + length + b".",
        "a pickle of a terabyte of text": b"\x80\x05" + pickle.BINUNICODE8 + length + b".",
        "a storage named by many tuples": b"\x80\x02(X\7\0\0\0storagectorch\nFloatStorage\n" + TUPLES + b"NK\1tQ.",
        "a tensor of many tuples": b"\x80\x02}X\1\0\0\0actorch._utils\n_rebuild_tensor\n("
        b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000NK\0tQK\0" + TUPLES + b")tRs.",
    }.items():
        yield "torch", what, rewrite("net.pth", MAGIC_PICKLES + pickled + pickle.dumps(["0"]) + bytes(8))
        yield "torch zip", what, rewrite("net.pth", torch_zip(pickled))
    yield "torch zip", "compressed", rewrite("net.pth", torch_zip(pickle.dumps({}), zipfile.ZIP_DEFLATED))
    yield (
        "tensorflow",
        "a pickle that runs a command",
        rewrite(
            "net.npy", made(lambda f: np.save(f / "net.npy", np.array(Command(), object), allow_pickle=True))["net.npy"]
        ),
    )
    whole = twins.vgg_caffe(width=1)
    yield "caffe", "one byte in ten lost", rewrite("net.caffemodel", bytes(
        byte for row, byte in enumerate(caffemodel(dict(list(whole.items())[:1]), v1=True)) if row % 10
    ))  # fmt: skip
