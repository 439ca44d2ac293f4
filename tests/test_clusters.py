"""The cluster scripts, as far as they go without a cluster: what they would start there, with what environment."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from pgkt_jax.commands import stages

ROOT = Path(__file__).parents[1]
COMMAND = ["refine", "paper", "--data.people", "my people", "--out", "runs/mine"]


@pytest.fixture
def bin(tmp_path):
    """A folder for commands that a cluster would have; `python` notes its environment and arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def add(name, body):
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)

    add("python", 'printf "%s|" "$JAX_COORDINATOR_ADDRESS" "$JAX_NUM_PROCESSES" "$JAX_PROCESS_ID" "$@"; echo')
    return add


def launch(tmp_path, script, *arguments, **variables):
    return subprocess.run(
        ["bash", str(ROOT / "launch" / script), *arguments],
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", **variables},
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("script", ["run.sh", "slurm.sh", "tpu.sh", "local_hosts.sh"])
def test_without_arguments_a_script_says_how_it_is_used(tmp_path, script):
    process = launch(tmp_path, script)
    assert process.returncode == 2
    assert process.stderr.startswith("usage: ")
    assert len(process.stderr.splitlines()) == 1


@pytest.mark.parametrize("count", ["0", "two", "-1", "2.5"])
def test_a_number_of_processes_is_a_number(tmp_path, count):
    process = launch(tmp_path, "local_hosts.sh", count)
    assert (process.returncode, process.stderr[:6]) == (2, "usage:")


def slurm(tmp_path, bin, srun, **variables):
    """Runs the batch script under stubs of Slurm; what `srun` does with its task, "$@", is given."""
    bin("scontrol", 'if [ "$1" = show ]; then printf "gpu-%s\\n" 07 08; else echo "scontrol $*" >&2; fi')
    bin("srun", f"shift; {srun}")
    variables |= {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "123456", "SLURM_NTASKS": "2"}
    return launch(tmp_path, "slurm.sh", *COMMAND, SLURM_JOB_NODELIST="gpu-[07-08]", **variables)


def test_slurm_starts_a_process_a_node_that_knows_its_place(tmp_path, bin):
    process = slurm(tmp_path, bin, 'SLURM_PROCID=0 "$@"; SLURM_PROCID=1 "$@"')
    assert (process.returncode, process.stderr) == (0, "")
    rest = ["-m", "pgkt_jax.cli", *COMMAND, ""]
    assert [line.split("|") for line in process.stdout.splitlines()] == [
        ["gpu-07:23456", "2", "0", *rest],
        ["gpu-07:23456", "2", "1", *rest],
    ]


@pytest.mark.parametrize(("status", "requeued"), [(2, False), (3, True), (134, True)])
def test_slurm_queues_a_job_again_that_lost_a_process_but_not_one_with_wrong_input(tmp_path, bin, status, requeued):
    bin("python", f"exit {status}")
    process = slurm(tmp_path, bin, 'SLURM_PROCID=0 "$@"')
    assert process.returncode == status
    assert process.stderr == ("scontrol requeue 123456\n" if requeued else "")


@pytest.mark.parametrize(("saved", "status", "requeued"), [(0, 143, True), (2, 2, False)])
def test_slurm_queues_a_pre_empted_job_again_that_has_saved(tmp_path, bin, saved, status, requeued):
    """A pre-emption with a grace time sends SIGTERM to the tasks, whereupon `pgkt` saves and ends with status 0."""
    bin("python", f'trap "exit {saved}" TERM; sleep .2; touch begun; for _ in {{1..600}}; do sleep .1; done')
    preempt = 'SLURM_PROCID=0 "$@" & until [ -e begun ]; do sleep .01; done; kill $!; wait $!'
    process = slurm(tmp_path, bin, preempt)
    assert process.returncode == status
    assert process.stderr == ("scontrol requeue 123456\n" if requeued else "")


@pytest.mark.parametrize(("asked", "given"), [({"SLURM_CPUS_PER_TASK": "32"}, "32"), ({}, "1")])
def test_slurm_gives_a_task_the_cpus_that_the_job_asked_for(tmp_path, bin, asked, given):
    """srun reads its own variable alone, since Slurm 22.05."""
    assert slurm(tmp_path, bin, 'echo "$SRUN_CPUS_PER_TASK"', **asked).stdout == f"{given}\n"


def test_every_worker_of_a_tpu_gets_the_checkout_and_runs_the_same_command(tmp_path, bin):
    bin("git", 'touch "$3"')
    bin("gcloud", 'printf "%s|" "$@"; echo')
    process = launch(tmp_path, "tpu.sh", "my-tpu", "europe-west4-b", *COMMAND, GCLOUD_FLAGS="--project p")
    assert (process.returncode, process.stderr) == (0, "")
    copy, start = process.stdout.split("compute|tpus|tpu-vm|")[1:]
    ends = "--zone|europe-west4-b|--worker=all|--project|p|\n"
    assert copy.startswith("scp|")
    assert copy.endswith(f"|my-tpu:pgkt_jax.tar|{ends}")
    assert start.startswith("ssh|my-tpu|--command|set -e\n")
    assert start.endswith(f"|{ends}")
    script = start.split("|", 3)[3].removesuffix(f"|{ends}")
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True).stderr == ""
    assert r"PGKT_HOSTS=auto python -m pgkt_jax.cli refine paper --data.people my\ people" in script


