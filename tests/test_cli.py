"""The command line: whatever is wrong with what a person types or brings ends in one sentence, before any training."""

import ast
import dataclasses
import importlib.metadata
import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from pgkt_jax import cli
from pgkt_jax.commands import stages
from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.data.writer import PeopleWriter
from pgkt_jax.experiments.scales import SCALES
from pgkt_jax.skeleton import PASCAL_PERSON

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
TINY = """
from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="people", labels=4),
    refine=RefineConfig(size=(32, 24), k=1, n=2, method="exact", depth=2, width=4, batch=8, steps=2, every=2),
    parse=ParseConfig(size=(32, 24), width=8, attention_width=8, scales=(1.0,), batch=8, steps=2, every=2),
)
"""
FINISHED = "finished/earlier.txt"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A working place: a config, a people folder, and a run folder with something in it."""
    place = tmp_path_factory.mktemp("place")
    (place / "configs").mkdir()
    (place / "configs" / "tiny.py").write_text(TINY)
    with PeopleWriter(place / "people", PASCAL_PERSON) as writer:
        for index, split in enumerate(["train"] * 5 + ["val"] + ["test"] + ["poses"]):
            writer.add(draw_puppet(index, size=(32, 24)), split=split)
    (place / "finished").mkdir()
    (place / FINISHED).write_text("earlier work")
    return place


@pytest.fixture
def place(template, tmp_path, monkeypatch):
    """A fresh copy of it, as the current folder."""
    copy = Path(shutil.copytree(template, tmp_path / "place"))
    monkeypatch.chdir(copy)
    yield copy
    jax.config.update("jax_compilation_cache_dir", None)
    reset_cache()


@pytest.fixture
def call(place, monkeypatch):
    """What `pgkt` hands to its command, which is not run: (config, folder)."""

    def call(*arguments):
        handed = []
        monkeypatch.setitem(stages.COMMANDS, "refine", lambda *given: handed.append(given))
        assert cli.main(["refine", *arguments]) == 0
        return handed[0]

    return call


def status_of(arguments):
    try:
        return cli.main(arguments)
    except SystemExit as stop:  # tyro's way
        return stop.code


# --- Commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["refine", "--help"], ["refine", "-h"]])
def test_help_lists_every_command(capsys, arguments):
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for name in stages.COMMANDS:
        assert re.search(rf"^  {name} +\S", printed.out, re.MULTILINE)


def test_help_of_a_config_lists_every_field(place, capsys):
    assert status_of(["refine", "tiny", "--help"]) == 0
    printed = capsys.readouterr().out
    for name, part in {"data": DataConfig, "refine": RefineConfig, "parse": ParseConfig}.items():
        for field in dataclasses.fields(part):
            assert f"--{name}.{field.name.replace('_', '-')}" in printed
    assert "--profile" in printed


def test_the_console_command_is_main():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="pgkt")
    assert entry.load() is cli.main


@pytest.mark.parametrize(
    ("arguments", "sentence", "example"),
    [
        ([], "pgkt: COMMAND is missing", "pgkt quickstart quickstart_puppets"),
        (["train", "tiny"], "pgkt: there is no command 'train'", "pgkt quickstart quickstart_puppets"),
        (["refin", "tiny"], "pgkt: there is no command 'refin', did you mean refine?", None),
        (["vieuw"], "pgkt: there is no command 'vieuw', did you mean view?", None),
        (["refine"], "pgkt refine: CONFIG is missing", "pgkt refine quickstart_puppets"),
        (["refine", "--out", "here"], "pgkt refine: CONFIG is missing", "pgkt refine quickstart_puppets"),
        (["refine", "tiny", "--out"], "pgkt refine: --out wants a folder", "pgkt refine tiny --out runs/tiny"),
        (["refine", "tiny", "--out", "--profile"], "pgkt refine: --out wants a folder", None),
    ],
)
def test_wrong_usage_is_one_sentence_with_a_command_that_works(place, capsys, arguments, sentence, example):
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith(f"{sentence}; for instance: {example or 'pgkt '}")


# --- Bad input ------------------------------------------------------------------------------------


def without_split(name):
    def edit(place):
        people = place / "people" / "people.json"
        people.write_text(people.read_text().replace(f'"split": "{name}"', '"split": "other"'))

    return edit


def config_file(text):
    return lambda place: (place / "configs" / "tiny.py").write_text(text)


def lost_image(place):
    next((place / "people" / "images").iterdir()).unlink()


BAD = [
    ("refine", "nowhere", [], None, r"there is no config 'nowhere': .*\(tiny\)"),
    ("refine", "configs", [], None, "there is no config 'configs'"),
    ("refine", "tiny", [], config_file("x = 1"), r"tiny\.py: CONFIG = .* is missing"),
    ("refine", "tiny", [], config_file("CONFIG = (1"), r"tiny\.py: SyntaxError"),
    (
        "refine", "tiny", [],
        config_file("from pgkt_jax.config import *\nCONFIG = Config(data=DataConfig(person=1))"),
        r"tiny\.py: .*person",
    ),
    ("refine", "tiny", ["--data.people", "nowhere"], None, r"nowhere: 1 problem\n  people\.json: no such file"),
    ("refine", "tiny", [], lost_image, r"people: 1 problem\n.*person 'puppet_\d+'.*image: .*no such file"),
    ("refine", "tiny", [], without_split("train"), "nobody in a split 'train'"),
    ("refine", "tiny", [], without_split("val"), "nobody in split val: a training is measured on it"),
    ("parse", "tiny", [], without_split("val"), "nobody in split val: a training is measured on it"),
    ("quickstart", "tiny", [], without_split("test"), "nobody in split test"),
    ("priors", "tiny", [], without_split("test"), "nobody in split test"),
    ("evaluate", "tiny", [], without_split("test"), "nobody in split test"),
    ("synthesize", "tiny", ["--data.labels", "5"], without_split("poses"), "nobody with keypoints only"),
    ("quickstart", "tiny", ["--data.labels", "5"], without_split("poses"), "nobody with keypoints only"),
    ("refine", "tiny", ["--data.labels", "6"], None, "labels = 6: split train has 5 people, choose 1 to 5"),
    ("refine", "tiny", ["--data.labels", "0"], None, "labels = 0: split train has 5 people, choose 1 to 5"),
    ("refine", "tiny", ["--refine.k", "3"], None, "k = 3 out of n = 2"),
    ("refine", "tiny", ["--refine.n", "9"], None, "10 labelled people, not 4"),
    ("synthesize", "tiny", ["--refine.n", "9"], None, "10 labelled people, not 4"),
    ("quickstart", "tiny", ["--refine.k", "5", "--refine.n", "5"], None, "6 labelled people, not 4"),
    ("quickstart", "tiny", ["--refine.n", "5", "--data.labels", "1"], None, "6 labelled people, not 1"),
    ("refine", "tiny", ["--data.labels", "1"], None, "3 labelled people, not 1"),
    ("refine", "tiny", ["--profile", "2", "1"], None, "profile = 2 1: refine has steps 1 to 2, give the first and the"),
    ("synthesize", "tiny", ["--profile", "2", "3"], None, "profile = 2 3: refine has steps 1 to 2"),
    ("parse", "tiny", ["--profile", "0", "1"], None, "profile = 0 1: parse has steps 1 to 2"),
    ("quickstart", "tiny", ["--profile", "2", "3", "--refine.steps", "3"], None, "3: parse has steps 1 to 2"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "config", "options", "edit", "sentence"), BAD)
def test_bad_input_ends_in_one_sentence_before_training(
    place, monkeypatch, capsys, command, config, options, edit, sentence
):
    if edit is not None:
        edit(place)
    for train in ("refine", "parse"):
        monkeypatch.setattr(f"pgkt_jax.stages.{train}.fit", lambda *_, **__: pytest.fail("training started"))
    assert cli.main([command, config, "--out", "finished", *options]) == 2
    printed = capsys.readouterr().err
    assert re.match(rf"pgkt {command}: ", printed)
    assert re.search(sentence, printed)
    assert "Traceback" not in printed
    assert printed.count("\n") == (2 if "1 problem" in printed else 1)
    assert not list(place.rglob("checkpoints"))
    assert (place / FINISHED).read_text() == "earlier work"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--refine.nonsense", "1"], "there is no field --refine.nonsense;"),
        (["--nonsense"], "there is no field --nonsense;"),
        (["--refine.step", "1"], "there is no field --refine.step, did you mean --refine.steps?"),
        (["--refine.steps", "1", "--all_visible"], "there is no field --all-visible, did you mean --data.all-visible?"),
        (["stray"], "there is no field stray;"),
        (["--refine.steps", "many"], "--refine.steps many: wants a whole number or None"),
        (["--refine.steps=many"], "--refine.steps many: wants a whole number or None"),
        (["--refine.beta1", "x"], "--refine.beta1 x: wants a number"),
        (["--data.people"], "--data.people: wants a text"),
        (
            ["--refine.k", "1", "--refine.prior", "priors"],
            "--refine.prior priors: wants part-level or skeleton or none",
        ),
        (["--refine.size", "32"], "--refine.size 32: wants a whole number, twice"),
        (["--parse.scales", "1", "x"], "--parse.scales 1 x: wants a number, any number of times"),
        (["--refine.no-mirror", "1"], "--refine.no-mirror 1: wants no value"),
        (["--refine.k", "1", "--refine.width", "-7"], "--refine.width -7: wants a whole number, 1 to 1,024; for"),
        (["--parse.batch=0"], "--parse.batch 0: wants a whole number, 1 to 1,048,576; for"),
        (["--parse.learning-rate", "nan"], "--parse.learning-rate nan: wants a number, 1e-12 to 100; for"),
        (["--parse.width", "1000000"], "--parse.width 1000000: wants a whole number or None, 1 to 1,024; for"),
        (["--profile", "-1", "5"], "--profile -1 5: wants a whole number, twice or None, 0 to 1,000,000,000; for"),
    ],
)
def test_unknown_fields_and_values_are_one_sentence_with_a_command_that_works(
    place, monkeypatch, capsys, options, sentence
):
    monkeypatch.setitem(stages.COMMANDS, "refine", lambda *_: pytest.fail("the command ran"))
    assert cli.main(["refine", "tiny", "--out", "finished", *options]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"pgkt refine: {sentence}")
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert (place / FINISHED).read_text() == "earlier work"
    ran = []
    monkeypatch.setitem(stages.COMMANDS, "refine", lambda *given: ran.append(given))
    assert cli.main(printed.err.split("for instance: pgkt ")[1].split()) == 0
    assert ran


def edit_people(place, change):
    """Changes the records of people.json."""
    path = place / "people" / "people.json"
    document = json.loads(path.read_text())
    for record in document["people"]:
        change(record)
    path.write_text(json.dumps(document))


def test_changed_settings_and_people_go_on_once_they_are_accepted(place, capsys):
    def refine(*options):
        arguments = ["refine", "tiny", "--out", "out", "--refine.prior", "none", *options]
        return cli.main(arguments), capsys.readouterr().err

    def move(record):
        if record["id"] in ("puppet_00001", "puppet_00002"):
            record["joints"][0][0] += 1

    bank = place / "out" / "refine-none" / "bank.npz"
    said = "out/refine-none/trained_on.json: "
    assert refine()[0] == 0
    changed = "n = 2 there, 1 here"
    assert refine("--refine.n", "1") == (
        2, f"pgkt refine: out/refine-none/config.json: this folder holds another run ({changed}): choose another "
        "folder, or --accept-changes\n",
    )  # fmt: skip
    assert refine("--refine.n", "1", "--accept-changes") == (0, f"out/refine-none/config.json: {changed}: accepted\n")
    fewer = ("--refine.n", "1", "--data.labels", "3")
    changes = ("4 people there, 3 here", "only there: puppet_00003")
    assert refine(*fewer) == (
        2, f"pgkt refine: {said}this folder's run has learnt from other people ({'; '.join(changes)}): choose another "
        "folder, or --accept-changes\n",
    )  # fmt: skip
    assert len(np.load(bank)["joints"]) == 4
    assert refine(*fewer, "--accept-changes") == (0, "".join(f"{said}{change}: accepted\n" for change in changes))
    assert refine(*fewer) == (0, "")
    assert len(np.load(bank)["joints"]) == 3, "the bank is that of the people who were accepted"
    edit_people(place, move)
    assert "(with another pose: puppet_00001, puppet_00002)" in refine(*fewer)[1]


def test_a_loss_that_is_no_number_ends_in_a_sentence(place, monkeypatch, capsys):
    def diverge(*_):
        raise FloatingPointError("finished: the loss is nan at step 2; the last checkpoint is intact")

    monkeypatch.setitem(stages.COMMANDS, "refine", diverge)
    assert cli.main(["refine", "tiny"]) == 2
    assert capsys.readouterr().err == (
        "pgkt refine: finished: the loss is nan at step 2; the last checkpoint is intact\n"
    )


# --- Configs --------------------------------------------------------------------------------------


def test_fields_are_set_on_the_command_line(call):
    config, folder = call(
        "tiny", "--data.people", "my people", "--refine.steps", "2", "--out", "a/b", "--refine.prior", "skeleton",
        "--data.labels", "3", "--refine.size", "64", "48", "--parse.drops", "1", "2", "--refine.no-mirror",
    )  # fmt: skip
    assert folder == Path("a/b")
    assert config.data == DataConfig(people="my people", labels=3)
    assert (config.refine.steps, config.refine.prior, config.refine.size) == (2, "skeleton", (64, 48))
    assert config.parse.drops == (1, 2)
    assert not config.refine.mirror
    assert config.refine.width == 4, "what is not named stays as the config has it"


def test_results_go_to_runs_by_the_configs_name(call, place):
    config, folder = call("tiny")
    assert folder == Path("runs/tiny")
    assert config == cli.load_config("tiny")[1]
    assert call(str(place / "configs" / "tiny.py")) == (config, folder)
    assert not (place / "runs").exists()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_says_how_it_is_run(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    found, config = cli.load_config(path.stem)
    assert found == Path("configs") / path.name
    assert isinstance(config, Config)
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    scripts = re.findall(r"^ +bash (launch/\w+\.sh)", docstring, re.MULTILINE)
    direct = re.findall(r"^ +pgkt ([\w-]+) (\w+)", docstring, re.MULTILINE)
    scales = re.findall(r"^ +pgkt tables --scale (\w+)", docstring, re.MULTILINE)
    assert scripts or direct or scales
    for scale in scales:
        assert SCALES[scale].config == path.stem
    for script in scripts:
        assert path.stem in (ROOT / script).read_text()
    runs = {name for command, name in direct if command in stages.COMMANDS}
    assert all(command in cli.TOOLS for command, _ in direct if command not in stages.COMMANDS)
    assert all((ROOT / "configs" / f"{name}.py").is_file() for name in runs)
    assert not runs or path.stem in runs
    assert "Hardware:" in docstring


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_make_its_priors(path):
    """k <= n, and the labelled people of the embedded default suffice."""
    _, config = cli.load_config(str(path))
    assert 1 <= config.refine.k <= config.refine.n
    assert config.parse.optimizer == "adam" or all(drop < config.parse.steps for drop in config.parse.drops)
