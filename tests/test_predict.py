"""Predicting: trained networks on images of any size, arrays in, arrays out, and the run folders they come from."""

import dataclasses
import inspect
import json
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from untrained_run import IMAGES, JOINTS, MIXED, PARSE, PEOPLE, REFINE, VISIBLE, write_run

import pgkt_jax as pgkt
from pgkt_jax.config import ParseConfig, RefineConfig
from pgkt_jax.data.batch import stack_people
from pgkt_jax.nets.dense_crf import CRF, PUBLISHED
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages import predict
from pgkt_jax.stages.parse import parsed_labels
from pgkt_jax.stages.predict import Parser, Refiner
from pgkt_jax.stages.refine import refined_labels
from pgkt_jax.train.run_folder import read_bank, read_config, read_skeleton

pytestmark = pytest.mark.usefixtures("kept_compilations")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


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


def test_where_the_outline_follows_the_photograph_no_part_becomes_another(run, refiner):
    config = dataclasses.replace(REFINE, outline=0)
    people = stack_people(PEOPLE, (64, 128))
    known = jax.jit(lambda *given: refined_labels(config, *given))(run.refine, run.bank, people)
    for after, before in zip(refiner(IMAGES, JOINTS, VISIBLE), own_sizes(known), strict=True):
        assert (before != after).any()
        assert not ((before != after) & (before > 0) & (after > 0)).any()


def test_the_parsers_outline_follows_the_photograph_as_the_stages_does(run, parser):
    config = dataclasses.replace(PARSE, outline=2)
    people = stack_people(PEOPLE, (64, 128))
    known = jax.jit(lambda *given: parsed_labels(config, PASCAL_PERSON, *given))(run.parse, people)
    followed = Parser(config, run.parse.network(), PASCAL_PERSON, batch=2)(IMAGES)
    for ours, stage, before in zip(followed, own_sizes(known), parser(IMAGES), strict=True):
        np.testing.assert_array_equal(ours, stage)
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
