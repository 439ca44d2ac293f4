"""The report as one HTML file that opens anywhere: pictures, charts and style are inside, nothing is loaded.

Every text is escaped, a content security policy forbids all loading, and the file appears under its name only
when it is whole.
"""

import base64
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pgkt_jax.report.figures import LEFT_COLOR, RIGHT_COLOR
from pgkt_jax.report.table import MISSING, Row, best_cells, grouped, percent, scores

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Card:
    """A key figure: what it is in a few words, the figure itself, and where it comes from."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class GalleryRow:
    """Pictures of one person, side by side: (caption, uint8[H, W, 3] RGB) each."""

    title: str
    pictures: Sequence[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Chart:
    """Curves over one x axis: the (x, y) points of every series; those that are not finite are left out."""

    title: str
    series: Mapping[str, Points]
    x_label: str = "step"


def gain_cards(full: Row, semi: Row, upper: Row | None = None) -> list[Card]:
    """What the keypoints were worth: the gain of semi over full, and its share of the gap to `upper`.

    Args:
        full: the row trained on masks only.
        semi: the row trained on masks and synthesised labels.
        upper: the row trained with every label, if there is one.

    Returns:
        One card, or two where there is a gap to close.
    """
    cards = [difference_card("semi above full", semi, full)]
    low, reached, high = (scores(row, ())[0] for row in (full, semi, upper or {}))
    if high > low and not math.isnan(reached):
        share = (reached - low) / (high - low)
        detail = f"full {percent(low)} → all labels {percent(high)}"
        cards.append(Card("share of the gap closed", f"{100 * share:.0f} %", detail))
    return cards


def difference_card(label: str, row: Row, base: Row) -> Card:
    """How far `row` lies above `base`, in points of mIoU."""
    low, high = scores(base, ())[0], scores(row, ())[0]
    points = 100 * (high - low)
    value = MISSING if math.isnan(points) else f"{points:+.1f} mIoU".replace("-", "\N{MINUS SIGN}")
    return Card(label, value, f"{percent(low)} → {percent(high)}")


def write_page(
    path: str | os.PathLike[str],
    *,
    title: str,
    lead: str,
    rows: Sequence[Row],
    classes: Sequence[str],
    palette: np.ndarray,
    cards: Sequence[Card] = (),
    gallery: Sequence[GalleryRow] = (),
    settings: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    curves: Sequence[Chart] = (),
) -> None:
    """Write the report, all of it or nothing.

    Args:
        path: of the HTML file; its folder is made, an older file replaced.
        title: of the page.
        lead: what was done and what came out; a blank line starts a paragraph.
        rows: the scores, as in `results.json` (see `pgkt_jax.report.table`).
        classes: every class, background among them, in the order of `palette`.
        palette: uint8[C, 3], RGB.
        cards: key figures for the top of the page, see `gain_cards`.
        gallery: the pictures, a row for each person.
        settings: whatever fixes the numbers; nested mappings become dotted names.
        notes: remarks for below the table.
        curves: training curves.

    Raises:
        ValueError: classes and palette differ in length, or a picture is not uint8[H, W, 3].
    """
    if len(classes) != len(palette):
        raise ValueError(f"{len(classes)} classes, but {len(palette)} colours")
    body = [
        f"<header><h1>{escape(title)}</h1>{_lead(lead)}{_cards(cards)}</header>",
        _legend(classes, palette),
        _section("Scores", _bars(rows) + _table(rows, classes, palette) + _notes(notes), rows),
        _section("Pictures", "".join(map(_gallery_row, gallery)), gallery),
        _section("Training", f'<div class="charts">{"".join(map(_chart, curves))}</div>', curves),
        _settings(settings or {}),
    ]
    _replace_file(Path(path), _HEAD.format(title=escape(title), style=_STYLE) + "\n".join(body) + _FOOT)


def _replace_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


# ---- text ----


def _section(title: str, content: str, needed: Sequence[Any]) -> str:
    return f"<section><h2>{title}</h2>{content}</section>" if needed else ""


def _lead(lead: str) -> str:
    paragraphs = [part.strip() for part in lead.split("\n\n") if part.strip()]
    return "".join(f'<p class="lead">{escape(part)}</p>' for part in paragraphs)


def _cards(cards: Sequence[Card]) -> str:
    items = [
        f'<div class="card"><dt>{escape(card.label)}</dt>'
        f'<dd><span class="figure">{escape(card.value)}</span><small>{escape(card.detail)}</small></dd></div>'
        for card in cards
    ]
    return f'<dl class="cards">{"".join(items)}</dl>' if items else ""


def _legend(classes: Sequence[str], palette: np.ndarray) -> str:
    items = [f"<li>{_swatch(color)}{escape(name)}</li>" for name, color in zip(classes, palette)]
    items += [
        f'<li class="stick">{_swatch(color)}{side} limb</li>'
        for side, color in (("left", LEFT_COLOR), ("right", RIGHT_COLOR))
    ]
    return f'<ul class="legend" aria-label="Legend">{"".join(items)}</ul>'


def _swatch(color: np.ndarray | tuple[int, ...]) -> str:
    red, green, blue = map(int, color)
    return f'<i style="background:rgb({red},{green},{blue})"></i>'


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _settings(settings: Mapping[str, Any]) -> str:
    entries = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _flat(settings))
    if not entries:
        return ""
    return (
        '<section><details><summary>Settings that fix these numbers</summary><div class="scroll">'
        f'<table class="settings"><tbody>{entries}</tbody></table></div></details></section>'
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(dotted name, text) of every value in nested mappings."""
    flat = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        flat += _flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, str(value))]
    return flat


