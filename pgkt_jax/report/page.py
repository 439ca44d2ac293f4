"""The report of a run: scores, pictures and training curves on one page."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from pgkt_jax.report.charts import Chart, chart_figure
from pgkt_jax.report.gallery import GalleryRow, gallery_row, legend, paragraphs, swatch
from pgkt_jax.report.html import write_html
from pgkt_jax.report.table import MISSING, Row, best_cells, grouped, percent, scores


@dataclass(frozen=True)
class Card:
    """A key figure: what it is in a few words, the figure itself, and where it comes from."""

    label: str
    value: str
    detail: str = ""


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


def write_page(path: str | os.PathLike[str], *, title: str, **content: Any) -> None:
    """Write the report of one run, all of it or nothing; its folder is made, an older file replaced.

    Args:
        path: of the HTML file.
        title: of the page.
        content: see `report_body`, which says what it raises, too.
    """
    write_html(path, title, report_body(title=title, **content))


def report_body(
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
    curves_title: str = "Training",
) -> list[str]:
    """The HTML of a report, for a page of its own or one of several in a page.

    Args:
        title: its heading.
        lead: what was done and what came out; a blank line starts a paragraph.
        rows: the scores, as in `results.json` (see `pgkt_jax.report.table`).
        classes: every class, background among them, in the order of `palette`.
        palette: uint8[C, 3], RGB.
        cards: key figures for the top of the page, see `gain_cards`.
        gallery: the pictures, a row for each person.
        settings: whatever fixes the numbers; nested mappings become dotted names.
        notes: remarks for below the table.
        curves: of the training, or whatever else `curves_title` says.
        curves_title: heading of the curves.

    Raises:
        ValueError: classes and palette differ in length, or a picture is not uint8[H, W, 3].
    """
    if len(classes) != len(palette):
        raise ValueError(f"{len(classes)} classes, but {len(palette)} colours")
    return [
        f"<header><h1>{escape(title)}</h1>{paragraphs(lead, 'lead')}{_cards(cards)}</header>",
        legend(zip(classes, palette)),
        _section("Scores", _bars(rows) + _table(rows, classes, palette) + _notes(notes), rows),
        _section("Pictures", "".join(map(gallery_row, gallery)), gallery),
        _section(curves_title, f'<div class="charts">{"".join(map(chart_figure, curves))}</div>', curves),
        _settings(settings or {}),
    ]


# ---- text ----


def _section(title: str, content: str, needed: Sequence[Any]) -> str:
    return f"<section><h2>{title}</h2>{content}</section>" if needed else ""


def _cards(cards: Sequence[Card]) -> str:
    items = [
        f'<div class="card"><dt>{escape(card.label)}</dt>'
        f'<dd><span class="figure">{escape(card.value)}</span><small>{escape(card.detail)}</small></dd></div>'
        for card in cards
    ]
    return f'<dl class="cards">{"".join(items)}</dl>' if items else ""


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
    heads += [f'<th scope="col">{swatch(c)}{escape(name)}</th>' for name, c in zip(classes, palette)]
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
