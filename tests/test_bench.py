"""The benchmark measures what it says: rivals give the same priors, a repeated bank is one, files are written."""

import json
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

from pgkt_jax import cli
from pgkt_jax.bench import nearest, prior

SMALL = ["--batch", "3", "--size", "48", "32", "--k", "2", "--bank", "9", "--seconds", "0"]


def test_every_rival_gives_the_exact_prior_and_all_is_written(people, tmp_path, capsys):
    assert cli.main(["bench", "prior", "--people", people, *SMALL, "--no-sweep", "--out", str(tmp_path / "out")]) == 0
    written = json.loads((tmp_path / "out" / "prior.json").read_text())
    rows = {row["name"]: row for row in written["rows"]}
    assert {"make_prior, limb_frames", "make_prior, exact", "OpenCV loop", "copy"} <= set(rows)
    for name, row in rows.items():
        if name != "copy":
            assert row["priors_per_s"] > 0
            assert row["mean_difference_from_exact"] < (0.01 if "limb_frames" in name else 1e-3)
            assert row["written_mib"] == 3 * 48 * 32 * 6 * 4 / 2**20
    assert written["setting"]["bank"] == 9
    assert "OpenCV loop" in capsys.readouterr().out


def test_repeating_people_makes_a_bank_of_the_same_people(people):
    bank, targets = prior.read_people(prior.Setting(people=people))
    large = prior.bank_of_size(bank, 12)
    assert large.size == 12
    for setting in (prior.Setting(size=(20, 16), k=1, batch=2, method=method) for method in ("exact", "limb_frames")):
        one, other = (prior.priors_of(setting, b, targets)[0]() for b in (bank, large))
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_charts_are_drawn(tmp_path):
    points = [{"batch": batch, "priors_per_s": 10.0 * batch} for batch in (1, 4, 16)]
    prior.write_charts(
        tmp_path / "x.html", {"device": "<cpu>", "setting": {"method": "exact"}, "sweep": {"batch": points}}
    )
    page = (tmp_path / "x.html").read_text()
    assert "<polyline" in page
    assert "<cpu>" not in page


def test_poses_of_another_skeleton_are_refused_in_one_sentence(people, tmp_path, capsys):
    np.save(tmp_path / "poses.npy", np.zeros((4, 17, 2)))
    poses = str(tmp_path / "poses.npy")
    assert cli.main(["bench", "prior", "--people", people, "--poses", poses, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"pgkt bench: {poses}: finite [M, 16, 2] is wanted, not [4, 17, 2]\n"
    assert not (tmp_path / "out").exists()


def test_a_step_with_priors_made_inside_is_compared_with_one_that_reads_them(people, tmp_path):
    small = ["--batch", "2", "--size", "32", "24", "--k", "1", "--n", "2", "--depth", "2", "--width", "4"]
    assert cli.main(["bench", "step", "--people", people, *small, "--seconds", "0", "--out", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "step.json").read_text())
    speeds = written["steps_per_s"]
    assert written["ratio"] == pytest.approx(speeds["read"] / speeds["made"])


def test_the_nearest_poses_are_compared_with_other_ways_to_pick_them(people, tmp_path, capsys):
    small = ["--bank", "300", "--batch", "4", "--k", "2", "--seconds", "0"]
    assert cli.main(["bench", "nearest", "--people", people, *small, "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "nearest.json").read_text())["rows"]
    assert [row["found_of_the_nearest"] for row in rows[:2]] == [1, 1]
    assert [row["name"] for row in rows] == ["nearest_poses", *nearest.RIVALS]
    assert "300 poses" in capsys.readouterr().out


def test_calls_take_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) or jax.numpy.zeros(()) for name in ("a", "b")}
    assert set(prior.in_turns(calls, seconds=0, least=2)) == {"a", "b"}
    assert order == ["a", "b"] * 3


def test_a_host_with_jax_flax_optax_and_numpy_alone_gets_stick_people():
    code = """
        import importlib.abc, sys

        class Missing(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                top = name.partition(".")[0]
                if top in {"cv2", "grain", "orbax", "tensorflow_datasets", "tyro", "jaxtyping", "torch", "scipy"}:
                    raise ModuleNotFoundError(f"No module named {top!r}", name=top)

        sys.meta_path.insert(0, Missing())
        import numpy as np
        from pgkt_jax.bench import nearest, parse, people, prior, refine, step, synthesize
        from pgkt_jax.commands import bench

        drawn = people.open_people("puppets").split("train")[3]
        assert set(np.unique(drawn.label_map)) == set(range(11)), np.unique(drawn.label_map)
        bank, targets = prior.read_people(prior.Setting())
        assert bank.size == 200 and targets.joints.shape == (200, 16, 2)
        try:
            people.open_people("folder")
        except ValueError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "folder: reading pictures wants OpenCV (opencv-python-headless)\n"
