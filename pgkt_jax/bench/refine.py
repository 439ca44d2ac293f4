"""`pgkt bench refine`: a training step of the refinement network, beside the same network and optimiser in PyTorch.

The step makes its views and priors itself; `network` is its update alone, on inputs that lie ready, which is all that
PyTorch is given to do.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import jax

from pgkt_jax.bench.training import Labelled, Scan, Training, compare, format_rows, made_up, planned
from pgkt_jax.config import RefineConfig
from pgkt_jax.stages.refine import bank_of, refine_step, refinement_loss, refinement_network
from pgkt_jax.train.optim import adam
from pgkt_jax.train.state import TrainState


@dataclass(frozen=True)
class Setting:
    """What is measured; the defaults are the folder quickstart's, at 128 x 96 pixels.

    Attributes:
        people: `puppets` (stick people where OpenCV is missing), or a people folder;
            split train is the bank and trains.
        batch, size, k, n, method, depth, width, dropout_blocks, input_skip, loss, dtype: as for `RefineConfig`.
        scan: where to measure steps in one `lax.scan` as well.
        seconds: to spend on the comparison; streaming spends as much again.
        plan: compile the step and say what memory it needs; no step is run.
    """

    people: str = "puppets"
    batch: int = 8
    size: tuple[int, int] = (128, 96)
    k: int = 5
    n: int = 8
    method: Literal["limb_frames", "exact"] = "limb_frames"
    depth: int = 5
    width: int = 32
    dropout_blocks: int = 1
    input_skip: bool = True
    loss: Literal["l1", "cross-entropy"] = "cross-entropy"
    dtype: Literal["float32", "bfloat16"] = "float32"
    scan: Scan = "accelerators"
    seconds: float = 20.0
    plan: bool = False


def config_of(setting: Setting) -> RefineConfig:
    """The stage's config."""
    fields = asdict(setting)
    for name in ("people", "scan", "seconds", "plan"):
        del fields[name]
    return RefineConfig(**fields, color=0.3, learning_rate=1e-3)


def training_of(config: RefineConfig, people: str) -> Training:
    """The stage's training on these people."""
    labelled = Labelled.open(people)
    skeleton = labelled.skeleton
    tx = adam(config.learning_rate, beta1=config.beta1, steps=1)
    state = TrainState.create(refinement_network(config, skeleton), tx, config.seed)
    shape = (config.batch, *config.size, 3 + skeleton.num_classes - 1)
    inputs, classes = made_up(shape, config.size, skeleton.num_classes)
    return Training(
        refine_step(config), bank_of(labelled.people, skeleton), state, labelled, refinement_loss(config),
        inputs, classes, config.dtype,
    )  # fmt: skip


def rivals_of(config: RefineConfig, training: Training) -> dict[str, Any]:
    """PyTorch's training where it is installed."""
    try:
        from pgkt_jax.bench.rivals import torch_unet
    except ImportError:
        return {}
    return torch_unet.rivals(config, training)


def run(setting: Setting, folder: Path) -> None:
    """Measures, prints, and writes `refine.json`."""
    config = config_of(setting)
    training = training_of(config, setting.people)
    rivals = {} if setting.plan else rivals_of(config, training)
    found = planned(training) if setting.plan else compare(training, rivals, seconds=setting.seconds, scan=setting.scan)
    result: dict[str, Any] = {"device": jax.devices()[0].device_kind, "setting": asdict(setting), **found}
    print(f"{result['device']}: refinement, batch {setting.batch}, {setting.size}, {setting.dtype}")
    missing = "" if rivals or setting.plan else "\nno rival: PyTorch is not installed"
    print(format_rows(result) + missing)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "refine.json").write_text(json.dumps(result, indent=1))
