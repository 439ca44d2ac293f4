"""Several processes and one: the same training, everybody labelled once, and an end for all when one dies."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import hosts_worker
import jax
import numpy as np
import pytest

from pgkt_jax.data.batch import stack_people
from pgkt_jax.data.folder import read_people_folder
from pgkt_jax.data.order import batch_rows
from pgkt_jax.data.pictures import encode_png
from pgkt_jax.data.writer import PeopleWriter
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.train import hosts
from pgkt_jax.train.events import EventFile, crc32c
from pgkt_jax.train.log import read_metrics
from pgkt_jax.train.loop import Resident
from pgkt_jax.train.watch import Watch

ROOT = Path(__file__).parents[1]
CONFIG = """
from pgkt_jax.config import Config, RefineConfig, ParseConfig
CONFIG = Config(
    refine=RefineConfig(
        size=(32, 24), k=1, n=2, depth=2, width=4, dropout_blocks=1, loss="cross-entropy", batch=8, steps=20, every=1
    ),
    parse=ParseConfig(size=(32, 24), width=8, attention_width=8, scales=(1.0,), batch=8, steps=20, every=1),
)
"""
STAGES = ("resident", "streamed")
WORKER = [sys.executable, "tests/hosts_worker.py"]


def start(processes, devices, command):
    """Processes that make up one job, of so many CPU devices each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        **({"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(processes)} if processes > 1 else {}),
    }
    return [
        subprocess.Popen(
            command, env={**environment, "JAX_PROCESS_ID": str(i)}, cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for i in range(processes)
    ]  # fmt: skip


def finish(processes, timeout=600):
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)


def wait_for(folder, name, processes):
    """Until both processes have said that they train under this name."""
    while not all((folder / f"{name}-{i}").exists() for i in range(2)):
        for process in processes:
            assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)


def end_of_the_other(folder, processes, victim, kill):
    """Ends one of two processes in the middle of their training; what the other did, and after how many seconds."""
    try:
        wait_for(folder, "for-ever", processes)
        processes[victim].send_signal(kill)
        began = time.monotonic()
        output, _ = processes[1 - victim].communicate(timeout=60)
        return processes[1 - victim].returncode, output, time.monotonic() - began
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The same jobs in this process, of eight devices, and in two of two; one of these is stopped, then killed."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    processes = start(2, 2, [*WORKER, str(two), "jobs", "until-stopped", "for-ever"])
    hosts_worker.jobs(one)
    wait_for(two, "until-stopped", processes)
    processes[1].send_signal(signal.SIGTERM)
    status, output, _ = end_of_the_other(two, processes, victim=1, kill=signal.SIGKILL)
    reports = [[json.loads(path.read_text()) for path in sorted(root.glob("process-*.json"))] for root in (one, two)]
    return SimpleNamespace(folders=(one, two), reports=reports, status=status, output=output)


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_have_the_losses_and_scores_of_one(ran, stage):
    one, two = ([*read_metrics(folder / stage / "metrics.jsonl")] for folder in ran.folders)
    assert [row["step"] for row in two] == [4, 8, 12, 16, 20]
    np.testing.assert_allclose([row["loss"] for row in two], [row["loss"] for row in one], rtol=1e-5)
    # A score is made of the summed pixels of both processes' people, so it is the same and not only close.
    assert [row["miou"] for row in two] == [row["miou"] for row in one]


def test_every_process_reads_its_block_of_every_batch_and_nothing_more(ran):
    _, two = ran.reports
    batches = np.stack([batch_rows(step, hosts_worker.BATCH, len(hosts_worker.PEOPLE), 3) for step in range(20)])
    for process, share in zip(two, np.split(batches, 2, axis=1)):
        assert process["read"] == share.ravel().tolist()


def test_everybody_is_labelled_once_into_one_folder(ran):
    (one,), two = ran.reports
    assert len(one["labelled"]) == 21
    assert sorted(two[0]["labelled"] + two[1]["labelled"]) == sorted(one["labelled"])
    assert min(len(process["labelled"]) for process in two) == 10
    ours, expected = (read_people_folder(folder / "synthesised").split("synthesised") for folder in ran.folders[::-1])
    assert [person.id for person in ours] == [person.id for person in expected]
    for person, other in zip(ours, expected):
        np.testing.assert_array_equal(person.label_map, other.label_map)


