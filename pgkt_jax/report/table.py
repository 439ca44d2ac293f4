"""The table of scores as plain text, and the reading of its rows that the HTML page shares.

A row is what `results.json` holds: `{"name", "miou", "iou": {class: value}}`, scores in 0..1, null or NaN or
absent where there is none. Two keys are optional: `group`, a heading for rows that are compared with each
other, and `note`, a remark.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

Row = Mapping[str, Any]

MISSING = "\N{EN DASH}"
"""What stands where there is no score."""


def format_table(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """The scores in per cent, one line a row; `*` marks the best of a column, within its group if it has one.

    Args:
        rows: as in `results.json`.
        classes: the columns after mIoU, keys of a row's `iou`; what a row lacks is shown as missing.

    Returns:
        Lines without a trailing newline.
    """
    titles = [f"{title} " for title in ("mIoU", *classes)]  # the blank stands above the marks
    names = [row["name"] for row in rows]
    name_width = max(map(len, names), default=0)
    widths = [max(len(title), 6) for title in titles]
    lines = [_line("", titles, widths, name_width, "note" if any(row.get("note") for row in rows) else "")]
    for group, members in grouped(rows):
        lines += [group] if group else []
        marks = best_cells(members, classes)
        for row, best in zip(members, marks):
            cells = [percent(value) + ("*" if mark else " ") for value, mark in zip(scores(row, classes), best)]
            lines.append(_line(row["name"], cells, widths, name_width, row.get("note") or ""))
    return "\n".join(lines)


def percent(value: float) -> str:
    """0.6574 -> 65.7; NaN -> a dash."""
    return MISSING if math.isnan(value) else f"{100 * value:.1f}"


def scores(row: Row, classes: Sequence[str]) -> list[float]:
    """mIoU, then the IoU of every class, in 0..1; NaN where the row has none."""
    iou = row.get("iou") or {}
    return [_number(row.get("miou")), *(_number(iou.get(name)) for name in classes)]


def grouped(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """(group, its rows) in the order given; the group is empty for rows that name none."""
    return [(group, list(members)) for group, members in groupby(rows, lambda row: row.get("group") or "")]


def best_cells(rows: Sequence[Row], classes: Sequence[str]) -> list[list[bool]]:
    """For every cell of `scores`, whether none of the rows prints more; one score alone is no best."""
    columns = zip(*([round(value, 3) for value in scores(row, classes)] for row in rows))
    return [list(marks) for marks in zip(*map(_best_of, columns))]


def _best_of(column: Sequence[float]) -> list[bool]:
    present = [value for value in column if not math.isnan(value)]
    return [len(present) > 1 and value == max(present) for value in column]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _line(name: str, cells: Sequence[str], widths: Sequence[int], name_width: int, note: str) -> str:
    padded = [cell.rjust(width) for cell, width in zip(cells, widths)]
    return "  ".join([name.ljust(name_width), *padded, note]).rstrip()
