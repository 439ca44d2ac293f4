"""Checkpoints of a run folder: the latest two and the best, written while training goes on."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from pgkt_jax.data.files import write_atomically
from pgkt_jax.data.person import Person
from pgkt_jax.train import hosts

Tree = TypeVar("Tree")


class Checkpoints:
    """The checkpoints of one training, under `folder`/checkpoints; `folder`/config.json says what it trains.

    Raises:
        ValueError: the folder holds a training with another config; the fields that differ are named.
    """

    def __init__(self, folder: Path, config: Any):
        # Imported here: it takes a second, and a step is timed on hosts that lack it.
        import orbax.checkpoint as ocp
        from orbax.checkpoint import checkpoint_managers

        folder.mkdir(parents=True, exist_ok=True)
        check_config(folder / "config.json", config)
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(2),
                checkpoint_managers.BestN(get_metric_fn=_rank, n=1),
            ]
        )
        self._args = ocp.args
        self._manager = ocp.CheckpointManager(
            (folder / "checkpoints").absolute(), options=ocp.CheckpointManagerOptions(preservation_policy=policy)
        )

    def restore(self, state: Tree) -> Tree | None:
        """The latest checkpoint in the form (shapes, dtypes, shardings) of `state`, or None where there is none."""
        step = self._manager.latest_step()
        if step is None:
            return None
        abstract = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
            for name, leaf in _named(state).items()
        }
        leaves = self._manager.restore(step, args=self._args.StandardRestore(abstract))
        return jax.tree.unflatten(jax.tree.structure(state), [leaves[name] for name in _named(state)])

    def save(self, step: int, state: Any, *, miou: float) -> None:
        """Saves without waiting; `miou` (validation, NaN where not scored) decides which checkpoint is the best."""
        if self._manager.latest_step() != step:
            self._manager.save(step, args=self._args.StandardSave(_named(state)), metrics={"miou": miou})

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.wait_until_finished()
        self._manager.close()


def check_config(path: Path, config: Any) -> None:
    """Writes a run's config, or holds it against the one that is there.

    Raises:
        ValueError: they differ; the fields are named.
    """
    wanted = json.loads(json.dumps(dataclasses.asdict(config)))
    if not path.exists():
        if hosts.is_first():
            write_atomically(path, json.dumps(wanted, indent=1).encode())
        return
    found = json.loads(path.read_text())
    differing = [
        f"{name} = {found.get(name)!r} there, {wanted.get(name)!r} here"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise ValueError(f"{path}: this folder holds another run ({'; '.join(differing)}): choose another folder")


@dataclasses.dataclass(frozen=True)
class _TrainedOn:
    people: int
    digest: str


def check_people(folder: Path, people: Sequence[Person]) -> None:
    """Writes whom a run trains on to `folder`/trained_on.json, or holds them against whom the run there trained on.

    Raises:
        ValueError: they differ.
    """
    if hosts.is_first() and not (folder / "checkpoints").exists():
        (folder / "trained_on.json").unlink(missing_ok=True)  # of a run that never began
    folder.mkdir(parents=True, exist_ok=True)
    values = [(person.image, person.label_map, person.joints, person.visible) for person in people]
    check_config(folder / "trained_on.json", _TrainedOn(len(people), digest(values)))


def digest(tree: Any) -> str:
    """Twelve hexadecimal digits that stand for the values of a pytree."""
    hasher = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        hasher.update(np.asarray(leaf).tobytes())
    return hasher.hexdigest()[:12]


def _rank(metrics: dict[str, float]) -> float:
    return -math.inf if math.isnan(metrics["miou"]) else metrics["miou"]


def _named(tree: Any) -> dict[str, jax.Array]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
