"""The experiments: what they compare, what they say of it, and one of them run at smoke."""

import contextlib
import csv
import dataclasses
import html
import io
import math
import re
import zlib
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from pgkt_jax.commands import tables
from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig
from pgkt_jax.data import sources
from pgkt_jax.data.puppets import Puppets, draw_puppet
from pgkt_jax.data.writer import PeopleWriter
from pgkt_jax.experiments import paper, scales
from pgkt_jax.experiments import runner as runner_module
from pgkt_jax.experiments.judge import gap_closed, judge
from pgkt_jax.experiments.noise import noisy
from pgkt_jax.experiments.outcome import Outcome
from pgkt_jax.experiments.page import NO_EVIDENCE
from pgkt_jax.experiments.runner import Runner, Score, subset
from pgkt_jax.experiments.tables import EXPERIMENTS, Setup
from pgkt_jax.experiments.trial import Trial
from pgkt_jax.nets.pretrained import safetensors
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages import parse, refine
from pgkt_jax.stages.chain import Parsed
from pgkt_jax.stages.gallery import shown_rows
from pgkt_jax.train.identity import check_config

ROOT = Path(__file__).parent.parent
COUNTS = {"train": 7, "val": 2, "test": 3, "poses": 5}


@pytest.fixture(scope="module", autouse=True)
def _usual_compilation_afterwards():
    """The command sets where compiled programs are kept, and at smoke that none is optimised."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    yield
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_disable_most_optimizations", False)
    reset_cache()


# --- What may be said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("higher", "lower", "verdict"),
    [
        ([0.62, 0.63, 0.64], [0.58, 0.59, 0.60], "held"),
        ([0.58, 0.59, 0.60], [0.62, 0.63, 0.64], "not held"),
        ([0.62, 0.63, 0.64], [0.60, 0.61, 0.62], "open"),  # as far apart as the seeds are
        ([0.60, 0.70], [0.55, 0.56], "open"),  # the other side is the wide one
        ([0.55, 0.56], [0.60, 0.70], "open"),
        ([0.9], [0.1], "open"),
        ([0.9, 0.9], [0.1], "open"),
        ([0.5, 0.5], [0.5, 0.5], "open"),
        ([], [], "open"),
    ],
)
def test_an_ordering_is_held_only_beyond_the_spread_between_seeds(higher, lower, verdict):
    assert judge(higher, lower) == verdict


def test_the_share_of_a_gap():
    assert math.isclose(gap_closed(0.6, 0.7, 0.8), 0.5)
    assert gap_closed(0.6, 0.5, 0.8) < 0
    assert math.isnan(gap_closed(0.8, 0.7, 0.8))


def outcome(scores, *, evidence=True, name="labels"):
    """An outcome with the given mIoU a seed for every row, and nothing else."""
    setup = Setup(Config(), {}, (25,))
    rest = {"key": "", "training": "", "iou": {}, "masks": 1, "keypoints": 1, "seconds": 1.0, "device": ""}
    found = {row: [Score(miou=v, val_miou=v, **rest) for v in values] for row, values in scores.items()}
    return Outcome(name, EXPERIMENTS[name](setup), found, evidence)


LABELS = {"25 masks, full": [0.60, 0.62], "25 masks, semi": [0.68, 0.70], "all masks": [0.70, 0.72]}


def test_rows_are_means_with_their_range_and_smoke_is_never_judged():
    found = outcome(LABELS)
    assert [round(row["miou"], 4) for row in found.rows()] == [0.61, 0.69, 0.71]
    assert found.rows()[0]["note"] == "60.0 to 62.0, 2 seeds"
    assert found.verdicts() == ["held: 25 masks, semi above 25 masks, full (+8.0 mIoU)"]
    assert found.closed() == ["25 masks: keypoints close 80 % of the gap to all masks"]
    assert outcome(LABELS, evidence=False).verdicts()[0].startswith("no evidence:")
    priors = {row.name: [0.5, 0.6] for row in EXPERIMENTS["figure7"](Setup(Config(), {}, (25,))).rows}
    (line,) = outcome(priors, name="figure7").verdicts()
    assert line == "open: refinement with part-level prior above refinement without prior (+0.0 mIoU)"


def test_the_papers_means_are_those_of_its_classes_or_a_note_says_otherwise():
    for rows in (paper.TABLE_3, *paper.TABLE_4.values()):
        for printed in rows.values():
            mean = np.mean(list(printed.iou.values()))
            assert f"is {mean:.2f}" in printed.note if printed.note else mean == pytest.approx(printed.miou, abs=0.02)
    assert [name for name, printed in paper.TABLE_3.items() if printed.note] == ["HAZN [32]"]


# --- What is compared -----------------------------------------------------------------------------


def experiments(scale="smoke"):
    found = scales.SCALES[scale]
    base = scales.base_config(found, "puppets")
    networks = scales.networks(found, base)
    setup = Setup(base, networks, (8, 12), {"puppet_animals": "horse"}, found.animal_networks, ["somebody"])
    return {name: make(setup) for name, make in EXPERIMENTS.items()}


@pytest.mark.parametrize("scale", scales.SCALES)
def test_every_experiment_is_complete_at_every_scale(monkeypatch, scale):
    monkeypatch.chdir(ROOT)
    for experiment in experiments(scale).values():
        names = [row.name for row in experiment.rows]
        assert len(set(names)) == len(names)
        assert all(row.trial is not None for row in experiment.rows)
        assert len({repr(row.trial) for row in experiment.rows}) == len(names)
        lines = experiment.plot.lines if experiment.plot else {}
        assert {name for points in lines.values() for _, name in points} <= set(names)
        assert {name for order in experiment.orders for name in order} | set(experiment.pictures) <= set(names)
        assert {name for gap in experiment.gaps for name in (gap.full, gap.semi, gap.everything)} <= set(names)


@pytest.mark.parametrize("scale", scales.SCALES)
def test_table_3_tests_at_one_scale_without_crf_unless_a_row_says_otherwise(monkeypatch, scale):
    monkeypatch.chdir(ROOT)
    for row in experiments(scale)["table3"].rows:
        parse = row.trial.config.parse
        assert parse.test_scales == ((1.0, 0.75, 0.5) if row.name.endswith("+ms") else (1.0,))
        assert parse.crf == row.name.endswith("+CRF")


def test_deeplab_largefov_is_the_one_of_the_papers_table_3(monkeypatch):
    monkeypatch.chdir(ROOT)
    for scale in ("smoke", "paper"):
        rows = {row.name: row for row in experiments(scale)["table3"].rows}
        assert rows["DeepLab-LargeFOV, full, +CRF"].trial.config.parse.backbone == "vgg-v1"
        assert rows["DeepLab-LargeFOV, full, +CRF"].printed == paper.TABLE_3["DeepLab-LargeFOV-CRF [4]"]


def test_tables_share_their_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    trials = {name: {row.name: row.trial for row in e.rows} for name, e in experiments("paper").items()}
    semi = trials["table1"]["semi, 100 % of the keypoints"]
    assert semi == trials["table2"]["part-level prior, k = 3 out of n = 5"] == trials["figure6"]["semi"]
    assert semi == trials["table3"]["VGG-16, attention, semi"] == trials["poses"]["semi"]
    assert trials["table1"]["full"] == trials["table3"]["VGG-16, attention, full"]
    ks = [trials["table2"][f"part-level prior, k = {k}"].config.refine for k in (1, 3, 5, 7)]
    assert [(r.k, r.n) for r in ks] == [(1, 1), (3, 3), (5, 5), (7, 7)]


def test_table_4_has_the_papers_networks_full_and_semi_beside_its_figures(monkeypatch):
    monkeypatch.chdir(ROOT)
    rows = {row.name: row for row in experiments("paper")["table4"].rows}
    horse = paper.TABLE_4["horse"]
    assert {name: row.printed for name, row in rows.items()} == {
        "puppet_animals, VGG-16, attention, full": horse["Attention [5]"],
        "puppet_animals, VGG-16, attention, semi": horse["Ours (VGG-16)"],
        "puppet_animals, ResNet-101, full": None,
        "puppet_animals, ResNet-101, semi": horse["Ours (ResNet-101)"],
    }
    for row in rows.values():
        assert row.trial.config.parse.test_scales == (1.0,)
        assert row.trial.config.data.people == "puppet_animals"
    assert len(experiments("cpu")["table4"].rows) == len(experiments("smoke")["table4"].rows) == 2


def test_the_papers_settings_compute_in_bfloat16(monkeypatch):
    monkeypatch.chdir(ROOT)
    for experiment in experiments("paper").values():
        for config in (row.trial.config for row in experiment.rows):
            assert config.refine.dtype == config.parse.dtype == "bfloat16"


def test_what_misses_data_says_so_and_is_no_row_to_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    base = scales.base_config(scales.SCALES["paper"], "people")
    setup = Setup(base, {}, (25,))
    assert {row.note for row in EXPERIMENTS["table4"](setup).rows} == {"needs --animals DATA"}
    missing = [row for row in EXPERIMENTS["poses"](setup).rows if row.trial is None]
    assert [row.note for row in missing] == ["needs --estimated DATA"]


# --- What changes ---------------------------------------------------------------------------------


def test_noise_is_the_persons_own_and_as_large_as_it_says():
    person = draw_puppet(0, size=(32, 24))
    people = [dataclasses.replace(person, id=str(i)) for i in range(200)]
    worse = noisy(people, 0.1, seed=0)
    moved = np.stack([after.joints - person.joints for after in worse])
    extent = np.ptp(person.joints[person.visible], axis=0).max()
    assert moved.std() == pytest.approx(0.1 * extent, rel=0.05)
    np.testing.assert_array_equal(noisy(people[5:6], 0.1, seed=0)[0].joints, worse[5].joints)
    assert not np.array_equal(noisy(people[5:6], 0.1, seed=1)[0].joints, worse[5].joints)
    assert worse[0].image is person.image
    assert worse[0].joints.dtype == np.float32
    assert noisy(people, 0.0, seed=0)[0] is people[0]


def test_a_larger_share_holds_the_smaller_ones():
    person = draw_puppet(0, size=(32, 24))
    people = [dataclasses.replace(person, id=str(i)) for i in range(10)]
    shares = [[p.id for p in subset(people, share)] for share in (0.4, 0.7, 1.0)]
    assert [len(ids) for ids in shares] == [4, 7, 10]
    assert set(shares[0]) < set(shares[1]) < set(shares[2])
    assert shares[2] == [p.id for p in people]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A people folder of small puppets."""
    root = tmp_path_factory.mktemp("people")
    drawn = Puppets(size=(32, 24), **COUNTS)
    with PeopleWriter(root, PASCAL_PERSON) as writer:
        for split in COUNTS:
            for person in drawn.split(split):
                writer.add(person, split=split)
    return root


