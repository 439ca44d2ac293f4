"""Predicting: trained networks on images of any size, photographs with several people, and the command for both."""

import dataclasses
import inspect
import json
import re
import shutil
import weakref
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import pgkt_jax as pgkt
from pgkt_jax import cli
from pgkt_jax.commands import predict as predict_command
from pgkt_jax.config import ParseConfig, RefineConfig
from pgkt_jax.data.batch import stack_people
from pgkt_jax.data.person import Person
from pgkt_jax.data.pictures import decode_label_map, encode_indexed_png, encode_png
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.data.readers.poses import Pose
from pgkt_jax.nets.dense_crf import CRF, PUBLISHED
from pgkt_jax.nets.unet import UNet
from pgkt_jax.prior import PoseBank
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages import photographs, predict
from pgkt_jax.stages.parse import _fresh as fresh_parser
from pgkt_jax.stages.parse import parsed_labels
from pgkt_jax.stages.photographs import Photograph, paste, refined
from pgkt_jax.stages.predict import Parser, Prediction, Refiner
from pgkt_jax.stages.refine import _fresh as fresh_refiner
from pgkt_jax.stages.refine import refined_labels
from pgkt_jax.train.checkpoint import Checkpoints
from pgkt_jax.train.run_folder import read_bank, read_config, read_skeleton, save_bank, save_skeleton

REFINE = RefineConfig(
    size=(32, 24), k=2, n=2, method="exact", depth=2, width=4, dropout_blocks=1, loss="cross-entropy",
    steps=4, decay_from=0.9,
)  # fmt: skip
PARSE = ParseConfig(size=(32, 24), head="plain", width=8, scales=(1.0,), steps=4, mirror_test=True)
MIXED = [(48, 24), (64, 50), (20, 70)]
BANK = [draw_puppet(row, size=(64, 40)) for row in range(4)]
PEOPLE = [draw_puppet(row, size=size) for row, size in enumerate(MIXED, start=10)]
IMAGES, JOINTS, VISIBLE = ([getattr(p, name) for p in PEOPLE] for name in ("image", "joints", "visible"))

