"""The examples of calling `make_prior` from other code run as they stand, and show what they say."""

import re
import runpy
from pathlib import Path

import jax
import pytest

EXAMPLES = Path(__file__).parents[1] / "pgkt_jax" / "docs" / "examples"


@pytest.fixture
def printed(capsys):
    """What an example prints, under the promotion rules that a user has."""

    def run(name):
        with jax.numpy_dtype_promotion("standard"):
            runpy.run_path(str(EXAMPLES / name))
        return capsys.readouterr().out

    return run


def test_a_step_that_makes_its_priors_learns(printed):
    first, last = re.search(r"loss ([\d.]+) -> ([\d.]+)", printed("training_step.py")).groups()
    assert float(last) < float(first) / 3


def test_a_spread_batch_has_the_priors_of_one_device(printed):
    shape, devices, difference = re.search(r"(\(.*\)) on (\d+) devices.* (\S+)$", printed("sharded_batch.py")).groups()
    assert (shape, int(devices)) == ("(16, 128, 64, 6)", jax.device_count())
    assert float(difference) < 1e-5


def test_a_pose_finds_the_labels(printed):
    before, after = map(float, re.search(r"IoU ([\d.]+) -> ([\d.]+)", printed("fit_pose.py")).groups())
    assert before < 0.3
    assert after > 0.5


def test_every_example_is_run():
    named = set(re.findall(r'printed\("(\w+\.py)"\)', Path(__file__).read_text()))
    assert {path.name for path in EXAMPLES.glob("*.py")} == named