@pytest.fixture(scope="module")
def kubernetes():
    service, job = yaml.safe_load_all((ROOT / "launch" / "kubernetes.yaml").read_text())
    return service, job


def test_the_kubernetes_objects_are_what_they_are_to_be(kubernetes):
    service, job = kubernetes
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert set(service["spec"]) == {"clusterIP", "publishNotReadyAddresses", "selector", "ports"}
    assert set(job["spec"]) == {"completionMode", "completions", "parallelism", "backoffLimit", "template"}
    pod = {"subdomain", "restartPolicy", "terminationGracePeriodSeconds", "containers", "volumes"}
    assert set(job["spec"]["template"]["spec"]) == pod
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert set(container) == {"name", "image", "command", "args", "env", "ports", "resources", "volumeMounts"}
    assert job["spec"]["template"]["spec"]["restartPolicy"] in ("OnFailure", "Never")


def test_the_image_has_what_its_dockerfile_installs():
    comment = (ROOT / "launch" / "kubernetes.yaml").read_text()
    (wheels,) = re.findall(r"pip wheel .*--wheel-dir (\w+) ", comment)
    copied, place = re.findall(r"^# +COPY (\S+) (\S+)$", comment, re.MULTILINE)[0]
    (installed,) = re.findall(r"^# +RUN pip install .* (\S+)$", comment, re.MULTILINE)
    assert Path(copied).parent == Path(wheels)
    assert installed == place + Path(copied).name


def test_the_pods_find_the_first_of_them_and_know_their_number(kubernetes):
    service, job = kubernetes
    name, pod = job["metadata"]["name"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    values = {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}
    (port,) = service["spec"]["ports"]
    # A headless service, under whose name every pod of the job has its own.
    assert service["spec"]["clusterIP"] == "None"
    assert service["metadata"]["name"] == pod["subdomain"]
    assert service["spec"]["selector"] == {"job-name": name}
    assert values["JAX_COORDINATOR_ADDRESS"] == f"{name}-0.{pod['subdomain']}:{port['port']}"
    assert container["ports"] == [{"containerPort": port["port"]}]
    assert job["spec"]["completionMode"] == "Indexed"
    assert str(job["spec"]["completions"]) == str(job["spec"]["parallelism"]) == values["JAX_NUM_PROCESSES"]
    index = values["JAX_PROCESS_ID"]["fieldRef"]["fieldPath"]
    assert index == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize(("stopped", "expected"), [(True, 143), (False, 7)])
def test_a_pod_that_was_stopped_in_order_does_not_count_as_done(tmp_path, kubernetes, stopped, expected):
    """`pgkt` saves on SIGTERM and ends with status 0; any other end is the pod's own."""
    (container,) = kubernetes[1]["spec"]["template"]["spec"]["containers"]
    pgkt = tmp_path / "pgkt"
    pgkt.write_text(
        '#!/bin/sh\ntrap "echo saved; exit 0" TERM\necho "$@"\n[ "$2" = ends ] && exit 7\nsleep 60 & wait $!\n'
    )
    pgkt.chmod(0o755)
    command = [*container["command"], "refine", "goes on" if stopped else "ends"]
    with subprocess.Popen(
        command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as pod:
        assert pod.stdout.readline() == f"refine {command[-1]}\n"
        if stopped:
            pod.terminate()
            assert pod.stdout.readline() == "saved\n"
        assert pod.wait(10) == expected
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pod.pid, signal.SIGKILL)  # the sleep


def test_what_the_scripts_run_exists(kubernetes):
    texts = [(ROOT / "launch" / name).read_text() for name in ("run.sh", "slurm.sh", "tpu.sh", "local_hosts.sh")]
    commands = [kubernetes[1]["spec"]["template"]["spec"]["containers"][0]["args"][0]]
    commands += re.findall(r"^#.*launch/\w+\.sh (?:NAME ZONE |2 )?([a-z]+) ", "\n".join(texts), re.MULTILINE)
    assert len(commands) == 5
    assert set(commands) <= set(stages.COMMANDS)
