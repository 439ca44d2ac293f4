"""What is to be seen of a training while it runs, and later: the first process writes it, the others nothing.

In the training's folder: `metrics.jsonl` (loss and scores: the same on every machine), `speed.jsonl` (of this machine:
steps a second, evaluation and all, and memory), both and a picture of sample predictions for TensorBoard in `events/`,
and, if asked for, a trace of chosen steps in `profile/`. On standard error: how far, how fast, how long still.
"""

import resource
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax

from pgkt_jax.train import hosts
from pgkt_jax.train.events import EventFile
from pgkt_jax.train.log import MetricsFile, Progress


class Validation(NamedTuple):
    """What validation says of a state.

    Attributes:
        miou: the mean IoU, by which the best checkpoint is told.
        picture: sample predictions, as a PNG.
    """

    miou: float
    picture: bytes | None = None


class Watch:
    """Watches one training; close it, or use it in `with`.

    Args:
        title: of the progress line.
        folder: of the training.
        first: steps done already, by earlier runs.
        steps: of the whole training.
        profile: the first and the last step (counted from 1) to trace; a `lax.scan` of steps is traced whole.
    """

    def __init__(self, title: str, folder: Path, *, first: int, steps: int, profile: tuple[int, int] | None = None):
        self._writes = hosts.is_first()
        self._profile = profile if self._writes else None
        self._folder, self._tracing = folder, False
        self._progress = Progress(title, steps, start=first)
        self._since = time.monotonic(), first
        if self._writes:
            self._metrics, self._speed = (MetricsFile(folder / f"{name}.jsonl", first) for name in ("metrics", "speed"))
            self._events = EventFile(folder / "events", first)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begins(self, done: int, steps: int) -> None:
        """The next call runs `steps` steps after the `done` ones."""
        if self._profile and not self._tracing and done < self._profile[1] and done + steps >= self._profile[0]:
            jax.profiler.start_trace(self._folder / "profile")
            self._tracing = True

    def ends(self, done: int, result: Any) -> None:
        """So many steps are on their way to `result`."""
        if self._tracing and self._profile and done >= self._profile[1]:
            jax.block_until_ready(result)
            self._stop_trace()

    def passed(self, done: int) -> None:
        """So many steps are done, and there is nothing to be measured."""
        self._progress.show(done)

    def measured(self, done: int, loss: float, validation: Validation) -> None:
        """The mean loss since the last one, and what validation says, after so many steps."""
        if not self._writes:
            return
        (then, before), self._since = self._since, (time.monotonic(), done)
        memory = memory_mib()
        speed = {"steps_per_s": (done - before) / (self._since[0] - then), **memory}
        miou, picture = validation
        self._metrics.write(done, loss=loss, miou=miou)
        self._speed.write(done, **speed)
        self._events.write(done, loss=loss, miou=miou, **speed)
        if picture:
            self._events.write_picture(done, "predictions", picture)
        held = ", ".join(f"{name.removesuffix('_mib')} {mib:,.0f} MiB" for name, mib in memory.items())
        self._progress.show(done, f"loss {loss:.4f}  val mIoU {miou:.3f}  {held}")

    def close(self) -> None:
        if self._tracing:
            self._stop_trace()
        if self._writes:
            self._events.close()

    def _stop_trace(self) -> None:
        jax.profiler.stop_trace()
        self._tracing = False
        self._profile = None


def check_profile(profile: tuple[int, int] | None, steps: int, name: str) -> None:
    """Raises ValueError if a training of so many steps has not all of the steps that are to be traced."""
    if profile and not 1 <= profile[0] <= profile[1] <= steps:
        first, last = profile
        raise ValueError(
            f"profile = {first} {last}: {name} has steps 1 to {steps}, give the first and the last to trace"
        )


def memory_mib() -> dict[str, float]:
    """What this process' fullest device holds, now and at most, in MiB; on CPUs the process' own peak."""
    stats = [found for found in (device.memory_stats() for device in jax.local_devices()) if found]
    if stats:
        held = {"device_mib": "bytes_in_use", "device_peak_mib": "peak_bytes_in_use"}
        return {name: max(one.get(key, 0) for one in stats) / 2**20 for name, key in held.items()}
    unit = 1 if sys.platform == "darwin" else 2**10
    return {"host_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20}
