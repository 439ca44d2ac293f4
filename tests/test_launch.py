"""The scripts and the README: what a newcomer types first must work as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pgkt_jax import cli
from pgkt_jax.cli import TOOLS
from pgkt_jax.commands.stages import COMMANDS

ROOT = Path(__file__).parents[1]
SCRIPTS = [*sorted((ROOT / "launch").glob("*.sh")), ROOT / ".ci" / "run"]
QUICKSTART = "launch/quickstart.sh"

# Stands for every Python: notes what it is called with, and makes a virtual environment of itself.
STUB = """#!/bin/bash
[ "$1" = -c ] && exit "${TOO_OLD:-0}"
printf '%s\\n' "$@" ---- >> "$CALLS"
if [ "$1" = -m ] && [ "$2" = venv ]; then
  mkdir -p "$3/bin"
  cp "$0" "$3/bin/python"
  echo "PATH='$PWD/$3/bin':\\$PATH" > "$3/bin/activate"
fi
exit 0
"""

PARALLEL = ("--numprocesses", "auto", "--dist", "loadfile")


@pytest.fixture
def checkout(tmp_path):
    """A copy of the scripts in a folder with a space, and stubs of Python that only note their arguments."""
    root = tmp_path / "a checkout"
    shutil.copytree(ROOT / "launch", root / "launch")
    (tmp_path / "bin").mkdir()
    for name in ("python", "python3", "python3.11", "python3.12", "python3.13", "ruff", "mypy"):
        stub = tmp_path / "bin" / name
        stub.write_text(STUB)
        stub.chmod(0o755)
    return root


def launch(checkout, script, *arguments, **variables):
    """Runs a script from beside its checkout; returns the process and every call of Python."""
    calls = checkout.parent / "calls"
    calls.unlink(missing_ok=True)
    path = f"{checkout.parent / 'bin'}:/usr/bin:/bin"
    process = subprocess.run(
        ["bash", str(checkout / script), *arguments],
        env={"PATH": path, "HOME": str(checkout.parent), "CALLS": str(calls), **variables},
        cwd=checkout.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    written = calls.read_text() if calls.exists() else ""
    return process, [call.splitlines() for call in written.split("----\n")[:-1]]


# --- Scripts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_bash(script):
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    found = subprocess.run(["shellcheck", script], capture_output=True, text=True, cwd=ROOT)
    assert found.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["--nonsense", "x"], ["--data"], ["--labels"], ["--data", "people", "--labels"], ["people"]]
)
def test_wrong_usage_ends_in_one_line_and_touches_nothing(checkout, arguments):
    before = sorted(checkout.rglob("*"))
    process, calls = launch(checkout, QUICKSTART, *arguments)
    assert process.returncode == 2
    assert process.stderr.startswith("usage: bash launch/quickstart.sh")
    assert len(process.stderr.splitlines()) == 1
    assert calls == []
    assert sorted(checkout.rglob("*")) == before


def test_quickstart_without_arguments_installs_and_runs_puppets(checkout):
    process, calls = launch(checkout, QUICKSTART)
    assert (process.returncode, process.stderr) == (0, "")
    (venv, install, run) = calls
    assert venv == ["-m", "venv", ".venv"]
    assert (checkout / ".venv").is_dir()
    assert install[:3] == ["-m", "pip", "install"]
    assert install[-2:] == ["--editable", "."]
    assert run == ["-m", "pgkt_jax.cli", "quickstart", "quickstart_puppets", "--out", "runs/quickstart"]


def test_quickstart_takes_the_callers_paths_and_an_active_environment(checkout):
    arguments = ["--labels", "25", "--data", "my people", "--out", "my runs/first"]
    process, calls = launch(checkout, QUICKSTART, *arguments, VIRTUAL_ENV="active")
    assert (process.returncode, process.stderr) == (0, "")
    assert not (checkout / ".venv").exists()
    here = checkout.parent
    assert calls[-1] == [
        "-m", "pgkt_jax.cli", "quickstart", "quickstart_folder", "--out", str(here / "my runs" / "first"),
        "--data.labels", "25", "--data.people", str(here / "my people"),
    ]  # fmt: skip


def test_a_finished_environment_is_used_again(checkout):
    launch(checkout, QUICKSTART)
    _, calls = launch(checkout, QUICKSTART)
    assert ["-m", "venv", ".venv"] not in calls
    assert calls[-1][:2] == ["-m", "pgkt_jax.cli"]


def test_without_a_new_enough_python_it_says_so(checkout):
    process, calls = launch(checkout, QUICKSTART, TOO_OLD="1")
    assert process.returncode == 2
    assert process.stderr == "Python 3.11 or newer with venv is needed\n"
    assert calls == []


def test_the_tests_run_every_check_with_the_test_extras(checkout):
    process, calls = launch(checkout, "launch/test.sh", "-k", "prior", VIRTUAL_ENV="active")
    assert (process.returncode, process.stderr) == (0, "")
    install, style, layout, types, tests = calls
    assert install[-1] == ".[test]"
    assert (style, layout, types) == (["check", "."], ["format", "--check", "."], [])
    assert tests == ["-m", "pytest", "-m", "not slow", *PARALLEL, "-k", "prior"]


def test_the_reference_is_made_with_warnings_as_errors(checkout):
    process, calls = launch(checkout, "launch/docs.sh", VIRTUAL_ENV="active")
    assert (process.returncode, process.stderr) == (0, "")
    install, build = calls
    assert install[-1] == ".[docs]"
    assert build[:3] == ["-W", "error", "-c"]
    modules = re.findall(r'modules = """(.*?)"""', "\n".join(build), re.DOTALL)[0].split()
    assert [name for name in modules if not (ROOT / "pgkt_jax" / f"{name.replace('.', '/')}.py").is_file()] == []


def test_what_the_scripts_call_exists():
    for name in re.findall(r"\bquickstart_\w+", (ROOT / QUICKSTART).read_text()):
        assert (ROOT / "configs" / f"{name}.py").is_file()
    assert "quickstart" in COMMANDS
    assert (ROOT / "constraints.txt").is_file()


# --- README ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.md").read_text()


def test_the_readmes_code_runs(readme, tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert blocks
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"README.md, python block {number}", "exec"), namespace)
    printed = capsys.readouterr().out
    promised = re.findall(r"^print\(.*\)\s+# (\(.*\))$", "\n".join(blocks), re.MULTILINE)
    assert promised
    for line in promised:
        assert line in printed


def commands_of(text):
    """(commands, config or None) of every `pgkt a | b CONFIG ...` in running text and in indented lines."""
    for line in re.findall(r"`pgkt ([a-z][^`]*)`|^ +pgkt ([a-z].*)$", text, re.MULTILINE):
        words = " ".join(line).split()
        names = [words[0]]
        while words[1:2] == ["|"]:
            del words[:2]
            names.append(words[0])
        yield names, next((word for word in words[1:2] if not word.startswith(("-", "CONFIG", "[", "…"))), None)


def paths_of(text):
    return re.findall(r"\b(?:launch|configs|tests|pgkt_jax)/[\w./*-]*\w", text)


def test_the_commands_and_configs_in_the_readme_exist(readme, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = list(commands_of(readme))
    assert found
    for names, config in found:
        assert set(names) <= {*COMMANDS, *TOOLS}
        if config is not None and names[0] not in TOOLS:  # those take no config
            cli.load_config(config)


def test_the_usage_text_names_real_configs(monkeypatch):
    monkeypatch.chdir(ROOT)
    for names, config in commands_of(cli.USAGE.format(commands="", example=cli.EXAMPLE)):
        assert set(names) <= set(COMMANDS)
        cli.load_config(config)


def test_the_paths_in_the_readme_exist(readme):
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", readme)
    layout = re.findall(r"^ {6}((?:[\w.]+(?:/|\.py) ?)+)", readme.split("## Layout")[-1], re.MULTILINE)
    inner = [f"pgkt_jax/{name}" for line in layout for name in line.split()]
    assert inner
    assert links
    missing = [path for path in [*links, *paths_of(readme), *inner] if not list(ROOT.glob(path))]
    assert missing == []


def test_the_readme_has_no_gaps_left(readme):
    assert re.findall(r"@[A-Z_]+@|TODO|FIXME", readme) == []


def test_the_options_in_the_readme_are_those_of_the_script(readme):
    taken = set(re.findall(r"^ +(--\w+)\)", (ROOT / QUICKSTART).read_text(), re.MULTILINE))
    shown = set(re.findall(r"--\w+", " ".join(re.findall(r"launch/quickstart\.sh[^#\n]*", readme))))
    assert shown
    assert shown <= taken


def test_the_module_starts_as_a_program():
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    process = subprocess.run(
        [sys.executable, "-m", "pgkt_jax.cli", "quickstart", "nowhere"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith("pgkt quickstart: there is no config 'nowhere'")