# ---- scores ----


def _table(rows: Sequence[Row], classes: Sequence[str], palette: np.ndarray) -> str:
    heads = ['<th scope="col" class="name">IoU, %</th><th scope="col">mean</th>']
    heads += [f'<th scope="col">{_swatch(c)}{escape(name)}</th>' for name, c in zip(classes, palette)]
    lines = []
    for group, members in grouped(rows):
        if group:
            lines.append(f'<tr class="group"><th colspan="{len(classes) + 2}"><span>{escape(group)}</span></th></tr>')
        for row, best in zip(members, best_cells(members, classes)):
            cells = "".join(_cell(value, mark) for value, mark in zip(scores(row, classes), best))
            note = f"<small>{escape(row['note'])}</small>" if row.get("note") else ""
            lines.append(f'<tr><th scope="row" class="name">{escape(row["name"])}{note}</th>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="IoU of each class"><table class="scores">'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        '<p class="hint">The bar in a cell is its value on a scale of 0 to 100. Bold: the best of its '
        "column among the rows it is compared with.</p>"
    )


def _cell(value: float, best: bool) -> str:
    width = 0 if math.isnan(value) else 100 * value
    return f'<td{" class=best" * best} style="--v:{width:.1f}%">{percent(value)}</td>'


def _bars(rows: Sequence[Row]) -> str:
    """Horizontal bars of mIoU on 0..100; widths in per cent, text in pixels: readable at any page width."""
    step, marks, height = 44, [], 6
    for group, members in grouped(rows):
        if group:
            marks.append(f'<text class="group" x="0" y="{height + 16}">{escape(group)}</text>')
            height += 26
        for row in members:
            value = scores(row, ())[0]
            share = 0 if math.isnan(value) else 100 * value
            marks.append(
                f"<g><title>{escape(row['name'])}: {percent(value)}</title>"
                f'<text x="0" y="{height + 14}">{escape(row["name"])}</text>'
                f'<rect class="track" x="0" y="{height + 20}" width="100%" height="14" rx="2"/>'
                f'<rect class="bar" x="0" y="{height + 20}" width="{share:.1f}%" height="14" rx="2"/>'
                f'<text class="value" x="100%" y="{height + 14}" text-anchor="end">{percent(value)}</text>'
                "</g>"
            )
            height += step
    grid = "".join(f'<line x1="{x}%" x2="{x}%" y1="0" y2="{height}"/>' for x in (25, 50, 75))
    return (
        '<figure class="bars"><figcaption>Mean IoU, % (the full width is 100)</figcaption>'
        f'<svg role="img" aria-label="Mean IoU of every row" width="100%" height="{height}">{grid}'
        f"{''.join(marks)}</svg></figure>"
    )


# ---- pictures ----


def _gallery_row(row: GalleryRow) -> str:
    figures = "".join(
        f'<figure><img alt="{escape(row.title)}: {escape(caption)}" src="{_data_url(picture)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, picture in row.pictures
    )
    return (
        f'<article><h3>{escape(row.title)}</h3><div class="strip scroll" tabindex="0" role="region" '
        f'aria-label="{escape(row.title)}">{figures}</div></article>'
    )