def test_only_the_first_process_writes_logs(ran):
    for folder in ran.folders:
        for stage in STAGES:
            assert len(list((folder / stage / "events").iterdir())) == 1
            rows = read_metrics(folder / stage / "speed.jsonl")
            assert [row["step"] for row in rows] == [4, 8, 12, 16, 20]
            assert all(row["steps_per_s"] > 0 and row["host_peak_mib"] > 10 for row in rows)


def test_sigterm_to_one_process_stops_all_after_the_same_step_saved(ran):
    two = ran.folders[1]
    assert all((two / f"stopped-{i}").exists() for i in range(2))
    (step,) = re.findall(r"until-stopped: stopped by SIGTERM and saved at step (\d+) of", ran.output)
    assert (two / "until-stopped" / "checkpoints" / step).is_dir()


def test_a_run_of_two_processes_goes_on_in_one(ran, tmp_path):
    shutil.copytree(ran.folders[1] / "until-stopped", tmp_path / "stopped")
    steps = max(int(path.name) for path in (tmp_path / "stopped" / "checkpoints").iterdir() if path.name.isdecimal())
    data = Resident(stack_people(hosts_worker.PEOPLE, hosts_worker.CANVAS), hosts_worker.BATCH, 3)
    scored = []
    ours = hosts_worker.train(tmp_path / "stopped", data, steps + 8, lambda state: scored.append(int(state.step)))
    assert min(scored) > steps, "it has not begun anew"
    expected = hosts_worker.train(tmp_path / "whole", data, steps + 8)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4), ours.params, expected.params)
    losses = [[row["loss"] for row in read_metrics(tmp_path / run / "metrics.jsonl")] for run in ("stopped", "whole")]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert len(losses[0]) > steps / 4


def test_a_process_that_is_killed_ends_the_job(ran):
    by_us = ran.status == hosts.LOST and "another process was lost" in ran.output
    # Where only a checkpoint's barrier waits for the other one, in the background, JAX's heartbeat ends the process.
    by_jax = ran.status == -signal.SIGABRT and "another task died" in ran.output
    assert by_us or by_jax, ran.output


def test_a_picture_that_one_process_finds_broken_ends_both_in_a_sentence(tmp_path):
    people, config = tmp_path / "people", tmp_path / "tiny.py"
    config.write_text(CONFIG)
    with PeopleWriter(people, PASCAL_PERSON) as writer:
        for person in hosts_worker.PEOPLE[:5]:
            writer.add(person, split="train")
    (people / "parts" / "3.png").write_bytes(b"no picture")
    command = ["-m", "pgkt_jax.cli", "parse", str(config), "--data.people", str(people), "--data.streamed"]
    processes = start(2, 1, [sys.executable, *command, "--out", str(tmp_path / "out")])
    first, second = (process.communicate(timeout=60)[0].strip() for process in processes)
    assert [process.returncode for process in processes] == [2, 2]
    assert first.splitlines()[-1] == f"pgkt parse: {people}: another process says what is wrong"
    assert "person '3' (people[3]): parts: parts/3.png" in second
    assert not (tmp_path / "out" / "parse-full").exists()


@pytest.mark.slow  # waits for the heartbeat
@pytest.mark.parametrize(("victim", "kill"), [(0, signal.SIGKILL), (1, signal.SIGSTOP)])
def test_a_lost_coordinator_and_a_process_that_hangs_end_the_job_within_a_minute(tmp_path, victim, kill):
    processes = start(2, 1, [*WORKER, str(tmp_path), "for-ever"])
    status, _, seconds = end_of_the_other(tmp_path, processes, victim, kill)
    assert status != 0
    assert seconds < 60


