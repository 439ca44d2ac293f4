"""What a person sees of a run: a progress line, and a file with one JSON line a measurement."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pgkt_jax.data import checks, files
from pgkt_jax.train import hosts


class Progress:
    """One line on standard error: how far, how fast, how long still. Not a terminal: a line every tenth of the way."""

    def __init__(self, title: str, total: int, *, start: int = 0, unit: str = "steps"):
        self.title, self.total, self.start, self.unit = title, total, start, unit
        self._began, self._shown, self._tty = time.monotonic(), start, sys.stderr.isatty()

    def show(self, done: int, note: str = "") -> None:
        """Shows that `done` of the total are done."""
        if not hosts.is_first():
            return
        if not self._tty and done < self.total and done - self._shown < self.total / 10:
            return
        self._shown = done
        elapsed = time.monotonic() - self._began
        rate = (done - self.start) / elapsed if elapsed > 0 else 0.0
        left = f"{_clock((self.total - done) / rate)} left" if rate > 0 and done < self.total else _clock(elapsed)
        line = f"{self.title}  {done}/{self.total} {self.unit}  {rate:.1f}/s  {left}  {note}"
        end = "\n" if not self._tty or done >= self.total else ""
        sys.stderr.write(("\r\033[K" if self._tty else "") + line.rstrip() + end)
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


class MetricsFile:
    """`metrics.jsonl`: one object a line, each with its `step`. Lines after `step` (of a run cut short) are dropped."""

    def __init__(self, path: Path, step: int):
        self._path = path
        kept = [row for row in read_metrics(path) if row["step"] <= step]
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept).encode())

    def write(self, step: int, **values: float) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def read_metrics(path: Path, *names: str) -> list[dict[str, int | float]]:
    """The rows of a metrics file; none if it is not there. A line cut short by a crash is left out.

    Args:
        path: of the file.
        names: of the numbers that every row must have besides its `step`.

    Raises:
        ValueError: the file cannot be read, or a line is no such row; names file, line and number.
    """
    if not path.exists():
        return []
    with checks.about(str(path)):
        lines = files.read_text(path).split("\n")
        return [_row(line, number, names) for number, line in enumerate(lines[:-1], start=1) if line]


def _row(line: str, number: int, names: Sequence[str]) -> dict[str, int | float]:
    with checks.about(f"line {number}"):
        with checks.about("is not JSON"):
            row = json.loads(line)
        row = checks.object_or_none(row) or {}
        if type(row.get("step")) is not int:
            raise ValueError(f"step: is {row.get('step')!r}, not a whole number")
        for name in names:
            if type(row.get(name)) not in (int, float):
                raise ValueError(f"{name}: is {row.get(name)!r}, not a number")
        return row