def _data_url(picture: np.ndarray) -> str:
    """The picture inside its own address: PNG for flat colours, JPEG where that is smaller."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise ValueError(f"a picture must be uint8[H, W, 3], not {picture.dtype}{list(picture.shape)}")
    bgr = np.ascontiguousarray(picture[..., ::-1])
    png = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    kind, data = ("png", png) if len(png) <= len(jpeg) else ("jpeg", jpeg)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


# ---- curves ----

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 380, 220, 46, 34, 8, 12
_MOST_POINTS = 200  # a curve; more cannot be told apart at this width


def _chart(chart: Chart) -> str:
    series = {name: _thinned(points) for name, points in chart.series.items()}
    series = {name: points for name, points in series.items() if len(points)}
    if not series:
        return ""
    everything = np.concatenate(list(series.values()))
    x_ticks, y_ticks = (_ticks(everything[:, axis].min(), everything[:, axis].max()) for axis in (0, 1))
    low, high = np.array([x_ticks[0], y_ticks[0]]), np.array([x_ticks[-1], y_ticks[-1]])
    if len(np.unique(everything[:, 0])) > 1:  # the curves fill the width
        low[0], high[0] = everything[:, 0].min(), everything[:, 0].max()

    def place(points: np.ndarray) -> np.ndarray:
        share = (points - low) / (high - low)
        right, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return np.stack([_LEFT + share[:, 0] * right, _HEIGHT - _BOTTOM - share[:, 1] * up], axis=1)

    marks = []
    for y in y_ticks:
        (_, at), *_rest = place(np.array([[low[0], y]]))
        marks.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        marks.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in x_ticks[(x_ticks >= low[0]) & (x_ticks <= high[0])]:
        (at, _), *_rest = place(np.array([[x, low[1]]]))
        marks.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{x:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    marks.append(f'<text x="{middle}" y="{_HEIGHT - 3}" text-anchor="middle">{escape(chart.x_label)}</text>')
    for number, points in enumerate(series.values()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in place(points))
        marks.append(f'<polyline class="s{number % 6}" points="{path}"/>')
    keys = "".join(
        f'<li><svg width="26" height="10"><line class="s{number % 6}" x1="0" x2="26" y1="5" y2="5"/></svg>'
        f"{escape(name)}</li>"
        for number, name in enumerate(series)
    )
    return (
        f'<figure class="chart"><figcaption>{escape(chart.title)}</figcaption><svg role="img" '
        f'aria-label="{escape(chart.title)}" viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(marks)}</svg>'
        f'<ul class="keys">{keys}</ul></figure>'
    )


def _thinned(points: Points) -> np.ndarray:
    """float[N, 2]: the finite points in the order of x; long curves as the means of equal runs."""
    array = np.asarray(list(points), np.float64).reshape(-1, 2)
    array = array[np.isfinite(array).all(axis=1)]
    array = array[np.argsort(array[:, 0], kind="stable")]
    if len(array) <= _MOST_POINTS:
        return array
    return np.array([run.mean(axis=0) for run in np.array_split(array, _MOST_POINTS)])


def _ticks(low: float, high: float) -> np.ndarray:
    """Two to seven round numbers at one distance whose range holds low and high."""
    scale = max(abs(low), abs(high)) or 1.0
    span = high - low if high - low > 1e-6 * scale else scale
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= 5)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return np.round(np.arange(first, last + 1) * step, 12)


# ---- the frame ----

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
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
  background: var(--page); color: var(--ink);
  font: clamp(16px, 14px + .25vw, 19px)/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { font-size: clamp(1.6rem, 1.2rem + 1.6vw, 2.4rem); line-height: 1.15; margin: 1.2em 0 .4em; }
h2 { font-size: 1.35em; margin: 1.6em 0 .6em; }
h3 { font-size: 1em; margin: 0 0 .4em; }
figure { margin: 0; }
summary { cursor: pointer; font-weight: 700; padding: 1em 0; }
.lead { font-size: 1.12em; max-width: 46em; margin: 0 0 .7em; }
.hint, figcaption, small { color: var(--dim); font-size: .85em; }
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
.bars text { font-size: min(15px, 3.5vw); }
.bars .group, .bars .value { font-weight: 700; }

article { margin-bottom: 1.3em; }
.strip { display: flex; gap: 10px; padding: 1px 1px 12px; }
.strip figure { flex: none; }
.strip figcaption { width: 0; min-width: 100%; line-height: 1.3; margin-top: .3em; }
.strip img {
  display: block; height: clamp(190px, 17vw, 300px); width: auto;
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