@pytest.mark.slow
def test_every_stage_on_8_devices_of_1_2_and_4_processes(tmp_path):
    """The commands themselves: losses to 1e-5 over 20 steps, the same people labelled, the same scores."""
    config = tmp_path / "tiny.py"
    config.write_text(CONFIG)
    layouts = [(1, 8), (2, 4), (4, 2)]
    for processes, devices in layouts:
        for stage in ("refine", "synthesize", "parse", "evaluate"):
            command = ["-m", "pgkt_jax.cli", stage, str(config), "--out", str(tmp_path / str(processes))]
            finish(start(processes, devices, [sys.executable, *command]), timeout=3600)
    one, *others = (tmp_path / str(processes) for processes, _ in layouts)
    everybody = read_people_folder(one / "synthesised").split("synthesised")
    for folder in others:
        for run in ("refine-part-level", "parse-semi"):
            ours, expected = (read_metrics(root / run / "metrics.jsonl") for root in (folder, one))
            assert len(ours) == 20
            np.testing.assert_allclose(
                [row["loss"] for row in ours], [row["loss"] for row in expected], rtol=1e-5, err_msg=f"{folder} {run}"
            )
        synthesised = read_people_folder(folder / "synthesised").split("synthesised")
        assert [person.id for person in synthesised] == [person.id for person in everybody]
        same = [
            np.mean(ours.label_map == theirs.label_map) for ours, theirs in zip(synthesised, everybody, strict=True)
        ]
        assert np.mean(same) > 0.999
        ours, expected = (json.loads((root / "evaluation.json").read_text())["rows"] for root in (folder, one))
        assert ours[0]["miou"] == pytest.approx(expected[0]["miou"], abs=1e-3)


@pytest.mark.parametrize("value", ["", "two", "-1"])
def test_an_environment_that_names_no_processes_is_one_sentence(monkeypatch, value):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", value)
    with pytest.raises(ValueError, match="JAX_NUM_PROCESSES must be a number"):
        hosts.start()


# --- What is seen of a training -------------------------------------------------------------------


def test_crc32c_has_the_values_of_rfc_3720():
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_event_files_read_back_in_tensorboard(tmp_path):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    events = EventFile(tmp_path, 300)
    events.write(400, loss=1.5, miou=0.25)
    png = encode_png(np.full((20, 300, 3), 7, np.uint8))
    events.write_picture(400, "predictions", png)
    events.close()
    (path,) = tmp_path.iterdir()
    version, restart, numbers, picture = loader.LegacyEventFileLoader(str(path)).Load()
    assert version.file_version == "brain.Event:2"
    assert (restart.step, restart.session_log.status) == (301, restart.session_log.START)
    assert numbers.step == 400
    assert [(value.tag, value.simple_value) for value in numbers.summary.value] == [("loss", 1.5), ("miou", 0.25)]
    (shown,) = picture.summary.value
    assert (picture.step, shown.tag, shown.image.encoded_image_string) == (400, "predictions", png)
    assert (shown.image.height, shown.image.width, shown.image.colorspace) == (20, 300, 3)
    assert abs(numbers.wall_time - time.time()) < 60


def test_event_files_are_whole_records_after_every_write(tmp_path):
    events = EventFile(tmp_path, 0)
    (path,) = tmp_path.iterdir()
    for step in range(3):
        events.write(step, loss=float(step))
        data, records = path.read_bytes(), []
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            records.append(data[12 : 12 + length])
            data = data[16 + length :]
        assert len(records) == step + 2  # the version before
        assert records[-1].endswith(b"\x0a\x04loss\x15" + struct.pack("<f", step))
    events.close()


def test_chosen_steps_are_traced(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("jax.profiler.start_trace", lambda folder: calls.append(("start", folder, done)))
    monkeypatch.setattr("jax.profiler.stop_trace", lambda: calls.append(("stop", done)))
    with Watch("tiny", tmp_path, first=0, steps=8, profile=(3, 4)) as watch:
        for done in range(8):
            watch.begins(done, 1)
            watch.ends(done + 1, None)
    assert calls == [("start", tmp_path / "profile", 2), ("stop", 3)]