pytestmark = pytest.mark.usefixtures("kept_compilations")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with both networks as they are before training, and what its stages hold in memory."""
    folder = tmp_path_factory.mktemp("run")
    maps, joints, visible = ([getattr(person, name) for person in BANK] for name in ("label_map", "joints", "visible"))
    bank = PoseBank.create(PASCAL_PERSON, maps, np.stack(joints), np.stack(visible), limb_frames=False)
    states = {"refine-part-level": fresh_refiner(REFINE, bank), "parse-full": fresh_parser(PARSE, PASCAL_PERSON)}
    for name, config in (("refine-part-level", REFINE), ("parse-full", PARSE)):
        (folder / name).mkdir()
        save_bank(folder / name, bank) if config is REFINE else save_skeleton(folder / name, PASCAL_PERSON)
        with closing(Checkpoints(folder / name, config)) as checkpoints:
            checkpoints.save(1, states[name], miou=0.5)
    return SimpleNamespace(folder=folder, bank=bank, refine=states["refine-part-level"], parse=states["parse-full"])


TRACED = []


@pytest.fixture(scope="module")
def refiner(run):
    """The network from its folder; `TRACED` counts how often it is compiled."""
    outputs = predict.refined_outputs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict, "refined_outputs", lambda *a, **k: [TRACED.append(1), outputs(*a, **k)][1])
        yield Refiner.from_checkpoint(run.folder, batch=4)


@pytest.fixture(scope="module")
def parser(run):
    return Parser.from_checkpoint(run.folder, batch=2)


def own_sizes(labels):
    return [canvas[:height, :width] for canvas, (height, width) in zip(np.asarray(labels), MIXED)]


# --- Arrays in, arrays out ------------------------------------------------------------------------


def test_the_refiner_says_what_the_stage_says(run, refiner):
    people = stack_people(PEOPLE, (64, 128))
    known = jax.jit(lambda *given: refined_labels(REFINE, *given))(run.refine, run.bank, people)
    found = refiner(IMAGES, JOINTS, VISIBLE)
    assert sum(len(np.unique(label_map)) for label_map in found) > len(found)
    for ours, stage in zip(found, own_sizes(known), strict=True):
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, stage)


def test_the_parser_says_what_the_stage_says(run, parser):
    people = stack_people(PEOPLE, (64, 128))
    known = jax.jit(lambda *given: parsed_labels(PARSE, PASCAL_PERSON, *given))(run.parse, people)
    for ours, stage in zip(parser(IMAGES), own_sizes(known), strict=True):
        np.testing.assert_array_equal(ours, stage)


def test_the_parser_sharpens_labels_by_a_dense_crf_as_the_stage_does(run, parser):
    config = dataclasses.replace(PARSE, crf=True)
    sharpened = Parser(config, run.parse.network(), PASCAL_PERSON, batch=2)(IMAGES[:2])
    people = stack_people(PEOPLE[:2], (64, 128))
    known = jax.jit(lambda *given: parsed_labels(config, PASCAL_PERSON, *given))(run.parse, people)
    for ours, stage, before in zip(sharpened, own_sizes(known), parser(IMAGES[:2])):
        assert (ours != stage).mean() < 0.01
        assert (ours != before).any()


def test_the_dense_crf_is_the_backbones(run, parser, monkeypatch):
    monkeypatch.setitem(PUBLISHED, PARSE.backbone, CRF(near_weight=0.0, similar_weight=0.0))  # changes no label
    config = dataclasses.replace(PARSE, crf=True)
    people = stack_people(PEOPLE[:1], (64, 128))
    (stage,) = own_sizes(jax.jit(lambda *given: parsed_labels(config, PASCAL_PERSON, *given))(run.parse, people))
    (before,) = parser(IMAGES[:1])
    np.testing.assert_array_equal(stage, before)
    np.testing.assert_array_equal(Parser(config, run.parse.network(), PASCAL_PERSON)(IMAGES[:1])[0], before)


def test_probabilities_sum_to_one_and_their_largest_is_the_label(refiner, parser):
    for found, labels in (
        (refiner.probabilities(IMAGES, JOINTS, VISIBLE), refiner(IMAGES, JOINTS, VISIBLE)),
        (parser.probabilities(IMAGES), parser(IMAGES)),
    ):
        for shares, label_map in zip(found, labels, strict=True):
            assert shares.shape == (*label_map.shape, PASCAL_PERSON.num_classes)
            np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-5)
            np.testing.assert_array_equal(shares.argmax(-1), label_map)
    assert parser.probabilities(IMAGES[:1], dtype=np.float16)[0].dtype == np.float16


def test_the_network_is_compiled_once_for_all_sizes(refiner):
    before = len(TRACED)
    for row in range(3):
        refiner(IMAGES[row:], JOINTS[row:], VISIBLE[row:])
    assert before == len(TRACED) == 1


def test_the_lines_of_the_readme_run(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/quickstart").symlink_to(run.folder)
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    lines = re.findall(r"^ {4}((?:refiner|label_maps) = .*)$", readme, re.MULTILINE)
    assert len(lines) == 3
    names = {"pgkt": pgkt, "images": IMAGES, "joints": JOINTS, "visible": VISIBLE}
    for line in lines:
        exec(line, names)
        if "label_maps" in names:
            assert [(label_map.dtype, label_map.shape) for label_map in names.pop("label_maps")] == [
                (np.uint8, size) for size in MIXED
            ]
    assert "refiner.probabilities: float" in lines[1]
    assert names["refiner"].probabilities(IMAGES[:1], JOINTS[:1], VISIBLE[:1])[0].dtype == np.float32


@pytest.mark.parametrize("zeros", [np.zeros, jnp.zeros])
def test_a_long_image_keeps_its_size(parser, zeros):
    (label_map,) = inspect.unwrap(Parser.__call__)(parser, [zeros((1100, 30, 3), np.uint8)])
    assert label_map.shape == (1100, 30)


def test_nobody_gives_nothing(refiner, parser):
    assert refiner([], [], []) == parser([]) == []


ONE = (IMAGES[:1], JOINTS[:1], VISIBLE[:1])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((IMAGES, JOINTS[:1], VISIBLE), "there are 3 images, 1 joints and 3 visible"),
        (([IMAGES[0] / 255], *ONE[1:]), r"images\[0\]: is float64\[48, 24, 3\], not uint8\[H, W, 3\]"),
        (([IMAGES[0][..., :1]], *ONE[1:]), r"images\[0\]: is uint8\[48, 24, 1\], not uint8\[H, W, 3\]"),
        (([np.dstack([IMAGES[0]] * 2)], *ONE[1:]), r"images\[0\]: is uint8\[48, 24, 6\], not uint8\[H, W, 3\]"),
        (([IMAGES[0].tolist()], *ONE[1:]), r"images\[0\]: is a list, not an array uint8\[H, W, 3\]"),
        (([Image.fromarray(IMAGES[0])], *ONE[1:]), r"images\[0\]: is a Image, not an array uint8\[H, W, 3\]"),
        ((iter(IMAGES), JOINTS, VISIBLE), "images: is a list_iterator, not a list of arrays, one a person or image"),
        ((Image.fromarray(IMAGES[0]), *ONE[1:]), "images: is a Image, not a list of arrays, one a person or image"),
        ((IMAGES, (joints for joints in JOINTS), VISIBLE), "joints: is a generator, not a list of arrays, .*"),
        ((IMAGES, JOINTS, 1), "visible: is a int, not a list of arrays, .*"),
        ((ONE[0], [JOINTS[0][:9]], ONE[2]), r"joints\[0\]: is float32\[9, 2\], not float\[16, 2\] for pascal16"),
        ((ONE[0], [JOINTS[0].astype(str)], ONE[2]), r"joints\[0\]: is <U32\[16, 2\], not float\[16, 2\] .*"),
        ((ONE[0], [[[1, 2], [3]]], ONE[2]), r"joints\[0\]: is a list that makes no array, not float\[16, 2\] .*"),
        ((ONE[0], [None], ONE[2]), r"joints\[0\]: is object\[\], not float\[16, 2\] .*"),
        ((*ONE[:2], [VISIBLE[0] * 0.3]), r"visible\[0\]: is float64\[16\], not bool\[16\] for pascal16"),
        ((*ONE[:2], [[True, [True]]]), r"visible\[0\]: is a list that makes no array, not bool\[16\] .*"),
        (
            (ONE[0], [JOINTS[0] * np.nan], ONE[2]),
            r"joints\[0\]: \w+ is visible, but at \(nan, nan\), not a finite place",
        ),
        (
            (ONE[0], [JOINTS[0].astype(float) + 1e300], ONE[2]),
            r"joints\[0\]: \w+ is visible, but at \(1e\+300, 1e\+300\), not .*",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(refiner, parser, arguments, sentence):
    """As for users, who have no beartype between themselves and the package."""
    for network, given in ((refiner, arguments), (parser, arguments[:1]))[: 1 + sentence.startswith("images")]:
        for method in (type(network).__call__, type(network).probabilities):
            with pytest.raises((ValueError, TypeError)) as caught:
                inspect.unwrap(method)(network, *given)
            assert re.fullmatch(sentence, str(caught.value))


def test_lists_of_joints_are_as_good_as_arrays(refiner):
    known = refiner(*ONE)
    found = inspect.unwrap(Refiner.__call__)(refiner, ONE[0], [JOINTS[0].tolist()], [VISIBLE[0].tolist()])
    np.testing.assert_array_equal(found, known)


def test_the_face_of_the_package_has_both():
    assert (pgkt.Refiner, pgkt.Parser) == (Refiner, Parser)


# --- The run folder -------------------------------------------------------------------------------


def test_settings_bank_and_skeleton_come_back_as_they_were(run):
    folder = run.folder / "refine-part-level"
    assert read_config(folder, RefineConfig) == REFINE
    assert read_config(run.folder / "parse-full", ParseConfig) == PARSE
    assert read_skeleton(folder) == PASCAL_PERSON
    jax.tree.map(np.testing.assert_array_equal, read_bank(folder, limb_frames=False), run.bank)


def edited(name, **fields):
    def edit(folder):
        path = folder / "refine-part-level" / name
        document = {**json.loads(path.read_text()), **fields}
        path.write_text(json.dumps({key: value for key, value in document.items() if value is not ...}))

    return edit


CONFIG, BANK_FILE = "config.json", "bank.npz"


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda f: (f / "refine-part-level" / CONFIG).unlink(), r"holds no trained network \(refine-part-level/"),
        (lambda f: shutil.rmtree(f / "refine-part-level" / "checkpoints"), "train one with `pgkt refine CONFIG`"),
        (lambda f: edited(CONFIG, bogus=1)(f), r"config\.json: holds no RefineConfig of this version: bogus is unknow"),
        (lambda f: (f / "refine-part-level" / CONFIG).write_text("{"), r"config\.json: is not JSON"),
        (lambda f: edited(CONFIG, width="4")(f), r"config\.json: width: is '4', not int"),
        (lambda f: edited(CONFIG, width=-7)(f), r"config\.json: width: is -7, not 1 to 1,024"),
        (lambda f: edited(CONFIG, size=[1, 2, 3])(f), r"config\.json: size: is \[1, 2, 3\]"),
        (lambda f: edited(CONFIG, loss="l2")(f), r"config\.json: loss: is 'l2', not .*cross-entropy"),
        (lambda f: (f / "refine-part-level" / "skeleton.json").unlink(), r"skeleton\.json: no such file"),
        (lambda f: edited("skeleton.json", parts=[1])(f), r"skeleton\.json: says no skeleton"),
        (lambda f: (f / "refine-part-level" / BANK_FILE).write_bytes(b"PK"), r"bank\.npz: holds no pose bank"),
    ],
)
def test_a_run_folder_that_lacks_something_is_one_sentence(run, tmp_path, edit, sentence):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    edit(folder)
    with pytest.raises(ValueError, match=sentence) as caught:
        Refiner.from_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named(run, tmp_path):
    folder = shutil.copytree(run.folder / "parse-full", tmp_path / "run")
    document = json.loads((folder / CONFIG).read_text())
    del document["poly"]
    (folder / CONFIG).write_text(json.dumps(document))
    with pytest.raises(ValueError, match="ParseConfig of this version: poly is missing"):
        Parser.from_checkpoint(folder)


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
