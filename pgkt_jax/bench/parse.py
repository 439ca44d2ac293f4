"""`pgkt bench parse`: a training step of the parsing network, beside the same network and optimiser in PyTorch.

The step makes its views itself; `network` is its update alone, on inputs that lie ready, which is all that PyTorch is
given to do.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp

from pgkt_jax.bench.training import Labelled, Scan, Training, compare, format_rows, made_up, planned
from pgkt_jax.config import BackboneName, HeadName, ParseConfig
from pgkt_jax.stages.parse import parse_step, parsing_loss, parsing_network, parsing_optimizer
from pgkt_jax.train.state import TrainState


@dataclass(frozen=True)
class Setting:
    """What is measured; the defaults are the folder quickstart's, at 128 x 96 pixels.

    Attributes:
        people: `puppets` (stick people where OpenCV is missing), or a people folder, whose split train trains.
        batch, accumulate, size, backbone, head, width, scales, attention_width, optimizer, dtype: as for `ParseConfig`.
        scan: where to measure steps in one `lax.scan` as well.
        seconds: to spend on the comparison; streaming spends as much again.
        plan: compile the step and say what memory it needs; no step is run.
    """

    people: str = "puppets"
    batch: int = 8
    accumulate: int = 1
    size: tuple[int, int] = (128, 96)
    backbone: BackboneName = "small"
    head: HeadName = "subpixel"
    width: int | None = None
    scales: tuple[float, ...] = (1.0, 0.75, 0.5)
    attention_width: int = 512
    optimizer: Literal["sgd", "adam"] = "adam"
    dtype: Literal["float32", "bfloat16"] = "float32"
    scan: Scan = "accelerators"
    seconds: float = 20.0
    plan: bool = False


def config_of(setting: Setting) -> ParseConfig:
    """The stage's config."""
    fields = asdict(setting)
    for name in ("people", "scan", "seconds", "plan"):
        del fields[name]
    return ParseConfig(**fields, color=0.3)


def training_of(config: ParseConfig, people: str) -> Training:
    """The stage's training on these people."""
    labelled = Labelled.open(people)
    state = TrainState.create(parsing_network(config, labelled.skeleton), parsing_optimizer(config), config.seed)
    shape = (config.batch, *config.size, 3)
    grid = jax.eval_shape(state.network(), jax.ShapeDtypeStruct(shape, jnp.float32)).fused.shape[1:3]
    inputs, classes = made_up(shape, grid, labelled.skeleton.num_classes)
    step = parse_step(config, labelled.skeleton)
    return Training(step, None, state, labelled, parsing_loss, inputs, classes, config.dtype)


def rivals_of(config: ParseConfig, training: Training) -> dict[str, Any]:
    """PyTorch's training where it is installed and the network is written in it."""
    try:
        from pgkt_jax.bench.rivals import torch_parser
    except ImportError:
        return {}
    return torch_parser.rivals(config, training)


def run(setting: Setting, folder: Path) -> None:
    """Measures, prints, and writes `parse.json`."""
    config = config_of(setting)
    training = training_of(config, setting.people)
    rivals = {} if setting.plan else rivals_of(config, training)
    found = planned(training) if setting.plan else compare(training, rivals, seconds=setting.seconds, scan=setting.scan)
    result: dict[str, Any] = {"device": jax.devices()[0].device_kind, "setting": asdict(setting), **found}
    what = f"{setting.head} on {setting.backbone}"
    print(f"{result['device']}: {what}, batch {setting.batch}, {setting.size}, {setting.dtype}")
    missing = "" if rivals or setting.plan else f"\nno rival: {what} in PyTorch is not here"
    print(format_rows(result) + missing)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "parse.json").write_text(json.dumps(result, indent=1))
