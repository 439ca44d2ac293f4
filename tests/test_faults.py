"""What goes wrong while a training runs: killed, stopped, a full disk, broken checkpoints, broken people."""

import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from test_training import STEPS, TINY_PEOPLE, Killed, TinyConfig, assert_same, new_state, steps_kept, tiny_step, train

from pgkt_jax.data.batch import stack_people
from pgkt_jax.data.loader import stream
from pgkt_jax.data.order import batch_rows
from pgkt_jax.data.person import LazyPeople
from pgkt_jax.data.skipping import Skipping
from pgkt_jax.train import loop
from pgkt_jax.train.checkpoint import Checkpoints
from pgkt_jax.train.faults import Stopped
from pgkt_jax.train.log import read_metrics
from pgkt_jax.train.loop import Resident
from pgkt_jax.train.watch import Validation

# Where one array of a checkpoint cannot be read, orbax closes the event loop that others still report to.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected():
    """What orbax leaves behind is found here, and not in somebody else's test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbs, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return train(folder), folder


def assert_ended_alike(folder, state, whole):
    assert_same(state, whole[0])
    assert read_metrics(folder / "metrics.jsonl") == read_metrics(whole[1] / "metrics.jsonl")


# --- Killed and stopped ---------------------------------------------------------------------------


def test_killed_runs_go_on_bitwise():
    """One kill of each stage, by the seed while they write; `python tests/kill_runs.py` has fifty."""
    script = Path(__file__).with_name("kill_runs.py")
    command = [sys.executable, script, "--kills", "3", "--each", "1", "--seed", "186"]
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 went on bitwise" in done.stdout


def test_sigterm_saves_at_once_and_the_run_goes_on_bitwise(whole, tmp_path, capsys):
    def tell(state):
        if int(state.step) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return Validation(0.5)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as caught:
        train(tmp_path, evaluate=tell)
    assert caught.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before
    assert steps_kept(tmp_path) == [2, 3]  # 3 in the middle between two measurements
    assert f"stopped by SIGTERM and saved at step 3 of {STEPS}" in capsys.readouterr().err
    assert_ended_alike(tmp_path, train(tmp_path), whole)


def test_sigterm_while_the_end_is_scored_is_obeyed(tmp_path):
    def tell(state):
        if int(state.step) == STEPS:
            os.kill(os.getpid(), signal.SIGTERM)
        return Validation(0.5)

    with pytest.raises(Stopped):
        train(tmp_path, evaluate=tell)
    assert steps_kept(tmp_path)[-1] == STEPS


def mesh_of(devices):
    return jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])


def test_a_run_goes_on_with_another_number_of_devices(whole, tmp_path, monkeypatch):
    with pytest.raises(Killed):
        train(tmp_path, kill_at=6)
    monkeypatch.setattr(loop, "data_mesh", partial(mesh_of, 2))
    assert_same(train(tmp_path), whole[0], rtol=1e-5, atol=1e-6)


# --- Checkpoints that cannot be read --------------------------------------------------------------


def files_of(folder):
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]


def restored(folder, **options):
    with closing(Checkpoints(folder, TinyConfig(), **options)) as checkpoints:
        return checkpoints.restore(new_state())


def empty(path):
    path.write_bytes(b"")


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(half, id="half"),
        pytest.param(Path.unlink, id="missing", marks=pytest.mark.slow),
        pytest.param(empty, id="empty", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(whole, tmp_path, capsys, damage):
    """Whichever file of it is damaged: the state is that before or, where the file does not matter, the same."""
    names = files_of(whole[1] / "checkpoints" / "8")
    assert len(names) >= 8
    before = restored(whole[1]), 0
    for row, name in enumerate(names):
        folder = shutil.copytree(whole[1], tmp_path / str(row))
        damage(folder / "checkpoints" / "8" / name)
        state, said = restored(folder), capsys.readouterr().err
        if int(state.step) == 8:
            assert_same(state, before[0])
            assert (folder / "checkpoints" / "8").is_dir()
        else:
            assert int(state.step) == 6
            assert f"{folder / 'checkpoints' / '8'} cannot be read" in said
            assert "going on from step 6" in said
            assert {*names} - {name} <= {*files_of(folder / "unreadable" / "8.0")} <= {*names}
            assert not (folder / "checkpoints" / "8").exists()
    assert said.count("\n") <= 1


def test_a_run_goes_on_from_the_checkpoint_before_to_the_same_end(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "run")
    shutil.rmtree(folder / "checkpoints" / "8" / "state")
    assert_ended_alike(folder, train(folder), whole)
    assert steps_kept(folder)[-1] == STEPS


def test_arrays_that_are_not_what_was_saved_are_noticed(whole, tmp_path, capsys):
    folder = shutil.copytree(whole[1], tmp_path / "run")
    shutil.rmtree(folder / "checkpoints" / "8" / "state")
    shutil.copytree(folder / "checkpoints" / "6" / "state", folder / "checkpoints" / "8" / "state")
    assert int(restored(folder, read_only=True).step) == 6
    assert "are not what was saved" in capsys.readouterr().err
    assert (folder / "checkpoints" / "8").is_dir()  # who only reads moves nothing


def test_without_a_good_checkpoint_nothing_is_begun_anew_or_moved(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "run")
    for step in steps_kept(folder):
        shutil.rmtree(folder / "checkpoints" / str(step) / "state")
    before = files_of(folder)
    with pytest.raises(ValueError, match=r"none of the checkpoints can be read \(8: .*; 6: "):
        train(folder)
    assert files_of(folder) == before


@pytest.mark.parametrize("garbage", ["[]", "7", "[" * 100_000, '{"metrics": 7}', '{"init_timestamp_nsecs": "x"}'])
def test_a_checkpoint_that_says_garbage_about_itself_is_one_sentence(whole, tmp_path, garbage):
    folder = shutil.copytree(whole[1], tmp_path / "run")
    (folder / "checkpoints" / "8" / "_CHECKPOINT_METADATA").write_text(garbage)
    with pytest.raises(ValueError, match=r"run/checkpoints: a checkpoint's _CHECKPOINT_METADATA is damaged \(.*away$"):
        restored(folder)


# --- Places that cannot be written to -------------------------------------------------------------


def failing_at(step, fault, folder):
    """An `evaluate` that does something at a step, once the checkpoint of step 2 is written."""

    def evaluate(state):
        if int(state.step) == step:
            began = time.monotonic()
            while not (folder / "checkpoints" / "2").exists() and time.monotonic() < began + 60:
                time.sleep(0.01)
            fault()
        return Validation(0.5)

    return evaluate


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stays(whole, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():  # no file can grow beyond 400 bytes: as a full disk, for all but short files
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, limits[1]))

    said = r"checkpoints: cannot be written \(File too large\); the last good checkpoint is of step 2$"
    try:
        with pytest.raises(OSError, match=said):
            train(tmp_path, evaluate=failing_at(4, fill, tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert steps_kept(tmp_path) == [2]
    assert_ended_alike(tmp_path, train(tmp_path), whole)


def test_a_folder_that_turns_read_only_is_one_sentence_and_the_last_checkpoint_stays(whole):
    mine = os.geteuid()

    def lock():
        for folder in (run, run / "checkpoints"):
            folder.chmod(0o555)
        if mine == 0:  # root may write anywhere
            os.seteuid(65534)

    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        Path(place).chmod(0o755)
        try:
            with pytest.raises(OSError, match=r"run.*; the last good checkpoint is of step 2$"):
                train(run, evaluate=failing_at(4, lock, run))
        finally:
            os.seteuid(mine)
        for folder in (run, run / "checkpoints"):
            folder.chmod(0o755)
        assert steps_kept(run) == [2]
        assert_ended_alike(run, train(run), whole)


def test_a_vanished_mount_gets_nothing_written_into_its_place(tmp_path):
    run = tmp_path / "run"

    def vanish():
        run.rename(tmp_path / "elsewhere")
        run.mkdir()

    with pytest.raises(OSError, match=r"run: is gone, or another folder is in its place"):
        train(run, evaluate=failing_at(4, vanish, run))
    assert not files_of(run)


# --- Numbers that are not finite ------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_step_batch_and_last_checkpoint(tmp_path):
    data = Resident(stack_people(TINY_PEOPLE, (3, 4)), 8, 3, [f"person-{row}" for row in range(len(TINY_PEOPLE))])
    with pytest.raises(FloatingPointError) as caught:
        train(tmp_path, step=partial(tiny_step, nan_from=4), data=data)
    batch = ", ".join(f"person-{row}" for row in batch_rows(4, 8, len(TINY_PEOPLE), 3))
    said = str(caught.value)
    assert said == f"{tmp_path}: the loss is nan at step 5, batch: {batch}; the last good checkpoint is of step 4"
    assert steps_kept(tmp_path) == [2, 4]


def test_an_optimiser_that_is_not_finite_is_not_saved(tmp_path):
    def broken(state, context, batch):
        state, metrics = tiny_step(state, context, batch)
        factor = jnp.where(state.step == 4, jnp.inf, 1)
        stretched = jax.tree.map(lambda x: x * factor if x.dtype == jnp.float32 else x, state.opt_state)
        return replace(state, opt_state=stretched), metrics

    with pytest.raises(FloatingPointError, match=r"not finite after step 4, batch: row .*checkpoint is of step 2"):
        train(tmp_path, step=broken)
    assert steps_kept(tmp_path) == [2]


# --- People who cannot be read --------------------------------------------------------------------


def some_broken(*rows, people=300):
    def read(row):
        if row in rows:
            raise ValueError(f"images/{row}.jpg: is truncated")
        return replace(TINY_PEOPLE[row % len(TINY_PEOPLE)], id=str(row))

    return LazyPeople(range(people), read)


def test_the_next_who_can_be_read_stands_in_with_the_row_that_is_his(capsys):
    skipping = Skipping(some_broken(5, 6, 299))
    assert skipping.limit == 3
    for row, found in ((4, 4), (5, 7), (299, 0), (6, 7), (5, 7)):
        at, person = skipping.read(row)
        assert (at, person.id) == (found, str(found))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "row 5 is skipped (1, at most 3): images/5.jpg: is truncated"
    assert len(said) == 3


def test_more_than_the_limit_ends_the_training():
    skipping = Skipping(some_broken(1, 3, 5, 7))
    for row in (1, 3, 5):
        skipping.read(row)
    with pytest.raises(ValueError, match=r"4 of 300 people cannot be read, at most 3 are skipped.*row 7: images/7"):
        skipping.read(7)


@pytest.mark.parametrize("threads", [1, 4])
def test_streamed_batches_are_the_same_for_any_number_of_threads(threads):
    def batches(people, threads, first_step=0):
        rows = range(1000, 1300)
        return list(stream(
            people, batch=32, canvas=(3, 4), seed=3, bank_rows=rows, first_step=first_step, steps=12, threads=threads
        ))  # fmt: skip

    broken = some_broken(5, 6, 200)
    expected = batches(broken, 2)
    for ours, theirs in zip(batches(broken, threads, 4), expected[4:], strict=True):
        assert_same(ours, theirs)
    seen = np.concatenate([batch.bank_rows for batch in expected])[:300] - 1000
    assert set(range(300)) - set(seen.tolist()) == {5, 6, 200}
