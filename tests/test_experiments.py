"""The experiments: what they compare, and what may be said of it."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from pgkt_jax.commands import tables
from pgkt_jax.config import Config
from pgkt_jax.experiments import paper, scales
from pgkt_jax.experiments.judge import gap_closed, judge
from pgkt_jax.experiments.outcome import Outcome
from pgkt_jax.experiments.runner import Score
from pgkt_jax.experiments.tables import EXPERIMENTS, Setup

ROOT = Path(__file__).parent.parent


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
    assert found.closed() == ["25 masks, semi: keypoints close 80 % of the gap to all masks"]
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


def experiments(scale="smoke", outline=0):
    found = scales.SCALES[scale]
    base = scales.base_config(found, "puppets")
    refine, parse = (dataclasses.replace(network, outline=outline) for network in (base.refine, base.parse))
    base = dataclasses.replace(base, refine=refine, parse=parse)
    networks = scales.networks(found, base)
    setup = Setup(base, networks, (8, 12), {"puppet_animals": "horse"}, found.animal_networks, ["somebody"])
    return {name: make(setup) for name, make in EXPERIMENTS.items()}


@pytest.mark.parametrize("outline", [0, 8])
@pytest.mark.parametrize("scale", scales.SCALES)
def test_every_experiment_is_complete_at_every_scale(monkeypatch, scale, outline):
    monkeypatch.chdir(ROOT)
    for experiment in experiments(scale, outline).values():
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
    for row in experiments(scale, outline=8)["table3"].rows:
        parse = row.trial.config.parse
        assert parse.outline == 0
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


def test_data_that_is_named_takes_the_place_of_all_of_a_configs(monkeypatch):
    monkeypatch.chdir(ROOT)
    own = scales.base_config(scales.SCALES["paper"], None).data
    assert (own.people, own.poses, own.parse_people) == ("data/pascal_people", ("data/mpii",), "data/pascal_images")
    given = scales.base_config(scales.SCALES["paper"], "mine").data
    assert (given.people, given.poses, given.parse_people) == ("mine", (), None)
    for scale in ("cpu", "smoke"):
        assert scales.base_config(scales.SCALES[scale], None).data.people == "puppets"


def test_experiments_with_other_people_leave_those_of_parsing_out(monkeypatch):
    """Whose masks all stay; animals; and refinement beside parsing, which are scored on the same people."""
    trials = {name: [row.trial for row in made.rows] for name, made in paper_experiments(monkeypatch).items()}
    assert {trial.config.data.parse_people for trial in trials["table1"]} == {"data/pascal_images"}
    for name in ("labels", "table4"):
        assert {trial.config.data.parse_people for trial in trials[name]} == {None}
    assert all(trial.tested_as_refined for trial in trials["figure8"])


def paper_experiments(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = scales.SCALES["paper"]
    base = scales.base_config(found, None)
    setup = Setup(base, scales.networks(found, base), (8,), {"animals": "horse"}, found.animal_networks)
    return {name: EXPERIMENTS[name](setup) for name in ("table1", "table4", "figure8", "labels")}


def test_animals_are_wider_than_high_whatever_the_network_sees(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = scales.SCALES["cpu"]
    base = scales.base_config(found, "puppets")
    network = dataclasses.replace(base.parse, size=(32, 24), image_size=(64, 48))
    setup = Setup(base, {"small": network}, (8,), {"puppet_animals": "horse"}, ("small",))
    parse = EXPERIMENTS["table4"](setup).rows[0].trial.config.parse
    assert (parse.size, parse.image_size) == ((24, 32), (48, 64))


def test_data_that_no_row_has_need_not_be_there(monkeypatch, tmp_path):
    """Of `--animals` at the paper's scale, without its people."""
    monkeypatch.chdir(ROOT)
    arguments = ["table4", "--scale", "paper", "--animals", "puppet_animals", "--out", str(tmp_path)]
    setup = tables._setup("table4", tables._read(arguments), scales.SCALES["paper"])
    assert {row.trial.config.data.people for row in EXPERIMENTS["table4"](setup).rows} == {"puppet_animals"}


def test_labels_leave_the_pictures_of_parsing_out(monkeypatch):
    monkeypatch.chdir(ROOT)
    for more, expected in (([], None), (["--parse", "mine"], "mine")):
        chosen = tables._read(["table1", "--scale", "paper", "--labels", "25", *more])
        assert tables._setup("table1", chosen, scales.SCALES["paper"]).base.data.parse_people == expected
