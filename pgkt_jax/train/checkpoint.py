"""Checkpoints of a run folder: the latest two and the best, written while training goes on, checked when they are read.

A checkpoint holds all that decides how the training goes on: the state (step, seed, parameters and statistics of the
network, optimiser), a checksum of every array of it, the validation score, the losses since the last measurement, and
the config. Random keys and the order of the data are functions of seed and step (`TrainState`, `data.order`).
"""

import contextlib
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from pgkt_jax.train import hosts
from pgkt_jax.train.identity import check_config, plain

Tree = TypeVar("Tree")


class Checkpoints:
    """The checkpoints of one training, under `folder`/checkpoints; `folder`/config.json says what it trains.

    Args:
        folder: of the training.
        config: a frozen dataclass.
        read_only: nothing in the folder is made, changed or moved; it must hold a training.

    Attributes:
        losses: of the steps since the last measurement, as the checkpoint has them that was restored last.

    Raises:
        ValueError: the folder holds a training with another config, the fields that differ are named; or what a
            checkpoint says about itself cannot be read.
        OSError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, config: Any, *, read_only: bool = False):
        # Imported here: it takes a second, and a step is timed on hosts that lack it.
        import orbax.checkpoint as ocp
        from orbax.checkpoint import checkpoint_managers

        if not read_only:
            folder.mkdir(parents=True, exist_ok=True)
        elif not (folder / "checkpoints").is_dir():
            raise ValueError(f"{folder} holds no checkpoint yet")
        check_config(folder / "config.json", config)
        self.losses: list[float] = []
        self._folder, self._config, self._read_only = folder, plain(config), read_only
        self._place = _identity(folder)
        self._args = ocp.args
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(2),
                checkpoint_managers.BestN(get_metric_fn=_rank, n=1),
            ]
        )
        # What a killed run was writing is taken away, but not by somebody who only reads while the run goes on.
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policy, create=not read_only, cleanup_tmp_directories=not read_only
        )
        try:  # it reads what every checkpoint says about itself
            self._manager = ocp.CheckpointManager(self._root.absolute(), options=options)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{self._root}: a checkpoint's _CHECKPOINT_METADATA is damaged ({_reason(error)}): move it away"
            ) from None

    @property
    def _root(self) -> Path:
        return self._folder / "checkpoints"

    def restore(self, state: Tree) -> Tree | None:
        """The latest good checkpoint in the form (shapes, dtypes, shardings) of `state`, or None where there is none.

        Later ones that cannot be read on every process, or whose arrays do not have their checksums, are named on
        standard error and moved to `folder`/unreadable.

        Raises:
            ValueError: there are checkpoints and none of them can be read.
        """
        faults: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            restored, fault = None, "another process says so"
            try:
                restored = self._read(step, state)
            except Exception as error:  # orbax, tensorstore and the file system have many
                fault = _reason(error)
            if hosts.anyone(restored is None):
                faults[step] = fault
                continue
            self._set_aside(faults, step)
            return restored
        if faults:
            said = "; ".join(f"{step}: {fault}" for step, fault in faults.items())
            raise ValueError(f"{self._root}: none of the checkpoints can be read ({said})")
        return None

    def save(self, step: int, state: Any, *, miou: float, losses: Sequence[float] = ()) -> None:
        """Saves without waiting.

        Args:
            step: of the state; one that is there already is not written again.
            state: a pytree of arrays.
            miou: on validation data, NaN where not scored; decides which checkpoint is the best.
            losses: of the steps since the last measurement.

        Raises:
            OSError: this checkpoint or the one before cannot be written; names the last good one.
        """
        if self._manager.latest_step() == step:
            return
        leaves = _named(state)
        run = {
            "config": self._config,
            "losses": list(losses),
            "checksums": {name: int(value) for name, value in jax.device_get(_checksums(leaves)).items()},
        }
        with self.writing(self._root):  # also the checkpoint before, which may be on its way still
            self._manager.save(
                step,
                args=self._args.Composite(state=self._args.StandardSave(leaves), run=self._args.JsonSave(run)),
                metrics={"miou": miou},
            )

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[None]:
        """Within the block something is written below `path`: what goes wrong is told with the last good checkpoint.

        Raises:
            OSError: it could not be written.
        """
        try:
            yield
        except Exception as error:  # orbax wraps what the operating system said in errors of many types
            raise OSError(f"{path}: cannot be written ({_reason(error)}); {self.last_good()}") from error

    def check_place(self) -> None:
        """Raises OSError if the folder is no longer there: where a mount vanishes, an empty folder takes its name."""
        if _identity(self._folder) != self._place:
            raise OSError(f"{self._folder}: is gone, or another folder is in its place; nothing more is written")

    def last_good(self) -> str:
        """ "the last good checkpoint is of step N", as the folder has it."""
        try:
            steps = [int(path.name) for path in self._root.iterdir() if path.name.isdigit()]
        except OSError:
            return "the checkpoints cannot be seen"
        return f"the last good checkpoint is of step {max(steps)}" if steps else "there is no checkpoint yet"

    def wait(self) -> None:
        """Until nothing is being written.

        Raises:
            OSError: a checkpoint could not be written; names the last good one.
        """
        with self.writing(self._root):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for what is being written; raises as `wait`."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def _read(self, step: int, state: Tree) -> Tree:
        named = _named(state)
        abstract = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding) for name, leaf in named.items()
        }
        found = self._manager.restore(
            step,
            args=self._args.Composite(state=self._args.StandardRestore(abstract), run=self._args.JsonRestore()),
        )
        leaves, run = found["state"], found["run"]
        sums = jax.device_get(_checksums(leaves))
        wrong = [name for name in named if run["checksums"].get(name) != int(sums[name])]
        if wrong:
            raise ValueError(f"{wrong[0]} and {len(wrong) - 1} more are not what was saved")
        self.losses = [float(value) for value in run["losses"]]
        return jax.tree.unflatten(jax.tree.structure(state), [leaves[name] for name in named])

    def _set_aside(self, faults: Mapping[int, str], good: int) -> None:
        aside = self._folder / "unreadable"
        for step, fault in faults.items() if hosts.is_first() else ():
            broken = self._root / str(step)
            print(f"{broken} cannot be read ({fault}); going on from step {good}", file=sys.stderr)
            if not self._read_only:
                aside.mkdir(exist_ok=True)
                broken.rename(next(name for n in range(10**6) if not (name := aside / f"{step}.{n}").exists()))
        if faults and not self._read_only:
            hosts.wait("checkpoints are set aside")
            self._manager.reload()


def latest_state(folder: Path, config: Any, state: Tree) -> Tree:
    """The latest good checkpoint of the training in `folder`, in the form of `state`; nothing is changed there.

    Raises:
        ValueError: there is none, none can be read, or it is a training with another config.
    """
    with contextlib.closing(Checkpoints(folder, config, read_only=True)) as checkpoints:
        found = checkpoints.restore(state)
    if found is None:
        raise ValueError(f"{folder} holds no checkpoint yet")
    return found


@jax.jit
def _checksums(leaves: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """uint32 of every array, another one if any single element differs: the bits, each times an odd number, summed."""

    def checksum(leaf: jax.Array) -> jax.Array:
        bits = jax.lax.bitcast_convert_type(leaf, jnp.dtype(f"uint{8 * leaf.dtype.itemsize}")).astype(jnp.uint32)
        return jnp.sum(bits.ravel() * (2 * jnp.arange(bits.size, dtype=jnp.uint32) + 1))

    return {name: checksum(leaf) for name, leaf in leaves.items()}


def _identity(folder: Path) -> tuple[int, int] | None:
    """Tells a folder from another that takes its name, as an empty mount point does."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _reason(error: BaseException) -> str:
    """Why, in a few words: what the operating system said where that is known, else how the message begins."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if code := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(code[1]))
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return line if len(line) <= 200 else line[:200] + "..."


def _rank(metrics: dict[str, float]) -> float:
    return -math.inf if math.isnan(metrics["miou"]) else metrics["miou"]


def _named(tree: Any) -> dict[str, jax.Array]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
