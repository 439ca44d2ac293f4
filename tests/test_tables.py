"""`pgkt tables`: every experiment filled without training, and one of them run at smoke."""

import contextlib
import csv
import html
import io
import re
import zlib
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from test_experiments import experiments

from pgkt_jax.commands import tables
from pgkt_jax.data import sources
from pgkt_jax.experiments.page import NO_EVIDENCE
from pgkt_jax.experiments.runner import Runner, Score
from pgkt_jax.experiments.tables import EXPERIMENTS
from pgkt_jax.nets.pretrained import safetensors
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages import parse, refine
from pgkt_jax.stages.gallery import shown_rows

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module", autouse=True)
def _usual_compilation_afterwards():
    """The command sets where compiled programs are kept, and at smoke that none is optimised."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    yield
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_disable_most_optimizations", False)
    reset_cache()


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
            patch.setattr(module, "open_people", lambda data, **rest: few.get(data) or open_people(data, **rest))
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
        assert f"{gap.semi}: " in filled.table.split(NO_EVIDENCE)[0].split("no evidence: ")[-1]
    scores = experiment.plot is not None
    plots = [scores, scores and bool(experiment.gaps), experiment.curves]
    assert filled.section.count('<figure class="chart">') == sum(plots)
    for name in experiment.pictures:
        assert f": {name}" in filled.section
    assert NO_EVIDENCE in filled.section
    assert NO_EVIDENCE in filled.table


# --- One of them, run -----------------------------------------------------------------------------


@pytest.fixture(
    scope="module", params=["figure5", pytest.param("figure6", marks=pytest.mark.slow)]
)  # two refinement networks; one refinement and two parsing networks
def run(request, seven_people, tmp_path_factory):
    """One figure at smoke; most of the time is compilation."""
    out = tmp_path_factory.mktemp("tables")
    arguments = [request.param, "--data", str(seven_people), "--labels", "6", "--out", str(out)]
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
        assert len(re.findall(f'alt="puppet_[0-9]+: {re.escape(caption)}"', page)) == 3
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
def test_what_is_wrong_is_said_before_anything_is_trained(seven_people, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(ROOT)
    safetensors.write(tmp_path / "weights.safetensors", {"classifier.bias": np.zeros(5)})  # an animal's
    arguments = [argument.replace("WEIGHTS", str(tmp_path / "weights.safetensors")) for argument in arguments]
    with pytest.raises(ValueError, match=sentence):
        tables.main([*arguments, "--data", str(seven_people), "--out", str(tmp_path)])
    assert not (tmp_path / "runs").exists()
