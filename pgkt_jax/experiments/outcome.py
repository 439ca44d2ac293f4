"""What an experiment came to: rows as the report prints them, verdicts, charts, and a CSV file."""

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pgkt_jax.data.files import write_atomically
from pgkt_jax.experiments.judge import gap_closed, judge
from pgkt_jax.experiments.paper import Printed
from pgkt_jax.experiments.runner import Score
from pgkt_jax.experiments.tables import Experiment, Row
from pgkt_jax.report.charts import Chart
from pgkt_jax.report.table import percent

Curve = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Outcome:
    """An experiment, and the scores of its rows, one for every seed; none of a row that could not be run.

    Attributes:
        name: of the experiment.
        evidence: whether the figures say anything; if not, nothing is judged.
    """

    name: str
    experiment: Experiment
    scores: Mapping[str, Sequence[Score]]
    evidence: bool = True

    def values(self, row: str) -> list[float]:
        """The mIoU of every seed, 0 to 1: on split val for curves, else on split test."""
        return [score.val_miou if self.experiment.curves else score.miou for score in self.scores[row]]

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a report, the paper's own below ours; see `report.table`."""
        printed = [
            _printed_row(name, group, row)
            for group, rows in self.experiment.printed.items()
            for name, row in rows.items()
        ]
        return [self._row(row) for row in self.experiment.rows] + printed

    def _row(self, row: Row) -> dict[str, Any]:
        found = self.scores[row.name]
        iou = {} if self.experiment.curves or not found else {
            name: _mean([score.iou[name] for score in found]) for name in found[0].iou
        }  # fmt: skip
        notes = [row.note, spread_of(self.values(row.name)), _beside(row.printed)]
        return {
            "name": row.name, "group": f"ours, {row.group}" if row.group else "ours",
            "miou": _mean(self.values(row.name)), "iou": iou, "note": "; ".join(filter(None, notes)),
        }  # fmt: skip

    def verdicts(self) -> list[str]:
        """A line for every ordering: held, open or not held."""
        return [self._verdict(higher, lower) for higher, lower in self.experiment.orders]

    def _verdict(self, higher: str, lower: str) -> str:
        ours = self.values(higher), self.values(lower)
        verdict = judge(*ours) if self.evidence else "no evidence"
        points = f"{100 * (_mean(ours[0]) - _mean(ours[1])):+.1f}".replace("-", "\N{MINUS SIGN}")
        return f"{verdict}: {higher} above {lower} ({points} mIoU)"

    def closed(self) -> list[str]:
        """A line for every gap that keypoints close."""
        return [
            f"{gap.semi}: keypoints close {100 * share:.0f} % of the gap to {gap.everything}"
            if math.isfinite(share)
            else f"{gap.semi}: there is no gap to close"
            for gap, share in zip(self.experiment.gaps, self._shares())
        ]

    def _shares(self) -> list[float]:
        rows = [(gap.full, gap.semi, gap.everything) for gap in self.experiment.gaps]
        return [gap_closed(*(_mean(self.values(name)) for name in names)) for names in rows]

    def charts(self, curve: Callable[[Score], Curve]) -> list[Chart]:
        """Plots of the scores, in per cent, and curves over the training; `curve` gives a training's."""
        charts = []
        if plot := self.experiment.plot:
            charts.append(Chart("mean IoU, %", dict(self._lines()), x_label=plot.x_label))
            if self.experiment.gaps:
                at = {row: x for points in plot.lines.values() for x, row in points}
                shares = [(at[gap.semi], 100 * share) for gap, share in zip(self.experiment.gaps, self._shares())]
                charts.append(
                    Chart("share of the gap that keypoints close, %", {"closed": shares}, x_label=plot.x_label)
                )
        if self.experiment.curves:
            means = {name: _mean_curve([curve(score) for score in found]) for name, found in self.scores.items()}
            charts.append(Chart("validation mean IoU, %", means))
        return charts

    def _lines(self) -> Iterator[tuple[str, list[tuple[float, float]]]]:
        assert self.experiment.plot is not None
        printed = {row.name: row.printed for row in self.experiment.rows}
        for line, points in self.experiment.plot.lines.items():
            yield line, [(x, 100 * _mean(self.values(row))) for x, row in points]
            paper = [(x, printed[row].miou) for x, row in points if printed[row] is not None]  # type: ignore[union-attr]
            if len({y for _, y in paper}) > 1:
                yield f"{line}, the paper's", paper

    def write_csv(self, folder: Path, **same: Any) -> Path:
        """NAME.csv: a line for every row and seed, IoU 0 to 1, what `same` says on every line."""
        classes = next((list(found[0].iou) for found in self.scores.values() if found), [])
        columns = ["row", "seed", "miou", *classes, "val_miou", "paper_miou", "paper", "masks", "keypoints"]
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow([*columns, "seconds", "device", "training", *same])
        for row in self.experiment.rows:
            paper = [row.printed.miou / 100, row.printed.where] if row.printed else ["", ""]
            for seed, s in enumerate(self.scores[row.name]):
                ious = ["" if math.isnan(s.iou[name]) else f"{s.iou[name]:.5f}" for name in classes]
                told = [s.masks, s.keypoints, s.seconds, s.device, s.training, *same.values()]
                writer.writerow([row.name, seed, f"{s.miou:.5f}", *ious, f"{s.val_miou:.5f}", *paper, *told])
        write_atomically(folder / f"{self.name}.csv", table.getvalue().encode())
        return folder / f"{self.name}.csv"


def spread_of(values: Sequence[float]) -> str:
    """`61.2 to 62.0, 3 seeds`; nothing where there is no value."""
    if len(values) < 2:
        return "one seed" if values else ""
    return f"{percent(min(values))} to {percent(max(values))}, {len(values)} seeds"


def _beside(printed: Printed | None) -> str:
    return "" if printed is None else f"paper {printed.miou:.2f} ({printed.where})"


def _printed_row(name: str, group: str, printed: Printed) -> dict[str, Any]:
    iou = {part: value / 100 for part, value in printed.iou.items()}
    return {"name": name, "group": group, "miou": printed.miou / 100, "iou": iou, "note": printed.note}


def _mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing, and where a value is NaN."""
    return float(np.mean(values)) if len(values) else math.nan


def _mean_curve(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """The mean of curves over the same steps, in per cent."""
    return [(points[0][0], 100 * _mean([value for _, value in points])) for points in zip(*curves)]
