"""The pages of pgkt_jax/docs: their code runs and prints what they say it prints.

`python tests/test_docs.py` runs the notebook and writes its outputs anew.
"""

import ast
import base64
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path
from typing import get_type_hints

import pytest
from test_launch import commands_of, paths_of

from pgkt_jax.cli import TOOLS
from pgkt_jax.commands.stages import COMMANDS
from pgkt_jax.config import Config, load_config

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "pgkt_jax" / "docs"
PAGES = sorted(DOCS.glob("*.md"))
NOTEBOOK = DOCS / "pose_to_prior.ipynb"
MOST_BYTES = 100_000  # of a picture in a notebook


def blocks_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def promised_by(code):
    """The comments behind lines that print: what they say is printed."""
    comments = [t for t in tokenize.generate_tokens(io.StringIO(code).readline) if t.type == tokenize.COMMENT]
    return [t.string.removeprefix("# ") for t in comments if t.line.startswith("print(")]


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def outputs_of(source, namespace):
    """What a notebook shows below a cell: what it prints, and the picture that its last line is."""
    *body, last = ast.parse(source).body
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), namespace)
            value = eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), namespace)
        else:
            exec(compile(ast.Module([*body, last], []), str(NOTEBOOK), "exec"), namespace)
            value = None
    shown = []
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        shown.append({"name": "stdout", "output_type": "stream", "text": text})
    if hasattr(value, "_repr_jpeg_"):
        data = {"image/jpeg": base64.b64encode(value._repr_jpeg_()).decode()}
        shown.append({"data": data, "metadata": {}, "output_type": "display_data"})
    return shown


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=lambda page: page.name)
def test_the_code_of_a_page_prints_what_it_says(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for number, block in enumerate(blocks_of(page)):
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)
        assert capsys.readouterr().out.splitlines() == promised_by(block)


def test_the_pages_that_promise_code_have_some():
    assert {"your_data.md", "your_skeleton.md"} <= {page.name for page in PAGES if blocks_of(page)}


@pytest.mark.parametrize("page", [*PAGES, NOTEBOOK], ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://)([^)#\s]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_configs_and_paths_of_a_page_exist(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = page.read_text()
    for names, config in commands_of(text):
        assert set(names) <= {*COMMANDS, *TOOLS}
        if config is not None and names[0] not in TOOLS:
            load_config(config)
    assert [path for path in paths_of(text) if not list(ROOT.glob(path))] == []


def test_the_pages_are_installed_with_the_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = settings["package-data"]["pgkt_jax"]
    installed = {path for pattern in patterns for path in (ROOT / "pgkt_jax").glob(pattern)}
    assert {NOTEBOOK, *PAGES, *DOCS.glob("examples/*.py")} <= installed


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_the_fields_that_a_page_sets_exist(page):
    fields = get_type_hints(Config)
    for part, name in re.findall(r"--(data|refine|parse)\.([\w-]+)", page.read_text()):
        assert name.replace("-", "_") in get_type_hints(fields[part])


def words(outputs):
    """What outputs print, word by word; scores as numbers."""
    found = [word for output in outputs for line in output.get("text", ()) for word in line.split()]
    return [float(word) if re.fullmatch(r"0\.\d+", word) else word for word in found]


def test_the_notebooks_pictures_are_small():
    outputs = [cell["outputs"] for cell in code_cells(json.loads(NOTEBOOK.read_text()))]
    assert sum(bool(shown) for shown in outputs) > 5
    assert all(len(json.dumps(shown)) < MOST_BYTES for shown in outputs)


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_showed(tmp_path):
    # In a process of its own, as a reader's: without the tests' fake devices and checked types.
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    fresh = tmp_path / NOTEBOOK.name
    subprocess.run([sys.executable, __file__, fresh], cwd=DOCS.parents[1], env=environment, check=True)
    cells = zip(*(code_cells(json.loads(path.read_text())) for path in (fresh, NOTEBOOK)))
    for outputs, committed in ((now["outputs"], before["outputs"]) for now, before in cells):
        assert [shown["output_type"] for shown in outputs] == [shown["output_type"] for shown in committed]
        # Pictures may differ in a pixel where another machine rounds otherwise, and scores in their last digit.
        promised = [pytest.approx(w, abs=0.011) if isinstance(w, float) else w for w in words(committed)]
        assert words(outputs) == promised


def main(path):
    notebook, namespace = json.loads(NOTEBOOK.read_text()), {}
    for number, cell in enumerate(code_cells(notebook), start=1):
        cell |= {"execution_count": number, "outputs": outputs_of("".join(cell["source"]), namespace)}
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else NOTEBOOK)
