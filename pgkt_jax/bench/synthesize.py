"""`pgkt bench synthesize`: from people with joints to label maps, end to end, against the U-Net alone.

End to end is what `pgkt synthesize` computes for a batch: people go to the device, neighbours are found, priors made,
the U-Net asked, its outputs brought to the images' own sizes, left told from right, and the maps fetched. Pictures are
neither read nor written.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp

from pgkt_jax.bench.flops import forward_flops
from pgkt_jax.bench.measure import TURN, build, compiled, in_turns, matrix_call
from pgkt_jax.bench.refine import training_of
from pgkt_jax.bench.training import Training, format_rows, people_of_step, share_of
from pgkt_jax.config import RefineConfig
from pgkt_jax.stages.synthesize import label_people


@dataclass(frozen=True)
class Setting:
    """What is measured; the defaults are the folder quickstart's, at 128 x 96 pixels, without mirror image and filter.

    Attributes:
        people: `puppets` (stick people where OpenCV is missing), or a people folder; split train is the bank and is
            labelled, each by the others.
        batch: people a call.
        size, k, method, depth, width, input_skip, loss, mirror_test, dtype: as for `RefineConfig`; the U-Net alone sees
            the mirror images, too.
        seconds: to spend.
    """

    people: str = "puppets"
    batch: int = 8
    size: tuple[int, int] = (128, 96)
    k: int = 5
    method: Literal["limb_frames", "exact"] = "limb_frames"
    depth: int = 5
    width: int = 32
    input_skip: bool = True
    loss: Literal["l1", "cross-entropy"] = "cross-entropy"
    mirror_test: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"
    seconds: float = 20.0


def config_of(setting: Setting) -> RefineConfig:
    """The stage's config."""
    fields = asdict(setting)
    for name in ("people", "seconds"):
        del fields[name]
    return RefineConfig(**fields, n=setting.k)


def rivals_of(config: RefineConfig, training: Training) -> dict[str, Callable[[], Any]]:
    """PyTorch's U-Net where it is installed."""
    try:
        from pgkt_jax.bench.rivals import torch_training, torch_unet
    except ImportError:
        return {}
    torch_training.prepare()
    name = f"U-Net alone, torch ({torch_training.device()})"
    return {name: torch_training.inference(torch_unet.unet(config, training), training.inputs, dtype=config.dtype)}


def compare(config: RefineConfig, training: Training, rivals: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    """Rows of the whole and of the U-Net alone, timed in turns, and their ratios."""
    state, people = training.state, people_of_step(training, 0)
    label, whole_told = build(
        jax.jit(lambda state, bank, people: label_people(config, state, bank, people)), state, training.context, people
    )
    inputs = jax.device_put(training.inputs)
    alone, alone_told = compiled(lambda state, inputs: state.network()(inputs), state, inputs)
    calls = {
        "end to end": lambda: jax.device_get(label(state, training.context, people)),
        "U-Net alone": alone,
        **rivals,
    }
    cpu = jax.default_backend() == "cpu"
    product, product_flops = matrix_call(1024 if cpu else 8192, jnp.dtype(config.dtype))
    measured = in_turns({**calls, "product": product}, seconds=seconds, turn=TURN if cpu and seconds else 0)
    peak = product_flops / measured.pop("product")
    flops = forward_flops(state.network(), training.inputs)
    told = {"end to end": whole_told, "U-Net alone": alone_told}
    # With the mirror image every person costs the U-Net two inputs.
    views = 2 if config.mirror_test else 1
    per_batch = {name: value * (1 if name == "end to end" else views) for name, value in measured.items()}
    return {
        "matrix_tflop_per_s": peak / 1e12,
        "gflop_per_person": views * flops / training.batch / 1e9,
        "canvas": people.images.shape[1:3],
        "rows": [
            {
                "name": name,
                "people_per_s": training.batch / value,
                **share_of(views * flops / value, peak),
                **told.get(name, {}),
            }
            for name, value in per_batch.items()
        ],
        "ratios": {f"end to end / {name}": per_batch[name] / per_batch["end to end"] for name in list(per_batch)[1:]},
    }


def run(setting: Setting, folder: Path) -> None:
    """Measures, prints, and writes `synthesize.json`."""
    config = config_of(setting)
    training = training_of(config, setting.people)
    rivals = rivals_of(config, training)
    result: dict[str, Any] = {
        "device": jax.devices()[0].device_kind,
        "setting": asdict(setting),
        **compare(config, training, rivals, seconds=setting.seconds),
    }
    images = f"{setting.size}, images on {result['canvas']}"
    print(f"{result['device']}: synthesis, batch {setting.batch}, {images}, {setting.dtype}")
    print(format_rows(result) if rivals else f"{format_rows(result)}\nno rival: PyTorch is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "synthesize.json").write_text(json.dumps(result, indent=1))
