"""`pgkt predict`: photographs with several people, each labelled in their place, and the command."""

import dataclasses
import json
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from untrained_run import BANK, REFINE, write_run

from pgkt_jax import cli
from pgkt_jax.commands import predict as predict_command
from pgkt_jax.data.person import Person
from pgkt_jax.data.pictures import decode_label_map, encode_indexed_png, encode_png
from pgkt_jax.data.readers.poses import Pose
from pgkt_jax.nets.unet import UNet
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages import photographs
from pgkt_jax.stages.photographs import Photograph, paste, refined
from pgkt_jax.stages.predict import Parser, Prediction, Refiner

pytestmark = pytest.mark.usefixtures("kept_compilations")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def parser(run):
    return Parser.from_checkpoint(run.folder, batch=2)


# --- Several people in a photograph ---------------------------------------------------------------


class PriorAlone(UNet):
    """In place of a network: part masks that are the prior."""

    def __init__(self):
        pass

    def __call__(self, seen, keys=None):
        return (seen[..., 3:] + 1) / 2


def street():
    """A photograph of 100 x 150 pixels: two people of the bank, their label maps, and their poses in it."""
    image, truth, poses = np.full((100, 150, 3), 90, np.uint8), [], []
    for row, (x, y) in enumerate(((10, 5), (90, 30))):
        image[y : y + 64, x : x + 40] = BANK[row].image
        label_map = np.zeros((100, 150), np.uint8)
        label_map[y : y + 64, x : x + 40] = PASCAL_PERSON.class_lut[BANK[row].label_map]
        truth.append(label_map)
        poses.append(Pose(f"street_{row}", "street.png", BANK[row].joints + np.float32([x, y]), BANK[row].visible))
    return image, truth, poses


def test_explain_shows_what_a_run_says_of_a_person_in_a_photograph(run, tmp_path):
    image, _, poses = street()
    (tmp_path / "street.png").write_bytes(encode_png(image))
    rows = (",".join(map(str, [pose.image, *pose.joints.ravel()])) for pose in poses)
    (tmp_path / "poses.csv").write_text("\n".join(rows))
    arguments = ["--poses", str(tmp_path / "poses.csv"), "--person", "2", "--out", str(tmp_path / "why.html")]
    assert cli.main(["explain", str(tmp_path / "street.png"), *arguments, "--run", str(run.folder)]) == 0
    page = (tmp_path / "why.html").read_text()
    assert re.findall("<h2>(.*?)</h2>", page) == [
        "The pose", "The 2 nearest of 4 people with masks", "Their masks, morphed", "The prior", "The refined label",
        "The parse",
    ]  # fmt: skip
    assert "row 1 of the bank" in page
    assert page.count("<img") == 1 + 2 + 2 + 2 + 1 + 1


def test_everybody_is_labelled_in_their_place(run, tmp_path):
    image, truth, poses = street()
    (tmp_path / "street.png").write_bytes(encode_png(image))
    config = dataclasses.replace(REFINE, loss="l1", k=1, n=1, size=(96, 72))
    refiner = Refiner(config, PriorAlone(), run.bank, batch=2)
    given = [Photograph(tmp_path / "street.png", people) for people in (poses, [], poses[1:])]
    both, nobody, second = refined(given, refiner)
    for number, labels in enumerate(truth, start=1):
        mine = both.instances == number
        assert (mine & (labels > 0)).sum() / (mine | (labels > 0)).sum() > 0.8
        assert (both.label_map[mine] == labels[mine]).mean() > 0.8
    assert not nobody.label_map.any()
    assert not nobody.instances.any()
    x0, y0, x1, y1 = second.people[0].box
    alone = Person("alone", image[y0:y1, x0:x1], poses[1].joints - np.float32([x0, y0]), poses[1].visible)
    (label_map,) = refiner([alone.image], [alone.joints], [alone.visible])
    np.testing.assert_array_equal(second.label_map[y0:y1, x0:x1], label_map)
    assert second.label_map.astype(bool).sum() == label_map.astype(bool).sum()
    np.testing.assert_array_equal(second.instances, second.label_map > 0)


def test_photographs_of_nobody_are_not_held_while_others_wait(run, monkeypatch):
    held, most = [], []

    def read(path, *, upright):
        image = street()[0]
        held.append(weakref.ref(image))
        most.append(sum(ref() is not None for ref in held))
        return image

    monkeypatch.setattr(photographs, "read_image", read)
    refiner = Refiner(dataclasses.replace(REFINE, k=1, n=1), PriorAlone(), run.bank, batch=2)
    nobody, one = [Photograph(Path("a.png"), [])] * 20, Photograph(Path("b.png"), street()[2][:1])
    scenes = refined([*nobody, one, *nobody, one, *nobody], refiner)
    assert [len(scene.people) for scene in scenes] == [0] * 20 + [1] + [0] * 20 + [1] + [0] * 20
    assert max(most) < 6


