"""The stages: one tiny run of the whole method, looked at from all sides."""

import dataclasses
import json
import math
import re
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from pgkt_jax.commands import stages
from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig
from pgkt_jax.data.batch import stack_people, take
from pgkt_jax.data.digests import digest
from pgkt_jax.data.folder import read_people_folder
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.data.sources import open_people, read_splits
from pgkt_jax.data.writer import PeopleWriter
from pgkt_jax.nets.grid import Grid
from pgkt_jax.prior import nearest_poses
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages import chain, parse, quickstart, refine
from pgkt_jax.stages.refine import bank_of, network_input, refine_step, refinement_network, train_refinement
from pgkt_jax.stages.synthesize import SPLIT, synthesize
from pgkt_jax.train.state import TrainState

SIZE = (32, 24)
COUNTS = {"train": 8, "val": 2, "test": 3, "poses": 6}
LABELS = 5
STEPS = 4
ROWS = [
    "prior alone", "skeleton alone", "refined, part-level prior", "refined, skeleton prior", "refined, no prior",
    "parsing, full", "parsing, semi", "parsing, all",
]  # fmt: skip
rng = np.random.default_rng(0)


def write_people(root, *, masks=lambda split, row: True):
    """A people folder of puppets; `masks` says who has a label map."""
    puppets = iter(range(sum(COUNTS.values())))
    with PeopleWriter(root, PASCAL_PERSON) as writer:
        for split, count in COUNTS.items():
            for row in range(count):
                person = draw_puppet(next(puppets), size=SIZE)
                keeps = masks(split, row)
                writer.add(person if keeps else dataclasses.replace(person, label_map=None), split=split)
    return root


def config_of(people):
    return Config(
        data=DataConfig(people=str(people), labels=LABELS),
        refine=RefineConfig(
            size=SIZE, k=1, n=2, depth=2, width=4, dropout_blocks=1, loss="cross-entropy", learning_rate=1e-3,
            batch=8, steps=STEPS, every=2,
        ),
        parse=ParseConfig(
            size=SIZE, width=8, attention_width=8, scales=(1.0,), drops=(3,), batch=8, steps=STEPS, every=2,
        ),
    )  # fmt: skip


def contents(folder):
    """Every file of a folder and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def changed(folder):
    """When every file of a folder was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def no_step(*_):
    raise AssertionError("a finished training took another step")


