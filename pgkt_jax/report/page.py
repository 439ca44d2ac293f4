"""The report of a run: scores, pictures and training curves on one page."""

import base64
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import cv2
import numpy as np

from pgkt_jax.report.charts import Chart, chart_figure
from pgkt_jax.report.figures import LEFT_COLOR, RIGHT_COLOR
from pgkt_jax.report.html import write_html
from pgkt_jax.report.table import MISSING, Row, best_cells, grouped, percent, scores


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
        legend(classes, palette),
        _section("Scores", _bars(rows) + _table(rows, classes, palette) + _notes(notes), rows),
        _section("Pictures", "".join(map(_gallery_row, gallery)), gallery),
        _section("Training", f'<div class="charts">{"".join(map(chart_figure, curves))}</div>', curves),
        _settings(settings or {}),
    ]
    write_html(path, title, body)


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


def legend(classes: Sequence[str], palette: np.ndarray) -> str:
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
