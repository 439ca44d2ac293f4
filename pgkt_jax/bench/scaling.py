"""`pgkt bench scaling`: how long a training step takes on paper, against the number of hosts. Nothing is timed.

The FLOPs of a step and the bytes of its gradients are counted from the stages' own programs; rate and bandwidth are
settings. A step is the arithmetic of a device's share of the batch, then the sum of the float32 gradients over all
devices: in each host first, over its hosts' network then, each a ring in which every member sends and receives
2 (n - 1) / n times the bytes. Nothing overlaps and no host is slower than another. A step that reads, waits or is
bound by memory takes longer, so what this says of the network's share is the most that it is.
"""

import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from pgkt_jax.bench.flops import TRAINING, forward_flops
from pgkt_jax.config import ParseConfig, RefineConfig
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages.parse import parsing_network
from pgkt_jax.stages.refine import refinement_network

PAYS = 1.5
"""Twice the hosts pay while they train at least so many times as fast."""

HOSTS = tuple(2**power for power in range(11))


@dataclass(frozen=True)
class Setting:
    """A cluster.

    Attributes:
        people: on a device in a step; the global batch is this times the devices, unless `batch` says it.
        batch: the global batch, for any number of hosts.
        devices: of a host.
        tflop_per_s: that a device reaches in these networks.
        inner_gb_per_s: that a device sends (and receives) within its host.
        gbit_per_s: that a host sends (and receives) over the network.
    """

    people: int = 8
    batch: int | None = None
    devices: int = 8
    tflop_per_s: float = 300.0
    inner_gb_per_s: float = 300.0
    gbit_per_s: float = 100.0


@dataclass(frozen=True)
class Work:
    """What one step costs: FLOPs of a person, and bytes of the gradients."""

    flops_per_person: float
    gradient_bytes: int


def networks() -> dict[str, Work]:
    """Both of the paper's networks, at its sizes."""
    refine, parse = RefineConfig(), ParseConfig(backbone="vgg")
    channels = 3 + PASCAL_PERSON.num_classes - 1
    made = {
        "refine (U-Net)": (lambda: refinement_network(refine, PASCAL_PERSON), (*refine.size, channels)),
        "parse (VGG-16, attention)": (lambda: parsing_network(parse, PASCAL_PERSON), (*parse.size, 3)),
    }
    return {name: _work(build, shape) for name, (build, shape) in made.items()}


def _work(build: Any, shape: tuple[int, ...]) -> Work:
    graph, params = nnx.split(nnx.eval_shape(build))
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    flops = forward_flops(lambda params, image: nnx.merge(graph, params)(image), params, image)
    return Work(TRAINING * flops, sum(leaf.size * 4 for leaf in jax.tree.leaves(params)))


def step_seconds(work: Work, setting: Setting, hosts: int) -> tuple[float, float]:
    """Seconds of arithmetic and of the gradients' way, in one step on so many hosts."""
    people = setting.people if setting.batch is None else setting.batch / (hosts * setting.devices)
    compute = people * work.flops_per_person / (setting.tflop_per_s * 1e12)
    inner = 2 * (setting.devices - 1) / setting.devices * work.gradient_bytes / (setting.inner_gb_per_s * 1e9)
    outer = 2 * (hosts - 1) / hosts * work.gradient_bytes / (setting.gbit_per_s / 8 * 1e9)
    return compute, inner + outer


def rows_of(work: Work, setting: Setting) -> list[dict[str, float]]:
    """A row for every number of hosts that the batch can be split over."""
    rows: list[dict[str, float]] = []
    for hosts in HOSTS:
        batch = setting.people * hosts * setting.devices if setting.batch is None else setting.batch
        if batch % (hosts * setting.devices) == 0:
            compute, gradients = step_seconds(work, setting, hosts)
            rate = batch / (compute + gradients)
            one = rows[0]["people_per_s"] if rows else rate
            rows.append({
                "hosts": hosts, "batch": batch, "compute_ms": 1e3 * compute, "gradients_ms": 1e3 * gradients,
                "people_per_s": rate, "share_of_linear": rate / (one * hosts),
            })  # fmt: skip
    return rows


def stops_paying(rows: list[dict[str, float]]) -> int:
    """The number of hosts whose doubling makes training less than `PAYS` times as fast, or cannot be had."""
    for row, twice in itertools.pairwise(rows):
        if twice["people_per_s"] < PAYS * row["people_per_s"]:
            return int(row["hosts"])
    return int(rows[-1]["hosts"])


def run(setting: Setting, folder: Path) -> None:
    """Counts, prints, and writes `scaling.json`.

    Raises:
        ValueError: the batch cannot be split over one host's devices.
    """
    if setting.batch is not None and setting.batch % setting.devices:
        raise ValueError(f"batch = {setting.batch} cannot be split over {setting.devices} devices: choose a multiple")
    result: dict[str, Any] = {"setting": asdict(setting)}
    for name, work in networks().items():
        rows = rows_of(work, setting)
        result[name] = {**asdict(work), "rows": rows, "stops_paying": stops_paying(rows)}
        gflop, mib = work.flops_per_person / 1e9, work.gradient_bytes / 2**20
        print(f"{name}: {gflop:.1f} GFLOP a person, gradients of {mib:.1f} MiB")
        print(f"{'hosts':>8}{'batch':>8}{'compute ms':>12}{'gradients ms':>14}{'people/s':>12}{'of linear':>11}")
        for row in rows:
            print(
                f"{row['hosts']:8}{row['batch']:8}{row['compute_ms']:12.2f}{row['gradients_ms']:14.2f}"
                f"{row['people_per_s']:12.0f}{row['share_of_linear']:11.0%}"
            )
        print(f"twice the hosts pay up to {result[name]['stops_paying']}\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scaling.json").write_text(json.dumps(result, indent=1))