def claim(label, evidence):
    """A crop of one pixel of two classes besides background."""
    shares = np.float32([0.0, 0.0, 0.0])
    shares[2 if label == 0 else label] = evidence
    shares[0] = 1 - evidence
    return Prediction(np.array([[label]], np.uint8), np.float32([[evidence]]), shares[None, None])


@pytest.mark.parametrize(
    ("claims", "label", "instance", "evidence"),
    [
        ([(1, 0.6), (2, 0.9)], 2, 2, 0.9),
        ([(2, 0.6), (1, 0.9)], 1, 2, 0.9),
        ([(1, 0.9), (2, 0.6)], 1, 1, 0.9),  # not the larger label, and not the last
        ([(1, 0.7), (2, 0.7)], 1, 1, 0.7),
        ([(1, 0.35), (0, 0.45)], 1, 1, 0.35),  # who does not claim a pixel does not take it
        ([(0, 0.45), (1, 0.35)], 1, 2, 0.35),
        ([(0, 0.2), (0, 0.4)], 0, 0, 0.4),
        ([(0, 0.0)], 0, 0, 0.0),
    ],
)
def test_the_more_probable_part_wins_a_contested_pixel(claims, label, instance, evidence):
    crops = [claim(*each) for each in claims]
    boxes, numbers = [(1, 0, 2, 1)] * len(crops), range(1, len(crops) + 1)
    found = paste(crops, boxes, list(numbers), (1, 3), classes=3)
    for array, value in zip(found, (label, instance, evidence), strict=False):
        np.testing.assert_array_equal(array, np.array([[0, value, 0]], array.dtype))
    np.testing.assert_allclose(found[3][0, :, 0], [1, 1 - evidence, 1])


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture
def place(run, tmp_path, monkeypatch):
    """The current folder: photographs (one without a pose), poses of four, two of them of no use, and the run."""
    image, _, poses = street()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "street.png").write_bytes(encode_png(image))
    (tmp_path / "photos" / "empty.png").write_bytes(encode_png(image[:50, :40]))
    rows = [np.c_[pose.joints, pose.visible] for pose in poses]
    far, lost = rows[0] + [1000, 0, 0], rows[0] * [1, 1, 0]
    people = [{"image_id": "street.png", "keypoints": each.ravel().tolist()} for each in (*rows, far, lost)]
    (tmp_path / "poses.json").write_text(json.dumps(people))
    (tmp_path / "run").symlink_to(run.folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_photographs_with_poses(run, place, capsys):
    before = everything(run.folder)
    arguments = ["photos", "--run", "run", "--poses", "poses.json", "--out", "out", "--probabilities"]
    assert cli.main(["predict", *arguments]) == 0
    printed = capsys.readouterr()
    assert "2 photographs, 4 people" in printed.out
    assert "1 of the photographs have no pose" in printed.out
    assert re.search(r"predict  4/4 people  [\d.]+/s", printed.err)
    ends = ("labels.png", "overlay.jpg", "probabilities.npz")
    names = {f"{stem}.{end}" for stem in ("street", "empty") for end in ends}
    assert {path.name for path in (place / "out").iterdir()} == {*names, "street.instances.png", "people.jsonl"}
    assert {path.name for path in place.iterdir()} == {"photos", "poses.json", "run", "out"}
    assert everything(run.folder) == before

    labels = decode_label_map((place / "out" / "street.labels.png").read_bytes())
    instances = decode_label_map((place / "out" / "street.instances.png").read_bytes())
    with np.load(place / "out" / "street.probabilities.npz") as arrays:
        assert arrays["probabilities"].shape == (100, 150, 7)
        assert arrays["classes"].tolist() == list(PASCAL_PERSON.classes)
    lines = [json.loads(line) for line in (place / "out" / "people.jsonl").read_text().splitlines()]
    assert [line["instance"] for line in lines] == [1, 2, 3, 4]
    assert ["outside" in lines[2]["skipped"], "no limb" in lines[3]["skipped"]] == [True, True]
    for number, line in enumerate(lines[:2], start=1):
        x0, y0, x1, y1 = line["box"]
        assert (instances == number).sum() == (instances[y0:y1, x0:x1] == number).sum() > 0
        for name, pixels in line["pixels"].items():
            assert pixels == ((instances == number) & (labels == PASCAL_PERSON.classes.index(name))).sum()
            assert 0 < line["confidence"][name] <= 1
    np.testing.assert_array_equal(instances > 0, labels > 0)


def test_photographs_without_poses_are_parsed_whole(place, parser):
    assert cli.main(["predict", "photos/*.png", "--run", "run", "--out", "out"]) == 0
    names = {f"{stem}.{end}" for stem in ("street", "empty") for end in ("labels.png", "overlay.jpg")}
    assert {path.name for path in (place / "out").iterdir()} == {*names, "people.jsonl"}
    (known,) = parser([street()[0]])
    np.testing.assert_array_equal(decode_label_map((place / "out" / "street.labels.png").read_bytes()), known)
    empty, line = [json.loads(line) for line in (place / "out" / "people.jsonl").read_text().splitlines()]
    assert [empty["image"], line["image"]] == ["empty.png", "street.png"]
    assert line["pixels"] == {
        name: (known == row).sum() for row, name in enumerate(PASCAL_PERSON.classes) if row and (known == row).any()
    }
    assert line["confidence"].keys() == line["pixels"].keys()


@pytest.mark.parametrize("poses", [[], ["--poses", "poses.json"]])
def test_a_photograph_that_cannot_be_decoded_is_left_out(place, capsys, poses):
    (place / "photos" / "cut.png").write_bytes((place / "photos" / "street.png").read_bytes()[:-9])
    (place / "photos" / "noise.jpg").write_bytes(b"noise")
    assert cli.main(["predict", "photos", "--checkpoint", "run", "--out", "out", *poses]) == 2
    printed = capsys.readouterr()
    assert "out: 2 photographs" in printed.out
    *others, last = printed.err.splitlines()
    assert last == "pgkt predict: 2 of 4 photographs cannot be decoded and are left out"
    assert {"photos/cut.png: is truncated: left out", "photos/noise.jpg: is neither JPEG nor PNG: left out"} < {*others}
    assert {path.name.split(".")[0] for path in (place / "out").iterdir()} == {"street", "empty", "people"}


def test_the_lines_of_photographs_that_are_done_are_there_when_another_fails(place, monkeypatch):
    def full_disk(scene, *given):
        if scene.photograph.path.name == "street.png":
            raise OSError("the disk is full")
        write_scene(scene, *given)

    write_scene = predict_command.write_scene
    monkeypatch.setattr(predict_command, "write_scene", full_disk)
    assert cli.main(["predict", "photos", "--run", "run", "--out", "out"]) == 2
    (line,) = (place / "out" / "people.jsonl").read_text().splitlines()
    assert json.loads(line)["image"] == "empty.png"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.jpg"], "nowhere.jpg: no such file"),
        (["*.gif"], r"\*\.gif: no such file"),
        (["run/refine-part-level"], "no JPEG or PNG in this folder"),
        (["photos", "street.png"], r"street\.png: has the stem of photos/street\.png"),
        (["photos", "other.png", "--poses", "poses.json"], "photographs of one folder, but these lie in 2"),
        (["photos/empty.png", "--poses", "poses.json"], r"poses\.json: image: names street\.png, but none of"),
        (["photos", "--poses", "nowhere.json"], r"nowhere\.json: no such file"),
        (["photos", "--poses", "bad.json"], r"bad\.json: \[0\]: keypoints: is missing"),
        (["photos", "--run", "photos"], r"photos holds no trained network \(parse-semi/"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(place, capsys, arguments, sentence):
    for name in ("other.png", "street.png"):
        (place / name).write_bytes(encode_png(np.zeros((9, 9, 3), np.uint8)))
    (place / "bad.json").write_text('[{"image_id": "street.png"}]')
    before = everything(place)
    assert cli.main(["predict", "--run", "run", "--out", "out", *arguments]) == 2
    printed = capsys.readouterr().err
    assert re.fullmatch(rf"pgkt predict: .*{sentence}.*\n", printed)
    assert everything(place) == before


@pytest.mark.parametrize(
    ("arguments", "named"), [([], "photographs"), (["photos"], "--run"), (["a", "--run", "b", "--x"], "--x")]
)
def test_wrong_usage_names_the_argument(capsys, arguments, named):
    assert cli.main(["predict", *arguments]) == 2
    said = capsys.readouterr().err
    assert named in said
    assert said.count("\n") == 1


def test_an_indexed_png_is_read_by_us_and_by_others(tmp_path):
    indices = np.arange(14, dtype=np.uint8).reshape(2, 7) % 7
    (tmp_path / "labels.png").write_bytes(encode_indexed_png(indices, PASCAL_PERSON.palette))
    np.testing.assert_array_equal(decode_label_map((tmp_path / "labels.png").read_bytes()), indices)
    with Image.open(tmp_path / "labels.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), indices)
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), PASCAL_PERSON.palette[indices])
    with pytest.raises(ValueError, match="holds 6, the palette only 0 to 5"):
        encode_indexed_png(indices, PASCAL_PERSON.palette[:6])
