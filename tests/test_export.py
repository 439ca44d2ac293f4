"""Exported networks: files that a process with jax and numpy, but without this package, runs as this package would."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.export
import numpy as np
import pytest
from test_predict import parser, refiner, run  # noqa: F401

from pgkt_jax import cli
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages.export import exported
from pgkt_jax.stages.parse import parsing_network
from pgkt_jax.stages.predict import Parser

pytestmark = pytest.mark.usefixtures("kept_compilations")

STRANGER = """
    import sys
    sys.modules |= dict.fromkeys(("pgkt_jax", "flax", "optax", "orbax", "cv2"))  # importing one of them fails
    import jax, jax.export
    import numpy as np

    def network(name):
        with open(name, "rb") as file:
            return jax.jit(jax.export.deserialize(file.read()).call)

    parse, refine = network("parser.stablehlo"), network("served/refiner.stablehlo")
    with np.load("given.npz") as given:
        people = [given[name] for name in ("images", "joints", "visible", "boxes")]
        np.savez("said.npz", parsed=parse(given["tall"]), refined=refine(*people))
"""


@pytest.fixture(scope="module")
def place(run, tmp_path_factory):  # noqa: F811
    """The current folder of a user who has exported both networks."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["export", str(run.folder)]) == 0
        training = run.folder / "refine-part-level"
        assert cli.main(["export", str(training), "--out", "served/refiner.stablehlo", "--platforms", "cpu"]) == 0
    return folder


@pytest.fixture(scope="module")
def said(place):
    """What was given to the files, and what they said, in a process of its own."""
    people = [draw_puppet(row, size=(64, 64)) for row in (10, 11)] * 2  # as large as a canvas of ours
    images, joints, visible = (np.stack([getattr(p, name) for p in people]) for name in ("image", "joints", "visible"))
    joints[~visible] = np.nan
    whole, upper = (-0.5, -0.5, 63.5, 63.5), (-0.5, -0.5, 63.5, 31.5)
    tall = draw_puppet(12, size=(128, 64)).image[None]
    given = {"images": images, "joints": joints, "visible": visible, "tall": tall}
    given["boxes"] = np.float32([whole, whole, upper, upper])
    np.savez(place / "given.npz", **given)
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"  # compiles in half the time
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STRANGER)], cwd=place, env=environment, check=True, timeout=300
    )
    with np.load(place / "said.npz") as arrays:
        return SimpleNamespace(**given, **arrays)


def test_the_line_of_the_readme_runs_a_file(place, said):
    readme = " ".join((Path(__file__).parents[1] / "README.md").read_text().split())
    (line,) = re.findall(r"After `import jax\.export`, `(.*?)` of the file's bytes", readme)
    call = eval(line, {"jax": jax, "data": (place / "parser.stablehlo").read_bytes()})
    found = call(said.tall)
    assert (found.dtype, found.shape) == (np.float32, (*said.tall.shape[:3], PASCAL_PERSON.num_classes))
    np.testing.assert_allclose(found, said.parsed, atol=1e-4)


def test_the_files_hold_what_they_are_said_to_hold(place):
    assert {path.name for path in place.iterdir()} >= {"parser.stablehlo", "parser.json", "served"}
    assert {path.name for path in (place / "served").iterdir()} == {"refiner.stablehlo", "refiner.json"}
    parse, refine = (json.loads((place / name).read_text()) for name in ("parser.json", "served/refiner.json"))
    assert (parse["network"], list(parse["inputs"])) == ("parsing", ["images"])
    assert (refine["network"], list(refine["inputs"])) == ("refinement", ["images", "joints", "visible", "boxes"])
    assert (parse["platforms"], refine["platforms"]) == (["cpu", "cuda"], ["cpu"])
    assert refine["inputs"]["joints"].startswith("float32[B, 16, 2]")
    assert refine["classes"] == list(PASCAL_PERSON.classes)
    assert refine["joints"] == list(PASCAL_PERSON.joints)


def test_number_and_size_of_the_images_are_open(place):
    for name, inputs in (("parser.stablehlo", 1), ("served/refiner.stablehlo", 4)):
        function = jax.export.deserialize((place / name).read_bytes())
        assert [str(aval) for aval in function.in_avals][:2] == ["uint8[b,h,w,3]", "float32[b,16,2]"][:inputs]
        assert [str(aval) for aval in function.out_avals] == ["float32[b,h,w,7]"]


def test_the_files_name_no_path_of_the_machine_that_made_them(place):
    for name in ("parser.stablehlo", "served/refiner.stablehlo"):
        assert b".py" not in (place / name).read_bytes()


def test_the_parser_says_elsewhere_what_it_says_here(said, parser):  # noqa: F811
    np.testing.assert_allclose(said.parsed[0], parser.probabilities(list(said.tall))[0], atol=1e-4)


def test_the_refiner_says_elsewhere_what_it_says_here(said, refiner):  # noqa: F811
    known = refiner.probabilities(*(list(each[:2]) for each in (said.images, said.joints, said.visible)))
    for ours, theirs in zip(known, said.refined[:2], strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_outside_of_its_box_a_person_is_background(said):
    upper = said.refined[2:]
    assert (said.refined[:2, :32] != upper[:, :32]).any()
    np.testing.assert_allclose(upper.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(upper[:, 32:].argmax(-1), 0)
    assert (upper[:, 32:, :, 0] == 1).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], r"nowhere holds no trained network \(parse-semi/"),
        (["RUN", "--net", "refiner"], r"--out: refiner\.stablehlo is there already"),
        (["RUN", "--out", "new.json"], r"--out: new\.json is the name of the description"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(run, tmp_path, monkeypatch, capsys, arguments, sentence):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (tmp_path / "refiner.stablehlo").write_text("mine")
    assert cli.main(["export", *(str(run.folder) if word == "RUN" else word for word in arguments)]) == 2
    assert re.fullmatch(rf"pgkt export: {sentence}.*\n", capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["refiner.stablehlo"]
    assert (tmp_path / "refiner.stablehlo").read_text() == "mine"


def test_a_network_with_a_dense_crf_is_refused(parser):  # noqa: F811
    config = dataclasses.replace(parser.config, crf=True)
    with pytest.raises(ValueError, match="the dense CRF is not exported"):
        exported(Parser(config, parsing_network(config, PASCAL_PERSON), PASCAL_PERSON))


def test_an_exported_parsers_outline_follows_the_photograph_as_the_parsers_does(said, parser):  # noqa: F811
    config = dataclasses.replace(parser.config, outline=2)
    network = parsing_network(config, PASCAL_PERSON)
    followed, plain = (Parser(each, network, PASCAL_PERSON) for each in (config, parser.config))
    found = exported(followed, platforms=["cpu"]).call(said.tall)
    known, before = (each.probabilities(list(said.tall))[0] for each in (followed, plain))
    np.testing.assert_allclose(found[0], known, atol=1e-5)
    assert np.abs(known - before).max() > 5e-4


def test_an_unknown_platform_is_named(parser):  # noqa: F811
    with pytest.raises(ValueError, match="platforms: abacus; there are cpu, cuda"):
        exported(parser, platforms=["cpu", "abacus"])