def test_a_run_is_named_by_all_that_decides_it_and_by_nothing_else(people, tmp_path):
    runner = Runner(tmp_path)
    base = Trial(Config(data=DataConfig(people=str(people), labels=6)))
    names = dataclasses.asdict(runner.names(base))

    def differing(trial):
        return {kind for kind, name in dataclasses.asdict(runner.names(trial)).items() if name != names[kind]}

    assert differing(base.seeded(0)) == set()
    assert differing(base.seeded(1)) == {"refine", "synthesised", "parse", "last", "score"}
    assert differing(base.but(parse={"test_scales": (1.0, 0.5)})) == {"score"}
    assert differing(base.but(parse={"learning_rate": 0.5})) == {"parse", "last", "score"}
    assert differing(base.but(noise=0.1)) == {"synthesised", "parse", "last", "score"}
    assert differing(base.but(share=0.4)) == {"parse", "last", "score"}
    assert differing(base.but(refine={"k": 2})) == {"refine", "synthesised", "parse", "last", "score"}
    assert differing(base.but(network="refine")) == {"score"}
    assert differing(base.but(masks_last=0.1)) == {"last", "score"}
    assert differing(base.but(data={"labels": 7})) == {"refine", "synthesised", "parse", "last", "score"}
    full = runner.names(base.but(supervision="full"))
    assert full == dataclasses.replace(
        runner.names(base.but(supervision="full", refine={"k": 2}, noise=0.1)),
        refine=full.refine, synthesised=full.synthesised,
    )  # fmt: skip
    every = [runner.names(base.but(supervision="all", data={"labels": count})).parse for count in (6, 7)]
    assert every[0] == every[1]


