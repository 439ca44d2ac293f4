"""The pages of pgkt_jax/docs: their code runs and prints what they say it prints.

`python tests/test_docs.py` runs the notebook and writes its outputs anew.
"""

import ast
import base64
import contextlib
import io
import json
import re
import tokenize
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "pgkt_jax" / "docs"
PAGES = sorted(DOCS.glob("*.md"))
NOTEBOOK = DOCS / "pose_to_prior.ipynb"
MOST_BYTES = 100_000  # of a picture in a notebook


def blocks_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def promised_by(code):
    """The comments behind lines that print: what they say is printed."""
    comments = [t for t in tokenize.generate_tokens(io.StringIO(code).readline) if t.type == tokenize.COMMENT]
    return [t.string.removeprefix("# ") for t in comments if t.line.startswith("print(")]


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


def test_the_notebook_runs_and_shows_what_it_showed():
    namespace = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert len(json.dumps(cell["outputs"])) < MOST_BYTES
        outputs = outputs_of("".join(cell["source"]), namespace)
        assert [kind["output_type"] for kind in outputs] == [kind["output_type"] for kind in cell["outputs"]]
        # Pictures may differ in a pixel where another machine rounds otherwise; what is printed may not.
        assert [kind.get("text") for kind in outputs] == [kind.get("text") for kind in cell["outputs"]]


def main():
    notebook, namespace = json.loads(NOTEBOOK.read_text()), {}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, start=1):
        cell |= {"execution_count": number, "outputs": outputs_of("".join(cell["source"]), namespace)}
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
