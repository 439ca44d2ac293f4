"""The people folder: what is written is read, what is wrong is said at once, a killed writer goes on."""

import contextlib
import io
import json
import os
import pickle
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pgkt_jax.data import pictures
from pgkt_jax.data.folder import PeopleError, read_people_folder
from pgkt_jax.data.person import Person
from pgkt_jax.data.writer import PeopleWriter
from pgkt_jax.skeleton import IGNORE, PASCAL_PERSON, Skeleton

STREET_PEOPLE = Path(__file__).parents[2] / "shared" / "data" / "street_people"
HEIGHT, WIDTH = 23, 17


def make_person(id: str, *, seed: int = 0, labelled: bool = True) -> Person:
    rng = np.random.default_rng(seed)
    visible = rng.random(16) < 0.7
    visible[PASCAL_PERSON.limbs[0]] = True
    label_map = rng.integers(0, 12, (HEIGHT, WIDTH)).astype(np.uint8)
    label_map[label_map == 11] = IGNORE
    return Person(
        id=id,
        image=rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8),
        joints=rng.uniform(-3, 30, (16, 2)).astype(np.float32),
        visible=visible,
        label_map=label_map if labelled else None,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sound folder: `anna` (train, labelled) and `ben` (poses, joints only)."""
    root = tmp_path / "people"
    with PeopleWriter(root, PASCAL_PERSON) as writer:
        writer.add(make_person("anna"), split="train", provenance={"k": 3, "near": ["ben"]})
        writer.add(make_person("ben", seed=1, labelled=False), split="poses")
    return root


def edit(root: Path, **fields) -> None:
    """Change fields of anna in people.json; `...` takes a field out."""
    document = json.loads((root / "people.json").read_text())
    record = document["people"][0] | fields
    document["people"][0] = {name: value for name, value in record.items() if value is not ...}
    (root / "people.json").write_text(json.dumps(document))


def problems_of(root: Path, **options) -> tuple[str, ...]:
    with pytest.raises(PeopleError) as caught:
        read_people_folder(root, **options)
    return caught.value.problems


def png_of(label_map: np.ndarray) -> bytes:
    return cv2.imencode(".png", label_map)[1].tobytes()


# --- what is written is read ----------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["anna", "ben"])
def test_reader_gives_back_exactly_what_was_written(root, id):
    written = make_person("anna") if id == "anna" else make_person("ben", seed=1, labelled=False)
    folder = read_people_folder(root)
    (read,) = folder.split("train" if id == "anna" else "poses")
    assert read.id == id
    for field in ("image", "joints", "visible", "label_map"):
        np.testing.assert_array_equal(getattr(read, field), getattr(written, field))
    assert (read.image.dtype, read.joints.dtype, read.visible.dtype) == (np.uint8, np.float32, np.bool_)


def test_provenance_and_original_bytes_can_be_passed_on(root, tmp_path):
    source = read_people_folder(root).entries[0]
    assert source.provenance == {"k": 3, "near": ["ben"]}
    jpeg = cv2.imencode(".jpg", source.read().image[..., ::-1])[1].tobytes()
    with PeopleWriter(tmp_path / "copy", PASCAL_PERSON) as writer:
        person = replace(source.read(), image=pictures.decode_image(jpeg))
        writer.add(person, split="train", provenance=source.provenance, image_bytes=jpeg, extension=".jpg")
    (copy,) = read_people_folder(tmp_path / "copy").entries
    assert copy.image_path.read_bytes() == jpeg
    assert copy.provenance == source.provenance


def test_who_has_a_label_map_may_have_no_joints(tmp_path):
    unposed = replace(make_person("anna"), visible=np.zeros(16, bool))
    with PeopleWriter(tmp_path, PASCAL_PERSON) as writer:
        writer.add(unposed, split="train")
    assert json.loads((tmp_path / "people.json").read_text())["people"][0]["joints"] is None
    (read,) = read_people_folder(tmp_path).split("train")
    assert not read.visible.any()
    np.testing.assert_array_equal(read.label_map, unposed.label_map)


def test_a_split_is_a_lazy_sequence(root):
    folder = read_people_folder(root)
    people = folder.split("train")
    assert folder.splits == {"train": 1, "poses": 1}
    assert (len(people), people[-1].id, [p.id for p in people[:1]]) == (1, "anna", ["anna"])
    folder.entries[0].image_path.write_bytes(b"gone bad since the check")
    with pytest.raises(PeopleError, match=r"anna.png: person 'anna': image: is neither JPEG nor PNG"):
        people[0]


def test_unknown_split_names_the_splits_there_are(root):
    with pytest.raises(ValueError, match=r"nobody in a split 'val'; its splits are: train \(1\), poses \(1\)"):
        read_people_folder(root).split("val")


def test_skeleton_of_ones_own(root):
    own = Skeleton("own16", PASCAL_PERSON.joints, PASCAL_PERSON.parts, PASCAL_PERSON.torso)
    text = (root / "people.json").read_text().replace("pascal16", "own16")
    (root / "people.json").write_text(text)
    assert problems_of(root)[0].startswith("people.json: skeleton: is 'own16'; known are pascal16")
    assert read_people_folder(root, skeleton=own).skeleton is own
    assert "was to be read as 'pascal16'" in problems_of(root, skeleton=PASCAL_PERSON)[0]


@pytest.mark.parametrize(("confidence", "seen"), [(0, False), (0.149, False), (0.15, True), (1, True), (2, True)])
def test_convention_visible_from_a_confidence_of_15_hundredths(root, confidence, seen):
    rows = [[1, 2, 1]] * 15 + [[1, 2, confidence]]
    edit(root, joints=rows)
    assert read_people_folder(root).entries[0].visible[-1] == seen


# --- pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colours", [2, 4, 11, 200])
def test_palette_label_map_keeps_its_indices(colours):
    indices = np.random.default_rng(0).integers(0, colours, (HEIGHT, WIDTH), dtype=np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette([(7 * i + 5) % 256 for i in range(3 * colours)])  # colours tell nothing of the indices
    file = io.BytesIO()
    picture.save(file, "PNG")  # with 1, 2, 4 and 8 bits a pixel
    np.testing.assert_array_equal(pictures.decode_label_map(file.getvalue()), indices)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_every_jpeg_becomes_rgb(mode):
    rows, columns = np.indices((HEIGHT, WIDTH))
    smooth = np.stack([10 * rows, 10 * columns, 90 + 0 * rows], axis=-1)
    file = io.BytesIO()
    Image.fromarray(smooth.astype(np.uint8)).convert(mode).save(file, "JPEG")
    expected = np.array(Image.open(file).convert("RGB"), int)
    image = pictures.decode_image(file.getvalue())
    assert (image.shape, image.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert np.abs(image - expected).max() <= 3  # decoders round differently


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_convention_exif_orientation_is_ignored(form):
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by a quarter"
    file = io.BytesIO()
    Image.fromarray(make_person("x").image).save(file, form, exif=exif)
    assert pictures.picture_size(file.getvalue()) == (HEIGHT, WIDTH)
    assert pictures.decode_image(file.getvalue()).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"\xff\xc0\xff\xd9" * 9}])
def test_jpeg_size_and_completeness_without_decoding(options):
    file = io.BytesIO()
    Image.fromarray(make_person("x").image).save(file, "JPEG", **options)
    jpeg = file.getvalue()
    assert pictures.picture_size(jpeg) == pictures.picture_size(jpeg + b"a film behind it") == (HEIGHT, WIDTH)
    for length in range(2, len(jpeg), 13):
        with pytest.raises(ValueError, match="is truncated"):
            pictures.picture_size(jpeg[:length])


def test_huge_picture_is_refused_by_its_header(root):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = png_of(np.zeros((1, 1), np.uint8))
    bomb = bomb[:12] + header + struct.pack(">I", zlib.crc32(header)) + bomb[33:]
    (root / "images/anna.png").write_bytes(bomb)
    (root / "parts/anna.png").write_bytes(bomb)
    image, parts = problems_of(root)
    assert "image: images/anna.png: is 60000 x 60000 pixels, too large" in image
    assert "parts: parts/anna.png: is 60000 x 60000 pixels, too large" in parts


# --- what is wrong is said ------------------------------------------------------------------------------

SOUND = [[1, 2, 1]] * 16
UNKNOWN_IDS = np.full((HEIGHT, WIDTH), 11, np.uint8)
COMPLETE = png_of(np.zeros((HEIGHT, WIDTH), np.uint8))


def right_ankle(row: list) -> dict:
    return {"joints": [row, *SOUND[1:]]}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": ...}, "people[0]: id: is missing"),
        ({"id": 7}, "people[0]: id: is 7, not a text"),
        ({"split": ...}, "split: is missing"),
        ({"split": ""}, "split: is '', not a text"),
        ({"image": ...}, "image: is missing"),
        ({"image": None}, "image: None: is not a path"),
        ({"image": "images/nobody.png"}, "image: images/nobody.png: no such file"),
        ({"image": "images"}, "image: images: is not a file"),
        ({"image": "/etc/passwd"}, "image: /etc/passwd: must be a path inside"),
        ({"image": "images/../../secret.png"}, "image: images/../../secret.png: must be a path inside"),
        ({"image": "images/\0.png"}, r"image: 'images/\x00.png': is not a path that can exist"),
        ({"image": "people.json"}, "image: people.json: is neither JPEG nor PNG"),
        ({"parts": ...}, "parts: is missing"),
        ({"parts": "parts/nobody.png"}, "parts: parts/nobody.png: no such file"),
        ({"parts": "images/anna.png"}, "parts: images/anna.png: is a colour picture"),
        ({"joints": ...}, "joints: is missing"),
        ({"joints": None, "parts": None}, "joints: is None, not 16 rows [x, y, v]"),
        ({"joints": SOUND[:15]}, "joints: is 15 rows, not 16 rows [x, y, v]"),
        (right_ankle([1, 2]), "joints: right_ankle is [1, 2], not three numbers"),
        (right_ankle([1, "2", 1]), "joints: right_ankle is [1, '2', 1], not three numbers"),
        (right_ankle([1, True, 1]), "joints: right_ankle is [1, True, 1], not three numbers"),
        (right_ankle([None, None, 0]), "joints: right_ankle is [None, None, 0], not three"),
        (right_ankle([float("nan"), 2, 1]), "joints: right_ankle is at (nan, 2), not a finite"),
        (right_ankle([1, float("inf"), 1]), "joints: right_ankle is at (1, inf), not a finite"),
        (right_ankle([10**400, 2, 1]), "not a finite place"),
        (right_ankle([1, 2, float("nan")]), "joints: right_ankle has v = nan, not a confidence"),
        (right_ankle([1, 2, 87]), "joints: right_ankle has v = 87, not a confidence"),
        ({"joints": [[1, 2, 0.1]] * 16}, "joints: no part's limb has both its joints visible"),
        ({"joints": [[1, 2, int(i in (0, 3))] for i in range(16)]}, "joints: no part's limb has both"),
        ({"provenance": "by hand"}, "provenance: is 'by hand', not an object"),
    ],
)
def test_bad_field_is_named_with_file_and_person(root, fields, problem):
    edit(root, **fields)
    (line,) = problems_of(root)
    assert problem in line
    assert line.startswith("people.json: people[0]" if "id" in fields else "people.json: person 'anna' (people[0])")


@pytest.mark.parametrize(
    ("file", "data", "problem"),
    [
        ("images/anna.png", b"", "image: images/anna.png: is neither JPEG nor PNG"),
        ("images/anna.png", COMPLETE[:-20], "image: images/anna.png: is truncated"),
        ("images/anna.png", COMPLETE[:20], "image: images/anna.png: is truncated"),
        ("parts/anna.png", COMPLETE[:-20], "parts: parts/anna.png: is truncated"),
        ("parts/anna.png", COMPLETE[:45] + b"\0" + COMPLETE[46:], "parts: parts/anna.png: is damaged"),
        ("parts/anna.png", png_of(UNKNOWN_IDS), "parts: parts/anna.png: has unknown part ids 11 (0 to 10"),
        ("parts/anna.png", png_of(np.zeros((9, 8), np.uint8)), "is 8 x 9 pixels, its image 17 x 23"),
        ("parts/anna.png", png_of(np.zeros((HEIGHT, WIDTH), np.uint16)), "has 16 bits a pixel, not 8"),
        ("parts/anna.png", b"\xff\xd8\xff\xd9", "parts: parts/anna.png: is truncated"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_bad_picture_is_named_with_file_and_person(root, file, data, problem):
    (root / file).write_bytes(data)
    (line,) = problems_of(root)
    assert line.startswith("people.json: person 'anna' (people[0]): ")
    assert problem in line


def test_symlink_out_of_the_folder_is_refused(root):
    outside = root.parent / "outside.png"
    (root / "images/anna.png").rename(outside)
    (root / "images/anna.png").symlink_to(outside)
    (line,) = problems_of(root)
    assert "person 'anna' (people[0]): image: images/anna.png: leaves the folder through a symlink" in line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "people.json: no such file"),
        ("{", "people.json: is not JSON: "),
        ("[" * 100_000, "people.json: is not JSON: "),
        (b"\xff\xfe\xfa", "people.json: is not JSON: "),
        ("[]", "people.json: is not an object"),
        ('{"people": []}', "people.json: skeleton: is None; known are pascal16"),
        ('{"skeleton": ["pascal16"], "people": []}', "people.json: skeleton: is ['pascal16']"),
        ('{"skeleton": "pascal16"}', "people.json: people: is None, not a list"),
        ('{"skeleton": "pascal16", "people": [[1]]}', "people.json: people[0]: is [1], not an object"),
    ],
)
def test_bad_people_json(tmp_path, text, problem):
    if text is not None:
        (tmp_path / "people.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    (line,) = problems_of(tmp_path)
    assert line.startswith(problem)


def test_huge_people_json_is_refused_unread(root):
    os.truncate(root / "people.json", 2**40)  # sparse
    assert "people.json: is larger than 536,870,912 bytes" in problems_of(root)[0]


def test_all_problems_at_once(root):
    document = json.loads((root / "people.json").read_text())
    anna, ben = document["people"]
    anna |= {"split": None, "joints": SOUND[:3]}
    document["people"] += [{**ben, "image": "../ben.png"}, 5]
    (root / "people.json").write_text(json.dumps(document))
    (root / "parts/anna.png").write_bytes(png_of(UNKNOWN_IDS[:5]))
    assert [line.split(": is")[0] for line in problems_of(root)] == [
        "people.json: person 'anna' (people[0]): split",
        "people.json: person 'anna' (people[0]): parts: parts/anna.png",
        "people.json: person 'anna' (people[0]): joints",
        "people.json: person 'ben' (people[2]): id",
        "people.json: person 'ben' (people[2]): image: ../ben.png: must be a path inside the folder, "
        "not absolute and without '..'",
        "people.json: people[3]",
    ]
    assert "is 17 x 5 pixels, its image 17 x 23; has unknown part ids 11" in problems_of(root)[1]


def test_a_long_list_is_printed_in_part_and_survives_pickling(tmp_path):
    (tmp_path / "people.json").write_text(json.dumps({"skeleton": "pascal16", "people": [0] * 120}))
    with pytest.raises(PeopleError) as caught:
        read_people_folder(tmp_path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert len(again.problems) == 120
    assert str(again).splitlines()[0].endswith("120 problems")
    assert str(again).splitlines()[-1] == "  ... and 70 more"
    assert len(str(again).splitlines()) == 52


def test_processes_share_out_the_pictures_and_each_reads_all_of_people_json(tmp_path):
    with PeopleWriter(tmp_path, PASCAL_PERSON) as writer:
        for i in range(5):
            writer.add(make_person(f"p{i}", seed=i), split="train")
    for name in ("p1", "p4"):
        next(tmp_path.glob(f"parts/{name}.*")).write_bytes(b"no picture")
    found = [_problems_or_none(tmp_path, (i, 3)) for i in range(3)]
    assert found[0] is None
    assert len(found[1]) == 2, "both are in the share of process 1"
    assert found[2] is None
    edit(tmp_path, split=5)
    assert all("people[0]" in _problems_or_none(tmp_path, (i, 3))[0] for i in range(3))


def _problems_or_none(root, share):
    try:
        read_people_folder(root, share=share)
    except PeopleError as error:
        return error.problems
    return None


# --- the writer -----------------------------------------------------------------------------------------


def test_killed_writer_goes_on_where_it_was(tmp_path, monkeypatch):
    """Killed at each of its writes in turn, the rest of the run gives what an uninterrupted one gives."""
    people = [make_person(f"p{i}", seed=i, labelled=i != 1) for i in range(3)]

    def run(root: Path) -> None:
        with PeopleWriter(root, PASCAL_PERSON) as writer:
            for person in people:
                if person.id not in writer.finished:
                    writer.add(person, split="train", provenance={"from": person.id})

    class Killed(BaseException):
        pass

    def contents(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    run(tmp_path / "whole")
    complete = contents(tmp_path / "whole")
    for survived in range(len(complete)):
        root, left = tmp_path / str(survived), [survived]

        def fsync(descriptor: int, left=left) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            with pytest.raises(Killed):
                run(root)
        assert not (root / "people.json").exists()
        final = {name: data for name, data in contents(root).items() if not name.endswith(".unfinished")}
        assert len(final) == survived
        assert final.items() <= complete.items()  # whole under their names
        finished = PeopleWriter(root, PASCAL_PERSON).finished
        assert finished == {id: {"from": id} for id in ("p0", "p1", "p2") if f"people/{id}.json" in final}
        run(root)
        assert contents(root) == complete


def test_entries_are_ordered_by_id(tmp_path):
    with PeopleWriter(tmp_path, PASCAL_PERSON) as writer:
        for id in ("c", "a", "b"):
            writer.add(make_person(id), split="train")
    assert [entry.id for entry in read_people_folder(tmp_path).entries] == ["a", "b", "c"]


def test_a_finished_person_is_replaced_completely(root):
    writer = PeopleWriter(root, PASCAL_PERSON)
    writer.add(make_person("anna", seed=5, labelled=False), split="val", provenance={"k": 7})
    assert not (root / "people.json").exists()  # not complete until closed
    assert not (root / "parts/anna.png").exists()
    writer.close()
    anna = read_people_folder(root).entries[0]
    assert (anna.split, anna.parts_path, anna.provenance) == ("val", None, {"k": 7})
    np.testing.assert_array_equal(anna.read().image, make_person("anna", seed=5).image)


def test_a_person_whose_pictures_are_gone_is_not_finished(root):
    (root / "parts/anna.png").unlink()
    assert set(PeopleWriter(root, PASCAL_PERSON).finished) == {"ben"}


@pytest.mark.parametrize("id", ["", ".", "..", "../anna", "a/b", "a\\b", ".hidden", "a\nb", "a\0", "x" * 300, "c:"])
def test_id_that_is_no_file_name_is_refused(tmp_path, id):
    writer = PeopleWriter(tmp_path / "out", PASCAL_PERSON)
    with pytest.raises(ValueError, match="id: cannot be a file name"):
        writer.add(make_person(id), split="train")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("change", "options", "problem"),
    [
        ({"joints": np.full((16, 2), np.nan, np.float32)}, {}, "joints: right_ankle is at"),
        ({"joints": np.zeros((15, 2), np.float32)}, {}, r"joints: are \[15, 2\]"),
        ({"visible": np.zeros(16, bool), "label_map": None}, {}, "joints: no part's limb"),
        ({"label_map": UNKNOWN_IDS}, {}, "parts: has unknown part ids 11"),
        ({"label_map": UNKNOWN_IDS[:4]}, {}, "parts: is 17 x 4 pixels"),
        ({"label_map": UNKNOWN_IDS.astype(int)}, {}, "parts: is int64"),
        ({"image": np.zeros((HEIGHT, WIDTH), np.uint8)}, {}, r"image: is uint8\[23, 17\]"),
        ({}, {"split": " "}, "split: is ' '"),
        ({}, {"provenance": {"k": np.zeros(3)}}, "provenance: cannot be written as JSON"),
        ({}, {"provenance": {"k": float("nan")}}, "provenance: "),
        ({}, {"image_bytes": COMPLETE[:-20]}, "image: is truncated"),
        ({}, {"image_bytes": png_of(UNKNOWN_IDS[:4])}, "image: is 17 x 23 pixels, its bytes are 17 x 4"),
        ({}, {"extension": ".jpg"}, "image: cannot be written as '.jpg'"),
        ({}, {"image_bytes": COMPLETE, "extension": "/../x.png"}, "image: cannot be written as"),
    ],
)
def test_writer_refuses_what_a_reader_would(tmp_path, change, options, problem):
    writer = PeopleWriter(tmp_path, PASCAL_PERSON)
    with pytest.raises(ValueError, match=f"person 'anna': {problem}"):
        writer.add(replace(make_person("anna"), **change), **{"split": "train", **options})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_nobody_is_added_twice_in_one_run(tmp_path):
    writer = PeopleWriter(tmp_path, PASCAL_PERSON)
    writer.add(make_person("anna"), split="train")
    with pytest.raises(ValueError, match="person 'anna': id: was added before"):
        writer.add(make_person("anna", seed=1), split="train")


def test_writer_leaves_other_folders_alone(root, tmp_path):
    brought = tmp_path / "brought"
    brought.mkdir()
    (brought / "people.json").write_text((root / "people.json").read_text())
    with pytest.raises(ValueError, match="no PeopleWriter wrote"):
        PeopleWriter(brought, PASCAL_PERSON)
    own = Skeleton("own16", PASCAL_PERSON.joints, PASCAL_PERSON.parts, PASCAL_PERSON.torso)
    with pytest.raises(ValueError, match="is of skeleton 'pascal16', not 'own16'"):
        PeopleWriter(root, own)
    sidecar = json.loads((root / "people/anna.json").read_text())
    (root / "people/anna.json").write_text(json.dumps(sidecar | {"image": "../precious.png"}))
    with pytest.raises(ValueError, match=r"anna.json is damaged; delete it"):
        PeopleWriter(root, PASCAL_PERSON)


def test_an_error_in_the_block_leaves_the_folder_open(tmp_path):
    with contextlib.suppress(KeyError), PeopleWriter(tmp_path, PASCAL_PERSON) as writer:
        writer.add(make_person("anna"), split="train")
        raise KeyError
    assert problems_of(tmp_path) == ("people.json: no such file",)


# --- real people ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not STREET_PEOPLE.exists(), reason=f"no {STREET_PEOPLE}")
def test_street_people():
    folder = read_people_folder(STREET_PEOPLE)
    assert folder.skeleton is PASCAL_PERSON
    assert folder.splits == {"train": 200, "val": 39, "test": 139, "poses": 458}
    for name in folder.splits:
        person = folder.split(name)[0]
        assert max(person.image.shape) == 256
        assert person.image.shape[:2] == person.label_map.shape
        head = person.joints[PASCAL_PERSON.limbs[0]].mean(axis=0).round().astype(int)
        assert person.label_map[head[1], head[0]] == 1  # label maps, joints and (x, y) agree