def test_a_run_is_named_by_what_is_in_the_weights_that_it_starts_from(people, tmp_path):
    base = Trial(Config(data=DataConfig(people=str(people), labels=6)))
    trial = base.but(refine={"weights": str(tmp_path / "unet")}, parse={"weights": str(tmp_path / "parser")})

    def names(unet, parser):
        (tmp_path / "unet").write_bytes(unet)
        (tmp_path / "parser").write_bytes(parser)
        return Runner(tmp_path).names(trial)

    def differing(some, others):
        return {kind for kind, name in dataclasses.asdict(some).items() if name != getattr(others, kind)}

    before = names(b"a", b"b")
    assert names(b"a", b"b") == before
    assert differing(names(b"a", b"c"), before) == {"parse", "last", "score"}
    assert differing(names(b"c", b"b"), before) == {"refine", "synthesised", "parse", "last", "score"}
    (tmp_path / "parser").rename(tmp_path / "elsewhere")
    assert Runner(tmp_path).names(trial.but(parse={"weights": str(tmp_path / "elsewhere")})) == names(b"c", b"b")


class Begun(Exception):
    pass


def test_a_training_goes_on_when_its_weights_have_moved(people, tmp_path, monkeypatch):
    def begin(config, people, splits, folder, *, title):
        folder.mkdir(parents=True, exist_ok=True)
        check_config(folder / "config.json", config)
        raise Begun

    monkeypatch.setattr(runner_module, "parsed", begin)
    trial = Trial(Config(DataConfig(people=str(people), labels=6)), supervision="full")
    for place in ("first", "second"):
        (tmp_path / place).write_bytes(b"the same")
        with pytest.raises(Begun):
            Runner(tmp_path).score(trial.but(parse={"weights": str(tmp_path / place)}))
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_parsing_goes_on_with_the_masks_alone_from_what_it_has_learnt(people, tmp_path, monkeypatch):
    begun = []

    def train(config, people, splits, folder, *, title):
        begun.append((folder.name, config.weights, config.steps, config.learning_rate, len(people)))
        if title == "parse (masks last)":
            raise Begun
        return object.__new__(Parsed)

    monkeypatch.setattr(runner_module, "parsed", train)
    config = Config(DataConfig(people=str(people), labels=6), parse=ParseConfig(steps=100, learning_rate=1e-3))
    trial = Trial(config, supervision="all", masks_last=0.1)
    with pytest.raises(Begun):
        Runner(tmp_path).score(trial)
    names = Runner(tmp_path).names(trial)
    first = str(tmp_path / "runs" / names.parse)
    assert begun == [(names.parse, None, 100, 1e-3, 12), (names.last, first, 10, 2e-4, 6)]


