"""One HTML file that opens anywhere: pictures, charts and style are inside, nothing is loaded.

A content security policy forbids all loading and every script but the page's own, and the file appears under its name
only when it is whole. Whoever makes the body escapes its texts.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path


def write_html(path: str | os.PathLike[str], title: str, body: Sequence[str], *, script: str = "") -> None:
    """Writes a page of sections of HTML, all of it or nothing; its folder is made, an older file replaced.

    `script` is JavaScript that runs once the body is there; without one the page can run none.
    """
    allowed = ""
    if script:
        allowed = f"; script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        body = [*body, f"<script>{script}</script>"]
    head = _HEAD.format(title=escape(title), style=_STYLE, allowed=allowed)
    _replace_file(Path(path), head + "\n".join(body) + _FOOT)


def _replace_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'{allowed}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
"""

_FOOT = "\n</body>\n</html>\n"

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #fff; --soft: #f3f5f7; --line: #d9dee3; --ink: #16202a; --dim: #55626f;
  --bar: #0072b2; --cell: #cfe4f3;
  --s0: #0072b2; --s1: #d55e00; --s2: #009e73; --s3: #cc79a7; --s4: #56b4e9; --s5: #b87f00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11161b; --soft: #1b232b; --line: #35404b; --ink: #e9eef3; --dim: #a3b0bd;
    --bar: #56b4e9; --cell: #1f4560;
    --s0: #56b4e9; --s1: #ff8a3d; --s2: #2ecc9b; --s3: #e3a0c4; --s4: #f0e442; --s5: #c3ccd5;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1520px; padding: 0 clamp(14px, 2.5vw, 40px) 48px;
  background: var(--page); color: var(--ink); overflow-wrap: break-word;
  font: clamp(16px, 14px + .25vw, 19px)/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { font-size: clamp(1.6rem, 1.2rem + 1.6vw, 2.4rem); line-height: 1.15; margin: 1.2em 0 .4em; }
h2 { font-size: 1.35em; margin: 1.6em 0 .6em; }
h3 { font-size: 1em; margin: 0 0 .4em; }
figure { margin: 0; }
summary { cursor: pointer; font-weight: 700; padding: 1em 0; }
.lead { font-size: 1.12em; max-width: 46em; margin: 0 0 .7em; }
.hint, figcaption, small { color: var(--dim); font-size: .85em; }
.hint { max-width: 60em; }
.notes { max-width: 50em; padding-left: 1.2em; }
.scroll { overflow-x: auto; }

.cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 230px), 1fr));
  gap: 14px; margin: 1.2em 0;
}
.card { background: var(--soft); border-left: 5px solid var(--bar); border-radius: 6px; padding: 14px 18px; }
.card dd { margin: 0; }
.card small { display: block; }
.figure { display: block; font-size: 2em; font-weight: 700; line-height: 1.2; white-space: nowrap; }

.legend {
  position: sticky; top: 0; z-index: 3; display: flex; flex-wrap: wrap; gap: .2em 1.1em;
  list-style: none; margin: 0; padding: .5em 0; font-size: .85em;
  background: var(--page); border-bottom: 1px solid var(--line);
}
.legend li { display: flex; align-items: center; }
i {
  display: inline-block; width: 1em; height: 1em; margin-right: .4em; border-radius: 3px;
  vertical-align: -.12em; box-shadow: 0 0 0 1px var(--dim);
}
.stick i { height: .35em; width: 1.5em; }

table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.scores { width: 100%; }
.scores th { font-weight: 400; text-align: right; padding: .45em .5em; }
.scores td {
  text-align: right; padding: .45em .5em; min-width: 4.9em; width: 9.5%; border: 2px solid var(--page);
  background: linear-gradient(var(--cell), var(--cell)) 0 0 / var(--v, 0) 100% no-repeat var(--soft);
}
.scores i { display: block; width: 100%; height: .4em; margin: 0 0 .4em; }
.scores .best { font-weight: 700; }
.scores thead { border-bottom: 2px solid var(--line); }
.scores thead th { font-size: .85em; line-height: 1.3; vertical-align: bottom; }
.scores .name {
  position: sticky; left: 0; z-index: 1; min-width: 8.5em; padding-left: 0;
  background: var(--page); text-align: left; line-height: 1.3;
}
.scores .name small { display: block; }
.scores .group th { text-align: left; font-weight: 700; padding: 1em 0 .2em; }
.scores .group span { position: sticky; left: 0; display: inline-block; max-width: 88vw; }
.settings { font-size: .85em; }
.settings th, .settings td { text-align: left; vertical-align: top; padding: .15em 1.5em .15em 0; }
.settings th { font-weight: 400; color: var(--dim); }
.settings td { overflow-wrap: anywhere; }

svg { display: block; overflow: visible; }
svg text { fill: var(--ink); font-size: 15px; }
svg line { stroke: var(--line); }
.bars { max-width: 900px; margin: 0 0 1.6em; }
.bars .track { fill: var(--soft); }
.bars .bar { fill: var(--bar); }
.bars text { font-size: clamp(12px, 3.5vw, 17px); }
.bars .group, .bars .value { font-weight: 700; }

article { margin-bottom: 1.3em; }
.strip { display: flex; gap: 10px; padding: 1px 1px 12px; }
.strip figure { flex: none; }
.strip figcaption { width: 0; min-width: 100%; line-height: 1.3; margin-top: .3em; }
.strip img {
  display: block; height: clamp(190px, 17vw, 300px); width: auto;
  border-radius: 4px; box-shadow: 0 0 0 1px var(--line);
}

.flow { display: flex; flex-wrap: wrap; gap: 18px 14px; padding: 1px; }
.flow figure { flex: none; max-width: 100%; }
.flow figcaption { width: 0; min-width: 100%; line-height: 1.3; margin-top: .3em; overflow-wrap: anywhere; }
.flow b { color: var(--ink); }
.flow img {
  display: block; height: clamp(190px, 17vw, 300px); width: auto; max-width: 100%; object-fit: contain;
  border-radius: 4px; box-shadow: 0 0 0 1px var(--line);
}

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 360px), 1fr)); gap: 28px; }
.chart figcaption { color: var(--ink); font-weight: 700; margin-bottom: .4em; }
.chart > svg { width: 100%; }
.chart > svg text { font-size: 12px; fill: var(--dim); }
.keys { list-style: none; display: flex; flex-wrap: wrap; gap: .2em 1.2em; padding: 0; margin: .4em 0 0; }
.keys li { display: flex; align-items: center; gap: .5em; font-size: .85em; }
polyline { fill: none; }
polyline, .keys line { stroke-width: 2; stroke-linejoin: round; }
svg .s0 { stroke: var(--s0); }
svg .s1 { stroke: var(--s1); stroke-dasharray: 7 3; }
svg .s2 { stroke: var(--s2); stroke-dasharray: 2 3; }
svg .s3 { stroke: var(--s3); stroke-dasharray: 10 3 2 3; }
svg .s4 { stroke: var(--s4); stroke-dasharray: 14 4; }
svg .s5 { stroke: var(--s5); stroke-dasharray: 4 4; }

@media print {
  .legend { position: static; }
  .scroll { overflow: visible; }
  .strip { flex-wrap: wrap; }
}
"""
