"""`pgkt bench nearest`: what it takes to find the nearest poses in a bank of a million, beside other ways to pick them.

The rivals work out all distances at once and pick by `lax.top_k` or `lax.approx_min_k`; both are told that every joint
is seen and that nobody is left out, which `nearest_poses` finds out.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.bench.measure import MIB, compiled, in_turns
from pgkt_jax.bench.prior import read_poses
from pgkt_jax.prior import PoseBank, nearest_poses
from pgkt_jax.retrieval import normalize_pose, query_features
from pgkt_jax.typing import Array


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        people: `puppets` (stick people where OpenCV is missing), or a people folder: split test gives the poses.
        poses: an .npy of float32[M, J, 2] in place of split test, every joint visible.
        bank: poses in the bank; those given, each time with fresh noise on the joints.
        batch: queries a call.
        k: neighbours.
        seconds: to spend.
    """

    people: str = "puppets"
    poses: str | None = None
    bank: int = 1_000_000
    batch: int = 32
    k: int = 5
    seconds: float = 20.0


def rival(pick: Callable[[Array, int], tuple[Array, Array]], bank: PoseBank, joints: Array, k: int) -> Array:
    """Rows int32[B, k] of the poses nearest to float32[B, J, 2] by one matrix product and `pick`."""
    seen = jnp.ones(joints.shape[1], bool)

    def query(pose: Array) -> Array:
        return query_features(normalize_pose(pose, seen, bank.skeleton, bank.mean_pose)[0], seen)

    distances = jnp.dot(jax.vmap(query)(joints), bank.features.T, precision=jax.lax.Precision.HIGHEST)
    return pick(distances, k)[1]


RIVALS: dict[str, Callable[[Array, int], tuple[Array, Array]]] = {
    "all distances, top_k": lambda distances, k: jax.lax.top_k(-distances, k),
    "all distances, approx_min_k": jax.lax.approx_min_k,
}


def run(setting: Setting, folder: Path) -> None:
    """Measures, prints, and writes `nearest.json`."""
    skeleton, poses, _ = read_poses(setting.people, setting.poses)
    rng = np.random.default_rng(0)
    rows = np.resize(np.arange(len(poses)), setting.bank)
    noise = rng.normal(0, 0.02, (setting.bank, *poses.shape[1:])) * np.ptp(poses[rows], 1, keepdims=True)
    bank = PoseBank.of_poses(skeleton, poses[rows] + noise, np.ones((setting.bank, skeleton.num_joints), bool))
    queries = jnp.asarray(poses[np.resize(np.arange(len(poses)), setting.batch)])
    seen = jnp.ones(queries.shape[:2], bool)
    programs = {"nearest_poses": jax.vmap(functools.partial(nearest_poses, k=setting.k), (None, 0, 0))}
    calls, told = {}, {}
    calls["nearest_poses"], told["nearest_poses"] = compiled(programs["nearest_poses"], bank, queries, seen)
    for name, pick in RIVALS.items():
        calls[name], told[name] = compiled(functools.partial(rival, pick, k=setting.k), bank, queries)
    seconds = in_turns(calls, seconds=setting.seconds)
    truth = np.asarray(calls["nearest_poses"]().indices)
    found = {name: truth if name == "nearest_poses" else np.asarray(call()) for name, call in calls.items()}
    result: dict[str, Any] = {
        "device": jax.devices()[0].device_kind,
        "setting": asdict(setting),
        "bank_mib": sum(leaf.nbytes for leaf in jax.tree.leaves(bank)) / MIB,
        "rows": [
            {
                "name": name,
                "seconds": seconds[name],
                "found_of_the_nearest": float(np.mean([np.isin(f, t).mean() for f, t in zip(found[name], truth)])),
                **told[name],
            }
            for name in calls
        ],
    }
    print(f"{result['device']}: {setting.batch} queries, {setting.bank} poses, a bank of {result['bank_mib']:.0f} MiB")
    for row in result["rows"]:
        print(
            f"{row['name']:28}{row['seconds'] * 1e3:10.1f} ms{row['temporary_mib']:8.0f} MiB besides"
            f"{row['found_of_the_nearest']:8.1%} found"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nearest.json").write_text(json.dumps(result, indent=1))
