"""`pgkt bench step`: what it costs a training step of the refinement network to make its priors itself.

The rival reads ready-made priors from device memory, which a training with fresh neighbours could not.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from pgkt_jax.bench.measure import compiled, in_turns
from pgkt_jax.bench.people import open_people
from pgkt_jax.config import RefineConfig
from pgkt_jax.data.batch import canvas_of, stack_people
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.stages.refine import bank_of, refine_step, refinement_network
from pgkt_jax.train.optim import adam
from pgkt_jax.train.state import TrainState
from pgkt_jax.typing import Array


@dataclass(frozen=True)
class Setting:
    """What is measured; the network's defaults are the folder quickstart's, at 128 x 96 pixels.

    Attributes:
        people: `puppets` (stick people where OpenCV is missing), or a people folder;
            split train is the bank and trains.
        batch, size, k, n, method, depth, width, dtype: as for `RefineConfig`.
        seconds: to spend.
    """

    people: str = "puppets"
    batch: int = 8
    size: tuple[int, int] = (128, 96)
    k: int = 5
    n: int = 8
    method: Literal["limb_frames", "exact"] = "limb_frames"
    depth: int = 5
    width: int = 32
    dtype: Literal["float32", "bfloat16"] = "float32"
    seconds: float = 20.0


class ReadyPriors(NamedTuple):
    """Stands where the bank does: float32[N, H, W, C], a prior for every person of the bank."""

    priors: Array
    skeleton: Skeleton


def _ready_input(config: RefineConfig, ready: ReadyPriors, image: Array, *_: Any, exclude: Array, **__: Any) -> Array:
    return jnp.concatenate([image, 2 * ready.priors[exclude] - 1], -1)


def run(setting: Setting, folder: Path) -> None:
    """Measures, prints, and writes `step.json`."""
    source = open_people(setting.people)
    people = [person for person in source.split("train") if person.label_map is not None]
    batch = stack_people([people[i % len(people)] for i in range(setting.batch)], canvas_of(people))
    settings = asdict(setting)
    del settings["people"], settings["seconds"]
    config = RefineConfig(**settings, loss="cross-entropy", input_skip=True, dropout_blocks=1, color=0.3)
    state = TrainState.create(refinement_network(config, source.skeleton), adam(1e-3, steps=1), 0)
    priors = jax.random.uniform(jax.random.key(0), (len(people), *config.size, source.skeleton.num_classes - 1))
    skeleton = source.skeleton

    def ready(state: TrainState, priors: Array, batch: Any) -> Any:
        return refine_step(config, _ready_input)(state, ReadyPriors(priors, skeleton), batch)

    bank = bank_of(people, skeleton)
    made, _ = compiled(refine_step(config), state, bank, batch)
    read, _ = compiled(ready, state, priors, batch)
    seconds = in_turns({"made": made, "read": read}, seconds=setting.seconds)
    result = {
        "device": jax.devices()[0].device_kind,
        "setting": asdict(setting),
        "steps_per_s": {name: 1 / value for name, value in seconds.items()},
        "ratio": seconds["made"] / seconds["read"],
    }
    print(
        f"{result['device']}: {1 / seconds['made']:.2f} steps/s where priors are made, {1 / seconds['read']:.2f} where "
        f"they are read: {result['ratio']:.3f} times the time"
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "step.json").write_text(json.dumps(result, indent=1))
