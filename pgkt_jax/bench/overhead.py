"""`pgkt bench overhead`: what checkpoints, logs and the picture of a validation cost a training of a parsing network.

The training is `train.loop.fit` itself. Where it is about to log and save, it is held up, and the same number of the
same steps, fed in the same way, is run bare: both take turns, and what is still being written on the side counts as
the training's.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp

from pgkt_jax.bench import parse
from pgkt_jax.bench.training import Training, people_of_step
from pgkt_jax.config import BackboneName, HeadName, ParseConfig
from pgkt_jax.skeleton import IGNORE
from pgkt_jax.stages.evaluate import SHOWN, samples
from pgkt_jax.train.loop import Resident, fit, scanned
from pgkt_jax.train.sharding import data_mesh, replicate, split
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.watch import Validation


@dataclass(frozen=True)
class Setting:
    """What is measured; the defaults are the folder quickstart's, at 128 x 96 pixels.

    Attributes:
        people: `puppets` (stick people where OpenCV is missing), or a people folder, whose split train trains.
        batch, size, backbone, head, width, optimizer, dtype: as for `ParseConfig`.
        every: steps between two checkpoints.
        turns: how often both are timed.
    """

    people: str = "puppets"
    batch: int = 8
    size: tuple[int, int] = (128, 96)
    backbone: BackboneName = "small"
    head: HeadName = "subpixel"
    width: int | None = None
    optimizer: Literal["sgd", "adam"] = "adam"
    dtype: Literal["float32", "bfloat16"] = "float32"
    every: int = 400
    turns: int = 5


class Clock:
    """Stands where a training is scored: times what was done since it was left, then the bare steps.

    Args:
        bare: runs as many steps as lie between two checkpoints.
        picture: of a validation.

    Attributes:
        trained, bare: (wall, CPU) seconds of every turn. The first turn of a training, which compiles, is left out.
    """

    def __init__(self, bare: Callable[[], None], picture: Callable[[], bytes | None]):
        self._bare, self._picture, self._left = bare, picture, (0.0, 0.0)
        self.trained: list[tuple[float, float]] = []
        self.bare: list[tuple[float, float]] = []

    def __call__(self, _: TrainState) -> Validation:
        if self._left[0]:
            self.trained.append(self._since(self._left))
            start = _now()
            self._bare()
            self.bare.append(self._since(start))
        self._left = _now()
        return Validation(0.5, self._picture())

    def _since(self, start: tuple[float, float]) -> tuple[float, float]:
        wall, cpu = _now()
        return wall - start[0], cpu - start[1]


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def bare_steps(training: Training, data: Resident, steps: int) -> Callable[[], None]:
    """Runs so many steps of the training, fed as `fit` feeds them, and waits for them; compiled already."""
    mesh = data_mesh()
    state = replicate(jax.tree.map(jnp.copy, training.state), mesh)
    one, many = (jax.jit(function, donate_argnums=0) for function in (training.step, scanned(training.step)))

    def run() -> None:
        nonlocal state
        for people, rows in data.feed(0, steps):
            if rows.size:
                state, metrics = many(state, training.context, people, split(rows, mesh, axis=1))
            else:
                state, metrics = one(state, training.context, split(people, mesh))
        jax.block_until_ready(metrics)

    run()
    return run


def config_of(setting: Setting) -> ParseConfig:
    """The stage's config."""
    fields = asdict(setting)
    for name in ("people", "turns"):
        del fields[name]
    return ParseConfig(**fields, color=0.3, steps=setting.every * (setting.turns + 1))


def measure(setting: Setting) -> dict[str, Any]:
    """Seconds of both in every turn, and the medians of their ratios turn by turn."""
    config = config_of(setting)
    training = parse.training_of(config, setting.people)
    data, skeleton = Resident(training.labelled.arrays, config.batch, config.seed), training.labelled.skeleton
    shown = people_of_step(training, 0)
    truth = skeleton.class_lut[shown.label_maps] % IGNORE

    clock = Clock(bare_steps(training, data, setting.every), lambda: samples(truth[:SHOWN], shown, skeleton))
    with tempfile.TemporaryDirectory() as folder:
        fit(
            training.state, training.step, training.context, data, title="overhead", config=config,
            folder=Path(folder), steps=config.steps, every=config.every, evaluate=clock,
        )  # fmt: skip
    pairs = list(zip(clock.trained, clock.bare))
    wall, cpu = (statistics.median(trained[i] / bare[i] - 1 for trained, bare in pairs) for i in (0, 1))
    return {"turns": [[*trained, *bare] for trained, bare in pairs], "overhead": {"wall": wall, "cpu": cpu}}


def run(setting: Setting, folder: Path) -> None:
    """Measures, prints, and writes `overhead.json`."""
    result = {"device": jax.devices()[0].device_kind, "setting": asdict(setting), **measure(setting)}
    rate = setting.every / statistics.median(turn[2] for turn in result["turns"])
    print(f"{result['device']}: a checkpoint every {setting.every} steps, {rate:.1f} steps/s without")
    print(f"overhead: {result['overhead']['wall']:+.1%} wall time, {result['overhead']['cpu']:+.1%} CPU time")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "overhead.json").write_text(json.dumps(result, indent=1))
