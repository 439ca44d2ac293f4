"""Looking at data and at the method: `pgkt view`, `pgkt explain`, and what they compute."""

import dataclasses
import re
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from pgkt_jax import cli
from pgkt_jax.config import RefineConfig
from pgkt_jax.data.pictures import encode_png
from pgkt_jax.data.puppets import Puppets
from pgkt_jax.data.sides import crossed_parts
from pgkt_jax.prior import label_of_prior
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages.explain import explain, person_of_bank, teachers_of_people

SMALL = Puppets(size=(48, 32), train=6, val=2, test=3, poses=2)
TRAIN = list(SMALL.split("train"))
CONFIG = RefineConfig(k=2, n=4, method="exact")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A current folder in which the data set `puppets` is small."""
    for command in ("view", "explain"):
        monkeypatch.setattr(f"pgkt_jax.commands.{command}.open_people", lambda _: SMALL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def teachers():
    return teachers_of_people(TRAIN, PASCAL_PERSON, CONFIG)


# --- Left and right -------------------------------------------------------------------------------


def test_swapped_sides_are_told_from_right_ones():
    people = [Puppets().split("train")[row] for row in range(6)]
    swap = PASCAL_PERSON.joint_mirror
    swapped = [dataclasses.replace(p, joints=p.joints[swap], visible=p.visible[swap]) for p in people]
    for group, low, high in ((people, 0, 0.15), (swapped, 0.85, 1)):
        found = [crossed for p in group for crossed in crossed_parts(p, PASCAL_PERSON).values()]
        assert len(found) > 40
        assert low <= np.mean(found) <= high


def test_sides_are_compared_only_where_there_is_something_to_compare():
    unseen = dataclasses.replace(TRAIN[0], visible=np.zeros(PASCAL_PERSON.num_joints, bool))
    outside = dataclasses.replace(TRAIN[0], joints=TRAIN[0].joints + np.float32(1000))
    bare = dataclasses.replace(TRAIN[0], label_map=None)
    assert crossed_parts(unseen, PASCAL_PERSON) == {}
    assert crossed_parts(outside, PASCAL_PERSON) == {}
    assert crossed_parts(bare, PASCAL_PERSON) == {}


# --- view -----------------------------------------------------------------------------------------


def test_view_shows_people_of_every_split(place, capsys):
    assert cli.main(["view", "puppets", "--people", "2"]) == 0
    assert [str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()] == ["viewed/view.html"]
    page = (place / "viewed" / "view.html").read_text()
    assert page.count("<img") == 2 * 4
    for shown in ("train/0", "train/5", "val/1", "test/2", "poses/1", TRAIN[5].id, "left upper arm", "right lower leg"):
        assert shown in page
    assert "train/1<" not in page
    assert re.search(r"train: 6 people, 2 shown, 2 of them with masks; \d+ of \d+ limbs", capsys.readouterr().out)


def test_view_of_one_split(place):
    assert cli.main(["view", "puppets", "--split", "val", "--out", "there"]) == 0
    page = (place / "there" / "view.html").read_text()
    assert "Split val" in page
    assert "Split train" not in page


# --- explain --------------------------------------------------------------------------------------


def test_the_prior_is_the_mean_of_the_masks_shown(teachers):
    person = SMALL.split("test")[0]
    found = explain(teachers, person)
    distances = [neighbour.distance for neighbour in found.neighbours]
    assert len(distances) == CONFIG.n
    assert distances == sorted(distances)
    picked = [neighbour.prior for neighbour in found.neighbours if neighbour.prior is not None]
    assert [neighbour.prior is not None for neighbour in found.neighbours] == [True, True, False, False]
    np.testing.assert_allclose(np.mean(picked, axis=0), found.prior, atol=1e-6)
    assert found.prior.max() > 0.9


def test_nobody_is_a_neighbour_of_himself(teachers):
    first = explain(teachers, TRAIN[3]).neighbours[0]
    assert (first.row, first.distance) == (3, pytest.approx(0, abs=1e-3))
    # Carried by its own limbs, a mask stays where it is.
    own, truth = np.asarray(label_of_prior(jnp.asarray(first.prior))), PASCAL_PERSON.class_lut[TRAIN[3].label_map]
    assert (own == truth)[truth > 0].mean() > 0.9
    others = explain(teachers.without(3), TRAIN[3]).neighbours
    assert len(others) == CONFIG.n
    assert 3 not in [neighbour.row for neighbour in others]


def test_a_bank_shows_masks_and_joints_where_they_were(teachers):
    person = person_of_bank(teachers.bank, 2)
    columns, rows = np.rint(person.joints).astype(int).T
    original = np.rint(TRAIN[2].joints).astype(int)
    inside = (original >= 0).all(1) & (original < [32, 48]).all(1)
    assert inside.sum() > 10
    ours = person.label_map[rows[inside], columns[inside]]
    np.testing.assert_array_equal(ours, TRAIN[2].label_map[original[inside, 1], original[inside, 0]])
    assert (person.label_map > 0).sum() == (TRAIN[2].label_map > 0).sum()


def test_explain_without_a_run_ends_at_the_prior(place, monkeypatch):
    # What the tests above have compiled serves this one.
    monkeypatch.setattr("pgkt_jax.commands.explain.RefineConfig", partial(RefineConfig, method="exact"))
    assert cli.main(["explain", "train/1", "--people", "puppets", "--k", "2", "--n", "4", "--out", "why.html"]) == 0
    assert [path.name for path in place.iterdir()] == ["why.html"]
    page = (place / "why.html").read_text()
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "The pose",
        "The 4 nearest of 6 people with masks",
        "Their masks, morphed",
        "The prior",
        "The truth",
    ]
    assert page.count(", picked</b>") == 2
    assert "train/1 " not in page, "a neighbour of himself"
    assert page.count("<img") == 1 + 4 + 2 + 2 + 1


# --- Wrong usage ----------------------------------------------------------------------------------

EXAMPLES = {"view": "for instance: pgkt view my_people", "explain": "for instance: pgkt explain photo.jpg --poses"}
DATA = ["--people", "puppets"]


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("view", [], f"arguments are required: dataset; {EXAMPLES['view']}"),
        ("view", ["puppets", "--bogus"], f"unrecognized arguments: --bogus; {EXAMPLES['view']}"),
        ("view", ["puppets", "--people", "0"], "--people 0: is not positive; for instance"),
        ("view", ["puppets", "--split", "all"], "nobody in a split 'all', only in train, val, test, poses; for"),
        ("explain", [], f"arguments are required: who; {EXAMPLES['explain']}"),
        ("explain", ["a.png"], "--poses or --people is missing: where the joints are; for instance"),
        ("explain", ["a.png", "--poses", "p.json"], "--run or --people is missing: who has masks; for instance"),
        ("explain", ["test/0", *DATA, "--run", "r", "--k", "3"], "--k and --n go without --run"),
        ("explain", ["test/3", *DATA], "no person 'test/3', only train/0 to train/5, .*a photograph wants --poses"),
        ("explain", ["photo.png", *DATA], "puppets has no person 'photo.png', only train/0"),
        ("explain", ["test/0", *DATA, "--run", "nowhere"], r"nowhere holds no trained network \(refine-part-level/\)"),
        ("explain", ["test/0", *DATA, "--n", "6"], "n = 6 nearest people want 7 with masks, not 6"),
        ("explain", ["test/0", *DATA, "--k", "4", "--n", "3"], "k = 4 neighbours cannot be picked out of n = 3"),
        ("explain", ["a.png", *DATA, "--poses", "p.csv", "--person", "2"], "--person 2: p.csv has 1 people in a.png"),
    ],
)
def test_wrong_usage_is_one_sentence_and_writes_nothing(place, capsys, command, arguments, sentence):
    (place / "a.png").write_bytes(encode_png(TRAIN[0].image))
    numbers = ",".join(str(n) for n in TRAIN[0].joints.ravel())
    (place / "p.csv").write_text(f"a.png,{numbers}\n")
    before = sorted(place.rglob("*"))
    assert cli.main([command, *arguments]) == 2
    printed = capsys.readouterr()
    assert re.match(f"pgkt {command}: .*{sentence}", printed.err)
    assert printed.err.count("\n") == 1
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_has_examples_and_names_every_option(capsys, command):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    printed = capsys.readouterr().out
    assert stop.value.code == 0
    assert printed.count(f"\n  pgkt {command} ") == 3
    assert "--out" in printed