@pytest.mark.parametrize("backbone", ["vgg", "vgg-v1"])
def test_weights_of_vgg_serve_the_one_with_an_average_pool_too(people, tmp_path, backbone):
    config = Config(
        DataConfig(people=str(people), labels=6),
        RefineConfig(batch=8),
        ParseConfig(backbone=backbone, head="plain", width=4, batch=8),
    )
    file = tmp_path / "weights.safetensors"
    runner = Runner(tmp_path, weights={"vgg": str(file)})
    safetensors.write(file, {"classifier.bias": np.zeros(7)})
    runner.check([Trial(config)])
    safetensors.write(file, {"classifier.bias": np.zeros(5)})
    with pytest.raises(ValueError, match=f"backbone {backbone}: .*classifier.bias has the shape"):
        runner.check([Trial(config)])


# --- All of them, untrained -----------------------------------------------------------------------


def untrained_score(runner, trial):
    """What a training might have come to; its people are labelled as background."""
    splits, names = runner.people(trial.config.data), runner.names(trial)
    value = {"full": 0.3, "semi": 0.5, "all": 0.7}[trial.supervision] + 0.1 * zlib.crc32(names.score.encode()) / 2**32
    (runner.folder / "scores").mkdir(parents=True, exist_ok=True)
    shown = len(shown_rows(len(splits.test)))
    np.savez(runner.folder / "scores" / f"{names.score}.npz", labels=np.zeros((shown, *splits.canvas), np.uint8))
    return Score(
        key=names.score, training=names.parse, miou=value, iou=dict.fromkeys(splits.skeleton.classes, value),
        val_miou=value, masks=8, keypoints=4, seconds=1.0, device="none",
    )  # fmt: skip