pytestmark = pytest.mark.usefixtures("kept_compilations")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The whole method, once."""
    folder = tmp_path_factory.mktemp("run")
    config = config_of(write_people(folder / "people"))
    results = quickstart.quickstart(config, folder / "out")
    document = json.loads((folder / "out" / "results.json").read_text(), parse_constant=pytest.fail)
    return SimpleNamespace(config=config, folder=folder / "out", splits=results.splits, document=document)


@pytest.fixture(scope="module")
def again(run, tmp_path_factory):
    """The same command on the finished folder, whose keypoint-only people now really have no masks."""
    people = tmp_path_factory.mktemp("poses") / "people"
    write_people(people, masks=lambda split, row: split in ("val", "test") or (split == "train" and row < LABELS))
    before = {name: changed(run.folder / name / "checkpoints") for name in trainings(run)}
    labels = changed(run.folder / SPLIT / "parts")
    saved = (run.folder / "results.json").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine, "refine_step", lambda *_: no_step)
        patch.setattr(parse, "parse_step", lambda *_: no_step)
        quickstart.quickstart(config_of(people), run.folder)
    document = json.loads((run.folder / "results.json").read_text())
    (run.folder / "results.json").write_bytes(saved)
    return SimpleNamespace(document=document, checkpoints=before, labels=labels)


@pytest.fixture(scope="module")
def refiner(run):
    """The trained refinement network and its bank, taken back from the checkpoint."""
    return train_refinement(run.config.refine, run.splits, run.folder / "refine-part-level")


def trainings(run):
    return sorted(path.name for path in run.folder.glob("*-*") if (path / "checkpoints").is_dir())


# --- What a run leaves behind ---------------------------------------------------------------------


def test_every_method_has_a_row_of_finite_scores(run):
    assert list(run.document) == ["rows", "settings"]
    assert [row["name"] for row in run.document["rows"]] == ROWS
    for row in run.document["rows"]:
        assert tuple(row["iou"]) == PASCAL_PERSON.classes
        values = [value for value in row["iou"].values() if value is not None]
        assert all(0 <= value <= 1 for value in values)
        assert math.isclose(row["miou"], np.mean(values))


def test_the_settings_are_all_there(run):
    settings = run.document["settings"]
    for name, values in json.loads(json.dumps(dataclasses.asdict(run.config))).items():
        assert settings[name] == values
    hidden = COUNTS["train"] - LABELS + COUNTS["poses"]
    assert settings["counts"] == {"labelled": LABELS, "keypoints_only": hidden, "val": 2, "test": 3}


def test_every_training_ran_its_steps_and_was_watched(run):
    assert trainings(run) == [
        "parse-all", "parse-full", "parse-semi", "refine-none", "refine-part-level", "refine-skeleton",
    ]  # fmt: skip
    for name in trainings(run):
        lines = (run.folder / name / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [2, STEPS]
        assert (run.folder / name / "checkpoints" / str(STEPS)).is_dir()


def test_the_report_is_one_page_that_loads_nothing(run):
    page = (run.folder / "report.html").read_text()
    sources = re.findall(r"(?:src|href)\s*=\s*[\"']?([^\"'> ]*)", page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not re.search(r"<(link|iframe|object)\b|@import|url\((?!data:)|<script[^>]+src", page)
    for name in ROWS:
        assert name in page
    for person in run.splits.test:
        assert person.id in page


# --- Running again --------------------------------------------------------------------------------


def test_a_second_run_trains_nothing_and_finds_the_same(run, again):
    ours = {row["name"]: row for row in run.document["rows"]}
    for row in again.document["rows"]:
        assert row == ours[row["name"]]
    for name, before in again.checkpoints.items():
        assert changed(run.folder / name / "checkpoints") == before
    assert changed(run.folder / SPLIT / "parts") == again.labels


def test_people_who_have_no_masks_at_all_leave_only_the_upper_bound_out(again):
    assert [row["name"] for row in again.document["rows"]] == ROWS[:-1]


def test_other_settings_in_a_finished_folder_are_refused_and_nothing_is_lost(run):
    before = contents(run.folder / "parse-full")
    other = dataclasses.replace(run.config.parse, learning_rate=0.5)
    with pytest.raises(ValueError, match=r"config\.json.*learning_rate = 0\.001 there, 0\.5 here"):
        parse.train_parsing(other, run.splits.labelled, run.splits, run.folder / "parse-full")
    assert contents(run.folder / "parse-full") == before


def test_a_step_in_parts_updates_alike(run):
    whole = run.config.parse
    state = parse._fresh(whole, PASCAL_PERSON)
    people = run.splits.labelled + run.splits.labelled
    batch = jax.tree.map(jnp.asarray, stack_people(people[:8], run.splits.canvas))
    configs = [whole, dataclasses.replace(whole, accumulate=2)]
    (ours, told), (parted, told_parted) = [
        jax.jit(parse.parse_step(c, PASCAL_PERSON))(state, None, batch) for c in configs
    ]
    np.testing.assert_allclose(told_parted["loss"], told["loss"], rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), parted.params, ours.params)
    with pytest.raises(ValueError, match=r"parse\.batch = 8 .* in 3 parts"):
        parse.train_parsing(dataclasses.replace(whole, accumulate=3), [], run.splits, run.folder / "parse-full")


def test_views_calm_down_to_zoom_and_mirror_alone(run):
    plain = ParseConfig(size=(48, 32), zoom=(0.9, 1.3), steps=8, calm_from=0.5)
    lively = dataclasses.replace(plain, stretch=0.2, turn=15.0, erase=0.5, color=0.4)
    strengths = [float(parse.view_strength(lively, jnp.int32(step))) for step in range(8)]
    assert strengths == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    always = dataclasses.replace(lively, calm_from=1.0)
    assert all(parse.view_strength(always, jnp.int32(step)) == 1 for step in range(8))

    batch = jax.tree.map(jnp.asarray, stack_people(run.splits.labelled[:1], run.splits.canvas))
    person, key = jax.tree.map(lambda x: x[0], batch), jax.random.key(0)

    def seen(config, strength):
        image, classes = parse.training_view(
            config, PASCAL_PERSON, person, key, Grid.of_cells(2), (24, 16), strength=strength
        )
        return np.asarray(image), np.asarray(classes)

    (calm, calm_classes), (expected, expected_classes) = seen(lively, 0.0), seen(plain, 1.0)
    np.testing.assert_allclose(calm, expected, atol=1e-5)
    np.testing.assert_array_equal(calm_classes, expected_classes)
    half, full = (np.abs(seen(lively, strength)[0] - expected).mean() for strength in (0.5, 1.0))
    assert 0 < half < full


def test_a_training_starts_from_the_network_of_a_run(run, capsys):
    state = parse._fresh(dataclasses.replace(run.config.parse, seed=1), PASCAL_PERSON, weights=str(run.folder))
    trained = parse.trained_parser(run.config.parse, PASCAL_PERSON, run.folder / "parse-semi")
    jax.tree.map(np.testing.assert_array_equal, state.params, trained.params)
    assert state.step == 0
    assert capsys.readouterr().out.endswith("freshly initialised: none\n")
    wider = dataclasses.replace(run.config.parse, width=16)
    with pytest.raises(ValueError, match=r"parse-full: .*kernel has the shape .*, the network wants"):
        parse._fresh(wider, PASCAL_PERSON, weights=str(run.folder / "parse-full"))
    with pytest.raises(ValueError, match=r"synthesised holds no trained network"):
        parse._fresh(wider, PASCAL_PERSON, weights=str(run.folder / SPLIT))


def test_parsing_learns_from_pictures_of_its_own_and_is_scored_on_them(run, tmp_path, monkeypatch):
    """Refinement has crops of one person, parsing photographs without joints; the report says so."""
    pictures, seen = tmp_path / "pictures", []
    with PeopleWriter(pictures, PASCAL_PERSON) as writer:
        for row, split in enumerate(["train"] * 8 + ["val", "test", "test"]):
            person = draw_puppet(100 + row, size=SIZE)
            writer.add(dataclasses.replace(person, visible=np.zeros_like(person.visible)), split=split)
    people = write_people(tmp_path / "people", masks=lambda split, row: split != "poses")
    config = dataclasses.replace(config_of(people), data=DataConfig(people=str(people), parse_people=str(pictures)))

    def parsed(parse, people, splits, folder, *, title, profile=None):
        seen.append((title, [person.id for person in people], [person.id for person in splits.val]))
        return chain.parsed(parse, people, splits, folder, title=title, profile=profile)

    monkeypatch.setattr(quickstart, "parsed", parsed)
    found = quickstart.quickstart(config, tmp_path / "out")
    own = [person.id for person in found.splits.parsing.labelled]
    assert own == [f"puppet_{100 + row:05d}" for row in range(8)]
    synthesised = [person.id for person in found.splits.keypoints_only]
    val = [f"puppet_{108:05d}"]
    assert seen == [("parse (full)", own, val), ("parse (semi)", [*own, *synthesised], val)]
    assert found.parsing_test.size == 2
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["settings"]["counts"]["parsing test"] == 2
    semi = document["rows"][-1]
    assert semi["name"] == "parsing, semi"
    assert "scored on different pictures" in (tmp_path / "out" / "report.html").read_text()
    stages.COMMANDS["evaluate"](config, tmp_path / "out")
    (row,) = json.loads((tmp_path / "out" / "evaluation.json").read_text())["rows"]
    assert row["miou"] == semi["miou"]


def test_a_fully_labelled_set_trains_without_anybody_with_keypoints_only(run, tmp_path):
    people = tmp_path / "people"
    with PeopleWriter(people, PASCAL_PERSON) as writer:
        for split, group in (("train", run.splits.labelled), ("val", run.splits.val)):
            for person in group:
                writer.add(person, split=split)
    config = dataclasses.replace(run.config, data=DataConfig(people=str(people)))
    stages.COMMANDS["refine"](config, tmp_path / "out")
    tuned = dataclasses.replace(config, parse=dataclasses.replace(config.parse, weights=str(run.folder)))
    stages.COMMANDS["parse"](tuned, tmp_path / "out")
    assert parse.trained_parser(tuned.parse, PASCAL_PERSON, tmp_path / "out" / "parse-full").step == STEPS
    with pytest.raises(ValueError, match="nobody with keypoints only"):
        stages.COMMANDS["synthesize"](config, tmp_path / "out")


def test_streamed_people_train_the_same_network(run, tmp_path):
    streamed = read_splits(open_people(run.config.data.people), labels=LABELS, max_side=max(SIZE), streamed=True)
    found = parse.train_parsing(run.config.parse, streamed.labelled, streamed, tmp_path / "streamed")
    known = parse.train_parsing(run.config.parse, run.splits.labelled, run.splits, run.folder / "parse-full")
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-4), found.params, known.params)


def test_streamed_people_without_a_mask_are_refused_before_anything_is_written(run, tmp_path):
    streamed = read_splits(open_people(run.config.data.people), labels=LABELS, streamed=True)
    someone = streamed.keypoints_only[0]
    for people in ([*run.splits.labelled, someone], [someone]):
        with pytest.raises(ValueError, match=rf"person {someone.id}: parts: a person to train on needs a label map"):
            parse.train_parsing(run.config.parse, people, streamed, tmp_path)
    with pytest.raises(ValueError, match=rf"person {someone.id}: parts: a person of a pose bank needs a label map"):
        bank_of([*run.splits.labelled, someone], PASCAL_PERSON)
    assert not any(tmp_path.iterdir())


def test_the_bank_of_a_training_is_that_of_its_people_bit_by_bit(run, refiner):
    _, bank = refiner
    jax.tree.map(np.testing.assert_array_equal, bank, bank_of(run.splits.labelled, PASCAL_PERSON))


def test_other_people_in_a_finished_folder_are_refused_and_nothing_is_lost(run):
    fewer = read_splits(open_people(run.config.data.people), labels=LABELS - 1)
    before = contents(run.folder)
    with pytest.raises(ValueError, match=r"trained_on\.json.*\(5 people there, 4 here; only there: puppet_"):
        train_refinement(run.config.refine, fewer, run.folder / "refine-none")
    with pytest.raises(ValueError, match=r"trained_on\.json.*\(in another order\)"):
        parse.train_parsing(run.config.parse, run.splits.labelled[::-1], run.splits, run.folder / "parse-full")
    assert contents(run.folder) == before


def test_evaluate_repeats_the_row_of_the_parsing_network_and_prints_its_settings(run, capsys):
    stages.COMMANDS["evaluate"](run.config, run.folder)
    (row,) = json.loads((run.folder / "evaluation.json").read_text())["rows"]
    semi = next(row for row in run.document["rows"] if row["name"] == "parsing, semi")
    assert (row["miou"], row["iou"]) == (semi["miou"], semi["iou"])
    printed = capsys.readouterr().out
    for field in dataclasses.fields(ParseConfig):
        assert f'"{field.name}"' in printed
    assert '"split": "test"' in printed


def test_evaluate_trains_nothing(run, tmp_path):
    with pytest.raises(ValueError, match="no trained parsing network"):
        stages.COMMANDS["evaluate"](run.config, tmp_path)
    assert not any(tmp_path.iterdir())


def test_priors_are_scored_for_the_ks_of_table_2(run, tmp_path, capsys):
    config = dataclasses.replace(
        run.config,
        data=dataclasses.replace(run.config.data, labels=7, all_visible=True),
        refine=dataclasses.replace(run.config.refine, method="exact"),  # compiles four times as fast
    )
    stages.COMMANDS["priors"](config, tmp_path)
    rows = {row["name"]: row for row in json.loads((tmp_path / "priors.json").read_text())["rows"]}
    assert list(rows) == ["sticks", *(f"part-level prior, k = {k}" for k in (1, 3, 5, 7))]
    printed = capsys.readouterr().out
    assert all(name in printed for name in rows)
    with pytest.raises(ValueError, match="priors of 7 people want as many labelled people, not 5"):
        stages.COMMANDS["priors"](run.config, tmp_path / "few")


# --- Synthesis ------------------------------------------------------------------------------------


def test_the_synthesised_folder_holds_exactly_the_people_without_masks(run):
    people = read_people_folder(run.folder / SPLIT)
    assert people.splits == {SPLIT: len(run.splits.hidden)}
    given = {person.id: person for person in run.splits.keypoints_only}
    for person in people.split(SPLIT):
        np.testing.assert_array_equal(person.image, given[person.id].image)
        np.testing.assert_array_equal(person.joints, given[person.id].joints)
        assert person.label_map.max() <= PASCAL_PERSON.num_parts


def test_every_label_says_where_it_comes_from(run, refiner):
    state, bank = refiner
    ids = [person.id for person in run.splits.labelled]
    given = {person.id: person for person in run.splits.keypoints_only}
    for entry in read_people_folder(run.folder / SPLIT).entries:
        assert entry.provenance["checkpoint"] == digest(state.params)
        assert entry.provenance["bank"] == digest(bank)
        assert entry.provenance["config"] == json.loads(json.dumps(dataclasses.asdict(run.config.refine)))
        near = nearest_poses(bank, jnp.array(entry.joints), jnp.array(entry.visible), k=run.config.refine.k)
        assert entry.id in given
        assert [found["id"] for found in entry.provenance["neighbours"]] == [ids[i] for i in near.indices]
        distances = [found["distance"] for found in entry.provenance["neighbours"]]
        np.testing.assert_allclose(distances, near.distances, atol=1e-4)


def relabel(run, folder, state, bank, people=None):
    people = run.splits.keypoints_only if people is None else people
    synthesize(
        run.config.refine, state, bank, people, folder, canvas=run.splits.canvas,
        bank_ids=[person.id for person in run.splits.labelled],
    )  # fmt: skip


def test_an_interrupted_synthesis_goes_on_and_ends_the_same(run, refiner, tmp_path):
    folder = Path(shutil.copytree(run.folder / SPLIT, tmp_path / SPLIT))
    ids = sorted(person.id for person in run.splits.keypoints_only)
    lost = ids[::2]
    for i, id in enumerate(lost):
        (folder / ("people" if i % 2 else "parts") / (f"{id}.json" if i % 2 else f"{id}.png")).unlink()
    (folder / "people.json").unlink()
    (folder / "parts" / ".half.png.unfinished").write_bytes(b"")
    kept = {f"{id}.png" for id in ids} - {f"{id}.png" for id in lost}
    before = changed(folder / "parts")
    relabel(run, folder, *refiner)
    assert contents(folder) == contents(run.folder / SPLIT)
    after = changed(folder / "parts")
    assert {name for name in after if after[name] == before.get(name)} == kept


@pytest.mark.parametrize("other", ["network", "bank"])
def test_another_network_or_bank_labels_everybody_anew(run, refiner, tmp_path, other):
    folder = Path(shutil.copytree(run.folder / SPLIT, tmp_path / SPLIT))
    state, bank = refiner
    if other == "network":
        state = dataclasses.replace(state, params=jax.tree.map(lambda leaf: leaf * 2, state.params))
    else:
        bank = jax.tree.map(lambda leaf: leaf, dataclasses.replace(bank, label_maps=bank.label_maps[::-1]))
    before = changed(folder / "parts")
    relabel(run, folder, state, bank)
    after = changed(folder / "parts")
    assert after.keys() == before.keys()
    assert all(after[name] > before[name] for name in after)
    origins = {(e.provenance["checkpoint"], e.provenance["bank"]) for e in read_people_folder(folder).entries}
    assert origins == {(digest(state.params), digest(bank))}


def test_a_corrected_person_is_labelled_anew_and_nobody_else(run, refiner, tmp_path):
    folder = Path(shutil.copytree(run.folder / SPLIT, tmp_path / SPLIT))
    people = list(run.splits.keypoints_only)
    people[0] = dataclasses.replace(people[0], joints=people[0].joints + np.float32(2))
    people[1] = dataclasses.replace(people[1], image=255 - people[1].image)
    people[2] = dataclasses.replace(people[2], visible=people[2].visible & (np.arange(16) != 0))
    before = changed(folder / "people")
    relabel(run, folder, *refiner, people)
    after = changed(folder / "people")
    assert {name for name in after if after[name] > before[name]} == {f"{person.id}.json" for person in people[:3]}
    written = {person.id: person for person in read_people_folder(folder).split(SPLIT)}
    for person in people:
        for name in ("image", "joints", "visible"):
            np.testing.assert_array_equal(getattr(written[person.id], name), getattr(person, name))


def test_people_who_are_no_longer_asked_for_leave_the_folder(run, refiner, tmp_path):
    folder = Path(shutil.copytree(run.folder / SPLIT, tmp_path / SPLIT))
    people = list(run.splits.keypoints_only)
    relabel(run, folder, *refiner, people[:3])
    assert {entry.id for entry in read_people_folder(folder).entries} == {person.id for person in people[:3]}
    before = changed(folder / "parts")
    relabel(run, folder, *refiner)
    assert changed(folder / "parts") == before  # they come back as they were
    assert contents(folder) == contents(run.folder / SPLIT)


# --- What the networks see ------------------------------------------------------------------------


class Echo(nnx.Module):
    """In place of a network: gives the prior back that it is shown, times its one parameter."""

    def __init__(self):
        self.gain = nnx.Param(jnp.ones(()))

    def __call__(self, x, keys=None):
        return (x[..., 3:] + 1) / 2 * self.gain[...]


def test_in_training_nobody_is_his_own_neighbour(run, refiner):
    """Blanking a person's mask in the bank changes nothing for him, and blanking the others' does."""
    _, bank = refiner
    config = dataclasses.replace(run.config.refine, loss="l1", method="exact")  # label maps get blanked
    step = jax.jit(refine_step(config))
    state = TrainState.create(Echo(), optax.sgd(0.0), 0)
    people = stack_people(run.splits.labelled, run.splits.canvas, range(LABELS))

    def loss(row, blanked):
        maps = bank.label_maps.at[jnp.array(blanked)].set(0)
        batch = take(people, jnp.full(2, row))
        return float(step(state, dataclasses.replace(bank, label_maps=maps), batch)[1]["loss"])

    for row in range(LABELS):
        others = [other for other in range(LABELS) if other != row]
        untouched = float(step(state, bank, take(people, jnp.full(2, row)))[1]["loss"])
        assert loss(row, [row]) == untouched
        assert loss(row, others) != untouched


def test_without_exclusion_the_prior_is_of_the_person_himself(run, refiner):
    _, bank = refiner
    me = run.splits.labelled[0]
    joints, visible = jnp.asarray(me.joints), jnp.asarray(me.visible)
    image, box = jnp.zeros((*SIZE, 3)), jnp.array([-0.5, -0.5, SIZE[1] - 0.5, SIZE[0] - 0.5])
    seen = jax.jit(lambda bank, me: network_input(run.config.refine, bank, image, joints, visible, box, exclude=me))
    alone = seen(dataclasses.replace(bank, label_maps=bank.label_maps.at[1:].set(0)), jnp.int32(-1))
    np.testing.assert_array_equal(seen(bank, jnp.int32(-1)), alone)
    assert not np.array_equal(seen(bank, jnp.int32(0)), alone)


@pytest.mark.parametrize(("prior", "channels"), [("none", 3), ("skeleton", 9), ("part-level", 9)])
def test_the_channels_of_the_refinement_network(run, refiner, prior, channels):
    config = dataclasses.replace(run.config.refine, prior=prior)
    network = nnx.eval_shape(lambda: refinement_network(config, PASCAL_PERSON))
    assert network.downs[0].kernel.shape[2] == channels
    joints = jax.ShapeDtypeStruct((PASCAL_PERSON.num_joints, 2), jnp.float32)
    seen = jax.eval_shape(
        partial(network_input, config),
        refiner[1],
        jax.ShapeDtypeStruct((*SIZE, 3), jnp.float32),
        joints,
        jax.ShapeDtypeStruct((PASCAL_PERSON.num_joints,), bool),
        jax.ShapeDtypeStruct((4,), jnp.float32),
    )
    assert seen.shape == (*SIZE, channels)


def test_without_a_prior_the_network_sees_the_image_and_nothing_else(run, refiner):
    config = dataclasses.replace(run.config.refine, prior="none")
    image = jnp.asarray(rng.normal(size=(*SIZE, 3)), jnp.float32)
    joints, visible = jnp.full((PASCAL_PERSON.num_joints, 2), jnp.nan), jnp.ones(PASCAL_PERSON.num_joints, bool)
    assert network_input(config, refiner[1], image, joints, visible, jnp.zeros(4)) is image


def test_the_parsing_network_never_sees_joints(run):
    people = run.splits
    state = parse.train_parsing(run.config.parse, people.labelled, people, run.folder / "parse-full")
    batch = stack_people(people.test, people.canvas)
    garbage = dataclasses.replace(
        batch,
        joints=np.full_like(batch.joints, np.nan),
        visible=~batch.visible,
        label_maps=np.zeros_like(batch.label_maps),
        bank_rows=batch.bank_rows + 3,
    )
    labels = jax.jit(lambda people: parse.parsed_labels(run.config.parse, PASCAL_PERSON, state, people))
    np.testing.assert_array_equal(labels(batch), labels(garbage))


# --- Too few people -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "labels", "sentence"),
    [
        ({"k": 3}, LABELS, "k = 3 out of n = 2 people wants k <= n"),
        ({"n": 5}, LABELS, "6 labelled people, not 5"),
        ({}, 1, "3 labelled people, not 1"),
    ],
)
def test_a_prior_that_cannot_be_made_is_refused_before_anything_is_written(run, tmp_path, changes, labels, sentence):
    splits = read_splits(open_people(run.config.data.people), labels=labels)
    with pytest.raises(ValueError, match=sentence):
        train_refinement(dataclasses.replace(run.config.refine, **changes), splits, tmp_path / "out")
    assert not (tmp_path / "out").exists()