DRAWN = ("puppets", "puppet_animals")


def drawn_once(source):
    """A few people of a drawn data set: type-checked, drawing takes its time."""
    few = {"train": 12, "val": 2, "test": 2, "poses": 4}
    people = {name: list(source.split(name)[:count]) for name, count in few.items()}
    return SimpleNamespace(skeleton=source.skeleton, splits=few, split=people.__getitem__)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """The command at smoke with two seeds, whose networks are never trained: its folder, page, and what it prints."""
    out, printed = tmp_path_factory.mktemp("untrained"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(ROOT)
        few, open_people = {name: drawn_once(sources.open_people(name)) for name in DRAWN}, sources.open_people
        for module in (sources, tables):
            patch.setattr(module, "open_people", lambda data: few.get(data) or open_people(data))
        patch.setattr(Runner, "score", untrained_score)
        patch.setattr(Runner, "curve", lambda self, score: [(2, 0.1), (4, score.val_miou)])
        tables.main(["--scale", "smoke", "--seeds", "2", "--out", str(out)])
    return SimpleNamespace(out=out, page=html.unescape((out / "tables.html").read_text()), printed=printed.getvalue())


@pytest.fixture(scope="module", params=EXPERIMENTS)
def filled(request, untrained):
    """One experiment, its section of the page, and its part of what is printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        experiment = experiments()[request.param]
    section = untrained.page.split(f'<section id="{request.param}">')[1].split('<section id="')[0]
    table = untrained.printed.split(f"\n{experiment.title}\n")[1].split(f"{request.param}.csv")[0]
    return SimpleNamespace(
        experiment=experiment, section=section, table=table, csv=untrained.out / f"{request.param}.csv"
    )


def test_every_row_of_every_experiment_is_in_the_file_on_the_page_and_on_the_terminal(filled):
    lines = lines_of(filled)
    rows = [row.name for row in filled.experiment.rows]
    assert [(line["row"], line["seed"]) for line in lines] == [(name, seed) for name in rows for seed in "01"]
    assert all(0 < float(line["miou"]) < 1 and line["scale"] == "smoke" for line in lines)
    for name in rows:
        assert name in filled.section
        assert re.search(f"^{re.escape(name)} .* 2 seeds", filled.table, re.MULTILINE)


def test_the_papers_figures_stand_beside_and_below_ours(filled):
    for row in filled.experiment.rows:
        if row.printed is not None:
            figure = f"paper {row.printed.miou:.2f} ({row.printed.where})"
            assert figure in filled.section
            assert re.search(f"^{re.escape(row.name)} .*{re.escape(figure)}", filled.table, re.MULTILINE)
    for group, rows in filled.experiment.printed.items():
        assert group in filled.section
        for name, printed in rows.items():
            assert re.search(
                f"^{re.escape(name)} +{printed.miou:.1f}.*{re.escape(printed.note)}$", filled.table, re.MULTILINE
            )
            assert name in filled.section
            assert printed.note in filled.section


def test_orders_gaps_plots_and_pictures_are_shown(filled):
    experiment = filled.experiment
    for higher, lower in experiment.orders:
        assert f"no evidence: {higher} above {lower} (" in filled.section
        assert f"no evidence: {higher} above {lower} (" in filled.table
    for gap in experiment.gaps:
        assert f"{gap.labels} masks: " in filled.table.split(NO_EVIDENCE)[0].split("no evidence: ")[-1]
    plots = [experiment.plot is not None, bool(experiment.gaps), experiment.curves]
    assert filled.section.count('<figure class="chart">') == sum(plots)
    for name in experiment.pictures:
        assert f": {name}" in filled.section
    assert NO_EVIDENCE in filled.section
    assert NO_EVIDENCE in filled.table


# --- One of them, run -----------------------------------------------------------------------------


@pytest.fixture(
    scope="module", params=["figure5", pytest.param("figure6", marks=pytest.mark.slow)]
)  # two refinement networks; one refinement and two parsing networks
def run(request, people, tmp_path_factory):
    """One figure at smoke; most of the time is compilation."""
    out = tmp_path_factory.mktemp("tables")
    arguments = [request.param, "--data", str(people), "--labels", "6", "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        tables.main(arguments)
    return SimpleNamespace(out=out, arguments=arguments, csv=out / f"{request.param}.csv")


def lines_of(run):
    with run.csv.open() as file:
        return list(csv.DictReader(file))


def test_the_table_fills(run):
    for line in lines_of(run):
        ious = [float(line[name]) for name in PASCAL_PERSON.classes if line[name]]
        assert float(line["miou"]) == pytest.approx(np.mean(ious), abs=1e-4)
        assert 0 <= float(line["val_miou"]) <= 1
        assert float(line["seconds"]) > 0
        assert (line["scale"], line["masks"]) == ("smoke", "6")
        assert line["keypoints"] == ("6" if line["row"] == "semi" else "0")  # 1 of train, 5 of poses
        assert line["paper_miou"] == {"full": "0.5689", "semi": "0.626"}.get(line["row"], "")
        assert (run.out / "runs" / line["training"] / "checkpoints").is_dir()
    assert len({line["training"] for line in lines_of(run)}) == 2


def test_the_page_loads_nothing_shows_everybody_and_says_that_it_is_no_evidence(run):
    page = (run.out / "tables.html").read_text()
    assert all(source.startswith(("data:", "#")) for source in re.findall(r"(?:src|href)=\"([^\"]*)\"", page))
    captions = ["photograph, joints", "truth", *(line["row"] for line in lines_of(run))]
    for caption in captions:
        assert len(re.findall(f'alt="puppet_[0-9]+: {re.escape(caption)}"', page)) == COUNTS["test"]
    assert "no evidence" in page


def no_step(*_):
    raise AssertionError("a finished training took another step")


@pytest.mark.parametrize("lost", ["nothing", "scores"])
def test_a_second_run_trains_nothing_and_finds_the_same(run, monkeypatch, lost):
    before = run.csv.read_bytes()
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(refine, "refine_step", lambda *_: no_step)
    monkeypatch.setattr(parse, "parse_step", lambda *_: no_step)
    if lost == "scores":
        for path in (run.out / "scores").iterdir():
            path.unlink()
    tables.main(run.arguments)
    assert run.csv.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table9"], "there is no experiment 'table9'; there are table1"),
        (["--seeds", "0"], "--seeds 0"),
        (["--weights", "vgg"], "--weights vgg: say BACKBONE=FILE"),
        (["--weights", "vgg=nowhere"], "there is no file nowhere"),
        (["table1", "--labels", "5"], "6 labelled people, not 5"),
        (["table3", "--weights", "vgg16=WEIGHTS"], "vgg16=.*: no row has that backbone, only resnet101, vgg, vgg-v1"),
        (
            ["table3", "--weights", "vgg=WEIGHTS"],
            r"backbone vgg: .*weights.safetensors: classifier.bias has the shape \(5,\), the network wants \(7,\)",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(people, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(ROOT)
    safetensors.write(tmp_path / "weights.safetensors", {"classifier.bias": np.zeros(5)})  # an animal's
    arguments = [argument.replace("WEIGHTS", str(tmp_path / "weights.safetensors")) for argument in arguments]
    with pytest.raises(ValueError, match=sentence):
        tables.main([*arguments, "--data", str(people), "--out", str(tmp_path)])
    assert not (tmp_path / "runs").exists()
